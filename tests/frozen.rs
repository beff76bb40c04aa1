//! Every stored form has a frozen sample in `tests/frozen`. Each must still read, and must still be written like that.
//!
//! When a test here fails, the stored form changed: raise the schema and write its migration step, or make the change one
//! that old records survive. `UPDATE=1` writes the samples anew; read the diff as what every stored record goes through.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.
#![allow(clippy::items_after_statements, reason = "names are shortened where they are listed")]

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use defib::diagnose::{Cause, Channel, Diagnosis, Finding, Severity};
use defib::effect::{Effect, Intent, IntentId, IntentState};
use defib::event::{CoarseStatus, GoneKind, HealthCheck, SignalKind, SweptAgent};
use defib::guard::breaker::{Breaker, Tried, Trip, TripReason};
use defib::guard::{GroupRefusal, NoWay, Refusal, Resource, Scope, Sight, StopRefusal};
use defib::incident::{
    Approval, Ask, Attempt, AttemptResult, Ending, Entry, Event, Holds, Incident, IncidentId, Milestone, OperatorWord,
    Outcome, Phase, Place, ProbeSent, Proof, Remedy, Run, SCHEMA, Said, Symptom, Then, record,
};
use defib::observe::{Blind, Busy, Factor, HostRefusal, InvocationStatus, Manager, Platform, Standing, StopGates};
use defib::policy::standing::{Fallen, News as PolicyNews};
use defib::policy::{Mode, Policy, SessionsRule};
use defib::ports::{LastIncident, OutboxItem, ReportId};
use defib::report::{Report, ReportKind};
use defib::storm::{Baseline, Bulletin, Digest, DigestId, DigestKind, Episode, Gather, Haunt, Row, Situation};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

mod frozen_samples;

use frozen_samples::{ghost, refusals_for_others};

fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen")
}

/// The frozen text is read back as the value, and the value is written as the frozen text.
fn frozen<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let file = folder().join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    #[allow(clippy::disallowed_methods, reason = "a switch for people who change a stored form on purpose")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let read: T = serde_json::from_str(&stored).unwrap_or_else(|error| panic!("{name} no longer reads: {error}"));
    assert_eq!(&read, value, "{name} reads as something else");
    assert_eq!(text, stored, "{name} is written differently");
}

fn intent(effect: Effect, state: IntentState) -> Intent {
    Intent { id: IntentId(3), effect, committed_at: at("14:12:11"), not_after: at("14:12:31.25"), state }
}

fn command() -> defib::node::CommandId {
    "7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77".parse().unwrap()
}

fn arn(rest: &str) -> String {
    format!("arn:aws:ecs:us-east-1:111122223333:{rest}")
}

/// Every signal that an incident can have heard of.
fn signals() -> Vec<SignalKind> {
    let container_instance = || arn("container-instance/blue/c0ffee00112233445566778899aabbcc").parse().unwrap();
    let cluster = || Some(arn("cluster/blue").parse().unwrap());
    let trouble = |status| SignalKind::CommandTrouble {
        command: command(),
        document: "AWS-RunShellScript".parse().unwrap(),
        status,
    };
    let impaired = |check| SignalKind::EcsHealthImpaired {
        check,
        container_instance: container_instance(),
        cluster: cluster(),
        since: Some(at("14:00:00")),
    };
    vec![
        trouble(CoarseStatus::TimedOut),
        trouble(CoarseStatus::Failed),
        trouble(CoarseStatus::Undeliverable),
        trouble(CoarseStatus::DeliveryTimedOut),
        trouble(CoarseStatus::ExecutionTimedOut),
        SignalKind::CommandSucceeded,
        impaired(HealthCheck::AgentConnectivity),
        impaired(HealthCheck::ContainerRuntime),
        SignalKind::EcsHealthRestored,
        SignalKind::EcsDisconnected {
            container_instance: container_instance(),
            cluster: None,
            version: Some(u64::MAX),
        },
        SignalKind::EcsConnected,
        SignalKind::Gone { what: GoneKind::Stopped },
        SignalKind::Gone { what: GoneKind::Terminated },
        SignalKind::Gone { what: GoneKind::ContainerInstanceInactive },
        SignalKind::SessionRefused,
        SignalKind::Swept { agent: SweptAgent::Ssm, since: None },
        SignalKind::Swept { agent: SweptAgent::Ecs, since: Some(at("13:57:10")) },
    ]
}

