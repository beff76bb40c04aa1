//! Incidents for tests, told like stories: `ecs_node("i-…").disconnected("14:02:11")…`.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Message, Report, ReportKind, StackInfo, render};
use crate::diagnose::{Cause, Channel, Diagnosis, Finding, Severity};
use crate::effect::Effect;
use crate::event::{CoarseStatus, SignalKind};
use crate::guard::{NoWay, Refusal, Resource};
use crate::incident::{
    Attempt, AttemptResult, Ending, Event, Holds, Incident, IncidentId, Milestone, Phase, Place, ProbeSent, Remedy,
    SCHEMA, Symptom,
};
use crate::node::NodeId;
use crate::observe::{InvocationStatus, Platform, Standing, StopGates};
use crate::policy::Mode;
use crate::ports::ReportId;
use crate::time::after;

pub(crate) const WEB: &str = "i-0a1b2c3d4e5f60718";
pub(crate) const BATCH: &str = "i-0f9e8d7c6b5a43210";
pub(crate) const PROXY: &str = "i-07766554433221100";
pub(crate) const STACK: StackInfo<'static> = StackInfo { name: "defib", version: "0.1.0" };

/// A moment on the day of the samples.
pub(crate) fn at(time: &str) -> Timestamp {
    let full = if time.contains('T') { time.to_owned() } else { format!("2026-11-20T{time}Z") };
    full.parse().expect("a time")
}

/// An incident that is being told.
#[derive(Debug, Clone)]
pub(crate) struct Tale {
    pub(crate) incident: Incident,
    pub(crate) mode: Mode,
    pub(crate) kind: ReportKind,
    pub(crate) at: Timestamp,
}

/// An incident that opens at `time` on a plain instance.
pub(crate) fn node(id: &str, time: &str) -> Tale {
    let (node, now): (NodeId, _) = (id.parse().expect("a node id"), at(time));
    Tale {
        incident: Incident {
            schema: SCHEMA,
            id: IncidentId::new(now, node),
            version: 1,
            node,
            place: Place {
                account: "111122223333".parse().expect("an account"),
                region: "us-east-1".parse().expect("a region"),
                zone: Some("us-east-1a".parse().expect("a zone")),
                name: None,
                container_instance: None,
                group: None,
                platform: Platform::Linux,
                tasks: 0,
                public_address_changes: true,
                stop: StopGates::default(),
                services: Arc::default(),
                factors: Arc::from([]),
            },
            first_seen: now,
            down_since: now,
            symptoms: Vec::new(),
            looks: 2,
            ecs_down: None,
            shared: None,
            allowed: Some(Mode::Cycle),
            acted_before: None,
            phase: Phase::Watching { until: now },
            holds: Holds::default(),
            attempts: Vec::new(),
            proofs: Vec::new(),
            diagnosis: None,
            probe: None,
            repair: None,
            boot: None,
            asked: None,
            approval: None,
            parked_secs: 0,
            wake_at: None,
            timer_generation: 1,
            intents: 0,
            reports: 1,
            history: Arc::default(),
        },
        mode: Mode::Cycle,
        kind: ReportKind::Ended,
        at: now,
    }
}

