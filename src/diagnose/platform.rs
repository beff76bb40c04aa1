//! Gates and EC2's own view of a node, as lines: G02 to G12 and E01 to E09.
//!
//! What stands in a remedy's way is decided by [`crate::guard`], and what the status checks mean by the ranking; here both are
//! told, from the same functions. What neither looks at (attached volumes, scheduled events) gets its findings here.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Cause, Channel, CheckLine, Finding, Severity, check_line};
use crate::guard::gates;
use crate::incident::Remedy;
pub use crate::observe::EventKind;
use crate::observe::{
    Busy, Check, Ec2, EcsStatus, Fact, Health, InstanceState, Lifecycle, Observation, Platform, Scheduled,
};
use crate::policy::Policy;
use crate::time::{moment, secs_between, spoken};

/// What `DescribeInstanceStatus` and `DescribeInstances` say besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// `AttachedEbsStatus`.
    pub volumes: Fact<Check>,
    /// `Events`.
    pub events: Fact<Vec<ScheduledEvent>>,
    /// `MaintenanceOptions.AutoRecovery` is not `disabled`.
    pub auto_recovery: Fact<bool>,
}

/// A scheduled event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// `Code`.
    pub kind: EventKind,
    /// `NotBefore`.
    pub not_before: Option<Timestamp>,
    /// `Description`. One that is over begins with `[Completed]` or `[Canceled]`, and is listed for a week more.
    pub description: Arc<str>,
}

impl ScheduledEvent {
    /// Whether it is still to come, or in progress.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !["[Completed]", "[Canceled]"].iter().any(|over| self.description.trim_start().starts_with(over))
    }
}

impl EventKind {
    /// By the API's word.
    #[must_use]
    pub fn named(code: &str) -> Self {
        match code {
            "instance-retirement" => Self::Retirement,
            "instance-stop" => Self::Stop,
            "instance-reboot" | "system-reboot" => Self::Reboot,
            "system-maintenance" => Self::Maintenance,
            _ => Self::Other,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Retirement => "a retirement",
            Self::Stop => "a stop by AWS",
            Self::Reboot => "a reboot by AWS",
            Self::Maintenance => "maintenance of the host",
            Self::Other => "an event",
        }
    }
}

/// The gates and EC2's view, check by check.
#[must_use]
pub fn lines(seen: &Observation, hardware: &Hardware, policy: &Policy, now: Timestamp) -> Vec<CheckLine> {
    let mut lines = vec![now_true(seen, now), kind(seen), state(seen)];
    lines.extend(planned(seen));
    let Some(ec2) = seen.ec2.known() else { return lines };
    lines.push(match gates::launch_grace(seen, policy, now) {
        Ok(()) => CheckLine::ok("G04", format!("launched {} ago", spoken(secs_between(ec2.launched_at, now)))),
        Err(refusal) => CheckLine::warn("G04", refusal.to_string(), "wait; its agents may still be starting"),
    });
    lines.push(match ec2.manager {
        None => CheckLine::ok("G05", "nobody else repairs it"),
        Some(by) => CheckLine::warn("G05", format!("{} repairs this instance", by.as_str()), "leave the repair to it"),
    });
    lines.push(stop(seen, ec2, now));
    lines.extend(checks(ec2, hardware));
    lines.push(events(hardware, now));
    lines.push(recovery(seen, hardware));
    lines
}

/// Whether what an event told of is still so. It comes first, as it does before anything is done (facts/checks.md G01).
fn now_true(seen: &Observation, now: Timestamp) -> CheckLine {
    let id = "G01";
    let health = Health::of(seen, now);
    if health.is_well() {
        CheckLine::ok(id, "its agents answer now: what told of trouble is over")
    } else if health.is_ill() {
        CheckLine::warn(id, "an agent does not answer now: what told of trouble still holds", "see the lines that fail")
    } else {
        CheckLine::unknown(id, "whether its agents answer now is not certain")
    }
}

fn kind(seen: &Observation) -> CheckLine {
    let id = "G10";
    if !seen.node.is_instance() {
        return CheckLine::ok(id, "a managed node: no EC2 call works on it, only Run Command");
    }
    match seen.ssm.known().map(|ssm| ssm.platform) {
        None => CheckLine::ok(id, "an EC2 instance"),
        Some(Platform::Linux) => CheckLine::ok(id, "an EC2 instance with Linux"),
        Some(Platform::Snap) => CheckLine::ok(id, "an EC2 instance with Ubuntu, whose SSM agent comes from a snap"),
        Some(Platform::Windows) => CheckLine::ok(id, "an EC2 instance with Windows"),
        Some(Platform::Bottlerocket) => CheckLine::ok(id, "an EC2 instance with Bottlerocket: no shell on the host"),
    }
}

