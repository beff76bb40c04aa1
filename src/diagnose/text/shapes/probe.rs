//! Probes of a host: Defib's own lines, and the plain ones that people write: `is-active`, `df`, introspection, `docker info`.

use serde_json::Value;

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Heals, Weight};
use super::json::field;
use crate::json;

/// The words that `systemctl is-active` prints.
const STATES: [&str; 6] = ["active", "inactive", "failed", "activating", "deactivating", "unknown"];

/// Reads the sections of a probe in plain words.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// What `is-active` said before the first section: docker, then the agent.
    states: Vec<&'static str>,
    introspection: Option<String>,
    docker: Option<i32>,
    section: String,
}

impl Sections {
    pub(super) fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix("--- ") {
            self.section = name.chars().take(40).collect();
        } else if self.section.is_empty() && self.states.len() < 4 {
            self.states.extend(STATES.iter().find(|&&state| state == trimmed));
        }
        let code = |mark: &str| trimmed.rsplit_once(mark).and_then(|(_, code)| code.trim().parse::<i32>().ok());
        if self.section.contains("introspection") && code("rc=").is_some() {
            self.introspection.get_or_insert_with(|| trimmed.chars().take(600).collect());
        } else if let Some(code) = code("docker_rc=") {
            self.docker = Some(code);
        }
    }

    pub(super) fn finish(&mut self, books: &mut Books) {
        let agent = self.states.last().copied().filter(|_| self.states.len() >= 2);
        if let [docker, _, ..] = self.states.as_slice()
            && matches!(*docker, "failed" | "inactive")
            && (self.docker.is_some() || self.introspection.is_some())
        {
            let text = format!("docker is {docker}");
            note(books, "host.docker-not-active", Component::Docker, Cause::RuntimeDockerDown, Weight::Cause, &text);
        }
        if self.docker.is_some_and(|code| matches!(code, 124 | 137 | 143)) {
            note(
                books,
                "host.docker-info-timeout",
                Component::Docker,
                Cause::RuntimeDockerHung,
                Weight::Cause,
                "docker info did not end in time",
            );
        }
        let Some(line) = &self.introspection else { return };
        let code = line.rsplit_once("rc=").and_then(|(_, code)| code.trim().parse::<i32>().ok()).unwrap_or_default();
        introspection(line, code, agent, books);
    }
}

/// What the agent's own page, or its absence, means: 7 is curl's code for refused, 28 for too slow.
fn introspection(line: &str, code: i32, agent: Option<&str>, books: &mut Books) {
    let running = agent.is_none_or(|state| state == "active");
    let (id, cause, weight, reboot, restart) = match code {
        0 if line.contains("\"ContainerInstanceArn\":\"arn") => {
            books.success(Place::Ecs, Heals::Start);
            books.success(Place::Ecs, Heals::Nothing);
            return;
        }
        0 => ("host.ecs-not-registered", Cause::Unknown, Weight::Symptom, Helps::Unknown, Helps::Unknown),
        28 | 52 | 56 if running => {
            ("host.introspection-slow", Cause::EcsAgentHung, Weight::Cause, Helps::Unknown, Helps::Yes)
        }
        7 if running => ("host.introspection-refused", Cause::EcsAgentHung, Weight::Cause, Helps::No, Helps::No),
        _ => match agent {
            Some("activating") => {
                ("host.ecs-activating", Cause::EcsAgentCrashLoop, Weight::Cause, Helps::Unknown, Helps::No)
            }
            Some("inactive") => {
                ("host.ecs-inactive", Cause::EcsAgentStopped, Weight::Cause, Helps::Unknown, Helps::AfterFix)
            }
            Some("failed") => {
                ("host.ecs-failed", Cause::EcsAgentTerminalExit, Weight::Symptom, Helps::No, Helps::AfterFix)
            }
            Some(_) | None => return,
        },
    };
    let text = format!("the ECS agent ({}) answered introspection with: {line}", agent.unwrap_or("state unknown"));
    let sighting = Sighting::new(id, Component::EcsAgent, cause, weight, &text).at(Place::Ecs);
    books.note(sighting.helped(reboot, restart), None);
}

fn note(books: &mut Books, id: &str, component: Component, cause: Cause, weight: Weight, text: &str) {
    books.note(Sighting::new(id, component, cause, weight, text).at(Place::Docker), None);
}

