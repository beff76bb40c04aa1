//! What AWS shows of a subnet's network: routes, groups, access lists, gateways, name resolution.
//!
//! A listing does not say which of its parts is the node's own. So what bars the way in each of them is a cause, what bars it in
//! some a symptom, and an answer that `--query` cut down is read by the fields that are left.

use serde_json::Value;

use super::super::super::Cause;
use super::super::books::{Books, Sighting};
use super::super::signature::{Component, Weight};
use super::json::{Within, field, walk};

/// The port that every agent needs.
const HTTPS: i64 = 443;
/// A port of those that Linux and Windows choose answers to come to.
const ANSWERS: i64 = 50_000;

/// What was found in one answer.
#[derive(Debug, Default)]
struct Found {
    tables: Judged,
    groups: Judged,
    lists: Judged,
    /// Endpoints and gateways that are available.
    open: usize,
}

/// How many of a kind there are, and what bars the way in those that do.
#[derive(Debug, Default)]
struct Judged {
    seen: usize,
    barred: Vec<(&'static str, String, Weight)>,
}

/// Reads an answer of AWS.
pub(super) fn read(value: &Value, books: &mut Books) {
    let mut found = Found::default();
    walk(value, &mut |value, _| object(value, &mut found, books));
    let seen = found.tables.seen + found.groups.seen + found.lists.seen + found.open;
    let barred = [&found.tables, &found.groups, &found.lists].iter().any(|judged| !judged.barred.is_empty());
    if seen > 0 && !barred {
        note(books, "network-open", Cause::Healthy, Weight::Noise, "what is shown of the network bars no way out");
    }
    for judged in [found.tables, found.groups, found.lists] {
        let everywhere = judged.barred.len() == judged.seen;
        for (id, text, weight) in judged.barred {
            let weight = if everywhere { weight } else { Weight::Symptom };
            note(books, id, Cause::NetworkUnreachable, weight, &text);
        }
    }
}

fn object(value: &Value, found: &mut Found, books: &mut Books) -> Within {
    let routes = field(value, "Routes").as_array();
    if let Some(routes) = routes {
        table(routes, value, &mut found.tables);
    } else if field(value, "DestinationCidrBlock").is_string() && field(value, "State") == "blackhole" {
        let text = format!("a route leads nowhere: {value}");
        note(books, "blackhole", Cause::NetworkUnreachable, Weight::Cause, &text);
    }
    if field(value, "IpPermissionsEgress").is_array() {
        group(value, &mut found.groups);
    }
    if let Some(entries) = field(value, "Entries").as_array() {
        access_list(entries, value, &mut found.lists);
    }
    let kinds = ["NatGatewayId", "VpcEndpointId"];
    if field(value, "State") == "available" && kinds.iter().any(|name| field(value, name).is_string()) {
        found.open += 1;
    }
    gateway(value, books);
    names(value, books);
    if routes.is_some() { Within::Not } else { Within::Also }
}

fn note(books: &mut Books, id: &str, cause: Cause, weight: Weight, text: &str) {
    books.note(Sighting::new(&format!("aws.{id}"), Component::Agent, cause, weight, text), None);
}

/// Whether a block is all of the internet.
fn is_everywhere(block: &Value) -> bool {
    matches!(block.as_str(), Some("0.0.0.0/0" | "::/0"))
}

fn table(routes: &[Value], whole: &Value, judged: &mut Judged) {
    judged.seen += 1;
    let default = |route: &&Value| {
        is_everywhere(field(route, "DestinationCidrBlock")) || is_everywhere(field(route, "DestinationIpv6CidrBlock"))
    };
    let mut defaults = routes.iter().filter(default).peekable();
    let name = field(whole, "RouteTableId").as_str().unwrap_or("the route table");
    if defaults.peek().is_none() {
        // Endpoints may do without.
        if !routes.is_empty() {
            let text = format!("{name} has no route out of the VPC");
            judged.barred.push(("no-route-out", text, Weight::Symptom));
        }
    } else if defaults.all(|route| field(route, "State") == "blackhole") {
        let text = format!("{name}: what the default route leads to is gone (blackhole)");
        judged.barred.push(("blackhole-out", text, Weight::Cause));
    }
}

/// Whether a rule speaks of TCP to a port.
fn covers(rule: &Value, protocol: &str, from: &Value, to: &Value, port: i64) -> bool {
    let named = field(rule, protocol);
    let named = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
    let any = named == "-1";
    let ports = match (from.as_i64(), to.as_i64()) {
        (Some(from), Some(to)) => (from..=to).contains(&port) || from == -1,
        (None, _) | (_, None) => true,
    };
    any || (matches!(named.as_str(), "tcp" | "6") && ports)
}

/// A group lets out what any of its rules names. An endpoint's own group is asked for the way in.
fn group(whole: &Value, judged: &mut Judged) {
    judged.seen += 1;
    let lets = |list: &str| {
        let rules = field(whole, list).as_array().into_iter().flatten();
        rules.into_iter().any(|rule| covers(rule, "IpProtocol", field(rule, "FromPort"), field(rule, "ToPort"), HTTPS))
    };
    let text = |name: &str| field(whole, name).as_str().unwrap_or_default().to_ascii_lowercase();
    let words = format!("{} {}", text("GroupName"), text("Description"));
    let of_endpoint = words.contains("endpoint") || words.contains("vpce");
    let id = field(whole, "GroupId").as_str().unwrap_or("the security group");
    if of_endpoint && field(whole, "IpPermissions").is_array() && !lets("IpPermissions") {
        let text = format!("{id}, which looks like an endpoint's, lets no 443 in");
        judged.barred.push(("group-in", text, Weight::Symptom));
    } else if !of_endpoint && !lets("IpPermissionsEgress") {
        judged.barred.push(("group-out", format!("{id} lets no 443 out"), Weight::Symptom));
    }
}

/// Of a list's rules, the one with the lowest number that matches decides; without one nothing passes.
fn access_list(entries: &[Value], whole: &Value, judged: &mut Judged) {
    if !entries.iter().any(|entry| field(entry, "RuleAction").is_string()) {
        return;
    }
    judged.seen += 1;
    let passes = |egress: bool, port: i64| {
        let mut rules: Vec<&Value> = entries.iter().filter(|entry| field(entry, "Egress") == egress).collect();
        if rules.is_empty() {
            return true;
        }
        rules.sort_by_key(|rule| field(rule, "RuleNumber").as_i64().unwrap_or(i64::MAX));
        let speaks = |rule: &&&Value| {
            let range = field(rule, "PortRange");
            let wide = is_everywhere(field(rule, "CidrBlock")) || is_everywhere(field(rule, "Ipv6CidrBlock"));
            // A rule for some addresses that lets through may be the endpoints' own.
            (wide || field(rule, "RuleAction") == "allow")
                && covers(rule, "Protocol", field(range, "From"), field(range, "To"), port)
        };
        rules.iter().find(speaks).is_some_and(|rule| field(rule, "RuleAction") == "allow")
    };
    let id = field(whole, "NetworkAclId").as_str().unwrap_or("the network ACL");
    if !passes(true, HTTPS) {
        judged.barred.push(("acl-out", format!("{id} lets no 443 out"), Weight::Cause));
    } else if !passes(false, ANSWERS) {
        judged.barred.push(("acl-in", format!("{id} lets no answers in (1024-65535)"), Weight::Cause));
    }
}

fn gateway(value: &Value, books: &mut Books) {
    let state = field(value, "State").as_str().unwrap_or_default();
    if field(value, "NatGatewayId").is_string() && matches!(state, "failed" | "deleting" | "deleted") {
        let text = format!("{} is {state}: {}", field(value, "NatGatewayId"), field(value, "FailureMessage"));
        note(books, "nat-gateway", Cause::NetworkUnreachable, Weight::Cause, &text);
    }
}

fn names(value: &Value, books: &mut Books) {
    let is_off = |name: &str| field(value, name) == false || field(field(value, name), "Value") == false;
    if is_off("EnableDnsSupport") {
        note(books, "dns-support-off", Cause::NetworkDns, Weight::Cause, "enableDnsSupport of the VPC is off");
    }
    if is_off("EnableDnsHostnames") {
        let text = "enableDnsHostnames of the VPC is off: private names of endpoints do not resolve";
        note(books, "dns-hostnames-off", Cause::NetworkDns, Weight::Symptom, text);
    }
    let service = field(value, "ServiceName").as_str().unwrap_or_default();
    let interface = field(value, "VpcEndpointType") == "Interface";
    if interface && service.starts_with("com.amazonaws.") && field(value, "PrivateDnsEnabled") == false {
        let text = format!("the endpoint of {service} has no private DNS: its public name leads elsewhere");
        note(books, "private-dns-off", Cause::NetworkDns, Weight::Symptom, &text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn causes(value: &Value) -> Vec<(String, Cause, Weight)> {
        let mut books = Books::default();
        read(value, &mut books);
        let seen = books.close().0.into_iter().filter(|seen| seen.cause != Cause::Healthy);
        seen.map(|seen| (seen.id, seen.cause, seen.weight)).collect()
    }

    fn rule(number: i64, egress: bool, action: &str, from: i64, to: i64) -> Value {
        json!({"RuleNumber": number, "Egress": egress, "RuleAction": action, "Protocol": "6", "CidrBlock": "0.0.0.0/0",
               "PortRange": {"From": from, "To": to}})
    }

    #[test]
    fn the_lowest_rule_that_matches_decides_whatever_the_order_of_the_list() {
        let open = [rule(100, true, "allow", 0, 65_535), rule(100, false, "allow", 1_024, 65_535)];
        assert_eq!(causes(&json!({"Entries": open})), []);
        let shut = [rule(100, true, "allow", 0, 65_535), rule(90, true, "deny", 443, 443)];
        let barred = |id: &str| vec![(format!("aws.{id}"), Cause::NetworkUnreachable, Weight::Cause)];
        assert_eq!(causes(&json!({"Entries": shut})), barred("acl-out"));
        let deaf = [rule(100, true, "allow", 0, 65_535), rule(100, false, "allow", 443, 443)];
        assert_eq!(causes(&json!({"Entries": deaf})), barred("acl-in"));
    }

    #[test]
    fn what_bars_the_way_in_one_of_two_lists_is_a_symptom() {
        let open = json!({"Entries": [rule(100, true, "allow", 0, 65_535), rule(100, false, "allow", 0, 65_535)]});
        let shut = json!({"Entries": [rule(100, true, "deny", 0, 65_535)]});
        let seen = causes(&json!({"NetworkAcls": [open, shut]}));
        assert_eq!(seen, [("aws.acl-out".to_owned(), Cause::NetworkUnreachable, Weight::Symptom)]);
    }

    #[test]
    fn what_bars_nothing_is_a_weak_sign_of_health() {
        let mut books = Books::default();
        read(&json!({"VpcEndpoints": [{"VpcEndpointId": "vpce-1", "State": "available"}]}), &mut books);
        assert_eq!(
            books.close().0.first().map(|seen| (seen.cause, seen.weight)),
            Some((Cause::Healthy, Weight::Noise))
        );
    }

    #[test]
    fn a_default_route_into_nothing_is_a_cause_and_none_at_all_a_symptom() {
        let local = json!({"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"});
        let way = |state: &str| json!({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": state});
        let table = |routes: &[Value]| causes(&json!({"RouteTables": [{"Routes": routes}]})).pop().map(|seen| seen.2);
        assert_eq!(table(&[local.clone(), way("active")]), None);
        assert_eq!(table(&[local.clone(), way("blackhole")]), Some(Weight::Cause));
        assert_eq!(table(&[local]), Some(Weight::Symptom));
    }

    #[test]
    fn a_group_without_a_way_out_is_seen_and_an_endpoints_own_is_asked_for_the_way_in() {
        let ports = json!([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}]);
        let group = |name: &str, egress: &Value, ingress: &Value| {
            causes(&json!({"GroupName": name, "IpPermissionsEgress": egress, "IpPermissions": ingress})).len()
        };
        let none = json!([]);
        assert_eq!(group("web", &ports, &none), 0);
        assert_eq!(group("web", &none, &ports), 1);
        assert_eq!(group("ssm-endpoints", &none, &ports), 0);
        assert_eq!(group("ssm-endpoints", &ports, &none), 1);
        assert_eq!(group("all", &json!([{"IpProtocol": "-1"}]), &none), 0);
    }
}
