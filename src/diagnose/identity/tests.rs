use super::*;
use crate::diagnose::Mark;
use crate::time::after;

const SSM: Agents = Agents { ssm: true, ecs: false };
const ECS: Agents = Agents { ssm: false, ecs: true };

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn trusting(service: &str) -> Fact<Arc<str>> {
    let text = format!(
        r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    Fact::Known(text.into())
}

const ACTIONS: [&str; 8] = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:OpenControlChannel",
    "ec2messages:GetMessages",
    "ecs:DiscoverPollEndpoint",
    "ecs:RegisterContainerInstance",
    "ecs:Poll",
    "ecs:StartTelemetrySession",
];

fn allowed(action: &str) -> Decision {
    let (effect, action) = (Effect::Allowed, action.to_owned());
    Decision { action, effect, by_boundary: None, by_organizations: None, missing_context: false }
}

fn role(name: &str, service: &str) -> Role {
    let decisions = Fact::Known(ACTIONS.iter().map(|action| allowed(action)).collect());
    Role { name: name.parse().unwrap(), trust: trusting(service), boundary: Fact::Absent, decisions }
}

type Change = fn(&mut Decision);

/// An instance with a role that holds everything.
fn whole() -> InstanceIdentity {
    InstanceIdentity {
        profile: Fact::Known(Profile {
            name: "node".parse().unwrap(),
            role: Fact::Known(role("node", "ec2.amazonaws.com")),
        }),
        host_management: Fact::Known(HostManagement::Off),
        metadata: Fact::Known(Metadata { enabled: true, tokens_required: true, hop_limit: 2, pending: false }),
        agent: Fact::Known("3.3.40.0".parse().unwrap()),
    }
}

fn hosted() -> Fact<HostManagement> {
    let role = Fact::Known(role("host", "ssm.amazonaws.com"));
    Fact::Known(HostManagement::Role("host".parse().unwrap(), role))
}

fn with_role(change: impl FnOnce(&mut Role)) -> InstanceIdentity {
    let mut changed = role("node", "ec2.amazonaws.com");
    change(&mut changed);
    let profile = Profile { name: "node".parse().unwrap(), role: Fact::Known(changed) };
    InstanceIdentity { profile: Fact::Known(profile), ..whole() }
}

fn decided(action: &str, change: impl FnOnce(&mut Decision)) -> InstanceIdentity {
    with_role(|role| match &mut role.decisions {
        Fact::Known(all) => change(all.iter_mut().find(|one| one.action == action).unwrap()),
        Fact::Absent | Fact::Unknown(_) => panic!("no decisions"),
    })
}