/// Every refusal, with every reason.
fn refusals() -> Vec<Refusal> {
    let mut all = vec![
        Refusal::Paused,
        Refusal::PauseUnreadable,
        Refusal::Muted { until: at("20:00:00") },
        Refusal::LaunchGrace { age_secs: 30, grace_secs: 600 },
        Refusal::ModeTooLow { remedy: Remedy::Reboot, mode: Mode::Restart, lowered_by: None },
        Refusal::ModeTooLow { remedy: Remedy::Replace, mode: Mode::Cycle, lowered_by: Some(Resource::Cluster) },
        Refusal::CauseLimit { cause: Cause::HostDiskFull, remedy: Remedy::FreeDisk, highest: None },
        Refusal::CauseLimit { cause: Cause::SsmAgentHung, remedy: Remedy::StopStart, highest: Some(Remedy::Reboot) },
        Refusal::Quarantined { since: at("14:20:00"), count: 3 },
        Refusal::LiveSessions { count: 2, who: Arc::default() },
        Refusal::Approval { remedy: Remedy::Replace },
        Refusal::Cooldown { until: at("14:20:00") },
        Refusal::Group { why: GroupRefusal::Suspended },
        Refusal::Group { why: GroupRefusal::Refreshing },
        Refusal::Group { why: GroupRefusal::BelowMinimum { desired: 3, min: 3 } },
        Refusal::Group { why: GroupRefusal::NotInService },
        Refusal::BreakerOpen {
            why: TripReason::Nodes { count: 12, limit: 10, window_secs: 300 },
            until: at("14:20:00"),
        },
        Refusal::BreakerOpen {
            why: TripReason::Results { scope: Scope::Account, remedy: Remedy::Replace, helped: 1, of: 4 },
            until: at("14:20:00"),
        },
        Refusal::Canary { node: "i-0a1b2c3d4e5f60718".parse().unwrap() },
        Refusal::ActiveIncidents { active: 50, limit: 50 },
    ];
    let named = |id: &str| id.parse().unwrap();
    let (role, zone) = (Factor::Role(named("web-role")), Factor::Zone("us-east-1a".parse().unwrap()));
    let [endpoint, subnet] = [Factor::Endpoint(named("vpce-0a1b")), Factor::Subnet(named("subnet-0a1b"))];
    for factor in [endpoint, subnet, role, Factor::Image(named("ami-0a1b")), zone] {
        all.push(Refusal::SharedCause { factor, failing: 3, members: 4, outside: 1, others: 30 });
    }
    for resource in [Resource::Instance, Resource::Group, Resource::Cluster] {
        all.extend([Refusal::NotOptedIn { resource }, Refusal::OptedOut { resource }]);
    }
    for by in [Manager::Provider, Manager::Eks, Manager::Karpenter, Manager::EcsManagedInstances] {
        all.push(Refusal::ManagedElsewhere { by });
    }
    let scopes = [
        Scope::Node("i-0a1b2c3d4e5f60718".parse().unwrap()),
        Scope::Group(Arc::from("blue")),
        Scope::Zone("us-east-1a".parse().unwrap()),
        Scope::Account,
        Scope::ScalingGroup("blue-asg".parse().unwrap()),
    ];
    for scope in scopes {
        all.push(Refusal::Budget { scope: scope.clone(), held: 3, limit: 2 });
        all.push(Refusal::Rate { scope, count: 1, limit: 1, window_secs: 3_600, free_at: at("15:00:00") });
    }
    let work = [Busy::Idle, Busy::Patching, Busy::Automation, Busy::Command, Busy::Deployment];
    all.extend(work.map(|work| Refusal::OtherWork { work }));
    let blind = [Blind::NotRead, Blind::Throttled, Blind::Denied, Blind::Empty, Blind::Unavailable];
    let sights = [
        Sight::Ec2,
        Sight::Ssm,
        Sight::Ecs,
        Sight::Group,
        Sight::Factors,
        Sight::Identity,
        Sight::Network,
        Sight::Console,
        Sight::Sessions,
        Sight::OtherWork,
        Sight::Invocation,
        Sight::Probe,
        Sight::Workload,
        Sight::Calendar,
    ];
    for (what, blind) in sights.into_iter().zip(blind.into_iter().cycle()) {
        all.push(Refusal::CannotSee { what, blind });
    }
    all.extend(Effect::ALL.map(|effect| Refusal::CallRefused { effect }));
    use StopRefusal::{InstanceStoreData, InstanceStoreRoot, PublicAddress, Spot};
    use StopRefusal::{StartDenied, StopDenied, StopProtected, VolumeKey};
    all.extend([InstanceStoreRoot, InstanceStoreData, Spot, StopProtected].map(|why| Refusal::Stop { why }));
    all.extend([VolumeKey, StopDenied, StartDenied, PublicAddress].map(|why| Refusal::Stop { why }));
    all.extend(refusals_for_others());
    let no_way = [NoWay::SsmSilent, NoWay::NotEc2, NoWay::NoGroup, NoWay::NoShell];
    all.extend(no_way.map(|why| Refusal::NoWay { remedy: Remedy::RestartRuntime, why }));
    all
}

