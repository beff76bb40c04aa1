use super::samples::{Sample, endpoint, entry, id, isolated, known, private, public, route, rule};
use super::*;
use crate::diagnose::{Agents, Cause, Channel, Mark, Severity};
use crate::observe::{Blind, Fact};

type Told = fn() -> Sample;
type Hide = fn(&mut Surroundings);

const SSM: Agents = Agents { ssm: true, ecs: false };

fn lines(sample: &Sample, id: &str) -> Vec<String> {
    let lines = sample.paths().lines(Agents::BOTH);
    lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect()
}

#[test]
fn the_three_usual_vpcs_are_open() {
    for (name, sample) in [("private", private()), ("public", public()), ("isolated", isolated())] {
        for service in Service::ALL {
            assert_eq!(sample.to(service), "open", "{name} {service}");
        }
        let paths = sample.paths();
        assert_eq!(paths.channel(Agents::BOTH), Fact::Known([].into()), "{name}");
        let marks: Vec<_> = paths.lines(Agents::BOTH).into_iter().filter(|line| line.verdict != Mark::Ok).collect();
        assert_eq!(marks, [], "{name}");
    }
}

#[test]
fn the_groups_must_let_443_out() {
    let nothing = "N09 sg-1: sg-1 lets no TCP 443 out by IPv4";
    for rules in [
        vec![],
        vec![rule("tcp", Some(80), "0.0.0.0/0")],
        vec![rule("udp", Some(443), "0.0.0.0/0")],
        vec![rule("tcp", Some(443), "::/0")],
        vec![rule("tcp", Some(443), "10.0.0.0/8")],
        vec![rule("-1", None, "sg-1")],
        vec![rule("icmp", None, "0.0.0.0/0")],
    ] {
        assert_eq!(private().outbound(rules.clone()).ssm(), nothing, "{rules:?}");
    }
    for rules in [
        vec![rule("6", Some(443), "0.0.0.0/0")],
        vec![rule("tcp", None, "0.0.0.0/0")],
        vec![rule("tcp", Some(443), "0.0.0.0/1"), rule("tcp", Some(443), "128.0.0.0/1")],
    ] {
        assert_eq!(private().outbound(rules.clone()).ssm(), "open", "{rules:?}");
    }
}

#[test]
fn what_one_of_several_groups_allows_is_allowed() {
    let closed = private().outbound(vec![]).with(|host, around| {
        host.groups.insert(id("sg-9"));
        let open = SecurityGroup { inbound: vec![], outbound: vec![rule("-1", None, "0.0.0.0/0")] };
        known(&mut around.groups).insert(id("sg-9"), open);
    });
    assert_eq!(closed.ssm(), "open");
}

#[test]
fn groups_that_let_out_to_some_addresses_only_leave_it_unknown() {
    let some = private().outbound(vec![rule("tcp", Some(443), "52.0.0.0/8")]);
    assert_eq!(some.ssm(), "unknown: of some addresses only: sg-1 lets TCP 443 out only to some addresses");
    assert_eq!(lines(&some, "N09").len(), 1);
    assert!(lines(&some, "N09")[0].starts_with("WARN"), "{:?}", lines(&some, "N09"));
}

#[test]
fn a_prefix_list_in_a_rule_counts_when_it_was_read_and_leaves_it_unknown_when_not() {
    let by_list = || private().outbound(vec![rule("tcp", Some(443), "pl-1")]);
    let read = by_list().with(|_, around| {
        let entries = Fact::Known(vec![id("0.0.0.0/0")]);
        around.lists.insert(id("pl-1"), PrefixList { name: None, entries });
    });
    assert_eq!(read.ssm(), "open");
    assert_eq!(by_list().ssm(), "unknown: could not read pl-1: not asked for");
}