impl Tale {
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.incident.place.name = Some(name.parse().expect("a name"));
        self
    }

    pub(crate) fn in_cluster(mut self, cluster: &str, container_instance: &str, tasks: u32) -> Self {
        let arn = |rest: String| format!("arn:aws:ecs:us-east-1:111122223333:{rest}");
        let cluster_arn = arn(format!("cluster/{cluster}")).parse().expect("a cluster");
        let instance = arn(format!("container-instance/{cluster}/{container_instance}")).parse().expect("an ARN");
        self.incident.place.container_instance = Some((cluster_arn, instance));
        self.incident.place.tasks = tasks;
        self
    }

    pub(crate) fn in_group(mut self, group: &str) -> Self {
        self.incident.place.group = Some(group.parse().expect("a group"));
        self
    }

    pub(crate) fn in_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn down_since(mut self, time: &str) -> Self {
        self.incident.down_since = at(time);
        self
    }

    pub(crate) fn told(mut self, time: &str, kind: SignalKind) -> Self {
        self.incident.add_symptom(Symptom { at: at(time), kind });
        self
    }

    pub(crate) fn ecs_disconnected(self, time: &str) -> Self {
        let (_, arn) = self.incident.place.container_instance.clone().expect("a container instance");
        self.told(time, SignalKind::EcsDisconnected { container_instance: arn, cluster: None, version: Some(3) })
    }

    pub(crate) fn command_failed(self, time: &str, document: &str, command: &str, status: CoarseStatus) -> Self {
        let (command, document) = (command.parse().expect("a command"), document.parse().expect("a document"));
        self.told(time, SignalKind::CommandTrouble { command, document, status })
    }

    pub(crate) fn then(mut self, time: &str, event: Event) -> Self {
        self.incident.note(at(time), event);
        self
    }

    pub(crate) fn probed(mut self, time: &str, command: &str) -> Self {
        self.incident.probe = Some(ProbeSent { at: at(time), command: Some(command.parse().expect("a command")) });
        self
    }

    pub(crate) fn diagnosed(mut self, cause: Cause, confidence: u8, evidence: &[(Channel, &str)]) -> Self {
        let finding = |(n, (channel, text)): (usize, &(Channel, &str))| Finding {
            cause,
            severity: if n == 0 { Severity::Cause } else { Severity::Symptom },
            channel: *channel,
            evidence: (*text).into(),
        };
        self.incident.diagnosis = Some(Diagnosis {
            cause,
            confidence,
            also: Vec::new(),
            findings: evidence.iter().enumerate().map(finding).collect(),
        });
        self
    }

    pub(crate) fn tried(mut self, time: &str, remedy: Remedy, result: AttemptResult) -> Self {
        self.incident.attempts.push(Attempt { remedy, at: at(time), acted_at: Some(at(time)), result });
        self
    }

    pub(crate) fn closed(mut self, time: &str, ending: Ending) -> Self {
        self.at = at(time);
        self.kind = ReportKind::Ended;
        self.incident.note(self.at, Event::Closed(ending.clone()));
        self.incident.phase = Phase::Closed { ending, at: self.at };
        self
    }

    pub(crate) fn rests(mut self, time: &str, why: Ending) -> Self {
        self.at = at(time);
        self.kind = ReportKind::NeedsHuman;
        self.incident.note(self.at, Event::Closed(why.clone()));
        self.incident.phase = Phase::Resting { why, since: self.at, remind_at: after(self.at, 86_400) };
        self
    }

    pub(crate) fn reminded(mut self, time: &str) -> Self {
        self.at = at(time);
        self.kind = ReportKind::Reminder;
        self.incident.reports += 1;
        self.incident.note(self.at, Event::Reminded);
        self
    }

    pub(crate) fn waits_for_approval(mut self, time: &str, remedy: Remedy) -> Self {
        self.at = at(time);
        self.kind = ReportKind::NeedsApproval;
        let refusal = Refusal::Approval { remedy };
        self.incident.note(self.at, Event::Parked(refusal.clone()));
        let limit = after(self.at, 14_400);
        self.incident.phase = Phase::Parked { refusal, since: self.at, until: after(self.at, 300), limit };
        self
    }

    pub(crate) fn report(&self) -> (Report, ReportId) {
        let incident = Arc::new(self.incident.clone());
        let report = Report { kind: self.kind, at: self.at, mode: self.mode, incident };
        let id = ReportId { incident: self.incident.id, outcome: report.outcome(), n: self.incident.reports };
        (report, id)
    }

    pub(crate) fn message(&self) -> Message {
        let (report, id) = self.report();
        render(&report, &id, &STACK)
    }
}