/// Every ending.
fn endings() -> Vec<Ending> {
    let mut all: Vec<Ending> = Remedy::ALL.into_iter().map(|remedy| Ending::Helped { remedy }).collect();
    all.extend([
        Ending::SelfHealed,
        Ending::CauseNotOurs,
        Ending::LadderExhausted,
        Ending::TooLong,
        Ending::Quarantined { count: 3 },
        Ending::DoesNotStart,
        Ending::NotGivenBack,
        Ending::Refused { refusal: Refusal::NotOptedIn { resource: Resource::Instance } },
        Ending::WaitedTooLong { refusal: Refusal::LiveSessions { count: 2, who: Arc::default() } },
        Ending::Gone,
        Ending::ScriptTimedOut,
        Ending::SessionGaveUp,
        Ending::CommandRejected,
        Ending::WouldHave { remedy: Some(Remedy::Reboot) },
        Ending::WouldHave { remedy: None },
        Ending::ClosedBy { by: Arc::from("ops \"night\" shift"), rested: true },
    ]);
    all
}

/// Every line that a history can hold.
fn events() -> Vec<Event> {
    use InvocationStatus::{DeliveryTimedOut, ExecutionTimedOut, Failed, Open, Rejected, Success, Undeliverable};
    use Milestone::{EcsConnected, Fenced, GroupWhole, InService, InStandby, Running, SsmAnswers, Stopped};
    let mut all: Vec<Event> = signals().into_iter().map(Event::Told).collect();
    let statuses = [Open, Success, DeliveryTimedOut, ExecutionTimedOut, Failed, Undeliverable, Rejected];
    all.extend(statuses.map(Event::InvocationRead));
    let standings = [Standing::NotPresent, Standing::Well, Standing::Suspect, Standing::Ill, Standing::Unknown];
    all.extend(standings.map(|standing| Event::Looked { ssm: standing, ecs: Standing::Well }));
    all.extend([
        Event::HoldDownOver { secs: 600 },
        Event::ProbeAnswered { findings: 3, secs: 2 },
        Event::ProbeUndelivered,
        Event::Chosen { remedy: Remedy::StopStart, attempt: 1, of: 2 },
        Event::Drained { left: 4 },
        Event::SessionsCut { count: 2, who: Arc::from(["on-call-0a1b2c3d".parse().unwrap()]) },
        Event::Unparked,
        Event::Reminded,
    ]);
    all.extend(Cause::ALL.iter().map(|&cause| Event::Diagnosed { cause, confidence: 90 }));
    for effect in Effect::ALL {
        all.extend([Event::Done(effect), Event::Refused(effect), Event::Expired(effect), Event::Burned(effect)]);
    }
    let milestones = [Stopped, Running, Fenced, InStandby, InService, SsmAnswers, EcsConnected, GroupWhole];
    all.extend(milestones.map(Event::Reached));
    use AttemptResult::{Failed as DidNotHelp, Helped, NotSent, Refused, Running as GoesOn};
    let results = [GoesOn, Helped, DidNotHelp, Refused, NotSent];
    all.extend(results.map(|result| Event::Ended { remedy: Remedy::FreeDisk, result }));
    all.extend(HostRefusal::ALL.map(|why| Event::HostRefused { remedy: Remedy::RestartEcsAgent, why }));
    all.extend(refusals().into_iter().map(Event::Parked));
    let by = || Some(Arc::from("ops \"night\" shift"));
    let words = [OperatorWord::Fix, OperatorWord::Approved, OperatorWord::Closed, OperatorWord::Cleared];
    all.extend(words.map(|word| Event::Operator(Said { word, by: by() })));
    all.extend(endings().into_iter().map(Event::Closed));
    all
}