#[test]
fn acls_are_asked_in_the_order_of_their_numbers_both_ways() {
    let out = |number, allow| entry(number, true, allow, (443, 443), "0.0.0.0/0");
    assert_eq!(private().acl("acl-1", vec![out(90, false)]).ssm(), "N10 acl-1: acl-1 of subnet-1 lets no TCP 443 out");
    assert_eq!(private().acl("acl-1", vec![out(90, false), out(80, true)]).ssm(), "open");
    assert_eq!(private().acl("acl-1", vec![out(110, false)]).ssm(), "open");
    let no_answers = private().acl("acl-1", vec![entry(90, false, false, (1_024, 65_535), "0.0.0.0/0")]);
    let words = "N10 acl-1: acl-1 of subnet-1 lets no answers in to the ports 1024-65535";
    assert_eq!(no_answers.ssm(), words);
    let usual = private().only_acl(
        "acl-1",
        vec![entry(1, true, true, (443, 443), "0.0.0.0/0"), entry(1, false, true, (32_768, 65_535), "0.0.0.0/0")],
    );
    assert_eq!(usual.ssm(), "open", "the ports that hosts choose from by default");
    let low = private().acl("acl-1", vec![entry(90, false, false, (40_000, 65_535), "0.0.0.0/0")]);
    assert_eq!(low.ssm(), "unknown: acl-1 of subnet-1 lets answers in only to some of the ports 32768-65535");
}

#[test]
fn the_acl_of_the_nat_gateways_subnet_is_asked_too() {
    let enters = private().acl("acl-2", vec![entry(90, false, false, (443, 443), "10.0.1.0/24")]);
    assert_eq!(enters.ssm(), "N10 acl-2: acl-2 of subnet-2 lets no TCP 443 in from subnet-1");
    let back = private().acl("acl-2", vec![entry(90, true, false, (1_024, 65_535), "10.0.0.0/8")]);
    assert_eq!(back.ssm(), "N10 acl-2: acl-2 of subnet-2 lets no answers out to subnet-1");
    let answers = private().acl("acl-2", vec![entry(90, false, false, (1_024, 32_767), "0.0.0.0/0")]);
    assert_eq!(answers.ssm(), "unknown: acl-2 of subnet-2 lets answers in only to some of the ports 1024-65535");
}

#[test]
fn the_longest_prefix_wins_and_no_route_or_a_blackhole_blocks() {
    let local = ("10.0.0.0/16", "local");
    assert_eq!(private().routes(&[local]).ssm(), "N01 rtb-1: rtb-1 has no route out");
    let halves = [local, ("0.0.0.0/0", "tgw-1"), ("0.0.0.0/1", "nat-1"), ("128.0.0.0/1", "nat-1")];
    assert_eq!(private().routes(&halves).ssm(), "open");
    let dead = private().table("rtb-1", |table| table.routes[1].active = false);
    assert_eq!(dead.ssm(), "N01 rtb-1: rtb-1 sends 0.0.0.0/0 to nat-1, which is gone (blackhole)");
    let half = private().routes(&[local, ("0.0.0.0/1", "nat-1")]);
    assert_eq!(half.ssm(), "unknown: of some addresses only: rtb-1 has no route out to some addresses");
}

#[test]
fn a_subnet_without_a_table_of_its_own_uses_the_main_one() {
    let main = private().table("rtb-1", |table| table.subnets.clear());
    assert_eq!(main.ssm(), "N01 rtb-3: rtb-3 has no route out");
    let none = main.table("rtb-3", |table| table.main = false);
    assert_eq!(none.ssm(), "unknown: could not read the route table of subnet-1: the answer was empty");
}

#[test]
fn a_static_route_wins_against_a_propagated_one_and_a_list_stands_between() {
    let propagated = || Route { propagated: true, ..route("0.0.0.0/0", "vgw-1") };
    let beside = private().table("rtb-1", |table| table.routes.insert(0, propagated()));
    assert_eq!(beside.ssm(), "open");
    let alone = private().table("rtb-1", |table| table.routes = vec![route("10.0.0.0/16", "local"), propagated()]);
    assert_eq!(alone.ssm(), "unknown: rtb-1 sends 0.0.0.0/0 to vgw-1, and beyond that nothing can be seen");
    let listed = |first: Route| {
        private().table("rtb-1", |table| table.routes = vec![first, route("pl-1", "nat-1")]).with(|_, around| {
            let entries = Fact::Known(vec![id("0.0.0.0/0")]);
            around.lists.insert(id("pl-1"), PrefixList { name: None, entries });
        })
    };
    assert_eq!(listed(propagated()).ssm(), "open");
    assert!(listed(route("0.0.0.0/0", "tgw-1")).ssm().contains("tgw-1"));
    let inside = isolated().table("rtb-1", |table| {
        table.routes.push(Route { propagated: true, ..route("10.0.3.0/24", "vgw-1") });
    });
    assert_eq!(inside.ssm(), "open", "no propagated route wins against the VPC's own block");
}

