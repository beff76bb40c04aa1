//! What holds for every plan, whatever was seen of whatever incident.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::diagnose::Channel;
use crate::effect::{Intent, IntentId, Weight};
use crate::guard::mode::reach;
use crate::guard::ownership;
use crate::incident::{Holds, SCHEMA, Then, record};
use crate::observe::samples::{ecs_impaired, finding, swept_ssm};
use crate::observe::{
    Blind, Busy, Check, Connection, EcsStatus, Health, InstanceState, InvocationStatus, Lifecycle, Manager, Ping,
    Platform, Probe, ProbeAnswer,
};
use crate::policy::SessionsRule;

const BLIND: [Blind; 5] = [Blind::NotRead, Blind::Throttled, Blind::Denied, Blind::Empty, Blind::Unavailable];

/// A fact, now and then absent or unknown.
fn fact<T: std::fmt::Debug + Clone + 'static>(known: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Fact<T>> {
    prop_oneof![
        8 => known.prop_map(Fact::Known),
        1 => Just(Fact::Absent),
        1 => select(BLIND.to_vec()).prop_map(Fact::Unknown),
    ]
    .boxed()
}

fn causes() -> impl Strategy<Value = Vec<Cause>> {
    proptest::collection::vec(select(Cause::ALL.to_vec()), 0..3)
}

fn findings(channel: Channel) -> impl Strategy<Value = crate::observe::Findings> {
    prop_oneof![3 => Just(Vec::new()), 1 => causes()]
        .prop_map(move |causes| causes.into_iter().map(|cause| finding(cause, channel)).collect())
}

fn tags() -> impl Strategy<Value = crate::observe::Tags> {
    let mode = prop_oneof![6 => Just(None), 1 => select(Mode::ALL.to_vec()).prop_map(Some)];
    let mute = prop_oneof![8 => Just(None), 1 => (-600_i64..600).prop_map(Some)];
    (prop::bool::weighted(0.9), mode, mute).prop_map(|(managed, mode, mute)| crate::observe::Tags {
        managed,
        mode,
        mute_until: mute.map(|secs| after(noon(), secs)),
    })
}

fn check() -> impl Strategy<Value = Check> {
    select(vec![Check::Ok, Check::Ok, Check::Impaired, Check::Undecided])
}

/// Seconds around the moment of the look.
fn ago() -> impl Strategy<Value = i64> {
    select(vec![0, 10, 60, 89, 91, 149, 151, 600, 901, 5_000, 90_000, -30])
}