/// A whole incident, every field filled, in this phase.
fn incident(phase: Phase) -> Incident {
    let node = "i-0a1b2c3d4e5f60718".parse().unwrap();
    let finding = |severity, channel| Finding {
        cause: Cause::PlatformHardware,
        severity,
        channel,
        evidence: Arc::from("system status check \"IMPAIRED\" — since 15:16"),
    };
    Incident {
        schema: SCHEMA,
        id: IncidentId::new(at("14:02:11"), node),
        version: 12,
        node,
        place: Place {
            account: "011122223333".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            zone: Some("us-east-1a".parse().unwrap()),
            name: Some("web 3 — blue".parse().unwrap()),
            container_instance: Some((
                arn("cluster/blue").parse().unwrap(),
                arn("container-instance/blue/c0ffee00112233445566778899aabbcc").parse().unwrap(),
            )),
            group: Some("blue-asg".parse().unwrap()),
            platform: Platform::Snap,
            tasks: 11,
            public_address_changes: true,
            stop: StopGates::default(),
            services: Arc::from(["web".parse().unwrap()]),
            factors: Arc::from([Factor::Subnet("subnet-0a1b".parse().unwrap())]),
        },
        first_seen: at("14:02:11"),
        down_since: at("13:59:00.123456789"),
        symptoms: signals().into_iter().take(2).map(|kind| Symptom { at: at("14:02:11"), kind }).collect(),
        looks: 3,
        ecs_down: Some(Run { since: at("14:02:11"), until: at("14:07:11"), ssm_away: false, impaired: true }),
        shared: Some(Factor::Role("web-role".parse().unwrap())),
        allowed: Some(Mode::Cycle),
        acted_before: Some(at("13:20:00")),
        phase,
        holds: Holds { draining: true, standby: false, stopped: false, permits: true },
        attempts: vec![
            Attempt {
                remedy: Remedy::RestartSsmAgent,
                at: at("14:07:11"),
                acted_at: Some(at("14:07:11")),
                result: AttemptResult::Failed,
            },
            Attempt { remedy: Remedy::Reboot, at: at("14:12:11"), acted_at: None, result: AttemptResult::Running },
        ],
        proofs: Vec::new(),
        diagnosis: Some(Diagnosis {
            cause: Cause::PlatformHardware,
            confidence: 97,
            also: vec![Cause::HostKernelHang, Cause::Unknown],
            findings: Arc::from([
                finding(Severity::Cause, Channel::Ec2),
                finding(Severity::Symptom, Channel::Probe),
                finding(Severity::Noise, Channel::Console),
            ]),
        }),
        probe: Some(ProbeSent { at: at("14:07:00"), command: Some(command()) }),
        repair: None,
        boot: "57ed6975-ea0f-4ae0-a672-6b9fa49b58a1".parse().ok(),
        asked: Some(Ask { by: Arc::from("ops"), at: at("14:06:00"), remedy: Some(Remedy::Reboot) }),
        approval: Some(Approval { by: Arc::from("ops"), remedy: Remedy::Reboot, until: at("15:06:00") }),
        parked_secs: 300,
        wake_at: Some(at("14:13:00")),
        timer_generation: 2,
        intents: 3,
        reports: 1,
        history: Arc::new(vec![Entry { at: at("14:02:11"), event: Event::HoldDownOver { secs: 300 } }]),
    }
}

