//! From findings to one cause.
//!
//! A cause outranks a symptom, and a symptom noise. Among causes, the one that explains the others comes first: no role, no
//! way out and a wrong clock silence both agents whatever else is wrong; a full disk breaks an agent's state, not the other
//! way round (facts/host.md §7.9).

use std::sync::Arc;

use jiff::Timestamp;

use super::{Cause, Channel, Diagnosis, Family, Finding, Severity, platform};
use crate::observe::{
    ANSWER_FRESH_SECS, Blind, Check, Connection, EcsStatus, Fact, Health, InstanceState, InvocationStatus, Observation,
    Probe, ProbeAnswer, Standing,
};
use crate::time::secs_between;

/// A probe's findings describe the host for this long, in seconds.
const PROBE_FINDINGS_SECS: i64 = 1_800;

/// Names the cause of what was seen.
#[must_use]
pub fn diagnose(seen: &Observation, health: Health, now: Timestamp) -> Diagnosis {
    let mut findings = gather(seen, health, now);
    // Stable, so that channels keep their order among equals.
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), rank(finding.cause)));
    let (cause, confidence) = name(&findings, health);
    let mut also: Vec<Cause> = Vec::new();
    for finding in &findings {
        if finding.severity > Severity::Noise && finding.cause != cause && !also.contains(&finding.cause) {
            also.push(finding.cause);
        }
    }
    if cause == Cause::Unknown && also.is_empty() {
        also.extend_from_slice(alternatives(health));
    }
    also.truncate(4);
    Diagnosis { cause, confidence, also, findings: findings.into() }
}

fn gather(seen: &Observation, health: Health, now: Timestamp) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for channel in [seen.identity.known(), seen.network.known()].into_iter().flatten() {
        findings.extend(channel.iter().cloned());
    }
    if let Some((said, sent_at)) = answered(seen, now) {
        // What the host said a while ago points somewhere, and proves nothing any more (S7).
        let fresh = secs_between(sent_at, now) <= ANSWER_FRESH_SECS;
        findings.extend(said.iter().map(|finding| {
            // A client that gave up explains nothing of a node that is ill: its logs are full of sessions that ended.
            let own = finding.cause != Cause::SessionClientGaveUp || health.is_well();
            let severity = match (own, fresh) {
                (false, _) => Severity::Noise,
                (true, true) => finding.severity,
                (true, false) => finding.severity.min(Severity::Symptom),
            };
            Finding { severity, ..finding.clone() }
        }));
    }
    // The console is history: a host that answers a probe and says nothing of the kind has it behind itself.
    let outlived = health.ssm == Standing::Well && answered(seen, now).is_some();
    for finding in seen.console.known().into_iter().flat_map(|console| console.iter()) {
        let repeated = findings.iter().any(|other| other.cause == finding.cause);
        let own = finding.cause != Cause::SessionClientGaveUp || health.is_well();
        let severity = if outlived && !repeated || !own { Severity::Noise } else { finding.severity };
        findings.push(Finding { severity, ..finding.clone() });
    }
    if let Some(ec2) = seen.ec2.known()
        && ec2.state == InstanceState::Running
    {
        if ec2.system_check == Check::Impaired {
            // The check lags behind by minutes; a host that answers a probe knows better what ails it.
            let severity = if outlived { Severity::Symptom } else { Severity::Cause };
            let text = "the system status check is impaired";
            findings.push(says(Cause::PlatformHardware, severity, Channel::Ec2, text));
        }
        // Before the operating system's check, which fails too where its root volume does not answer.
        findings.extend(platform::findings(ec2, health, outlived, now));
        if ec2.instance_check == Check::Impaired {
            // The operating system does not answer ARP: why is for the console to say.
            let severity = Severity::Symptom;
            findings.push(says(Cause::HostKernelHang, severity, Channel::Ec2, "the instance status check is impaired"));
        }
    }
    if let Some(ecs) = seen.ecs.known() {
        if ecs.runtime_check == Check::Impaired {
            let severity = Severity::Symptom;
            findings.push(says(
                Cause::RuntimeDockerHung,
                severity,
                Channel::Ecs,
                "the check CONTAINER_RUNTIME is impaired",
            ));
        }
        if ecs.status == EcsStatus::Inactive {
            let severity = Severity::Cause;
            findings.push(says(
                Cause::EcsAgentDeregistered,
                severity,
                Channel::Ecs,
                "the container instance is INACTIVE",
            ));
        }
    }
    if health.ssm == Standing::Ill
        && let Some(ssm) = seen.ssm.known()
        && ssm.connection == Fact::Known(Connection::Connected)
    {
        let text = "connected, and yet a probe was not taken";
        findings.push(says(Cause::SsmAgentWorkersExhausted, Severity::Symptom, Channel::Ssm, text));
    }
    findings.extend(nobody_answers(seen, health));
    if let Some(left) = seen.sessions.known().map(|sessions| &sessions.left)
        && let Some(first) = left.first()
        && health.is_well()
    {
        let text = format!("session {} is Disconnected: its client is gone, and the agent answers", first.as_str());
        findings.push(says(Cause::SessionClientGaveUp, Severity::Cause, Channel::Ssm, &text));
    }
    match seen.invocation.known().map(|invocation| invocation.status) {
        Some(InvocationStatus::ExecutionTimedOut) if health.is_well() => {
            let text = "ExecutionTimedOut: the script ran longer than it may";
            findings.push(says(Cause::CommandScriptTimeout, Severity::Cause, Channel::Ssm, text));
        }
        Some(InvocationStatus::Rejected) if health.is_well() => {
            let text = "the command never reached the node";
            findings.push(says(Cause::CommandRejected, Severity::Cause, Channel::Ssm, text));
        }
        Some(
            InvocationStatus::ExecutionTimedOut
            | InvocationStatus::Rejected
            | InvocationStatus::Open
            | InvocationStatus::Success
            | InvocationStatus::DeliveryTimedOut
            | InvocationStatus::Failed
            | InvocationStatus::Undeliverable,
        )
        | None => {}
    }
    findings
}