/// What was seen an hour after noon.
#[allow(clippy::too_many_lines, reason = "one strategy a fact")]
fn observations(now: Timestamp) -> impl Strategy<Value = Observation> {
    let ec2 = (
        select(vec![
            InstanceState::Running,
            InstanceState::Running,
            InstanceState::Running,
            InstanceState::Pending,
            InstanceState::Stopping,
            InstanceState::Stopped,
            InstanceState::ShuttingDown,
            InstanceState::Terminated,
        ]),
        ago(),
        check(),
        check(),
        tags(),
        prop_oneof![9 => Just(None), 1 => Just(Some(Manager::Karpenter))],
        any::<[bool; 4]>(),
    );
    let ssm = (
        select(vec![Ping::Online, Ping::ConnectionLost]),
        ago(),
        fact(select(vec![Connection::Connected, Connection::NotConnected])),
        select(vec![Platform::Linux, Platform::Snap, Platform::Windows, Platform::Bottlerocket]),
    );
    let ecs = (
        any::<bool>(),
        select(vec![EcsStatus::Active, EcsStatus::Active, EcsStatus::Draining, EcsStatus::Inactive]),
        0_u32..3,
        check(),
        check(),
        tags(),
    );
    let lifecycles = vec![
        Lifecycle::InService,
        Lifecycle::InService,
        Lifecycle::Standby,
        Lifecycle::EnteringStandby,
        Lifecycle::Pending,
        Lifecycle::Terminating,
        Lifecycle::Other,
    ];
    let asg = (select(lifecycles), 0_u32..4, 0_u32..4, 0_u32..4, any::<[bool; 3]>(), tags());
    let answer = prop_oneof![
        Just(ProbeAnswer::Pending),
        Just(ProbeAnswer::Undelivered),
        Just(ProbeAnswer::Undelivered),
        (ago(), findings(Channel::Probe)).prop_map(move |(booted, findings)| ProbeAnswer::Answered {
            booted_at: after(now, -booted),
            boot: None,
            findings
        }),
    ];
    let probe = (ago(), answer).prop_map(move |(sent, answer)| Probe { sent_at: after(now, -sent), answer });
    let base = move || seen(now).in_cluster().in_group();
    let ec2 = ec2.prop_map(move |(state, launched, system, instance, tags, manager, stop)| {
        let mut ec2 = base().ec2.known().cloned().expect("an instance");
        (ec2.state, ec2.launched_at) = (state, after(now, -launched));
        (ec2.system_check, ec2.instance_check, ec2.tags, ec2.manager) = (system, instance, tags, manager);
        [ec2.stop.instance_store_root, ec2.stop.instance_store_data, ec2.stop.spot, ec2.stop.stop_protected] = stop;
        ec2
    });
    let ssm = ssm.prop_map(move |(ping, pinged, connection, platform)| crate::observe::Ssm {
        ping,
        last_ping: after(now, -pinged),
        connection,
        platform,
        tags: Fact::Absent,
    });
    let ecs = ecs.prop_map(move |(connected, status, tasks, agent, runtime, tags)| {
        let mut ecs = base().ecs.known().cloned().expect("a container instance");
        (ecs.connected, ecs.status, ecs.tasks, ecs.agent_check) = (connected, status, tasks, agent);
        (ecs.runtime_check, ecs.cluster_tags) = (runtime, tags);
        ecs
    });
    let asg = asg.prop_map(move |(lifecycle, desired, min, in_service, flags, tags)| {
        let mut asg = base().asg.known().cloned().expect("a group");
        (asg.lifecycle, asg.desired, asg.min, asg.in_service, asg.tags) = (lifecycle, desired, min, in_service, tags);
        [asg.ec2_health_only, asg.suspended, asg.refreshing] = flags;
        asg
    });
    let group = (1_u32..40, 1_u32..20, 0_u32..8, 0_u32..4).prop_map(|(size, zone_size, unhealthy, peers)| {
        crate::observe::Group {
            name: Arc::from("blue"),
            size,
            zone_size,
            unhealthy: unhealthy.min(size),
            zone_unhealthy: unhealthy.min(zone_size),
            zone_peers: peers,
            zone_peers_unhealthy: peers.min(unhealthy),
        }
    });
    let statuses = vec![
        InvocationStatus::Open,
        InvocationStatus::Failed,
        InvocationStatus::ExecutionTimedOut,
        InvocationStatus::Rejected,
        InvocationStatus::Undeliverable,
    ];
    let invocation = select(statuses).prop_map(|status| crate::observe::Invocation { command: command_id(), status });
    let busy = select(vec![Busy::Idle, Busy::Idle, Busy::Idle, Busy::Patching, Busy::Command, Busy::Deployment]);
    let service = (0_u32..5, 0_u32..9, 0_u32..9).prop_map(|(here, elsewhere, desired)| {
        (here > 0).then_some(crate::observe::Share { here, elsewhere, desired, minimum_percent: 50 })
    });
    let kinds = prop_oneof![4 => Just((0_u32, 0_u32)), 1 => (0_u32..3, 0_u32..3)];
    let workload = (kinds, service).prop_map(|((standalone, protected), service)| crate::observe::Workload {
        standalone,
        protected,
        protected_until: None,
        service,
        services: Arc::default(),
    });
    let first = (fact(ec2), fact(ssm), fact(ecs), fact(asg), fact(group), fact(invocation));
    let channels =
        (fact(findings(Channel::Identity)), fact(findings(Channel::Network)), fact(findings(Channel::Console)));
    let second = (
        fact(probe),
        fact(prop_oneof![4 => Just(0_u16), 1 => Just(2_u16)].prop_map(live)),
        fact(busy),
        fact(workload),
        channels,
    );
    (first, second, 0_i64..40).prop_map(
        move |((ec2, ssm, ecs, asg, group, invocation), (probe, sessions, busy, workload, channels), age)| {
            let (identity, network, console) = channels;
            let at = after(now, -age);
            let node = node_id();
            Observation {
                node,
                at,
                depth: crate::observe::Depth::All,
                ec2,
                ssm,
                ecs,
                asg,
                group,
                factors: Fact::Absent,
                invocation,
                probe,
                repair: Fact::Absent,
                sessions,
                busy,
                workload,
                successor: Fact::Absent,
                calendar: Fact::Absent,
                identity,
                network,
                console,
            }
        },
    )
}