fn state(seen: &Observation) -> CheckLine {
    let id = "G02";
    let start = "start it, if it should run: aws ec2 start-instances";
    match &seen.ec2 {
        Fact::Unknown(blind) => {
            CheckLine::unknown(id, format!("could not read the instance's state: {}", blind.as_str()))
        }
        Fact::Absent if seen.node.is_instance() => {
            CheckLine::fail(id, "EC2 knows no such instance", "look for it in other accounts and regions")
        }
        Fact::Absent => CheckLine::ok(id, "not an EC2 instance"),
        Fact::Known(ec2) => match ec2.state {
            InstanceState::Running => CheckLine::ok(id, "the instance is running"),
            InstanceState::Pending => CheckLine::warn(id, "the instance is starting", "wait until it runs"),
            InstanceState::Stopping => CheckLine::fail(id, "the instance is stopping", start),
            InstanceState::Stopped => CheckLine::fail(id, "the instance is stopped", start),
            InstanceState::ShuttingDown => {
                CheckLine::fail(id, "the instance is shutting down", "replace it, if it is missed")
            }
            InstanceState::Terminated => {
                CheckLine::fail(id, "the instance is terminated", "replace it, if it is missed")
            }
        },
    }
}

/// Work that somebody planned, and that explains a silence.
fn planned(seen: &Observation) -> Vec<CheckLine> {
    let id = "G03";
    let mut lines = Vec::new();
    let wait = "wait for it to end, or end it";
    let mut warn = |text: String| lines.push(CheckLine::warn(id, text, wait));
    match &seen.asg {
        Fact::Known(asg) => {
            let place = match asg.lifecycle {
                Lifecycle::InService => None,
                Lifecycle::Pending => Some("is on its way into"),
                Lifecycle::EnteringStandby => Some("is on its way to Standby in"),
                Lifecycle::Standby => Some("is in Standby in"),
                Lifecycle::Terminating => Some("is being terminated by"),
                Lifecycle::Other => Some("is warmed, detached or otherwise not in service in"),
            };
            if let Some(place) = place {
                warn(format!("it {place} the Auto Scaling group {}", asg.name));
            }
            if asg.refreshing {
                warn(format!("an instance refresh of {} runs", asg.name));
            }
        }
        Fact::Absent => {}
        Fact::Unknown(blind) => {
            let text = format!("could not read its place in an Auto Scaling group: {}", blind.as_str());
            lines.push(CheckLine::unknown(id, text));
        }
    }
    let mut warn = |text: &str| lines.push(CheckLine::warn(id, text, wait));
    match seen.ecs.known().map(|ecs| ecs.status) {
        Some(EcsStatus::Draining) => warn("the container instance is draining"),
        Some(EcsStatus::Transitional) => warn("the container instance is registering or deregistering"),
        Some(EcsStatus::Active | EcsStatus::Inactive) | None => {}
    }
    match seen.busy.known() {
        Some(Busy::Patching) => warn("it is being patched"),
        Some(Busy::Automation) => warn("an Automation runs on it"),
        Some(Busy::Command) => warn("somebody's command runs on it"),
        Some(Busy::Deployment) => warn("a deployment or instance refresh of its group runs"),
        Some(Busy::Idle) | None => {}
    }
    if lines.is_empty() {
        lines.push(CheckLine::ok(id, "no planned work"));
    }
    lines
}

fn stop(seen: &Observation, ec2: &Ec2, now: Timestamp) -> CheckLine {
    let id = "G12";
    match gates::way(seen, Health::of(seen, now), Remedy::StopStart) {
        Err(refusal) => CheckLine::warn(id, format!("no stop and start: {refusal}"), "reboot or replace it instead"),
        Ok(()) if ec2.stop.public_address_changes => {
            let text = "a stop and start changes its public address, which is not an Elastic IP";
            CheckLine::warn(id, text, "give it an Elastic IP address, if others know it by the address")
        }
        Ok(()) => CheckLine::ok(id, "it can be stopped and started"),
    }
}