/// Where none of the services that know the node's agents answers, it is they who are in trouble, as far as anybody can see.
fn nobody_answers(seen: &Observation, health: Health) -> Option<Finding> {
    let silent = |blind: Option<Blind>| matches!(blind, Some(Blind::Unavailable | Blind::Throttled));
    let (ssm, ecs) = (seen.ssm.blind(), seen.ecs.blind());
    let nobody = silent(ssm) && (silent(ecs) || health.ecs == Standing::NotPresent);
    let why = ssm.filter(|_| nobody)?;
    let text = format!("Systems Manager and ECS cannot say anything of its agents: {}", why.as_str());
    Some(says(Cause::ServiceUnavailable, Severity::Symptom, Channel::Ssm, &text))
}

/// What it may be where nothing shows it. An SSM agent that is silent alone, on a node whose ways out, role and console say nothing,
/// is stopped, or hangs, or hibernates: from outside these look the same.
fn alternatives(health: Health) -> &'static [Cause] {
    match (health.ssm, health.ecs) {
        (Standing::Ill | Standing::Suspect, Standing::Well | Standing::NotPresent) => {
            &[Cause::SsmAgentHung, Cause::SsmAgentStopped, Cause::SsmAgentHibernating]
        }
        (Standing::Ill | Standing::Suspect, Standing::Ill | Standing::Suspect | Standing::Unknown)
        | (Standing::Well | Standing::NotPresent | Standing::Unknown, _) => &[],
    }
}

/// The findings of a probe that still describes the host.
fn answered(seen: &Observation, now: Timestamp) -> Option<(&crate::observe::Findings, Timestamp)> {
    match seen.probe.known() {
        Some(Probe { sent_at, answer: ProbeAnswer::Answered { findings, .. } })
            if secs_between(*sent_at, now) <= PROBE_FINDINGS_SECS =>
        {
            Some((findings, *sent_at))
        }
        Some(_) | None => None,
    }
}

fn says(cause: Cause, severity: Severity, channel: Channel, evidence: &str) -> Finding {
    Finding { cause, severity, channel, evidence: Arc::from(evidence) }
}

/// The cause that the weightiest finding names, and how sure it is.
fn name(findings: &[Finding], health: Health) -> (Cause, u8) {
    match findings.first() {
        Some(first) if first.severity == Severity::Cause => {
            let channels =
                findings.iter().filter(|other| other.cause == first.cause && other.channel != first.channel).count();
            (first.cause, if channels > 0 { 97 } else { 90 })
        }
        Some(first) if first.severity == Severity::Symptom => (first.cause, 60),
        Some(_) | None if health.is_well() => (Cause::Healthy, 95),
        Some(_) | None => (Cause::Unknown, 20),
    }
}