fn intents(now: Timestamp, effects: Vec<Effect>) -> impl Strategy<Value = Intent> {
    (select(effects), 0_i64..4_000, 0_u8..4).prop_map(move |(effect, ago, state)| {
        let committed_at = after(now, -ago);
        let state = match state {
            0 => IntentState::Pending,
            1 => IntentState::Landed { at: committed_at, command: None },
            2 => IntentState::Refused { at: committed_at },
            _ => IntentState::Burned { at: committed_at },
        };
        Intent { id: IntentId(1), effect, committed_at, not_after: after(committed_at, 20), state }
    })
}

fn live(live: u16) -> crate::observe::Sessions {
    crate::observe::Sessions { live, ..crate::observe::Sessions::default() }
}

fn endings() -> impl Strategy<Value = Ending> {
    select(vec![
        Ending::SelfHealed,
        Ending::Helped { remedy: Remedy::Reboot },
        Ending::CauseNotOurs,
        Ending::WaitedTooLong { refusal: Refusal::Paused },
        Ending::DoesNotStart,
    ])
}

fn phases(now: Timestamp) -> impl Strategy<Value = Phase> {
    let at = move |secs: i64| after(now, secs);
    let then = || prop_oneof![1 => Just(Then::Examine), 1 => endings().prop_map(Then::End)];
    let refusals = select(vec![
        Refusal::Paused,
        Refusal::LiveSessions { count: 2, who: Arc::default() },
        Refusal::Approval { remedy: Remedy::Reboot },
        Refusal::Muted { until: after(now, 60) },
    ]);
    let around = -3_600_i64..3_600;
    let remedies = || select(Remedy::ALL.to_vec());
    let sending = move || prop_oneof![2 => Just(None), 1 => intents(now, vec![Effect::Probe]).prop_map(Some)];
    let treated: Vec<(Effect, Remedy)> = Remedy::ALL
        .into_iter()
        .map(|remedy| (Effect::of(remedy), remedy))
        .chain([(Effect::Start, Remedy::StopStart), (Effect::Deregister, Remedy::Replace)])
        .collect();
    prop_oneof![
        (-400_i64..400).prop_map(move |until| Phase::Watching { until: at(until) }),
        (around.clone(), sending()).prop_map(move |(deadline, sending)| Phase::Examining {
            since: at(-900),
            deadline: at(deadline),
            sending
        }),
        (refusals, around.clone()).prop_map(move |(refusal, until)| Phase::Parked {
            refusal,
            since: at(-900),
            until: at(until),
            limit: at(until + 900)
        }),
        (intents(now, vec![Effect::Drain, Effect::Activate]), around.clone(), then())
            .prop_map(move |(intent, deadline, then)| Phase::Draining { intent, deadline: at(deadline), then }),
        (intents(now, vec![Effect::EnterStandby, Effect::ExitStandby]), around.clone(), then())
            .prop_map(move |(intent, deadline, then)| Phase::Standby { intent, deadline: at(deadline), then }),
        (intents(now, vec![Effect::Probe]), select(treated), around.clone()).prop_map(
            move |(intent, (effect, remedy), deadline)| Phase::Treating {
                intent: Intent { effect, ..intent },
                remedy,
                deadline: at(deadline)
            }
        ),
        (remedies(), around.clone(), prop::option::of(0_i64..200), sending()).prop_map(
            move |(remedy, deadline, proven, sending)| Phase::Verifying {
                remedy,
                since: at(-300),
                deadline: at(deadline),
                proven_since: proven.map(|secs| at(-secs)),
                sending
            }
        ),
        (endings(), around).prop_map(move |(why, remind)| Phase::Resting {
            why,
            since: at(-900),
            remind_at: at(remind)
        }),
        endings().prop_map(move |ending| Phase::Closed { ending, at: at(-60) }),
    ]
}