fn checks(ec2: &Ec2, hardware: &Hardware) -> Vec<CheckLine> {
    let of = |id, what: &str, check: Option<Check>, fix: &str| match check {
        _ if ec2.state != InstanceState::Running => {
            CheckLine::unknown(id, format!("{what} speaks only of a running instance"))
        }
        Some(Check::Ok) => CheckLine::ok(id, format!("{what} passed")),
        Some(Check::Impaired) => CheckLine::fail(id, format!("{what} is impaired"), fix),
        Some(Check::Undecided) | None => CheckLine::unknown(id, format!("{what} is not decided")),
    };
    let cycle = "stop and start it, which moves it to other hardware, or replace it";
    let boot = "read its console output, then reboot it";
    let volumes = match &hardware.volumes {
        Fact::Known(check) => {
            of("E03", "the check of attached volumes", Some(*check), "look at its volumes' status; AWS repairs them")
        }
        Fact::Absent => CheckLine::ok("E03", "no volumes are attached"),
        Fact::Unknown(blind) => {
            CheckLine::unknown("E03", format!("could not read the check of attached volumes: {}", blind.as_str()))
        }
    };
    vec![
        of("E01", "the system status check", Some(ec2.system_check), cycle),
        of("E02", "the instance status check", Some(ec2.instance_check), boot),
        volumes,
    ]
}

fn events(hardware: &Hardware, now: Timestamp) -> CheckLine {
    let id = "E04";
    let events = match &hardware.events {
        Fact::Known(events) => events.as_slice(),
        Fact::Absent => &[],
        Fact::Unknown(blind) => {
            return CheckLine::unknown(id, format!("could not read scheduled events: {}", blind.as_str()));
        }
    };
    let Some(first) = scheduled(events) else { return CheckLine::ok(id, "no scheduled event") };
    let fix = match first.kind {
        EventKind::Retirement | EventKind::Stop => {
            "drain it, then stop and start it at a time of your own, or replace it"
        }
        EventKind::Reboot => "wait for it, or reboot it at a time of your own",
        EventKind::Maintenance | EventKind::Other => "wait for it to end",
    };
    CheckLine::warn(id, told(first, now), fix)
}

/// The open event that matters most: what ends the instance before what interrupts it, then the soonest.
fn next(events: &[ScheduledEvent]) -> Option<&ScheduledEvent> {
    events.iter().filter(|event| event.is_open()).min_by_key(|event| (event.kind, event.not_before))
}

fn told(event: Scheduled, now: Timestamp) -> String {
    match event.not_before {
        Some(at) if at > now => format!("AWS scheduled {} for {}", event.kind.as_str(), moment(at)),
        Some(at) => format!("AWS scheduled {} for {}, which may be in progress", event.kind.as_str(), moment(at)),
        None => format!("AWS scheduled {}", event.kind.as_str()),
    }
}

fn recovery(seen: &Observation, hardware: &Hardware) -> CheckLine {
    let id = "E09";
    match &hardware.auto_recovery {
        Fact::Unknown(blind) => {
            CheckLine::unknown(id, format!("could not read automatic recovery: {}", blind.as_str()))
        }
        // AWS recovers no members of a group: the group replaces them.
        Fact::Known(true) if seen.asg.known().is_none() => {
            CheckLine::ok(id, "AWS recovers it by itself when the system status check fails; wait for that first")
        }
        Fact::Known(true) => CheckLine::ok(id, "its Auto Scaling group replaces it; AWS does not recover it"),
        Fact::Known(false) | Fact::Absent => CheckLine::ok(id, "automatic recovery is off"),
    }
}

/// Of scheduled events, the open one that matters most.
#[must_use]
pub fn scheduled(events: &[ScheduledEvent]) -> Option<Scheduled> {
    next(events).map(|event| Scheduled { kind: event.kind, not_before: event.not_before })
}