fn web() -> Tale {
    node(WEB, "14:02:11")
        .named("web-3")
        .in_cluster("prod-web", "c0ffee00112233445566778899aabbcc", 11)
        .in_group("prod-web-asg")
}

fn batch() -> Tale {
    node(BATCH, "15:19:45")
        .named("batch-7")
        .in_cluster("prod-batch", "deadbeef00112233445566778899aabb", 0)
        .in_group("prod-batch-asg")
}

fn proxy() -> Tale {
    node(PROXY, "18:01:02").named("db-proxy-1")
}

const LOOKED_ECS_DOWN: Event = Event::Looked { ssm: Standing::Well, ecs: Standing::Ill };
const LOOKED_BOTH_DOWN: Event = Event::Looked { ssm: Standing::Ill, ecs: Standing::Ill };
const LOOKED_SSM_DOWN: Event = Event::Looked { ssm: Standing::Ill, ecs: Standing::NotPresent };

/// The first sample of the specification: an ECS agent restart helped.
pub(crate) fn fixed() -> Tale {
    web()
        .in_mode(Mode::Restart)
        .ecs_disconnected("14:02:11")
        .then("14:07:11", LOOKED_ECS_DOWN)
        .then("14:07:11", Event::HoldDownOver { secs: 300 })
        .then("14:07:11", Event::Done(Effect::Probe))
        .probed("14:07:11", "7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77")
        .then("14:07:14", Event::ProbeAnswered { findings: 3, secs: 3 })
        .diagnosed(
            Cause::EcsAgentHung,
            80,
            &[
                (Channel::Probe, "ecs.service was \"active\", container ecs-agent was \"Up (unhealthy)\""),
                (Channel::Probe, "last agent log line: \"Unable to connect to ACS: context deadline exceeded\""),
                (Channel::Probe, "disk 61 %, memory 48 %, docker OK, ECS endpoint reachable (HTTP 403 in 84 ms)"),
            ],
        )
        .then("14:07:14", Event::Diagnosed { cause: Cause::EcsAgentHung, confidence: 80 })
        .tried("14:07:16", Remedy::RestartEcsAgent, AttemptResult::Helped)
        .then("14:07:16", Event::Chosen { remedy: Remedy::RestartEcsAgent, attempt: 1, of: 2 })
        .then("14:07:16", Event::Done(Effect::RestartEcsAgent))
        .then("14:07:52", Event::Reached(Milestone::EcsConnected))
        .closed("14:08:52", Ending::Helped { remedy: Remedy::RestartEcsAgent })
}

/// The second sample: stopped and started for failing hardware.
pub(crate) fn cycled() -> Tale {
    batch()
        .down_since("15:17:15")
        .command_failed(
            "15:19:45",
            "AWS-RunPatchBaseline",
            "7c2f6b1e-1b6d-4b64-9c1c-6f2a0d9b7711",
            CoarseStatus::Undeliverable,
        )
        .then("15:19:46", Event::InvocationRead(InvocationStatus::Undeliverable))
        .then("15:24:48", Event::Looked { ssm: Standing::Ill, ecs: Standing::Well })
        .then("15:24:48", Event::ProbeUndelivered)
        .diagnosed(
            Cause::PlatformHardware,
            95,
            &[
                (Channel::Ec2, "system status check IMPAIRED since 15:16; only new hardware can help"),
                (Channel::Ssm, "no agent could run a command, so nothing gentler was possible"),
            ],
        )
        .then("15:29:50", Event::HoldDownOver { secs: 600 })
        .then("15:29:50", Event::Chosen { remedy: Remedy::StopStart, attempt: 1, of: 1 })
        .tried("15:29:50", Remedy::StopStart, AttemptResult::Helped)
        .then("15:29:52", Event::Done(Effect::Drain))
        .then("15:34:40", Event::Drained { left: 0 })
        .then("15:34:41", Event::Done(Effect::EnterStandby))
        .then("15:34:43", Event::Reached(Milestone::InStandby))
        .then("15:34:44", Event::Done(Effect::Stop))
        .then("15:36:58", Event::Reached(Milestone::Stopped))
        .then("15:36:59", Event::Done(Effect::Start))
        .then("15:38:10", Event::Reached(Milestone::Running))
        .then("15:39:02", Event::Reached(Milestone::SsmAnswers))
        .then("15:39:31", Event::Done(Effect::Activate))
        .then("15:39:31", Event::Reached(Milestone::EcsConnected))
        .then("15:40:02", Event::Done(Effect::ExitStandby))
        .then("15:41:48", Event::Reached(Milestone::InService))
        .closed("15:41:48", Ending::Helped { remedy: Remedy::StopStart })
}