#[test]
fn a_place_that_cannot_be_seen_is_unknown_and_stands_in_no_diagnosis_way() {
    for target in ["tgw-1", "vgw-1", "pcx-1", "eni-1", "vpce-gwlb"] {
        let away = private().routes(&[("10.0.0.0/16", "local"), ("0.0.0.0/0", target)]);
        let words = format!("unknown: rtb-1 sends 0.0.0.0/0 to {target}, and beyond that nothing can be seen");
        assert_eq!(away.ssm(), words);
        assert!(lines(&away, "N04")[0].starts_with("UNKNOWN"), "{:?}", lines(&away, "N04"));
        assert_eq!(away.paths().channel(Agents::BOTH), Fact::Known([].into()));
    }
}

#[test]
fn an_internet_gateway_wants_a_public_address() {
    let hidden = public().with(|host, _| host.public = false);
    let words = "N02 igw-1: rtb-1 sends 0.0.0.0/0 to igw-1, and the instance has no public IPv4 address";
    assert_eq!(hidden.ssm(), words);
    let eigw = private().routes(&[("0.0.0.0/0", "eigw-1")]);
    assert_eq!(eigw.ssm(), "N01 rtb-1: rtb-1 sends 0.0.0.0/0 to eigw-1, which passes only IPv6");
}

#[test]
fn a_nat_gateway_must_be_there_and_stand_in_a_public_subnet() {
    let gone = private().nat(|nat| nat.state = Lifetime::Gone);
    assert_eq!(gone.ssm(), "N03 nat-1: rtb-1 sends 0.0.0.0/0 to nat-1, which is not available");
    let coming = private().nat(|nat| nat.state = Lifetime::Coming);
    assert_eq!(coming.ssm(), "unknown: nat-1 is not available yet");
    let missing = private().with(|_, around| known(&mut around.nats).clear());
    assert_eq!(missing.ssm(), "N03 nat-1: rtb-1 sends 0.0.0.0/0 to nat-1, which does not exist");
    let no_address = private().nat(|nat| nat.has_public_address = false);
    assert_eq!(no_address.ssm(), "N03 nat-1: rtb-1 sends 0.0.0.0/0 to nat-1, which has no public address");
    let inner = private().nat(|nat| nat.public = false);
    assert_eq!(inner.ssm(), "unknown: beyond the private nat-1 nothing can be seen");
    let regional = private().nat(|nat| nat.subnet = None);
    assert_eq!(regional.ssm(), "unknown: nat-1 is a regional one: its own way cannot be seen");
    let itself = private().nat(|nat| nat.subnet = Some(id("subnet-1")));
    let words = "N03 nat-1: nat-1 stands in subnet-1, whose rtb-1 sends 0.0.0.0/0 to nat-1";
    assert_eq!(itself.ssm(), words, "the classic: a NAT gateway in the private subnet");
    let nowhere = private().nat(|nat| nat.subnet = Some(id("subnet-3")));
    assert_eq!(nowhere.ssm(), "N03 nat-1: nat-1 stands in subnet-3, whose rtb-3 has no route to an internet gateway");
}

#[test]
fn an_endpoint_with_private_dns_is_the_only_way_even_beside_an_open_internet() {
    let shut = private().endpoint(endpoint("ssm", "vpce-ssm", "10.0.3.5")).with(|_, around| {
        known(&mut around.groups).insert(id("sg-2"), SecurityGroup::default());
    });
    assert_eq!(shut.ssm(), "N07 sg-2: sg-2 lets no TCP 443 in from subnet-1");
    assert_eq!(shut.to(Service::SsmMessages), "open", "it has no endpoint");
}