/// One line of Defib's own probe; `false` when it is none.
pub(super) fn own(line: &Value, books: &mut Books) -> bool {
    let (Some(check), Some(severity)) = (field(line, "check").as_str(), field(line, "severity").as_str()) else {
        // The line that proves a reboot.
        return field(line, "check") == "boot";
    };
    if check == "journal" {
        // The last words of the agents, which the probe has judged already; they lie there for people.
        return true;
    }
    let Ok(cause) = check.parse::<Cause>() else { return false };
    if cause == Cause::Healthy {
        // The probe's last word where it looked at everything: what it prints besides is history.
        books.success(Place::Unknown, Heals::Nothing);
        return true;
    }
    let weight = match severity {
        "cause" => Weight::Cause,
        "symptom" => Weight::Symptom,
        _ => Weight::Noise,
    };
    let evidence = field(line, "evidence").as_str().unwrap_or_default();
    let evidence = if evidence.is_empty() { check } else { evidence };
    // A warning does not swallow what a later probe in the same text is sure of.
    let id = if weight == Weight::Cause { format!("probe.{check}") } else { format!("probe.{check}.{severity}") };
    let place = if evidence.starts_with("the ECS agent's log") { Place::Ecs } else { Place::Unknown };
    let sighting = Sighting::new(&id, Component::Probe, cause, weight, evidence).at(place);
    books.note(helping(sighting, evidence), None);
    true
}

/// A line of output that AWS passed on; `false` when it is none of Defib's own probe. AWS cuts such output wherever its limit falls, and what
/// is left of the last line is nobody's log.
pub(in crate::diagnose::text) fn passed_on(line: &str, books: &mut Books) -> bool {
    let line = line.trim();
    if !line.starts_with("{\"check\":\"") {
        return false;
    }
    match json::read::<Value>(line) {
        Ok(whole) => own(&whole, books),
        Err(error) if error.is_eof() => {
            if let Ok(cut) = json::read::<Value>(&format!("{line}\"}}")) {
                own(&cut, books);
            }
            true
        }
        Err(_) => false,
    }
}