/// The third sample: the disk is full and stays full.
pub(crate) fn needs_human() -> Tale {
    proxy()
        .in_mode(Mode::Restart)
        .down_since("17:52:00")
        .command_failed(
            "18:01:02",
            "AWS-RunShellScript",
            "5b0c7f6e-1b6d-4b64-9c1c-6f2a0d9b7711",
            CoarseStatus::DeliveryTimedOut,
        )
        .then("18:06:10", LOOKED_SSM_DOWN)
        .then("18:06:10", Event::HoldDownOver { secs: 300 })
        .then("18:06:12", Event::ProbeAnswered { findings: 1, secs: 2 })
        .diagnosed(
            Cause::HostDiskFull,
            95,
            &[(Channel::Probe, "/var is 100 % used, the agent cannot write its state (biggest: /var/log/app 41 GB)")],
        )
        .then("18:06:12", Event::Diagnosed { cause: Cause::HostDiskFull, confidence: 95 })
        .tried("18:06:20", Remedy::FreeDisk, AttemptResult::Failed)
        .then("18:06:20", Event::Chosen { remedy: Remedy::FreeDisk, attempt: 1, of: 1 })
        .then("18:06:20", Event::Done(Effect::FreeDisk))
        .then("18:06:50", Event::Ended { remedy: Remedy::FreeDisk, result: AttemptResult::Failed })
        .tried("18:06:55", Remedy::RestartSsmAgent, AttemptResult::Failed)
        .then("18:06:55", Event::Chosen { remedy: Remedy::RestartSsmAgent, attempt: 1, of: 2 })
        .then("18:06:55", Event::Done(Effect::RestartSsmAgent))
        .then("18:12:58", Event::Ended { remedy: Remedy::RestartSsmAgent, result: AttemptResult::Failed })
        .rests("18:22:58", Ending::CauseNotOurs)
}

fn session_gave_up() -> (&'static str, Tale) {
    (
        "session_gave_up",
        batch()
            .told("14:02:12", SignalKind::SessionRefused)
            .then("14:07:20", Event::ProbeAnswered { findings: 1, secs: 6 })
            .then("14:07:20", Event::Diagnosed { cause: Cause::SessionClientGaveUp, confidence: 90 })
            .closed("14:07:20", Ending::SessionGaveUp),
    )
}