/// Findings about attached volumes and scheduled events. None of them proves why an agent is silent, and of a node that is well,
/// what may befall it some day explains nothing.
///
/// `answers`: the host answered a probe, so that it runs on its hardware, retired or not.
pub(super) fn findings(ec2: &Ec2, health: Health, answers: bool, now: Timestamp) -> Vec<Finding> {
    let says = |cause, severity, text: String| Finding {
        cause,
        severity,
        channel: Channel::Ec2,
        evidence: check_line::evidence(text),
    };
    let mut findings = Vec::new();
    if health.is_well() || ec2.state != InstanceState::Running {
        return findings;
    }
    if ec2.volumes_check == Check::Impaired {
        let text = "the check of attached EBS volumes is impaired".to_owned();
        findings.push(says(Cause::HostIoStalled, Severity::Symptom, text));
    }
    if let Some(event) = ec2.scheduled {
        let severity = match event.kind {
            // AWS retires an instance because the hardware below it is failing.
            EventKind::Retirement | EventKind::Stop if !answers => Severity::Symptom,
            EventKind::Retirement | EventKind::Stop | EventKind::Reboot | EventKind::Maintenance | EventKind::Other => {
                Severity::Noise
            }
        };
        findings.push(says(Cause::PlatformHardware, severity, told(event, now)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Mark;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::observe::{Blind, Manager};
    use crate::time::after;

    fn fine() -> Hardware {
        Hardware { volumes: Fact::Known(Check::Ok), events: Fact::Known(vec![]), auto_recovery: Fact::Known(true) }
    }

    fn event(code: &str, secs: i64, description: &str) -> ScheduledEvent {
        let not_before = Some(after(noon(), secs));
        ScheduledEvent { kind: EventKind::named(code), not_before, description: description.into() }
    }

    fn line(seen: &Seen, hardware: &Hardware, id: &str) -> String {
        let lines = lines(seen, hardware, &Policy::default(), noon());
        lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_plain_running_instance_has_nothing_but_ok() {
        let all = lines(&seen(noon()).in_cluster().in_group(), &fine(), &Policy::default(), noon());
        let odd: Vec<&CheckLine> = all.iter().filter(|line| line.verdict != Mark::Ok).collect();
        assert!(odd.is_empty(), "{odd:?}");
        let ids: Vec<&str> = all.iter().map(|line| line.id).collect();
        assert_eq!(ids, ["G01", "G10", "G02", "G03", "G04", "G05", "G12", "E01", "E02", "E03", "E04", "E09"]);
    }

    #[test]
    fn whether_trouble_is_over_comes_first() {
        let told = |seen: &Seen| line(seen, &fine(), "G01");
        assert!(told(&seen(noon())).starts_with("OK"));
        assert!(told(&seen(noon()).ssm_silent()).starts_with("WARN"));
        assert!(told(&seen(noon()).with(|seen| seen.ssm = Fact::Unknown(Blind::Throttled))).starts_with("UNKNOWN"));
    }

    #[test]
    fn an_instance_that_does_not_run_explains_its_silence() {
        for (state, mark) in
            [(InstanceState::Stopped, "FAIL"), (InstanceState::Terminated, "FAIL"), (InstanceState::Pending, "WARN")]
        {
            let text = line(&seen(noon()).state(state), &fine(), "G02");
            assert!(text.starts_with(mark), "{text}");
            assert!(line(&seen(noon()).state(state), &fine(), "E01").starts_with("UNKNOWN"), "old checks say nothing");
        }
        let unread = seen(noon()).with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled));
        assert_eq!(line(&unread, &fine(), "G02"), "UNKNOWN G02 could not read the instance's state: throttled");
        let gone = seen(noon()).with(|seen| seen.ec2 = Fact::Absent);
        assert!(line(&gone, &fine(), "G02").starts_with("FAIL"));
        assert!(line(&seen(noon()).hybrid(), &fine(), "G02").starts_with("OK"));
        assert!(line(&seen(noon()).hybrid(), &fine(), "G10").contains("no EC2 call works on it"));
    }

    #[test]
    fn planned_work_is_named() {
        let standby = seen(noon()).with_asg(|asg| asg.lifecycle = Lifecycle::Standby);
        assert!(line(&standby, &fine(), "G03").starts_with("WARN    G03 it is in Standby in the Auto Scaling group"));
        let draining = seen(noon()).with_ecs(|ecs| ecs.status = EcsStatus::Draining);
        assert!(line(&draining, &fine(), "G03").contains("draining"));
        assert!(line(&seen(noon()).busy(Busy::Patching), &fine(), "G03").contains("patched"));
        let blind = seen(noon()).with(|seen| seen.asg = Fact::Unknown(Blind::Denied));
        assert!(line(&blind, &fine(), "G03").starts_with("UNKNOWN"));
    }

    #[test]
    fn gates_are_told_in_the_guards_own_words() {
        let young = seen(noon()).with_ec2(|ec2| ec2.launched_at = after(noon(), -60));
        assert!(line(&young, &fine(), "G04").contains("it was launched 1m00s ago, the launch grace is 10m00s"));
        let managed = seen(noon()).with_ec2(|ec2| ec2.manager = Some(Manager::Eks));
        assert!(line(&managed, &fine(), "G05").contains("Amazon EKS repairs this instance"));
        let spot = seen(noon()).with_ec2(|ec2| ec2.stop.spot = true);
        assert!(line(&spot, &fine(), "G12").contains("no stop and start: it is a Spot instance"));
        let address = seen(noon()).with_ec2(|ec2| ec2.stop.public_address_changes = true);
        assert!(line(&address, &fine(), "G12").starts_with("WARN"));
    }

    #[test]
    fn status_checks_fail_with_what_helps_against_each() {
        assert!(line(&seen(noon()).hardware_failing(), &fine(), "E01").contains("fix: stop and start it"));
        let hung = seen(noon()).with_ec2(|ec2| ec2.instance_check = Check::Impaired);
        assert!(line(&hung, &fine(), "E02").contains("then reboot it"));
        let young = seen(noon()).with_ec2(|ec2| ec2.instance_check = Check::Undecided);
        assert!(line(&young, &fine(), "E02").starts_with("UNKNOWN"));
        let volumes = Hardware { volumes: Fact::Known(Check::Impaired), ..fine() };
        assert!(line(&seen(noon()), &volumes, "E03").starts_with("FAIL"));
    }

    #[test]
    fn events_that_are_over_say_nothing_and_a_retirement_comes_first() {
        let with = |events| Hardware { events: Fact::Known(events), ..fine() };
        let over = with(vec![
            event("instance-retirement", -60, "[Completed] degraded"),
            event("system-reboot", 60, "[Canceled] x"),
        ]);
        assert_eq!(line(&seen(noon()), &over, "E04"), "OK      E04 no scheduled event");
        assert_eq!(over.events.known().and_then(|events| scheduled(events)), None);
        let two = with(vec![event("system-reboot", 60, "r"), event("instance-retirement", 86_400, "d")]);
        assert!(
            line(&seen(noon()), &two, "E04")
                .contains("AWS scheduled a retirement for 2026-11-21 12:00:00 UTC; fix: drain it")
        );
        let first = two.events.known().and_then(|events| scheduled(events)).unwrap();
        assert_eq!((first.kind, first.not_before), (EventKind::Retirement, Some(after(noon(), 86_400))));
        let maintenance = with(vec![event("system-maintenance", -60, "m")]);
        assert!(line(&seen(noon()), &maintenance, "E04").contains("may be in progress"));
    }

    #[test]
    fn what_was_not_read_is_unknown() {
        let why = Blind::Unavailable;
        let dark =
            Hardware { volumes: Fact::Unknown(why), events: Fact::Unknown(why), auto_recovery: Fact::Unknown(why) };
        for id in ["E03", "E04", "E09"] {
            assert!(line(&seen(noon()), &dark, id).starts_with("UNKNOWN"), "{id}");
        }
    }

    #[test]
    fn volumes_and_a_retirement_are_findings_of_a_node_that_is_not_well() {
        let of = |seen: Seen, answers| {
            let health = Health::of(&seen, noon());
            let found = findings(seen.ec2.known().unwrap(), health, answers, noon());
            found.iter().map(|finding| (finding.cause, finding.severity)).collect::<Vec<_>>()
        };
        let volumes = |seen: Seen| seen.with_ec2(|ec2| ec2.volumes_check = Check::Impaired);
        assert_eq!(of(volumes(seen(noon()).ssm_silent()), false), [(Cause::HostIoStalled, Severity::Symptom)]);
        assert_eq!(of(volumes(seen(noon())), false), [], "a node that is well");
        let planned = |kind| {
            let not_before = Some(after(noon(), 86_400));
            seen(noon()).ssm_silent().with_ec2(|ec2| ec2.scheduled = Some(Scheduled { kind, not_before }))
        };
        for (kind, answers, severity) in [
            (EventKind::Retirement, false, Severity::Symptom),
            (EventKind::Stop, false, Severity::Symptom),
            (EventKind::Retirement, true, Severity::Noise),
            (EventKind::Reboot, false, Severity::Noise),
            (EventKind::Maintenance, false, Severity::Noise),
        ] {
            assert_eq!(of(planned(kind), answers), [(Cause::PlatformHardware, severity)], "{kind:?} {answers}");
        }
        let stopped = planned(EventKind::Retirement).state(InstanceState::Stopped);
        assert_eq!(of(stopped, false), [], "an instance that stands still");
    }
}