#[test]
fn an_endpoints_groups_let_in_by_block_group_or_list() {
    for (peer, open) in
        [("10.0.1.0/24", true), ("10.0.1.10/32", true), ("sg-1", true), ("10.0.2.0/24", false), ("sg-2", false)]
    {
        let judged = isolated().inbound(vec![rule("tcp", Some(443), peer)]).ssm();
        assert_eq!(judged == "open", open, "{peer}: {judged}");
    }
    let listed = isolated().inbound(vec![rule("tcp", Some(443), "pl-1")]);
    assert_eq!(listed.ssm(), "unknown: could not read pl-1: not asked for");
    assert_eq!(isolated().inbound(vec![rule("tcp", Some(80), "0.0.0.0/0")]).ssm().get(..3), Some("N07"));
}

#[test]
fn a_rule_that_names_the_endpoints_group_lets_out_to_it_and_nowhere_else() {
    let to_group = isolated().outbound(vec![rule("tcp", Some(443), "sg-2")]);
    assert_eq!(to_group.ssm(), "open");
    assert_eq!(to_group.to(Service::S3), "N09 sg-1: sg-1 lets no TCP 443 out by IPv4");
}

#[test]
fn acls_between_two_subnets_count_and_within_one_they_do_not() {
    let away = isolated().acl("acl-2", vec![entry(90, false, false, (443, 443), "10.0.1.0/24")]);
    assert_eq!(away.ssm(), "N10 acl-2: acl-2 of subnet-3 lets no TCP 443 in from subnet-1");
    let neighbours = |sample: Sample| {
        sample.endpoints(|one| {
            let addresses = vec![id("10.0.1.77")];
            one.interfaces = Fact::Known(vec![EndpointInterface { subnet: id("subnet-1"), addresses }]);
        })
    };
    assert_eq!(neighbours(away.only_acl("acl-1", vec![])).ssm(), "open");
}

#[test]
fn endpoint_interfaces_that_were_not_read_may_have_any_address_of_their_subnets() {
    let unread = || isolated().endpoints(|one| one.interfaces = Fact::Unknown(Blind::NotRead));
    assert_eq!(unread().ssm(), "open");
    let half = unread().acl("acl-1", vec![entry(90, true, false, (443, 443), "10.0.3.0/25")]);
    let words = "unknown: of some addresses only: acl-1 of subnet-1 lets no TCP 443 out to some addresses";
    assert_eq!(half.ssm(), words);
    let none = isolated().endpoints(|one| one.interfaces = Fact::Known(vec![]));
    assert_eq!(none.ssm(), "N06 vpce-ssm: vpce-ssm has no network interface with an IPv4 address");
}

#[test]
fn an_endpoint_in_another_zone_is_reached_and_noted() {
    let words = "some have none in us-east-1a, and are reached in other zones";
    assert_eq!(isolated().ssm(), "open");
    assert!(lines(&isolated(), "N06")[0].starts_with("OK") && lines(&isolated(), "N06")[0].contains(words));
    let near = isolated().with(|_, around| {
        known(&mut around.subnets).get_mut(&id("subnet-3")).unwrap().zone = id("us-east-1a");
    });
    assert!(!lines(&near, "N06")[0].contains("other zones"));
}

#[test]
fn an_answer_without_any_group_is_no_answer() {
    let unknown = "unknown: could not read the security groups: the answer was empty";
    assert_eq!(private().with(|host, _| host.groups.clear()).ssm(), unknown);
    assert_eq!(isolated().endpoints(|one| one.groups.clear()).ssm(), unknown);
}

