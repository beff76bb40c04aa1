//! What surrounds the instances in their VPC, as healthy as can be; and what a fault of the network breaks there.
//!
//! Nodes reach AWS through a NAT gateway. One whose way is shut is in a group that lets nothing out; one whose names are not resolved is in a
//! VPC of its own, whose DHCP options name a resolver that nobody reaches.

use serde_json::{Value, json};

use super::{Ailment, dry_run, filter, paged};
use crate::fleet::error::AwsError;
use crate::fleet::input::{Form, shown};
use crate::fleet::{Answered, Fleet};
use crate::sim::machine::Machine;

/// The VPC of the account's nodes.
pub(super) const VPC: &str = "vpc-0d5b11c0de0000001";
/// The VPC whose names are not resolved.
const DARK_VPC: &str = "vpc-0d5b11c0de0000d05";
const DARK_SUBNET: &str = "subnet-0d5b11c0de0000d05";
const PUBLIC_SUBNET: &str = "subnet-0d5b11c0de0000fff";
const OPEN_GROUP: (&str, &str) = ("sg-0d5b11c0de0000001", "nodes");
const SHUT_GROUP: (&str, &str) = ("sg-0d5b11c0de00000c1", "locked-down");
const NAT: &str = "nat-0d5b11c0de0000001";
const GATEWAY: &str = "igw-0d5b11c0de0000001";
/// The addresses of S3, which a gateway endpoint serves; an interface endpoint serves the logs.
const LIST: &str = "pl-63a5400a";
const S3: &str = "vpce-0d5b11c0de0000053";
const LOGS: &str = "vpce-0d5b11c0de0000106";
const LOGS_INTERFACE: &str = "eni-0d5b11c0de0000106";
const ENDPOINT_GROUP: (&str, &str) = ("sg-0d5b11c0de00000e1", "endpoints");
const BLOCK: &str = "10.0.0.0/16";
const EVERYWHERE: &str = "0.0.0.0/0";

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &Fleet, operation: &str, form: &Form) -> Option<Answered> {
    Some(match operation {
        "DescribeVpcs" => {
            let vpcs = [VPC, DARK_VPC].map(|vpc| fleet.vpc_row(vpc));
            some(form, "vpcSet", vpcs.into(), ("VpcId", "vpcId", "InvalidVpcID.NotFound"))
        }
        "DescribeVpcAttribute" => vpc_attribute(form),
        "DescribeDhcpOptions" => some(
            form,
            "dhcpOptionsSet",
            [VPC, DARK_VPC].map(options_row).into(),
            ("DhcpOptionsId", "dhcpOptionsId", "InvalidDhcpOptionID.NotFound"),
        ),
        "DescribeSubnets" => {
            some(form, "subnetSet", fleet.subnet_rows(), ("SubnetId", "subnetId", "InvalidSubnetID.NotFound"))
        }
        "DescribeSecurityGroups" => {
            some(form, "securityGroupInfo", fleet.group_rows(), ("GroupId", "groupId", "InvalidGroup.NotFound"))
        }
        "DescribeNetworkAcls" => some(
            form,
            "networkAclSet",
            fleet.acl_rows(),
            ("NetworkAclId", "networkAclId", "InvalidNetworkAclID.NotFound"),
        ),
        "DescribeRouteTables" => some(
            form,
            "routeTableSet",
            fleet.table_rows(),
            ("RouteTableId", "routeTableId", "InvalidRouteTableID.NotFound"),
        ),
        "DescribeNatGateways" => {
            some(form, "natGatewaySet", vec![nat_row()], ("NatGatewayId", "natGatewayId", "NatGatewayNotFound"))
        }
        "DescribeVpcEndpoints" => some(
            form,
            "vpcEndpointSet",
            fleet.endpoint_rows(),
            ("VpcEndpointId", "vpcEndpointId", "InvalidVpcEndpointId.NotFound"),
        ),
        "DescribeNetworkInterfaces" => some(
            form,
            "networkInterfaceSet",
            vec![fleet.interface_row()],
            ("NetworkInterfaceId", "networkInterfaceId", "InvalidNetworkInterfaceID.NotFound"),
        ),
        "DescribeManagedPrefixLists" => some(
            form,
            "prefixListSet",
            vec![fleet.list_row()],
            ("PrefixListId", "prefixListId", "InvalidPrefixListID.NotFound"),
        ),
        "GetManagedPrefixListEntries" => list_entries(form),
        _ => return None,
    })
}