/// The place of a cause among causes of the same weight: what explains the others comes first.
fn rank(cause: Cause) -> u8 {
    match cause.family() {
        // Before the hardware: without a role or a way out no agent comes back from a stop and start either, and a status
        // check lags behind by minutes.
        Family::Identity => 0,
        Family::Network => 1,
        Family::Clock => 2,
        Family::Platform => 3,
        Family::Host => 4,
        Family::Runtime => 5,
        Family::EcsAgent => 6,
        Family::SsmAgent => 7,
        Family::Elsewhere => 8,
        Family::Unknown => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Blind;
    use crate::observe::samples::{Seen, finding, noon, seen};
    use crate::time::after;

    fn found(seen: &Seen) -> Diagnosis {
        diagnose(seen, Health::of(seen, noon()), noon())
    }

    fn cause(seen: &Seen) -> (Cause, u8) {
        let found = found(seen);
        (found.cause, found.confidence)
    }

    #[test]
    fn a_well_node_is_healthy_and_a_silent_one_that_says_nothing_is_unknown() {
        assert_eq!(cause(&seen(noon()).in_cluster()), (Cause::Healthy, 95));
        assert_eq!(cause(&seen(noon()).ssm_silent()), (Cause::Unknown, 20));
    }

    #[test]
    fn what_explains_the_others_comes_first() {
        let families = [
            Cause::IdentityNoInstanceProfile,
            Cause::NetworkDns,
            Cause::ClockSkew,
            Cause::PlatformHardware,
            Cause::HostDiskFull,
            Cause::RuntimeDockerDown,
            Cause::EcsAgentHung,
            Cause::SsmAgentStopped,
            Cause::CommandRejected,
        ];
        for pair in families.windows(2) {
            for order in [[pair[0], pair[1]], [pair[1], pair[0]]] {
                let found = found(&seen(noon()).host_says(&order));
                assert_eq!((found.cause, found.also), (pair[0], vec![pair[1]]));
            }
        }
    }

    #[test]
    fn a_cause_outranks_a_symptom_and_a_symptom_noise() {
        let say = |severities: &[(Cause, Severity)]| {
            let console = severities
                .iter()
                .map(|&(cause, severity)| Finding { severity, ..finding(cause, Channel::Console) })
                .collect();
            cause(&seen(noon()).ssm_silent().with(|seen| seen.console = Fact::Known(console)))
        };
        let (symptom, noise) = (Severity::Symptom, Severity::Noise);
        let agent = (Cause::SsmAgentStopped, Severity::Cause);
        assert_eq!(say(&[(Cause::NetworkDns, symptom), agent]), (Cause::SsmAgentStopped, 90));
        assert_eq!(say(&[(Cause::NetworkDns, noise), (Cause::HostKernelHang, symptom)]), (Cause::HostKernelHang, 60));
        assert_eq!(say(&[(Cause::NoisePeriodicReconnect, noise)]), (Cause::Unknown, 20));
    }

    #[test]
    fn a_session_that_its_client_gave_up_explains_a_node_that_is_well_and_no_other() {
        let well = seen(noon()).host_says(&[Cause::SessionClientGaveUp]);
        assert_eq!(cause(&well), (Cause::SessionClientGaveUp, 90));
        let ill = seen(noon()).ecs_lost().host_says(&[Cause::SessionClientGaveUp, Cause::EcsAgentHung]);
        assert_eq!(cause(&ill), (Cause::EcsAgentHung, 90));
        assert_eq!(cause(&seen(noon()).ecs_lost().host_says(&[Cause::SessionClientGaveUp])).0, Cause::Unknown);
        let left = seen(noon()).with(|seen| {
            let left: std::sync::Arc<[_]> = std::sync::Arc::from(["ann-0a1b2c3d".parse().unwrap()]);
            seen.sessions = Fact::Known(crate::observe::Sessions { live: 1, who: left.clone(), left });
        });
        assert_eq!(cause(&left), (Cause::SessionClientGaveUp, 90), "as DescribeSessions shows it");
        assert!(found(&left).findings[0].evidence.contains("ann-0a1b2c3d is Disconnected"));
    }

    #[test]
    fn two_channels_are_surer_than_one() {
        let both = seen(noon()).ssm_silent().profile_missing().console_says(Cause::IdentityNoInstanceProfile);
        assert_eq!(cause(&both), (Cause::IdentityNoInstanceProfile, 97));
        assert_eq!(cause(&seen(noon()).ssm_silent().profile_missing()), (Cause::IdentityNoInstanceProfile, 90));
    }

    #[test]
    fn status_checks_speak_only_of_a_running_instance() {
        assert_eq!(cause(&seen(noon()).hardware_failing()), (Cause::PlatformHardware, 90));
        let stopped = seen(noon()).hardware_failing().state(InstanceState::Stopped);
        assert_eq!(found(&stopped).findings.len(), 0);
        let hung = seen(noon()).ssm_silent().with_ec2(|ec2| ec2.instance_check = Check::Impaired);
        assert_eq!(cause(&hung), (Cause::HostKernelHang, 60), "why, is for the console to say");
    }

    #[test]
    fn ecs_and_ssm_leave_findings_of_their_own() {
        let gone = seen(noon()).with_ecs(|ecs| ecs.status = EcsStatus::Inactive);
        assert_eq!(cause(&gone), (Cause::EcsAgentDeregistered, 90));
        assert_eq!(cause(&seen(noon()).docker_hung()), (Cause::RuntimeDockerHung, 60));
        let exhausted = seen(noon()).probe_lost(after(noon(), -95));
        assert_eq!(cause(&exhausted), (Cause::SsmAgentWorkersExhausted, 60));
    }

    #[test]
    fn a_scripts_own_end_explains_only_a_node_that_is_well() {
        for (status, expected) in [
            (InvocationStatus::ExecutionTimedOut, Cause::CommandScriptTimeout),
            (InvocationStatus::Rejected, Cause::CommandRejected),
        ] {
            assert_eq!(cause(&seen(noon()).invocation(status)).0, expected);
            assert_eq!(cause(&seen(noon()).ssm_silent().invocation(status)).0, Cause::Unknown);
        }
    }

    #[test]
    fn an_old_probe_says_nothing_about_the_host_any_more() {
        let at =
            |secs: i64| seen(noon()).ssm_silent().probe_answered(after(noon(), -secs), noon(), &[Cause::ClockSkew]);
        assert_eq!(cause(&at(1_800)).0, Cause::ClockSkew);
        assert_eq!(cause(&at(1_801)).0, Cause::Unknown);
    }

    #[test]
    fn a_channel_that_could_not_be_read_says_nothing() {
        let blind = seen(noon()).ssm_silent().with(|seen| seen.console = Fact::Unknown(Blind::Denied));
        assert_eq!(cause(&blind), (Cause::Unknown, 20));
    }

    #[test]
    fn at_most_four_other_causes_are_named() {
        let all: Vec<Cause> = Cause::ALL.iter().copied().take(12).collect();
        assert_eq!(found(&seen(noon()).host_says(&all)).also.len(), 4);
    }

    #[test]
    fn impaired_volumes_explain_a_system_that_does_not_answer_and_a_retirement_one_that_passes_its_checks() {
        use crate::observe::{EventKind, Scheduled};
        let volumes = seen(noon()).ssm_silent().with_ec2(|ec2| {
            (ec2.instance_check, ec2.volumes_check) = (Check::Impaired, Check::Impaired);
        });
        assert_eq!(found(&volumes).also, [Cause::HostKernelHang]);
        assert_eq!(cause(&volumes), (Cause::HostIoStalled, 60));
        let retired = |seen: Seen| {
            let scheduled = Some(Scheduled { kind: EventKind::Retirement, not_before: Some(after(noon(), 86_400)) });
            seen.with_ec2(|ec2| ec2.scheduled = scheduled)
        };
        assert_eq!(cause(&retired(seen(noon()).ssm_silent())), (Cause::PlatformHardware, 60));
        assert_eq!(cause(&retired(seen(noon()))), (Cause::Healthy, 95));
        // What is certain outweighs what is only announced.
        let denied = retired(seen(noon()).ssm_silent().profile_missing());
        assert_eq!(cause(&denied).0, Cause::IdentityNoInstanceProfile);
    }

    #[test]
    fn an_ssm_agent_that_is_silent_alone_has_its_alternatives() {
        let alone = [Cause::SsmAgentHung, Cause::SsmAgentStopped, Cause::SsmAgentHibernating];
        assert_eq!(found(&seen(noon()).in_cluster().ssm_silent()).also, alone);
        assert_eq!(found(&seen(noon()).ssm_silent()).also, alone);
        assert_eq!(found(&seen(noon()).ecs_lost().ssm_silent()).also, [], "both: the host, or what both need");
        assert_eq!(found(&seen(noon()).in_cluster()).also, []);
    }

    #[test]
    fn services_that_do_not_answer_are_named_where_nothing_else_can_be_seen() {
        let dark = |ssm, ecs| {
            seen(noon()).in_cluster().with(|seen| (seen.ssm, seen.ecs) = (Fact::Unknown(ssm), Fact::Unknown(ecs)))
        };
        let out = Blind::Unavailable;
        assert_eq!(cause(&dark(out, Blind::Throttled)), (Cause::ServiceUnavailable, 60));
        assert_eq!(cause(&dark(out, Blind::Denied)).0, Cause::Unknown, "our own leave is missing");
        assert_eq!(cause(&dark(Blind::NotRead, out)).0, Cause::Unknown);
        let half = seen(noon()).ecs_lost().with(|seen| seen.ssm = Fact::Unknown(out));
        assert_eq!(cause(&half).0, Cause::Unknown, "ECS answers");
        let without_ecs = seen(noon()).with(|seen| seen.ssm = Fact::Unknown(out));
        assert_eq!(cause(&without_ecs).0, Cause::ServiceUnavailable);
    }
}