/// One incident in each phase, and with each ending.
fn incidents() -> Vec<(String, Incident)> {
    let deadline = at("14:30:00");
    let pending = |effect| intent(effect, IntentState::Pending);
    let landed = IntentState::Landed { at: at("14:12:13"), command: Some(command()) };
    let refused = IntentState::Refused { at: at("14:12:13") };
    let burned = IntentState::Burned { at: at("14:13:02") };
    let (probe, drain) = (Effect::Probe, Effect::Drain);
    let phases = [
        ("watching", Phase::Watching { until: at("14:07:11") }),
        ("examining", Phase::Examining { since: at("14:07:11"), deadline, sending: Some(pending(probe)) }),
        (
            "parked",
            Phase::Parked {
                refusal: Refusal::Budget { scope: Scope::Group(Arc::from("blue")), held: 3, limit: 2 },
                since: at("14:12:11"),
                until: at("14:14:11"),
                limit: at("20:12:11"),
            },
        ),
        ("draining", Phase::Draining { intent: intent(drain, landed.clone()), deadline, then: Then::Examine }),
        (
            "giving-back",
            Phase::Draining {
                intent: intent(Effect::Activate, landed),
                deadline,
                then: Then::Park { refusal: Refusal::OtherWork { work: Busy::Patching } },
            },
        ),
        (
            "standby",
            Phase::Standby {
                intent: intent(Effect::ExitStandby, refused),
                deadline,
                then: Then::End(Ending::Helped { remedy: Remedy::Reboot }),
            },
        ),
        ("treating", Phase::Treating { intent: intent(Effect::Stop, burned), remedy: Remedy::StopStart, deadline }),
        (
            "verifying",
            Phase::Verifying {
                remedy: Remedy::Reboot,
                since: at("14:12:11"),
                deadline,
                proven_since: Some(at("14:15:00")),
                sending: None,
            },
        ),
        (
            "resting",
            Phase::Resting {
                why: Ending::CauseNotOurs,
                since: at("14:12:11"),
                remind_at: "2026-11-21T14:12:11Z".parse().unwrap(),
            },
        ),
    ];
    let mut all: Vec<(String, Incident)> =
        phases.into_iter().map(|(name, phase)| (name.to_owned(), incident(phase))).collect();
    for ending in endings() {
        let why = serde_json::to_value(&ending).unwrap();
        let detail = match (why["remedy"].as_str(), &ending) {
            (Some(remedy), _) => format!("-{remedy}"),
            (None, Ending::WouldHave { .. }) => "-nothing".to_owned(),
            _ => String::new(),
        };
        let name = format!("closed-{}{detail}", why["why"].as_str().unwrap());
        all.push((name, incident(Phase::Closed { ending, at: at("15:00:00") })));
    }
    all
}

#[test]
fn incidents_in_every_phase_are_stored_as_ever() {
    for (name, incident) in incidents() {
        frozen(&format!("incident-{name}"), &incident);
        let stored = std::fs::read(folder().join(format!("incident-{name}.json"))).unwrap();
        assert_eq!(record::read(&stored).as_ref(), Ok(&incident), "{name}");
        assert_eq!(record::read(record::write(&incident).unwrap().as_bytes()).as_ref(), Ok(&incident), "{name}");
    }
}

#[test]
fn every_line_of_a_history_is_stored_as_ever() {
    let lines: Vec<Entry> = events().into_iter().map(|event| Entry { at: at("14:02:11"), event }).collect();
    frozen("history", &lines);
}

#[test]
fn an_operators_word_from_before_names_were_kept_still_reads() {
    let old = r#"{"at": "2026-11-20T14:02:11Z", "event": "operator", "of": "approved"}"#;
    let read: Entry = serde_json::from_str(old).unwrap();
    assert_eq!(read.event, Event::Operator(Said { word: OperatorWord::Approved, by: None }));
}

#[test]
fn every_signal_refusal_and_ending_is_stored_as_ever() {
    frozen("signals", &signals());
    frozen("refusals", &refusals());
    frozen("endings", &endings());
}

#[test]
fn every_proof_is_stored_as_ever() {
    let at = at("14:31:07");
    let proofs = [
        Proof::DiskFree { asked_at: at },
        Proof::SsmPinged { at, asked_at: Some(at) },
        Proof::SsmPinged { at, asked_at: None },
        Proof::EcsConnected { since: at },
        Proof::RuntimeAnswers { since: at },
        Proof::Booted { at, new_id: false },
        Proof::Booted { at, new_id: true },
        Proof::BackAfterReboot { pinged_at: Some(at) },
        Proof::BackAfterReboot { pinged_at: None },
        Proof::Launched { at },
        Proof::GroupWhole { in_service: 5, desired: 6, registered: false },
        Proof::GroupWhole { in_service: 6, desired: 6, registered: true },
    ];
    frozen("proofs", &proofs.to_vec());
    let mut remedies: Vec<Remedy> = proofs.iter().map(|proof| proof.remedy()).collect();
    remedies.dedup();
    assert_eq!(remedies, Remedy::ALL, "each remedy has its proof");
}