/// The VPC of a machine.
pub(super) fn vpc(machine: &Machine) -> &'static str {
    if Fleet::ailment(machine) == Some(Ailment::NetworkDns) { DARK_VPC } else { VPC }
}

/// The subnet of a machine.
pub(super) fn subnet(machine: &Machine) -> String {
    if vpc(machine) == DARK_VPC { DARK_SUBNET.to_owned() } else { Fleet::subnet(machine) }
}

/// The security group of a machine.
pub(super) fn group(machine: &Machine) -> Value {
    let shut = Fleet::ailment(machine) == Some(Ailment::NetworkUnreachable);
    let (id, name) = if shut { SHUT_GROUP } else { OPEN_GROUP };
    json!({ "groupId": id, "groupName": name })
}

impl Fleet {
    fn vpc_row(&self, vpc: &str) -> Value {
        json!({
            "vpcId": vpc, "ownerId": self.world.home.account, "state": "available", "cidrBlock": BLOCK,
            "dhcpOptionsId": options_of(vpc), "instanceTenancy": "default", "isDefault": false,
        })
    }

    fn subnet_rows(&self) -> Vec<Value> {
        let zone = |machine: Option<&Machine>| machine.and_then(|machine| machine.zone.clone());
        let first = zone(self.world.machines.first());
        let machines = self.world.machines.iter().filter(|machine| machine.id.is_instance());
        let mut rows: Vec<Value> = Vec::new();
        let own =
            machines.map(|machine| (subnet(machine), vpc(machine), zone(Some(machine)).or_else(|| first.clone())));
        let public = (PUBLIC_SUBNET.to_owned(), VPC, first.clone());
        for (id, vpc, zone) in own.chain([public]) {
            if rows.iter().any(|row| row.get("subnetId") == Some(&json!(id))) {
                continue;
            }
            rows.push(json!({
                "subnetId": id, "vpcId": vpc, "ownerId": self.world.home.account, "state": "available", "cidrBlock": BLOCK,
                "availabilityZone": zone, "ipv6CidrBlockAssociationSet": [], "mapPublicIpOnLaunch": false,
            }));
        }
        rows
    }

    fn group_rows(&self) -> Vec<Value> {
        let all = || {
            json!([{ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": EVERYWHERE }], "ipv6Ranges": [],
                              "prefixListIds": [], "groups": [] }])
        };
        let row = |(id, name), vpc, (ingress, egress)| {
            json!({
                "groupId": id, "groupName": name, "groupDescription": name, "ownerId": self.world.home.account, "vpcId": vpc,
                "ipPermissions": ingress, "ipPermissionsEgress": egress, "tagSet": [],
            })
        };
        let none = || json!([]);
        let https = json!([{ "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "ipv6Ranges": [],
                             "ipRanges": [{ "cidrIp": BLOCK }], "prefixListIds": [], "groups": [] }]);
        // The same group stands for that of the other VPC: its rules are what counts.
        vec![
            row(OPEN_GROUP, VPC, (none(), all())),
            row(SHUT_GROUP, VPC, (none(), none())),
            row(OPEN_GROUP, DARK_VPC, (none(), all())),
            row(ENDPOINT_GROUP, VPC, (https, none())),
        ]
    }

