//! How long a decision takes, and a whole pass. A pass waits for AWS for seconds; a decision must not add to that: under
//! 20 µs each.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::sync::Arc;

use defib::diagnose::{Cause, Channel, Finding, Severity};
use defib::engine::{Answer, Context, Pass, Request, Trigger, answer};
use defib::event::{Signal, SignalKind, SweptAgent};
use defib::incident::{Attempt, AttemptResult, Incident, Phase, ProbeSent, Remedy, Symptom};
use defib::node::Home;
use defib::observe::{
    Asg, Busy, Check, Connection, Ec2, Ecs, EcsStatus, Fact, Factors, Group, InstanceState, Lifecycle, Observation,
    Ping, Platform, Probe, ProbeAnswer, Ssm, StopGates, Tags, Workload,
};
use defib::plan;
use defib::policy::{Mode, Policy};
use defib::ports::{KillSwitch, Rails};
use defib::sim::account::Account;
use defib::sim::ailment::Ailment;
use defib::sim::stage;
use defib::sim::world::{World, WorldSettings};
use defib::time::after;
use divan::Bencher;
use jiff::Timestamp;

fn main() {
    divan::main();
}

const RAILS: Rails = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn home() -> Home {
    Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

/// A container instance in a group, whose ECS agent is lost and whose host answers with findings.
fn seen(now: Timestamp) -> Observation {
    let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:111122223333:{rest}");
    let tags = Tags { managed: true, mode: None, mute_until: None };
    let finding = |cause, severity| Finding {
        cause,
        severity,
        channel: Channel::Probe,
        evidence: Arc::from("last agent log line: \"Unable to connect to ACS: context deadline exceeded\""),
    };
    let findings = Arc::from([
        finding(Cause::EcsAgentHung, Severity::Cause),
        finding(Cause::HostOutOfMemory, Severity::Symptom),
        finding(Cause::NoisePeriodicReconnect, Severity::Noise),
    ]);
    Observation {
        node: "i-0a1b2c3d4e5f60718".parse().unwrap(),
        at: now,
        depth: defib::observe::Depth::All,
        ec2: Fact::Known(Ec2 {
            state: InstanceState::Running,
            launched_at: after(now, -86_400),
            system_check: Check::Ok,
            instance_check: Check::Ok,
            volumes_check: Check::Ok,
            scheduled: None,
            name: Some("web-3".parse().unwrap()),
            zone: "us-east-1a".parse().unwrap(),
            tags,
            manager: None,
            stop: StopGates::default(),
        }),
        ssm: Fact::Known(Ssm {
            ping: Ping::Online,
            last_ping: after(now, -30),
            connection: Fact::Known(Connection::Connected),
            platform: Platform::Linux,
            tags: Fact::Absent,
        }),
        ecs: Fact::Known(Ecs {
            cluster: arn("cluster/blue").parse().unwrap(),
            arn: arn("container-instance/blue/c0ffee00112233445566778899aabbcc").parse().unwrap(),
            connected: false,
            status: EcsStatus::Active,
            tasks: 11,
            agent_check: Check::Impaired,
            runtime_check: Check::Ok,
            impaired_since: Some(after(now, -700)),
            cluster_tags: Tags::default(),
        }),
        asg: Fact::Known(Asg {
            name: "blue-asg".parse().unwrap(),
            lifecycle: Lifecycle::InService,
            desired: 12,
            min: 10,
            in_service: 12,
            standby: 0,
            existing: 12,
            ec2_health_only: false,
            suspended: false,
            refreshing: false,
            tags,
        }),
        group: Fact::Known(Group {
            name: Arc::from("blue"),
            size: 12,
            zone_size: 4,
            unhealthy: 1,
            zone_unhealthy: 1,
            zone_peers: 3,
            zone_peers_unhealthy: 0,
        }),
        factors: Fact::Known(Factors { shared: Arc::from([]), fleet: 40 }),
        workload: Fact::Known(Workload::default()),
        successor: Fact::Absent,
        calendar: Fact::Absent,
        invocation: Fact::Absent,
        repair: Fact::Absent,
        probe: Fact::Known(Probe {
            sent_at: after(now, -10),
            answer: ProbeAnswer::Answered { booted_at: after(now, -80_000), boot: None, findings },
        }),
        sessions: Fact::Known(defib::observe::Sessions::default()),
        busy: Fact::Known(Busy::Idle),
        identity: Fact::Known(Arc::from([])),
        network: Fact::Known(Arc::from([])),
        console: Fact::Known(Arc::from([])),
    }
}

/// An incident of ten minutes, with a history.
fn incident(now: Timestamp) -> Incident {
    let at = after(now, -600);
    let symptom = Symptom { at, kind: SignalKind::Swept { agent: SweptAgent::Ecs, since: None } };
    let mut incident = Incident::open(&home(), &seen(at), symptom, at, after(at, 300));
    incident.looks = 2;
    incident.probe = Some(ProbeSent { at: after(now, -10), command: None });
    incident
}

fn decides(bencher: Bencher<'_, '_>, incident: &Incident, seen: &Observation) {
    let policy = Policy::in_mode(Mode::Replace);
    bencher.bench(|| plan::decide(divan::black_box(incident), divan::black_box(seen), &RAILS, &policy, noon()));
}

#[divan::bench]
fn decide_a_remedy(bencher: Bencher<'_, '_>) {
    let mut incident = incident(noon());
    incident.phase = Phase::Examining { since: noon(), deadline: after(noon(), 1_800), sending: None };
    let seen = seen(noon());
    let plan = plan::decide(&incident, &seen, &RAILS, &Policy::in_mode(Mode::Replace), noon());
    assert!(plan.perform.is_some(), "it should choose a remedy");
    decides(bencher, &incident, &seen);
}

#[divan::bench]
fn decide_to_watch_on(bencher: Bencher<'_, '_>) {
    let mut incident = incident(noon());
    incident.phase = Phase::Watching { until: after(noon(), 60) };
    decides(bencher, &incident, &seen(noon()));
}

#[divan::bench]
fn decide_whether_it_helped(bencher: Bencher<'_, '_>) {
    let mut incident = incident(noon());
    let (remedy, since) = (Remedy::RestartEcsAgent, after(noon(), -60));
    incident.attempts.push(Attempt { remedy, at: since, acted_at: Some(since), result: AttemptResult::Running });
    let deadline = after(noon(), 300);
    incident.phase = Phase::Verifying { remedy, since, deadline, proven_since: None, sending: None };
    decides(bencher, &incident, &seen(noon()));
}

/// From a signal to the saved incident, over the account in memory.
#[divan::bench]
fn a_whole_pass(bencher: Bencher<'_, '_>) {
    let context = Arc::new(Context { home: home(), policy: Policy::in_mode(Mode::Replace) });
    bencher
        .with_inputs(|| {
            let settings =
                WorldSettings { home: home(), start: noon(), seed: 1, flapping: false, background_commands: false };
            let mut account = Account::new(World::new(settings));
            let kind = stage::telling(Ailment::EcsAgentHung).unwrap();
            let signal = Signal { node: "i-0a1b2c3d4e5f60718".parse().unwrap(), at: noon(), kind };
            stage::stage(&mut account, &signal, Ailment::EcsAgentHung, after(noon(), 3_600));
            (account, signal)
        })
        .bench_values(|(mut account, signal)| {
            let now = after(noon(), 3_600);
            let (mut pass, mut request) =
                Pass::new(Arc::clone(&context), Trigger::Signal(signal)).step(Answer::Start, now);
            while !matches!(request, Request::Done(_)) {
                let reply = answer(&mut account, &request, now);
                (pass, request) = pass.step(reply, now);
            }
            assert_eq!(account.ledger.incidents().count(), 1, "the pass should open an incident");
            account
        });
}