#[test]
fn reports_on_their_way_out_are_stored_as_ever() {
    for (name, kind) in [
        ("ended", ReportKind::Ended),
        ("needs-human", ReportKind::NeedsHuman),
        ("reminder", ReportKind::Reminder),
        ("needs-approval", ReportKind::NeedsApproval),
    ] {
        let (_, incident) = incidents().swap_remove(7);
        let report = Report { kind, at: at("15:00:00"), mode: Mode::Cycle, incident: Arc::new(incident) };
        let id = ReportId { incident: report.incident.id, outcome: report.outcome(), n: 1 };
        frozen(&format!("report-{name}"), &OutboxItem { id, report, gather: None });
    }
}

#[test]
fn what_concerns_the_whole_account_is_stored_as_ever() {
    let node = |digit: char| format!("i-0a1b2c3d4e5f6071{digit}").parse::<defib::node::NodeId>().unwrap();
    let incident = IncidentId::new(at("14:02:11"), node('8'));
    let scope = Scope::Group(Arc::from("blue"));
    let storm = TripReason::Nodes { count: 12, limit: 10, window_secs: 300 };
    let failing = TripReason::Results { scope: scope.clone(), remedy: Remedy::Reboot, helped: 1, of: 4 };
    let (since, until) = (at("14:00:00"), at("14:10:00"));
    let factor = Factor::Subnet("subnet-0a1b".parse().unwrap());
    let gathers = [Gather::Storm, Gather::Shared(factor.clone()), Gather::Command(command())];
    let (last, told_at) = (Situation { trips: 1, open: 12, waiting: 3 }, Some(at("14:05:00")));
    let episode = |about| Episode { about, since, index: 0, told_at, told: 2, last };
    let bulletin = Bulletin {
        fleet: 40,
        breaker: Breaker {
            troubled: vec![(node('8'), at("14:01:00"))],
            results: vec![Tried { incident, scope, remedy: Remedy::Reboot, helped: false }],
            trips: vec![
                Trip { why: storm.clone(), since, until, canary: None },
                Trip { why: failing, since, until, canary: Some((incident, at("14:11:00"))) },
            ],
        },
        baseline: Some(Baseline { at: since, nodes: vec![node('9')] }),
        episodes: gathers.iter().cloned().map(episode).collect(),
        ghosts: vec![Haunt { container_instance: ghost().container_instance, since, told: true }],
        ..Bulletin::default()
    };
    frozen("bulletin", &bulletin);
    let row = Row {
        node: node('8'),
        name: Some("web-3".parse().unwrap()),
        incident: Some(incident),
        outcome: Some(Outcome::NeedsHuman),
        cause: Some(Cause::NetworkUnreachable),
    };
    let home = incidents().swap_remove(0).1.place;
    for kind in [
        DigestKind::Storm,
        DigestKind::SharedCause,
        DigestKind::Command,
        DigestKind::Baseline,
        DigestKind::Policy,
        DigestKind::Ghosts,
    ] {
        let digest = Digest {
            id: DigestId { kind, since, index: 1, n: 2 },
            at: at("14:05:00"),
            account: home.account,
            region: home.region.clone(),
            mode: Mode::Cycle,
            over: false,
            trips: vec![(storm.clone(), until)],
            factor: Some(factor.clone()),
            command: Some((command(), Some("AWS-RunShellScript".parse().unwrap()))),
            policy: Some(PolicyNews::Mended { fallen: Fallen { since, until: Some(until) } }),
            ghosts: if kind == DigestKind::Ghosts { Arc::from([ghost()]) } else { Arc::default() },
            fleet: 40,
            open: 12,
            waiting: 3,
            rows: Arc::from([row.clone()]),
            more: 7,
        };
        frozen(&format!("digest-{}", kind.as_str()), &digest);
    }
    frozen("gather", &gathers.to_vec());
}

#[test]
fn the_last_incident_of_a_node_is_stored_as_ever() {
    let id = IncidentId::new(at("14:02:11"), "mi-0123456789abcdef0".parse().unwrap());
    for outcome in Outcome::ALL {
        let command = (outcome == Outcome::NotOurs).then(command);
        let (allowed, acted_at) = command.as_ref().map(|_| (Mode::Cycle, at("14:30:00"))).unzip();
        let (at, cause) = (at("15:00:00"), Cause::CommandScriptTimeout);
        let last = LastIncident { id, outcome, cause, at, command, allowed, acted_at };
        frozen(&format!("last-{outcome}"), &last);
    }
}