    fn endpoint_rows(&self) -> Vec<Value> {
        let row = |id: &str, kind: &str, service: &str, (subnets, groups, interfaces): (Value, Value, Value)| {
            json!({
                "vpcEndpointId": id, "vpcEndpointType": kind, "vpcId": VPC, "state": "available", "ownerId": self.world.home.account,
                "serviceName": self.endpoint_service(service), "subnetIdSet": subnets, "groupSet": groups, "routeTableIdSet": [],
                "networkInterfaceIdSet": interfaces, "privateDnsEnabled": kind == "Interface", "ipAddressType": "ipv4", "tagSet": [],
                "requesterManaged": false,
                "policyDocument": r#"{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}"#,
            })
        };
        let group = json!([{ "groupId": ENDPOINT_GROUP.0, "groupName": ENDPOINT_GROUP.1 }]);
        let of_logs = (json!([PUBLIC_SUBNET]), group, json!([LOGS_INTERFACE]));
        vec![row(S3, "Gateway", "s3", (json!([]), json!([]), json!([]))), row(LOGS, "Interface", "logs", of_logs)]
    }

    fn endpoint_service(&self, service: &str) -> String {
        format!("com.amazonaws.{}.{service}", self.world.home.region)
    }

    fn interface_row(&self) -> Value {
        json!({
            "networkInterfaceId": LOGS_INTERFACE, "subnetId": PUBLIC_SUBNET, "vpcId": VPC, "ownerId": self.world.home.account,
            "status": "in-use", "interfaceType": "vpc_endpoint", "privateIpAddress": "10.0.255.106",
            "privateIpAddressesSet": [{ "privateIpAddress": "10.0.255.106", "primary": true }], "ipv6AddressesSet": [],
        })
    }

    fn list_row(&self) -> Value {
        json!({
            "prefixListId": LIST, "prefixListName": self.endpoint_service("s3"), "addressFamily": "IPv4", "ownerId": "AWS",
            "state": "create-complete",
        })
    }

    fn acl_rows(&self) -> Vec<Value> {
        let entry = |egress: bool, number: u16, action: &str| json!({ "ruleNumber": number, "protocol": "-1", "ruleAction": action, "egress": egress, "cidrBlock": EVERYWHERE });
        let row = |vpc: &str| {
            let id = vpc.replacen("vpc-", "acl-", 1);
            let subnets = self.subnet_rows();
            let own = subnets.iter().filter(|row| row.get("vpcId") == Some(&json!(vpc)));
            let associated: Vec<Value> = own
                .filter_map(|row| row.get("subnetId"))
                .map(|subnet| json!({ "networkAclAssociationId": "aclassoc-0d5b11c0", "networkAclId": id, "subnetId": subnet }))
                .collect();
            json!({
                "networkAclId": id, "vpcId": vpc, "default": true, "ownerId": self.world.home.account,
                "entrySet": [entry(true, 100, "allow"), entry(true, 32_767, "deny"),
                             entry(false, 100, "allow"), entry(false, 32_767, "deny")],
                "associationSet": associated, "tagSet": [],
            })
        };
        vec![row(VPC), row(DARK_VPC)]
    }

    fn table_rows(&self) -> Vec<Value> {
        let local = json!({ "destinationCidrBlock": BLOCK, "gatewayId": "local", "state": "active",
                            "origin": "CreateRouteTable" });
        let out = |target: &str, id: &str| json!({ "destinationCidrBlock": EVERYWHERE, target: id, "state": "active", "origin": "CreateRoute" });
        let to_s3 =
            json!({ "destinationPrefixListId": LIST, "gatewayId": S3, "state": "active", "origin": "CreateRoute" });
        let row = |id: &str, vpc: &str, routes: Value, associated: Value| {
            json!({ "routeTableId": id, "vpcId": vpc, "ownerId": self.world.home.account, "routeSet": routes,
                    "associationSet": [associated], "propagatingVgwSet": [], "tagSet": [] })
        };
        let main =
            |id: &str| json!({ "routeTableAssociationId": "rtbassoc-0d5b11c0", "routeTableId": id, "main": true });
        let (private, public, dark) = ("rtb-0d5b11c0de0000001", "rtb-0d5b11c0de0000fff", "rtb-0d5b11c0de0000d05");
        let of_public = json!({ "routeTableAssociationId": "rtbassoc-0d5b11c1", "routeTableId": public,
                                "subnetId": PUBLIC_SUBNET, "main": false });
        vec![
            row(private, VPC, json!([local, out("natGatewayId", NAT), to_s3]), main(private)),
            row(public, VPC, json!([local, out("gatewayId", GATEWAY)]), of_public),
            row(dark, DARK_VPC, json!([local, out("transitGatewayId", "tgw-0d5b11c0de0000001")]), main(dark)),
        ]
    }
}