fn incidents(now: Timestamp) -> impl Strategy<Value = Incident> {
    let results = vec![
        AttemptResult::Running,
        AttemptResult::Helped,
        AttemptResult::Failed,
        AttemptResult::Refused,
        AttemptResult::NotSent,
    ];
    let attempt = (select(Remedy::ALL.to_vec()), ago(), select(results), any::<bool>()).prop_map(
        move |(remedy, ago, result, acted)| {
            let at = after(now, -ago);
            Attempt { remedy, at, acted_at: acted.then_some(at), result }
        },
    );
    let kinds = vec![command_trouble(), ecs_disconnect(), ecs_impaired(), swept_ssm(), SignalKind::SessionRefused];
    let told = (select(kinds), proptest::collection::vec(attempt, 0..3), any::<[bool; 4]>());
    let probed = prop::option::of((ago(), any::<bool>()));
    let counts = (0_i64..20_000, 0_i64..22_000, 0_u32..4, any::<bool>());
    (told, phases(now), probed, counts).prop_map(move |((kind, attempts, holds), phase, probed, counts)| {
        let (old, parked_secs, looks, asked) = counts;
        let mut case = told_at(kind, after(now, -old));
        case.phase = phase;
        case.attempts = attempts;
        let [draining, standby, stopped, permits] = holds;
        case.holds = Holds { draining, standby, stopped, permits: permits && !case.is_closed() };
        case.probe = probed.map(|(ago, command)| ProbeSent { at: after(now, -ago), command: command.then(command_id) });
        (case.parked_secs, case.looks, case.version, case.intents) = (parked_secs, looks, 41, 7);
        case.wake_at = (!case.is_closed()).then_some(now);
        let ask = crate::incident::Ask { by: Arc::from("ops"), at: after(now, -60), remedy: None };
        case.asked = asked.then_some(ask);
        case
    })
}

fn told_at(kind: SignalKind, first_seen: Timestamp) -> Incident {
    Incident::open(&home(), &seen(first_seen), Symptom { at: first_seen, kind }, first_seen, after(first_seen, 300))
}

fn policies() -> impl Strategy<Value = Policy> {
    let sessions = select(vec![SessionsRule::Wait, SessionsRule::Warn, SessionsRule::Ignore]);
    let approve = prop_oneof![3 => Just(None), 1 => Just(Some(Remedy::Reboot))];
    (select(Mode::ALL.to_vec()), any::<bool>(), sessions, approve).prop_map(
        |(mode, allow_probes, sessions, approve_from)| Policy {
            allow_probes,
            sessions,
            approve_from,
            ..Policy::in_mode(mode)
        },
    )
}

fn rails() -> impl Strategy<Value = Rails> {
    let switch = select(vec![KillSwitch::Running, KillSwitch::Running, KillSwitch::Paused, KillSwitch::Unreadable]);
    let muted = prop_oneof![4 => Just(None), 1 => Just(Some(after(noon(), 4_000)))];
    (switch, muted).prop_map(|(switch, muted_until)| Rails { switch, muted_until, quarantine: None, around: None })
}

fn now() -> Timestamp {
    after(noon(), 3_600)
}