#[test]
fn policies_are_stored_as_ever() {
    frozen("policy-default", &Policy::default());
    let sessions = SessionsRule::Warn;
    let approve_from = Some(Remedy::StopStart);
    let calendar = Some("freeze".parse().unwrap());
    frozen(
        "policy",
        &Policy { calendar, sessions, approve_from, allow_probes: true, ..Policy::in_mode(Mode::Replace) },
    );
}

/// A new variant breaks the build here: give it a sample above, count it below, and freeze it.
fn is_known(signal: &SignalKind, refusal: &Refusal, ending: &Ending, event: &Event) {
    use SignalKind as S;
    match signal {
        S::CommandTrouble { .. } | S::CommandSucceeded | S::EcsHealthImpaired { .. } | S::EcsHealthRestored => {}
        S::EcsDisconnected { .. } | S::EcsConnected | S::Gone { .. } | S::SessionRefused | S::Swept { .. } => {}
    }
    use Refusal as R;
    match refusal {
        R::Paused | R::PauseUnreadable | R::NotOptedIn { .. } | R::OptedOut { .. } | R::ManagedElsewhere { .. } => {}
        R::Muted { .. }
        | R::LaunchGrace { .. }
        | R::ModeTooLow { .. }
        | R::CauseLimit { .. }
        | R::Budget { .. }
        | R::Quarantined { .. }
        | R::Rate { .. } => {}
        R::BreakerOpen { .. } | R::Canary { .. } | R::SharedCause { .. } | R::ActiveIncidents { .. } => {}
        R::LiveSessions { .. } | R::OtherWork { .. } | R::Approval { .. } | R::CannotSee { .. } => {}
        R::CallRefused { .. } | R::Cooldown { .. } | R::Group { .. } | R::Stop { .. } | R::NoWay { .. } => {}
        R::UnhealthyStop { .. } | R::CapacityFloor { .. } | R::ZoneFrozen { .. } | R::LastInZone { .. } => {}
        R::Workload { .. } | R::CalendarClosed { .. } => {}
    }
    use Ending as E;
    match ending {
        E::SelfHealed | E::Helped { .. } | E::CauseNotOurs | E::LadderExhausted | E::TooLong | E::DoesNotStart => {}
        E::NotGivenBack | E::Refused { .. } | E::WaitedTooLong { .. } | E::Gone | E::ScriptTimedOut => {}
        E::SessionGaveUp | E::CommandRejected | E::WouldHave { .. } | E::ClosedBy { .. } | E::Quarantined { .. } => {}
    }
    use Event as L;
    match event {
        L::Told(_) | L::InvocationRead(_) | L::Looked { .. } | L::HoldDownOver { .. } | L::ProbeAnswered { .. } => {}
        L::ProbeUndelivered | L::Diagnosed { .. } | L::Chosen { .. } | L::Done(_) | L::Refused(_) | L::Expired(_) => {}
        L::Burned(_)
        | L::Drained { .. }
        | L::SessionsCut { .. }
        | L::Reached(_)
        | L::Ended { .. }
        | L::Parked(_)
        | L::Unparked => {}
        L::HostRefused { .. } | L::Operator(_) | L::Reminded | L::Closed(_) => {}
    }
}

#[test]
fn every_variant_has_a_sample() {
    is_known(&signals()[0], &refusals()[0], &endings()[0], &events()[0]);
    let mut names: Vec<&str> = incidents().iter().map(|(_, incident)| incident.phase.name()).collect();
    names.dedup();
    assert_eq!(names.len(), 9, "{names:?}");
    let mut rails: Vec<&str> = refusals().iter().map(Refusal::rail).collect();
    rails.sort_unstable();
    rails.dedup();
    assert_eq!(rails.len(), 31, "{rails:?}");
    let tags = |value: serde_json::Value, tag: &str| {
        let tags = value.as_array().unwrap().iter().map(|one| one[tag].as_str().unwrap().to_owned());
        tags.collect::<std::collections::BTreeSet<String>>().len()
    };
    assert_eq!(tags(serde_json::to_value(endings()).unwrap(), "why"), 16);
    assert_eq!(tags(serde_json::to_value(signals()).unwrap(), "type"), 9);
    let lines: Vec<Entry> = events().into_iter().map(|event| Entry { at: at("14:02:11"), event }).collect();
    assert_eq!(tags(serde_json::to_value(lines).unwrap(), "event"), 22);
}