fn line(seen: &InstanceIdentity, agents: Agents, id: &str) -> String {
    let lines = instance(seen, agents).lines();
    lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The causes that are proven for silent agents.
fn causes(seen: &InstanceIdentity, agents: Agents) -> Vec<Cause> {
    let findings = instance(seen, agents).findings(agents);
    findings.iter().filter(|found| found.severity == Severity::Cause).map(|found| found.cause).collect()
}

#[test]
fn a_role_with_everything_leaves_only_what_cannot_be_seen() {
    let identity = instance(&whole(), Agents::BOTH);
    let odd: Vec<String> =
        identity.lines().iter().filter(|line| line.verdict != Mark::Ok).map(ToString::to_string).collect();
    assert_eq!(odd, ["UNKNOWN I06 service control policies cannot be seen from this account"]);
    assert_eq!(identity.channel(Agents::BOTH), Fact::Known([].into()));
    assert_eq!(worst(&identity.lines()), Some(Mark::Unknown));
}

#[test]
fn no_profile_silences_ssm_only_without_default_host_management() {
    let bare = |host_management| InstanceIdentity { profile: Fact::Absent, host_management, ..whole() };
    let off = bare(Fact::Known(HostManagement::Off));
    assert_eq!(causes(&off, SSM), [Cause::IdentityNoInstanceProfile]);
    assert_eq!(causes(&bare(Fact::Absent), SSM), [Cause::IdentityNoInstanceProfile]);
    assert_eq!(causes(&bare(hosted()), SSM), []);
    assert!(line(&bare(hosted()), SSM, "I01").starts_with("OK"));
    assert_eq!(causes(&bare(hosted()), Agents::BOTH), [Cause::IdentityNoInstanceProfile], "the ECS agent has no other");
    let unread = instance(&bare(Fact::Unknown(Blind::Denied)), SSM);
    assert_eq!(unread.channel(SSM), Fact::Unknown(Blind::Denied));
    assert_eq!(unread.findings(SSM)[0].severity, Severity::Symptom);
}

#[test]
fn a_profile_without_a_role_is_as_none() {
    let profile = Fact::Known(Profile { name: "node".parse().unwrap(), role: Fact::Absent });
    let empty = InstanceIdentity { profile, ..whole() };
    assert_eq!(causes(&empty, ECS), [Cause::IdentityNoInstanceProfile]);
    assert_eq!(
        line(&empty, ECS, "I01"),
        "FAIL    I01 the instance profile node holds no role; fix: attach an instance profile: aws ec2 associate-iam-instance-profile"
    );
}

#[test]
fn what_was_not_read_is_unknown_and_no_cause() {
    let why = Blind::Throttled;
    let cases = [
        InstanceIdentity { profile: Fact::Unknown(why), ..whole() },
        InstanceIdentity { metadata: Fact::Unknown(why), ..whole() },
        with_role(|role| role.trust = Fact::Unknown(why)),
        with_role(|role| role.decisions = Fact::Unknown(why)),
        with_role(|role| role.boundary = Fact::Unknown(why)),
    ];
    for seen in cases {
        let identity = instance(&seen, Agents::BOTH);
        assert_eq!(identity.channel(Agents::BOTH), Fact::Unknown(why), "{seen:?}");
        assert_eq!(causes(&seen, Agents::BOTH), []);
    }
    let proven = InstanceIdentity { profile: Fact::Unknown(why), ..whole() };
    let off = Metadata { enabled: false, tokens_required: true, hop_limit: 2, pending: false };
    let proven = InstanceIdentity { metadata: Fact::Known(off), ..proven };
    assert!(instance(&proven, SSM).channel(SSM).known().is_some(), "what is proven without it stays proven");
}

#[test]
fn each_refusal_of_a_vital_action_is_named_with_its_reason() {
    let cases: [(Change, &str); 4] = [
        (|one| one.effect = Effect::ImplicitDeny, "no policy allows it"),
        (|one| one.effect = Effect::ExplicitDeny, "a policy denies it"),
        (
            |one| (one.effect, one.by_boundary) = (Effect::ImplicitDeny, Some(false)),
            "its permissions boundary does not allow it",
        ),
        (
            |one| (one.effect, one.by_organizations) = (Effect::ExplicitDeny, Some(false)),
            "a service control policy denies it",
        ),
    ];
    for (change, words) in cases {
        for (action, agents, id) in [
            ("ssm:UpdateInstanceInformation", SSM, "I02"),
            ("ecs:Poll", ECS, "I03"),
            ("ecs:DiscoverPollEndpoint", ECS, "I03"),
        ] {
            let seen = decided(action, change);
            let expected = format!("FAIL    {id} the role node may not call {action}: {words}");
            assert!(line(&seen, agents, id).starts_with(&expected), "{}", line(&seen, agents, id));
            assert_eq!(causes(&seen, agents), [Cause::IdentityAccessDenied]);
            let other = if agents == SSM { ECS } else { SSM };
            assert_eq!(causes(&seen, other), [], "{action}");
        }
    }
}

#[test]
fn a_boundary_that_was_left_out_and_a_missing_context_are_unknown() {
    let boundary = with_role(|role| role.boundary = Fact::Known("arn:aws:iam::aws:policy/Some".parse().unwrap()));
    assert!(line(&boundary, SSM, "I02").contains("its permissions boundary was not taken into account"));
    let judged = decided("ssm:UpdateInstanceInformation", |one| {
        (one.effect, one.missing_context) = (Effect::ImplicitDeny, true);
    });
    assert!(line(&judged, SSM, "I02").starts_with("UNKNOWN I02"));
    assert_eq!(causes(&judged, SSM), []);
    let unasked = with_role(|role| role.decisions = Fact::Known(vec![]));
    assert_eq!(instance(&unasked, SSM).channel(SSM), Fact::Unknown(Blind::Empty));
}

#[test]
fn telemetry_and_one_of_two_message_services_are_no_reason_for_silence() {
    let deny = |action: &str| decided(action, |one| one.effect = Effect::ImplicitDeny);
    assert!(line(&deny("ecs:StartTelemetrySession"), ECS, "I03").starts_with("WARN"));
    assert!(line(&deny("ec2messages:GetMessages"), SSM, "I02").starts_with("WARN"));
    let messages = deny("ssmmessages:OpenControlChannel");
    assert_eq!(instance(&messages, SSM).findings(SSM)[0].severity, Severity::Symptom);
    assert_eq!(causes(&messages, SSM), []);
}

#[test]
fn the_role_must_trust_ec2_in_its_partition() {
    let trusts = |service: &str| with_role(|role| role.trust = trusting(service));
    for service in ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"] {
        assert!(line(&trusts(service), ECS, "I04").starts_with("OK"), "{service}");
    }
    let lambda = trusts("lambda.amazonaws.com");
    assert_eq!(causes(&lambda, ECS), [Cause::IdentityAccessDenied]);
    let hosted = InstanceIdentity { host_management: hosted(), ..lambda };
    assert_eq!(causes(&hosted, SSM), [], "Default Host Management takes its place");
    let odd = with_role(|role| role.trust = Fact::Known("{".into()));
    assert!(line(&odd, ECS, "I04").starts_with("UNKNOWN"));
}

