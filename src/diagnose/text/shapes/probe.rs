//! Probes of a host: Defib's own lines, and the plain ones that people write: `is-active`, `df`, introspection, `docker info`.

use serde_json::Value;

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Heals, Weight};
use super::json::field;

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
    let Ok(cause) = check.parse::<Cause>() else { return false };
    let weight = match severity {
        "cause" => Weight::Cause,
        "symptom" => Weight::Symptom,
        _ => Weight::Noise,
    };
    let evidence = field(line, "evidence").as_str().unwrap_or_default();
    let evidence = if evidence.is_empty() { check } else { evidence };
    books.note(Sighting::new(&format!("probe.{check}"), Component::Probe, cause, weight, evidence), None);
    true
}