#[test]
fn an_endpoint_that_is_not_available_leaves_two_ways_open() {
    let gone = |sample: Sample| sample.endpoints(|one| one.state = Lifetime::Gone);
    assert!(
        gone(isolated()).ssm().starts_with("N04 vpce-ssm: vpce-ssm (com.amazonaws.us-east-1.ssm) is not available")
    );
    let with_internet = gone(private().endpoint(endpoint("ssm", "vpce-ssm", "10.0.3.5")).with(|_, around| {
        known(&mut around.groups).insert(id("sg-2"), SecurityGroup::default());
    }));
    assert!(with_internet.ssm().starts_with("unknown: perhaps by a way that is blocked"), "{}", with_internet.ssm());
    assert!(lines(&with_internet, "N04")[0].starts_with("WARN"));
}

#[test]
fn endpoint_policies_allow_deny_or_stay_unclear() {
    let policy = |text: &str| {
        let text: std::sync::Arc<str> = text.into();
        isolated().endpoints(move |one| one.policy = Some(text.clone()))
    };
    let all = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
    assert_eq!(policy(all).ssm(), "open");
    let deny = all.replace("]}", r#",{"Effect":"Deny","Principal":"*","Action":"ssm:Update*","Resource":"*"}]}"#);
    assert_eq!(policy(&deny).ssm(), "N08 vpce-ssm: the policy of vpce-ssm denies ssm:UpdateInstanceInformation");
    let other = all.replace(r#""Action":"*""#, r#""Action":"ssm:GetParameter""#);
    assert_eq!(
        policy(&other).ssm(),
        "N08 vpce-ssm: the policy of vpce-ssm does not allow ssm:UpdateInstanceInformation"
    );
    let some = all.replace("[{", r#"[{"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}},"#);
    assert!(policy(&some).ssm().starts_with("unknown: whether the policy of vpce-ssm allows"));
    assert_eq!(policy("nonsense").ssm(), "unknown: the policy of vpce-ssm could not be understood");
    let findings = policy(&deny).paths().findings(SSM);
    assert!(findings.iter().any(|one| one.cause == Cause::IdentityAccessDenied && one.severity == Severity::Cause));
}

#[test]
fn private_dns_needs_itself_and_two_attributes_of_the_vpc() {
    let cases: [(Told, &str); 3] = [
        (
            || isolated().endpoints(|one| one.private_dns = false),
            "private DNS of vpce-ssm is off, so ssm does not resolve to it",
        ),
        (
            || isolated().dns(|dns| dns.hostnames = Fact::Known(false)),
            "enableDnsHostnames is off in vpc-1, so ssm does not resolve to vpce-ssm",
        ),
        (
            || isolated().dns(|dns| dns.support = Fact::Known(false)),
            "enableDnsSupport is off in vpc-1, so no name resolves",
        ),
    ];
    for (sample, words) in cases {
        let judged = sample();
        assert!(judged.ssm().starts_with(&format!("N11 vpc-1: {words}")), "{}", judged.ssm());
        let found = judged.paths().findings(SSM);
        assert!(found.iter().any(|one| one.cause == Cause::NetworkDns && one.severity == Severity::Cause), "{words}");
        assert!(!lines(&judged, "N04").iter().any(|line| line.contains("no endpoint")), "{words}");
    }
    let open = private().endpoint(Endpoint { private_dns: false, ..endpoint("ssm", "vpce-ssm", "10.0.3.5") });
    assert_eq!(open.ssm(), "open", "the name leads to public addresses, and they are reached");
    let unread = isolated().dns(|dns| dns.hostnames = Fact::Unknown(Blind::Denied));
    assert!(unread.ssm().starts_with("unknown"), "{}", unread.ssm());
}

#[test]
fn name_servers_of_ones_own_leave_it_unknown_or_block_it() {
    let own = |sample: Sample| sample.dns(|dns| dns.servers = Fact::Known(vec![id("10.0.2.53"), id("10.0.3.53")]));
    let words = "unknown: names are resolved by 10.0.2.53, 10.0.3.53; what they answer cannot be seen, private DNS may not resolve";
    assert_eq!(own(private()).ssm(), words);
    let no_questions = own(private()).outbound(vec![rule("tcp", Some(443), "0.0.0.0/0")]);
    let blocked = "N11 vpc-1: the name servers 10.0.2.53, 10.0.3.53 cannot be asked: sg-1 lets no UDP 53 out by IPv4";
    assert_eq!(no_questions.ssm(), blocked);
    let by_group = own(private()).outbound(vec![rule("tcp", Some(443), "0.0.0.0/0"), rule("udp", Some(53), "sg-7")]);
    assert_eq!(by_group.ssm(), words, "the servers may be in the group");
    let same = private().outbound(vec![rule("tcp", Some(443), "0.0.0.0/0")]);
    assert_eq!(same.ssm(), "open", "the VPC's own resolver is not filtered");
    for address in ["10.0.0.2", "169.254.169.253"] {
        let vpcs = private().dns(|dns| dns.servers = Fact::Known(vec![id(address)]));
        assert_eq!(vpcs.ssm(), "open", "{address}");
    }
    assert!(private().dns(|dns| dns.servers = Fact::Absent).ssm().starts_with("unknown"));
}

#[test]
fn a_private_zone_answers_before_everything_else() {
    let zone = |name: &str| {
        let zones = Fact::Known(vec![name.into()]);
        private().dns(|dns| dns.zones = zones)
    };
    let words = "unknown: the private hosted zone ssm.us-east-1.amazonaws.com answers for ssm";
    assert_eq!(zone("ssm.us-east-1.amazonaws.com").ssm(), words);
    assert_eq!(zone("example.com").ssm(), "open");
}

#[test]
fn without_internet_the_name_may_lead_into_another_network_if_there_is_a_way_to_one() {
    let hub = || private().routes(&[("10.0.0.0/16", "local"), ("10.0.0.0/8", "tgw-1")]);
    assert_eq!(hub().ssm(), "unknown: the name may lead to endpoints in another network, which cannot be seen");
    assert_eq!(hub().dns(|dns| dns.zones = Fact::Known(vec![])).ssm(), "N01 rtb-1: rtb-1 has no route out");
    assert_eq!(hub().outbound(vec![]).ssm(), "N09 sg-1: sg-1 lets no TCP 443 out by IPv4");
}

#[test]
fn a_shared_subnet_hides_its_owners_endpoints() {
    let shared = private().routes(&[("10.0.0.0/16", "local"), ("0.0.0.0/0", "nat-2")]).with(|_, around| {
        known(&mut around.subnets).get_mut(&id("subnet-1")).unwrap().shared = true;
    });
    assert!(shared.ssm().starts_with("unknown: nat-2 belongs to another account"), "{}", shared.ssm());
}

#[test]
fn a_gateway_endpoint_takes_the_addresses_of_its_service_alone() {
    let without = isolated().table("rtb-1", |table| {
        table.routes.retain(|route| route.target == Target::Local);
    });
    assert_eq!(without.to(Service::S3), "N01 rtb-1: rtb-1 has no route out");
    assert_eq!(without.ssm(), "open");
    let unread = isolated().with(|_, around| around.lists.clear());
    assert_eq!(unread.ssm(), "open");
    assert_eq!(unread.to(Service::S3), "unknown: could not read pl-s3: not asked for");
    let beside_nat = isolated().table("rtb-1", |table| table.routes.push(route("0.0.0.0/0", "nat-1")));
    let only_s3 =
        beside_nat.with(|_, around| known(&mut around.endpoints).retain(|one| one.kind == EndpointKind::Gateway));
    assert_eq!(only_s3.ssm(), "open", "none of S3's addresses are ssm's");
}

#[test]
fn what_was_not_read_is_neither_open_nor_blocked() {
    let why = Blind::Denied;
    let hide: [(&str, Hide); 8] = [
        ("groups", |around| around.groups = Fact::Unknown(Blind::Denied)),
        ("ACLs", |around| around.acls = Fact::Unknown(Blind::Denied)),
        ("tables", |around| around.tables = Fact::Unknown(Blind::Denied)),
        ("NATs", |around| around.nats = Fact::Unknown(Blind::Denied)),
        ("endpoints", |around| around.endpoints = Fact::Unknown(Blind::Denied)),
        ("subnets", |around| around.subnets = Fact::Unknown(Blind::Denied)),
        ("DNS support", |around| around.dns.support = Fact::Unknown(Blind::Denied)),
        ("DHCP options", |around| around.dns.servers = Fact::Unknown(Blind::Denied)),
    ];
    for (what, hide) in hide {
        let blind = private().with(|_, around| hide(around));
        let paths = blind.paths();
        assert!(
            matches!(paths.verdict(Service::Ssm), Some(Verdict::Unknown { blind: Some(_), .. })),
            "{what}: {}",
            blind.ssm()
        );
        assert_eq!(paths.channel(SSM), Fact::Unknown(why), "{what}");
        assert!(paths.lines(SSM).iter().all(|line| line.verdict != Mark::Fail && line.verdict != Mark::Warn), "{what}");
        assert_eq!(paths.findings(SSM), [], "{what}");
    }
    // What is proven by what was read stays proven.
    let proven = private().outbound(vec![]).with(|_, around| around.tables = Fact::Unknown(why));
    assert_eq!(proven.ssm(), "N09 sg-1: sg-1 lets no TCP 443 out by IPv4");
}

#[test]
fn an_instance_with_ipv6_alone_is_never_called_open_without_an_endpoint() {
    let only_v6 = |target: &str| {
        let routes = [("::/0", target)];
        private().routes(&routes).outbound(vec![rule("tcp", Some(443), "::/0")]).with(|host, _| {
            host.v4 = None;
            host.v6 = Some(id("2600:1f00::10"));
        })
    };
    for target in ["igw-1", "eigw-1"] {
        let open = only_v6(target);
        assert!(open.ssm().starts_with("unknown: services have IPv6 addresses only"));
        assert_eq!(
            lines(&open, "N12"),
            ["UNKNOWN N12 the instance has only IPv6: 0 of 10 services are certainly reached"]
        );
    }
    assert_eq!(only_v6("eigw-1").outbound(vec![]).ssm(), "N09 sg-1: sg-1 lets no TCP 443 out by IPv6");
    let nowhere = only_v6("igw-1").routes(&[("0.0.0.0/0", "igw-1")]);
    assert_eq!(nowhere.ssm(), "N01 rtb-1: rtb-1 has no route out");
}

#[test]
fn an_instance_with_both_families_is_cut_off_only_where_both_are() {
    let both = private().with(|host, _| host.v6 = Some(id("2600:1f00::10"))).routes(&[("::/0", "eigw-1")]);
    let v6_out = both.clone().outbound(vec![rule("-1", None, "0.0.0.0/0"), rule("-1", None, "::/0")]);
    assert!(v6_out.ssm().starts_with("unknown: services have IPv6 addresses only"), "{}", v6_out.ssm());
    assert!(lines(&v6_out, "N12")[0].starts_with("UNKNOWN N12 by IPv4"), "{:?}", lines(&v6_out, "N12"));
    assert_eq!(both.ssm(), "N01 rtb-1: rtb-1 has no route out");
    let open = private().with(|host, _| host.v6 = Some(id("2600:1f00::10")));
    assert_eq!(
        (open.ssm().as_str(), &*lines(&open, "N12")[0]),
        ("open", "OK      N12 the instance has both families; the agents use IPv4")
    );
}

#[test]
fn findings_are_causes_only_for_a_silent_agent_that_is_cut_off() {
    let shut = private().outbound(vec![]);
    let paths = shut.paths();
    assert_eq!(paths.cut_off(), Agents::BOTH);
    let severity = |silent| paths.findings(silent).iter().map(|one| one.severity).max();
    assert_eq!(severity(Agents::BOTH), Some(Severity::Cause));
    assert_eq!(severity(Agents::default()), Some(Severity::Noise), "both are seen to answer");
    let first = &paths.findings(SSM)[0];
    assert_eq!((first.cause, first.channel), (Cause::NetworkUnreachable, Channel::Network));
    assert_eq!(&*first.evidence, "no way to ssm, ssmmessages: sg-1 lets no TCP 443 out by IPv4");
    let telemetry = isolated().with(|_, around| {
        known(&mut around.endpoints).retain(|one| !one.service.ends_with(".ecs-telemetry"));
    });
    assert_eq!(telemetry.paths().cut_off(), Agents::default());
    assert_eq!(telemetry.paths().findings(Agents::BOTH)[0].severity, Severity::Noise);
    assert!(lines(&telemetry, "N05")[0].starts_with("WARN    N05 no endpoint answers for ecs-telemetry"));
}

#[test]
fn what_one_thing_blocks_is_told_in_one_finding() {
    let told = |sample: Sample| -> Vec<String> {
        sample.paths().findings(SSM).iter().map(|one| format!("{:?} {}", one.severity, one.evidence)).collect()
    };
    let shut = told(isolated().inbound(vec![]));
    assert_eq!(shut[0], "Cause no way to ssm, ssmmessages: sg-2 lets no TCP 443 in from subnet-1");
    assert_eq!(shut.len(), 2, "{shut:?}");
    let off = told(isolated().endpoints(|one| one.private_dns = false));
    assert!(off[0].starts_with("Cause no way to ssm, ssmmessages: private DNS of vpce-ssm is off"), "{off:?}");
    assert!(off[0].contains("; private DNS of vpce-ssmmessages is off"), "{off:?}");
}

#[test]
fn an_ssm_agent_without_ssmmessages_still_has_ec2messages() {
    let without = |names: &'static [&'static str]| {
        isolated().with(|_, around| {
            known(&mut around.endpoints).retain(|one| !names.iter().any(|name| one.service.ends_with(name)));
        })
    };
    let one = without(&[".ssmmessages"]).paths();
    assert_eq!((one.cut_off(), one.findings(SSM)[0].severity), (Agents::default(), Severity::Symptom));
    let both = without(&[".ssmmessages", ".ec2messages"]).paths();
    assert_eq!((both.cut_off().ssm, both.findings(SSM)[0].severity), (true, Severity::Cause));
}

#[test]
fn every_fail_has_a_fix_and_every_evidence_is_short() {
    let broken = [
        private().outbound(vec![]),
        private().only_acl("acl-1", vec![]),
        private().routes(&[]),
        private().nat(|nat| nat.state = Lifetime::Gone),
        public().with(|host, _| host.public = false),
        isolated().inbound(vec![]),
        isolated().endpoints(|one| one.private_dns = false),
        isolated().dns(|dns| dns.support = Fact::Known(false)),
    ];
    for sample in broken {
        let (paths, mut failed) = (sample.paths(), false);
        for line in paths.lines(Agents::BOTH).iter().filter(|line| line.verdict == Mark::Fail) {
            failed = true;
            assert!(line.fix.as_ref().is_some_and(|fix| !fix.is_empty()), "{line}");
        }
        assert!(failed, "{}", sample.ssm());
        for found in paths.findings(Agents::BOTH) {
            assert!(found.evidence.chars().count() <= 400 && !found.evidence.is_empty());
        }
    }
}

#[test]
fn hosts_of_one_subnet_and_one_set_of_groups_are_judged_once() {
    let at = |sample: &Sample, address: &str| Host { v4: Some(id(address)), ..sample.host.clone() };
    let mut book = PathBook::default();
    let plain = private();
    for address in ["10.0.1.10", "10.0.1.11", "10.0.1.12"] {
        book.paths(&at(&plain, address), &plain.around);
    }
    assert_eq!(book.len(), 1);
    book.paths(&Host { public: true, ..plain.host.clone() }, &plain.around);
    assert_eq!(book.len(), 2);
    // A rule that draws a border through the subnet tells its hosts apart.
    let split = private().acl("acl-2", vec![entry(90, false, false, (443, 443), "10.0.1.8/30")]);
    let mut book = PathBook::default();
    let verdicts: Vec<bool> = ["10.0.1.10", "10.0.1.20"]
        .iter()
        .map(|address| *book.paths(&at(&split, address), &split.around).verdict(Service::Ssm).unwrap() == Verdict::Open)
        .collect();
    assert_eq!((book.len(), verdicts), (2, vec![false, true]));
    assert_eq!(split.ssm(), "N10 acl-2: acl-2 of subnet-2 lets no TCP 443 in from 10.0.1.10");
}