/// What the probe's own words say of a remedy that the cause alone does not, as for `systemctl show`: a unit that is masked does
/// not start, one that is disabled is not there after a boot, and one that is enabled and merely stopped is. What the metadata
/// service gives out is as old after a restart.
fn helping(sighting: Sighting, evidence: &str) -> Sighting {
    let says = |words: &str| evidence.contains(words);
    if sighting.cause == Cause::IdentityCredentialsExpired && says("the credentials of role ") {
        return sighting.helped(Helps::No, Helps::No);
    }
    // One application that waits for its disk is no ground to reboot a machine.
    if sighting.cause == Cause::HostKernelHang && sighting.weight != Weight::Cause && says(" blocked for more than ") {
        return sighting.helped(Helps::Unknown, Helps::No);
    }
    match (sighting.cause == Cause::SsmAgentStopped, sighting.cause == Cause::EcsAgentStopped) {
        (false, false) => sighting,
        _ if says("it is not installed") => sighting.helped(Helps::No, Helps::No),
        _ if says(" is masked") => sighting.helped(Helps::No, Helps::AfterFix),
        _ if says(", disabled, ") => sighting.helped(Helps::No, Helps::Yes),
        (true, _) if says(", enabled, ") && (says(" is inactive ") || says("exit code 194, after which")) => {
            sighting.helped(Helps::Yes, Helps::Yes)
        }
        _ => sighting,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Answer, read};
    use super::*;
    use crate::diagnose::Severity;

    const BOOT: &str =
        r#"{"check":"boot","booted_at":"2026-11-20T11:00:00Z","boot_id":"57ed6975-ea0f-4ae0-a672-6b9fa49b58a1"}"#;

    fn said(lines: &[(&str, &str, &str)]) -> Answer {
        let told = |(check, severity, evidence): &(&str, &str, &str)| {
            format!(r#"{{"check":"{check}","severity":"{severity}","evidence":"{evidence}"}}"#)
        };
        let lines: Vec<String> = lines.iter().map(told).collect();
        read(None, format!("{BOOT}\n{}\n", lines.join("\n")).as_bytes())
    }

    fn helps(evidence: &str) -> (Helps, Helps) {
        let answer = said(&[("ssm-agent.stopped", "cause", evidence)]);
        (answer.reboot_helps, answer.restart_agent_helps)
    }

    #[test]
    fn only_a_probe_that_looked_at_everything_makes_a_host_healthy() {
        let history = ("host.out-of-memory", "noise", "the limit of one container");
        let all = ("healthy", "noise", "all was looked at, and nothing is wrong");
        let well = said(&[all, history]);
        assert_eq!((well.cause, well.reboot_helps, well.restart_agent_helps), (Cause::Healthy, Helps::No, Helps::No));
        assert!(well.findings.iter().all(|finding| finding.severity == Severity::Noise), "{:?}", well.findings);
        assert_eq!(said(&[history]).cause, Cause::Unknown);
        assert_eq!(said(&[]).cause, Cause::Unknown, "it may have been ended before its first look");
    }

    #[test]
    fn one_application_that_waits_is_no_ground_for_a_reboot() {
        let waits = "2 times, last 60 s ago: INFO: task java:4711 blocked for more than 122 seconds.";
        let of = |severity| {
            let answer = said(&[("host.kernel-hang", severity, waits)]);
            (answer.cause, answer.reboot_helps)
        };
        assert_eq!(of("symptom"), (Cause::HostKernelHang, Helps::Unknown));
        assert_eq!(of("cause"), (Cause::HostKernelHang, Helps::Yes));
    }

    #[test]
    fn the_last_words_of_the_agents_are_no_findings() {
        let words = ("journal", "noise", "units: Out of memory: Killed process 1 (dockerd); no space left on device");
        let all = ("healthy", "noise", "all was looked at, and nothing is wrong");
        let answer = said(&[all, words]);
        assert_eq!((answer.cause, answer.findings.len()), (Cause::Healthy, 0), "{:?}", answer.findings);
    }

    #[test]
    fn what_aws_passes_on_of_a_probe_is_read_as_the_probe() {
        let passed = |lines: &str| {
            let output = serde_json::json!({ "Status": "Success", "StandardOutputContent": lines });
            read(None, output.to_string().as_bytes())
        };
        let all = r#"{"check":"healthy","severity":"noise","evidence":"all was looked at, and nothing is wrong"}"#;
        let words = r#"{"check":"journal","severity":"noise","evidence":"units: no space left on device"}"#;
        for cut in [words.len(), words.len() - 4, 30, 12] {
            let answer = passed(&format!("{BOOT}\n{all}\n{}", &words[..cut]));
            assert_eq!(answer.cause, Cause::Healthy, "{cut}: {:?}", answer.findings);
        }
        let full = r#"{"check":"host.disk-full","severity":"cause","evidence":"/ is 100 % full"}"#;
        let answer = passed(&format!("{BOOT}\n{full}\n{words}\n"));
        assert_eq!((answer.cause, &*answer.findings[0].signature), (Cause::HostDiskFull, "probe.host.disk-full"));
        assert_eq!(
            passed("{\"check\":\"disk\"} No space left on device\n").cause,
            Cause::HostDiskFull,
            "somebody else's"
        );
    }

    #[test]
    fn the_probes_own_order_stands() {
        let denied = ("identity.access-denied", "cause", "its log, 3 times: AccessDenied");
        let full = ("host.disk-full", "cause", "/ is 100 % full");
        assert_eq!(said(&[denied, full]).cause, Cause::IdentityAccessDenied);
        assert_eq!(said(&[denied, full]).also, [Cause::HostDiskFull]);
        let warned = ("host.disk-full", "noise", "/ is 91 % full");
        assert_eq!(said(&[warned, full]).cause, Cause::HostDiskFull, "a warning swallows no cause");
    }

    #[test]
    fn credentials_that_the_metadata_service_gives_out_are_as_old_after_a_restart() {
        let of = |evidence| said(&[("identity.credentials-expired", "cause", evidence)]).restart_agent_helps;
        assert_eq!(of("the credentials of role node-role ended at 2026-11-20T10:00:00Z"), Helps::No);
        assert_eq!(of("the ECS agent's log, 3 times: ExpiredTokenException"), Helps::No, "it tries again by itself");
        assert_eq!(of("its log, 3 times: ExpiredTokenException"), Helps::Unknown);
    }

    #[test]
    fn what_helps_a_stopped_agent_depends_on_its_unit() {
        assert_eq!(helps("x.service is inactive (dead), enabled, last exit code 0"), (Helps::Yes, Helps::Yes));
        assert_eq!(helps("x.service is inactive (dead), disabled, last exit code 0"), (Helps::No, Helps::Yes));
        assert_eq!(helps("x.service is masked"), (Helps::No, Helps::AfterFix));
        assert_eq!(helps("systemd knows no unit: it is not installed"), (Helps::No, Helps::No));
        assert_eq!(helps("x.service is failed (failed), enabled, last exit code 1"), (Helps::Unknown, Helps::Yes));
    }
}