#[test]
fn default_host_management_must_be_whole_where_the_agent_leans_on_it() {
    let leaning = |host_management| InstanceIdentity { profile: Fact::Absent, host_management, ..whole() };
    let named = |role| Fact::Known(HostManagement::Role("host".parse().unwrap(), role));
    let cases = [
        (leaning(named(Fact::Absent)), "names the role host, which does not exist"),
        (leaning(named(Fact::Known(role("host", "ec2.amazonaws.com")))), "does not trust ssm.amazonaws.com"),
        (
            leaning(named(Fact::Known(Role {
                decisions: Fact::Known(vec![Decision {
                    effect: Effect::ImplicitDeny,
                    ..allowed("ssm:UpdateInstanceInformation")
                }]),
                ..role("host", "ssm.amazonaws.com")
            }))),
            "may not call ssm:UpdateInstanceInformation",
        ),
        (
            InstanceIdentity { agent: Fact::Known("3.2.581.0".parse().unwrap()), ..leaning(hosted()) },
            "needs agent 3.2.582.0, and this one is 3.2.581.0",
        ),
    ];
    for (seen, words) in cases {
        assert!(line(&seen, SSM, "I05").contains(words), "{}", line(&seen, SSM, "I05"));
        assert_eq!(causes(&seen, SSM), [Cause::IdentityDefaultHostManagement], "{words}");
        let beside = InstanceIdentity { profile: whole().profile, ..seen };
        assert!(line(&beside, SSM, "I05").starts_with("WARN"), "{words}");
        assert_eq!(causes(&beside, SSM), []);
    }
}

#[test]
fn metadata_that_is_off_silences_and_a_hop_limit_of_one_is_a_note() {
    let with = |change: fn(&mut Metadata)| {
        let mut options = Metadata { enabled: true, tokens_required: true, hop_limit: 2, pending: false };
        change(&mut options);
        InstanceIdentity { metadata: Fact::Known(options), ..whole() }
    };
    assert_eq!(causes(&with(|options| options.enabled = false), SSM), [Cause::IdentityImdsUnreachable]);
    let one = with(|options| options.hop_limit = 1);
    assert!(line(&one, ECS, "I07").starts_with("OK      I07 instance metadata is on, IMDSv2 is required; hop limit 1"));
    assert!(line(&with(|options| options.pending = true), ECS, "I07").starts_with("UNKNOWN"));
}

#[test]
fn an_agent_that_answers_turns_causes_into_noise() {
    let bare = InstanceIdentity { profile: Fact::Absent, ..whole() };
    let severities = |silent| -> Vec<Severity> {
        instance(&bare, Agents::BOTH).findings(silent).iter().map(|found| found.severity).collect()
    };
    assert_eq!(severities(ECS), [Severity::Cause]);
    assert_eq!(severities(Agents::default()), [Severity::Noise]);
}

#[test]
fn an_expired_activation_matters_only_to_a_node_that_is_not_registered() {
    let registered: Fact<AgentVersion> = Fact::Known("3.3.0.0".parse().unwrap());
    let activation = |secs, count| Fact::Known(Activation { expires_at: after(noon(), secs), limit: 5, count });
    let mark = |activation: &Fact<Activation>, registered: &Fact<AgentVersion>| {
        worst(&managed(activation, registered, noon()).lines()).unwrap()
    };
    for bad in [activation(-1, 0), activation(60, 5), Fact::Absent] {
        assert_eq!(mark(&bad, &registered), Mark::Warn);
        assert_eq!(mark(&bad, &Fact::Absent), Mark::Fail);
        let found = managed(&bad, &Fact::Absent, noon()).findings(SSM);
        assert_eq!(found[0].cause, Cause::IdentityRegistrationMismatch);
        assert_eq!(managed(&bad, &registered, noon()).findings(SSM), []);
    }
    assert_eq!(mark(&activation(60, 4), &Fact::Absent), Mark::Ok);
    assert_eq!(mark(&Fact::Unknown(Blind::Denied), &Fact::Absent), Mark::Unknown);
}

#[test]
fn versions_are_compared_as_numbers() {
    let version = |text: &str| text.parse::<AgentVersion>().unwrap();
    assert!(version("3.10.0.0") > version("3.9.999.0") && version("3.2.582.0") >= HOST_MANAGEMENT_SINCE);
    for text in ["", "3.2", "3.2.582.0.1", "3.x.0.0"] {
        assert!(text.parse::<AgentVersion>().is_err(), "{text}");
    }
}