/// Every kind of report that there is, by name.
pub(crate) fn all() -> Vec<(&'static str, Tale)> {
    let silent = || {
        batch().down_since("15:17:15").told("15:19:45", SignalKind::SessionRefused).then("15:24:48", LOOKED_BOTH_DOWN)
    };
    let no_role = || {
        proxy().told("18:01:02", SignalKind::SessionRefused).diagnosed(
            Cause::IdentityNoInstanceProfile,
            99,
            &[(Channel::Identity, "no instance profile is associated, Default Host Management is off")],
        )
    };
    let script =
        |status| web().command_failed("14:02:11", "Deploy-App", "5b0c7f6e-1b6d-4b64-9c1c-6f2a0d9b7711", status);
    let mode_too_low =
        Refusal::ModeTooLow { remedy: Remedy::Reboot, mode: Mode::Restart, lowered_by: Some(Resource::Instance) };
    vec![
        ("fixed", fixed()),
        ("cycled", cycled()),
        ("needs_human", needs_human()),
        ("reminder", needs_human().reminded("2026-11-21T18:22:58Z")),
        ("all_clear", needs_human().closed("2026-11-21T09:10:00Z", Ending::SelfHealed)),
        (
            "closed_by_hand",
            needs_human().closed("2026-11-21T09:10:00Z", Ending::ClosedBy { by: "ops".into(), rested: true }),
        ),
        (
            "replaced",
            silent()
                .in_mode(Mode::Replace)
                .diagnosed(
                    Cause::RuntimeStorageCorrupt,
                    90,
                    &[(Channel::Probe, "readlink /var/lib/docker/overlay2/ab12: invalid argument")],
                )
                .tried("15:30:00", Remedy::Replace, AttemptResult::Helped)
                .then("15:30:00", Event::Chosen { remedy: Remedy::Replace, attempt: 1, of: 1 })
                .then("15:30:02", Event::Done(Effect::Terminate))
                .then("15:33:40", Event::Reached(Milestone::Fenced))
                .then("15:33:41", Event::Done(Effect::Deregister))
                .then("15:36:10", Event::Reached(Milestone::GroupWhole))
                .closed("15:36:10", Ending::Helped { remedy: Remedy::Replace }),
        ),
        ("blocked", silent().in_mode(Mode::Restart).closed("15:29:50", Ending::Refused { refusal: mode_too_low })),
        (
            "blocked_no_way",
            silent().in_mode(Mode::Restart).closed(
                "15:29:50",
                Ending::Refused { refusal: Refusal::NoWay { remedy: Remedy::RestartSsmAgent, why: NoWay::SsmSilent } },
            ),
        ),
        (
            "deferred",
            silent().then("15:29:50", Event::Parked(Refusal::LiveSessions { count: 2, who: Arc::default() })).closed(
                "19:29:50",
                Ending::WaitedTooLong { refusal: Refusal::LiveSessions { count: 2, who: Arc::default() } },
            ),
        ),
        ("gone", silent().closed("15:26:00", Ending::Gone)),
        (
            "script_timed_out",
            script(CoarseStatus::TimedOut)
                .then("14:02:12", Event::InvocationRead(InvocationStatus::ExecutionTimedOut))
                .then("14:02:12", Event::Looked { ssm: Standing::Well, ecs: Standing::Well })
                .closed("14:02:12", Ending::ScriptTimedOut),
        ),
        session_gave_up(),
        (
            "command_rejected",
            script(CoarseStatus::Failed)
                .then("14:02:12", Event::InvocationRead(InvocationStatus::Rejected))
                .closed("14:02:12", Ending::CommandRejected),
        ),
        (
            "not_opted_in",
            silent()
                .closed("15:29:50", Ending::Refused { refusal: Refusal::NotOptedIn { resource: Resource::Instance } }),
        ),
        (
            "dry_run",
            silent().in_mode(Mode::Observe).closed("15:29:50", Ending::WouldHave { remedy: Some(Remedy::Reboot) }),
        ),
        ("dry_run_person", no_role().in_mode(Mode::Observe).closed("18:11:02", Ending::WouldHave { remedy: None })),
        ("no_role", no_role().rests("18:11:02", Ending::CauseNotOurs)),
        ("does_not_start", {
            let mut tale = silent().rests("16:40:00", Ending::DoesNotStart);
            tale.incident.holds.stopped = true;
            tale
        }),
        ("not_given_back", {
            let mut tale = silent().rests("16:40:00", Ending::NotGivenBack);
            tale.incident.holds.standby = true;
            tale
        }),
        ("approval", silent().waits_for_approval("15:29:50", Remedy::Reboot)),
    ]
}