/// What must be known before anything disruptive is decided.
fn all_is_known(seen: &Observation) -> bool {
    let unread = [
        seen.ec2.blind(),
        seen.ssm.blind(),
        seen.ecs.blind(),
        seen.asg.blind(),
        seen.busy.blind(),
        seen.identity.blind(),
        seen.network.blind(),
        seen.console.blind(),
        seen.ssm.known().and_then(|ssm| ssm.connection.blind()),
    ];
    unread.iter().all(Option::is_none)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_keeps_the_rules(
        incident in incidents(now()), seen in observations(now()), policy in policies(), rails in rails(),
    ) {
        let now = now();
        let plan = decide(&incident, &seen, &rails, &policy, now);
        let next = &plan.next;
        prop_assert_eq!((next.version, next.id, next.first_seen), (41, incident.id, incident.first_seen));
        prop_assert!(plan.changed || (plan.perform.is_none() && plan.reports.is_empty()), "unsaved: {:?}", plan);
        if next.is_closed() {
            prop_assert_eq!((&plan.perform, next.wake_at), (&None, None));
            let freed = matches!(plan.permits, Permits::Free { .. }) || !incident.holds.permits;
            prop_assert!(!next.holds.permits && freed, "permits leak: {:?}", plan);
            prop_assert!(
                incident.is_closed() || next.reports > 0 || next.ending() == Some(&Ending::SelfHealed),
                "a silent end: {:?}", next.phase
            );
        } else {
            let soonest = after(now, SOONEST_SECS);
            prop_assert!(next.wake_at.is_some_and(|wake| wake >= soonest), "wakes at {:?}", next.wake_at);
        }
        if matches!(next.phase, Phase::Resting { .. }) && !incident.is_resting() {
            prop_assert_eq!((&plan.perform, plan.reports.as_slice()), (&None, [ReportKind::NeedsHuman].as_slice()));
        }
        prop_assert_eq!(usize::try_from(next.reports).unwrap(), plan.reports.len());
        let Some(perform) = &plan.perform else { return Ok(()) };
        let effect = perform.effect;
        prop_assert_eq!(next.phase.intent().map(|intent| (intent.id, intent.effect)), Some((perform.intent, effect)));
        prop_assert!(perform.not_after <= after(now, 20) && perform.not_after <= after(seen.at, 30));
        if effect.weight() == Weight::Restoring {
            return Ok(());
        }
        let mode = reach(&seen, &policy).mode;
        if effect == Effect::Probe {
            // The proof of a remedy that was begun may still be asked for.
            let verifying = matches!(next.phase, Phase::Verifying { .. });
            prop_assert!(verifying || policy.may_probe(mode), "probed in mode {}", mode);
            return Ok(());
        }
        prop_assert!(effect.least_mode() <= mode, "{:?} in mode {}", effect, mode);
        prop_assert_eq!(rails.switch, KillSwitch::Running);
        prop_assert!(ownership::check(&seen).is_ok());
        prop_assert!(ownership::check_mute(&seen, rails.muted_until, now).is_ok());
        prop_assert!(all_is_known(&seen), "{:?} though blind", effect);
        if effect.weight() == Weight::Disruptive || effect.weight() == Weight::Guarding {
            prop_assert!(Health::of(&seen, now).is_ill(), "{:?} on a node that is not ill", effect);
            prop_assert!(next.holds.permits, "{:?} without permits", effect);
        }
    }

    #[test]
    fn what_is_planned_is_stored_and_read_back_as_it_was(incident in incidents(now()), seen in observations(now())) {
        let running = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };
        let policy = Policy::in_mode(Mode::Replace);
        let next = decide(&incident, &seen, &running, &policy, now()).next;
        for incident in [incident, *next] {
            let written = record::write(&incident).unwrap();
            prop_assert_eq!(record::read(written.as_bytes()), Ok(incident.clone()));
            // Whoever raises the number may have changed everything else: it is not even looked at.
            let newer = written.replacen(&format!("\"schema\":{SCHEMA}"), &format!("\"schema\":{}", SCHEMA + 1), 1);
            let (found, known) = (SCHEMA + 1, SCHEMA);
            prop_assert_eq!(record::read(newer.as_bytes()), Err(record::BadRecord::Newer { found, known }));
        }
    }

    #[test]
    fn every_answer_to_an_effect_keeps_the_rules(incident in incidents(now()), policy in policies(), how in 0_usize..4) {
        let answers = [Performed::Done { command: None }, Performed::Refused, Performed::TooLate, Performed::Unknown];
        let plan = settle(&incident, &answers[how], &policy, now());
        prop_assert_eq!(plan.next.version, 41);
        if let Some(perform) = &plan.perform {
            prop_assert_eq!(perform.effect.weight(), Weight::Restoring, "an answer begins nothing");
        }
        if incident.phase.intent().is_some() && !plan.next.is_closed() {
            prop_assert!(plan.next.wake_at.is_some_and(|wake| wake >= after(now(), SOONEST_SECS)));
        }
        prop_assert!(!plan.next.is_closed() || !plan.next.holds.permits);
    }
}