fn nat_row() -> Value {
    json!({
        "natGatewayId": NAT, "subnetId": PUBLIC_SUBNET, "vpcId": VPC, "state": "available", "connectivityType": "public",
        "natGatewayAddressSet": [{ "allocationId": "eipalloc-0d5b11c0", "networkInterfaceId": "eni-0d5b11c0",
                                   "privateIp": "10.0.255.10", "publicIp": "203.0.113.10" }],
        "tagSet": [],
    })
}

fn options_of(vpc: &str) -> String {
    vpc.replacen("vpc-", "dopt-", 1)
}

fn options_row(vpc: &str) -> Value {
    let server = if vpc == DARK_VPC { "10.0.0.53" } else { "AmazonProvidedDNS" };
    json!({
        "dhcpOptionsId": options_of(vpc), "tagSet": [],
        "dhcpConfigurationSet": [{ "key": "domain-name-servers", "valueSet": [{ "value": server }] }],
    })
}

fn vpc_attribute(form: &Form) -> Answered {
    let vpc = form.need_text("VpcId")?;
    if ![VPC, DARK_VPC].contains(&vpc) {
        let message = format!("The vpc ID '{}' does not exist", shown(vpc));
        return Err(AwsError::new("InvalidVpcID.NotFound", message));
    }
    dry_run(form)?;
    let field = match form.need_text("Attribute")? {
        name @ ("enableDnsSupport" | "enableDnsHostnames") => name,
        other => {
            let message = format!("Value ({}) for parameter attribute is invalid. Unknown attribute.", shown(other));
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    };
    Ok(json!({ "vpcId": vpc, field: { "value": vpc != DARK_VPC } }))
}

fn list_entries(form: &Form) -> Answered {
    let asked = form.need_text("PrefixListId")?;
    if asked != LIST {
        let message = format!("The prefix list ID '{}' does not exist", shown(asked));
        return Err(AwsError::new("InvalidPrefixListID.NotFound", message));
    }
    dry_run(form)?;
    Ok(json!({ "entrySet": [{ "cidr": "52.216.0.0/15" }] }))
}

/// Those of the rows that were asked for, by id or by filter.
fn some(
    form: &Form,
    set: &str,
    rows: Vec<Value>,
    (asked, field, missing_code): (&str, &str, &'static str),
) -> Answered {
    dry_run(form)?;
    let text = |row: &Value, field: &str| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ids = form.list(asked);
    if let Some(missing) = ids.iter().find(|id| !rows.iter().any(|row| text(row, field) == **id)) {
        let message = format!("The {field} '{}' does not exist", shown(missing));
        return Err(AwsError::new(missing_code, message));
    }
    let read = filter::read(form)?;
    let filters = read.all();
    let mut found = Vec::new();
    for row in rows {
        let mut fits = ids.is_empty() || ids.contains(&text(&row, field).as_str());
        for filter in &filters {
            match filter.name {
                "vpc-id" => fits &= filter.matches(&text(&row, "vpcId")),
                _ => return Err(filter.unknown()),
            }
        }
        if fits {
            found.push(row);
        }
    }
    let (page, next) = paged(found, form)?;
    Ok(json!({ set: page, "nextToken": next }))
}
