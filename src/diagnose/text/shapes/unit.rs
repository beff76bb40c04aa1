//! `systemctl status` and `systemctl show` of the agents' and docker's units.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::cut::cut;
use super::super::place::Place;
use super::super::signature::{Component, Weight};

/// Whose unit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Ssm,
    Ecs,
    Docker,
    Other,
}

/// What is known of one unit.
#[derive(Debug, Default)]
struct Unit {
    owner: Option<Owner>,
    load: String,
    file: String,
    active: String,
    sub: String,
    result: String,
    status: Option<i32>,
    evidence: String,
    lines: u32,
    cgroup_agent: bool,
    cgroup_worker: bool,
    /// It has been in its state for minutes at least.
    settled: bool,
}

/// Reads units.
#[derive(Debug, Default)]
pub(super) struct Units {
    unit: Unit,
    /// Whether the text speaks of an agent elsewhere, for output that leaves the unit's name out.
    speaks_of_ssm: bool,
    speaks_of_ecs: bool,
}

impl Units {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        self.speaks_of_ssm |= line.contains("amazon-ssm-agent") || line.contains("ssm-agent-worker");
        self.speaks_of_ecs |= line.contains("amazon-ecs") || line.contains("ecs-agent") || line.contains("ecs.service");
        let trimmed = line.trim();
        if missing(trimmed, books) {
            return;
        }
        if let Some(name) = header(trimmed) {
            self.close(Place::Unknown, books);
            self.unit = Unit { owner: Some(owner(name)), evidence: trimmed.to_owned(), ..Unit::default() };
        } else if let Some((key, value)) = cut(trimmed, ": ").filter(|_| self.unit.owner.is_some()) {
            self.status_line(key.trim(), value.trim());
        } else if let Some((key, value)) =
            trimmed.split_once('=').filter(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            self.property(key, value, books);
        } else if self.unit.owner == Some(Owner::Ssm) {
            self.unit.cgroup_agent |= trimmed.ends_with("amazon-ssm-agent");
            self.unit.cgroup_worker |= trimmed.contains("ssm-agent-worker");
        }
    }

    /// A program of that kind speaks in the text.
    pub(super) fn speaks(&mut self, place: Place) {
        self.speaks_of_ssm |= place == Place::Ssm;
        self.speaks_of_ecs |= place == Place::Ecs;
    }

    fn status_line(&mut self, key: &str, value: &str) {
        match key {
            "Loaded" => {
                first(value).clone_into(&mut self.unit.load);
                value
                    .split([';', ')'])
                    .map(str::trim)
                    .find(|part| is_file_state(part))
                    .unwrap_or_default()
                    .clone_into(&mut self.unit.file);
            }
            "Active" => {
                let mut words = value.split([' ', '(', ')']).filter(|word| !word.is_empty());
                words.next().unwrap_or_default().clone_into(&mut self.unit.active);
                words.next().unwrap_or_default().clone_into(&mut self.unit.sub);
                after(value, "Result: ").unwrap_or_default().clone_into(&mut self.unit.result);
                let ago = value.rsplit_once(';').map(|(_, ago)| ago.trim()).unwrap_or_default();
                self.unit.settled =
                    ago.ends_with("ago") && ["min", "h ", "day", "week", "month"].iter().any(|w| ago.contains(w));
            }
            "Main PID" | "Process" => {
                self.unit.status =
                    after(value, "status=").and_then(super::leading_number).map(whole).or(self.unit.status);
                if value.contains("code=killed") && self.unit.result.is_empty() {
                    "signal".clone_into(&mut self.unit.result);
                }
            }
            _ => return,
        }
        self.unit.lines += 1;
        if self.unit.evidence.len() < 600 {
            self.unit.evidence = format!("{} {key}: {value}", self.unit.evidence);
        }
    }

    fn property(&mut self, key: &str, value: &str, books: &mut Books) {
        let known = [
            "Id",
            "Names",
            "LoadState",
            "UnitFileState",
            "ActiveState",
            "SubState",
            "Result",
            "ExecMainStatus",
            "NRestarts",
        ];
        if !known.contains(&key) {
            return;
        }
        let unit = &mut self.unit;
        let again = match key {
            "Id" => unit.lines > 0 && !unit.active.is_empty(),
            "ActiveState" => !unit.active.is_empty(),
            _ => false,
        };
        if again {
            self.close(Place::Unknown, books);
            self.unit = Unit::default();
        }
        let unit = &mut self.unit;
        match key {
            "Id" | "Names" => unit.owner = Some(owner(value)),
            "LoadState" => value.clone_into(&mut unit.load),
            "UnitFileState" => value.clone_into(&mut unit.file),
            "ActiveState" => value.clone_into(&mut unit.active),
            "SubState" => value.clone_into(&mut unit.sub),
            "Result" => value.clone_into(&mut unit.result),
            "ExecMainStatus" => unit.status = value.parse().ok(),
            _ => {}
        }
        unit.lines += 1;
        if unit.evidence.len() < 600 {
            unit.evidence = format!("{} {key}={value}", unit.evidence);
        }
    }

    pub(super) fn finish(&mut self, place: Place, books: &mut Books) {
        self.close(place, books);
        self.unit = Unit::default();
    }

    fn close(&mut self, place: Place, books: &mut Books) {
        if self.unit.lines == 0 || (self.unit.active.is_empty() && self.unit.load.is_empty()) {
            return;
        }
        let owner = self.unit.owner.unwrap_or(match place {
            Place::Ssm => Owner::Ssm,
            Place::Ecs => Owner::Ecs,
            Place::Docker => Owner::Docker,
            _ if self.speaks_of_ecs && !self.speaks_of_ssm => Owner::Ecs,
            _ if self.speaks_of_ssm && !self.speaks_of_ecs => Owner::Ssm,
            // A failing SSM agent ends with 0 or 194 (facts/host.md §7.3); without a name it stays a guess.
            _ if self.unit.load == "masked" || matches!(self.unit.status, Some(1 | 2 | 5)) => Owner::Ecs,
            _ => Owner::Ssm,
        });
        judge(&self.unit, owner, self.unit.owner.is_some(), books);
    }
}

/// What the state of a unit means.
fn judge(unit: &Unit, owner: Owner, certain: bool, books: &mut Books) {
    let (component, place, stopped, looping) = match owner {
        Owner::Ssm => (Component::SsmAgent, Place::Ssm, Cause::SsmAgentStopped, Cause::SsmAgentStopped),
        Owner::Ecs => (Component::EcsAgent, Place::Ecs, Cause::EcsAgentStopped, Cause::EcsAgentCrashLoop),
        Owner::Docker => (Component::Docker, Place::Docker, Cause::RuntimeDockerDown, Cause::RuntimeDockerDown),
        Owner::Other => return,
    };
    let also: &[Cause] = if certain { &[] } else { &[Cause::EcsAgentStopped, Cause::SsmAgentStopped] };
    let mut note = |id: &str, cause, weight, reboot, restart| {
        let sighting = Sighting::new(&format!("unit.{id}"), component, cause, weight, &unit.evidence).at(place);
        books.note(sighting.helped(reboot, restart).or(also), None);
    };
    let (yes, no, unknown, fix) = (Helps::Yes, Helps::No, Helps::Unknown, Helps::AfterFix);
    let docker = owner == Owner::Docker;
    match (unit.load.as_str(), unit.active.as_str()) {
        ("masked", active) if active != "active" => note("masked", stopped, Weight::Cause, no, fix),
        ("not-found", _) => note("not-found", stopped, Weight::Cause, no, no),
        (_, "active") if unit.sub == "exited" || unit.sub == "dead" => {
            note("exited", stopped, Weight::Symptom, unknown, unknown);
        }
        (_, "active") if owner == Owner::Ssm && unit.cgroup_agent && !unit.cgroup_worker => {
            // Without credentials the core waits and starts no worker (facts/host.md §1).
            note("no-worker", Cause::Unknown, Weight::Symptom, unknown, unknown);
        }
        (_, "active") if unit.settled => note("active-long", Cause::Healthy, Weight::Noise, no, no),
        (_, "active") => note("active", Cause::Healthy, Weight::Noise, no, no),
        (_, "activating") if unit.sub == "auto-restart" || unit.result.contains("exit-code") => {
            let weight = if owner == Owner::Ssm { Weight::Symptom } else { Weight::Cause };
            note("auto-restart", looping, weight, unknown, no);
        }
        (_, "activating") => note("activating", Cause::Unknown, Weight::Noise, unknown, unknown),
        (_, "deactivating") if docker => note("stopping", Cause::RuntimeDockerHung, Weight::Symptom, unknown, no),
        (_, "deactivating") => note("stopping", stopped, Weight::Symptom, unknown, unknown),
        (_, "failed" | "inactive") => match (unit.result.as_str(), unit.status) {
            (_, Some(5)) if owner == Owner::Ecs => note("exit-5", Cause::EcsAgentTerminalExit, Weight::Cause, no, fix),
            ("oom-kill", _) => note("oom-kill", Cause::HostOutOfMemory, Weight::Cause, unknown, unknown),
            (_, Some(203)) => note("exec-missing", stopped, Weight::Cause, no, no),
            (_, Some(194)) if owner == Owner::Ssm => note("exit-194", stopped, Weight::Cause, yes, yes),
            ("start-limit-hit" | "start-limit", _) => note("start-limit", looping, Weight::Cause, unknown, fix),
            ("timeout", _) if docker => note("timeout", Cause::RuntimeDockerHung, Weight::Cause, unknown, no),
            _ if docker => note("docker-not-active", stopped, Weight::Cause, unknown, no),
            _ if owner == Owner::Ecs && unit.active == "failed" => note("failed", looping, Weight::Symptom, no, fix),
            // It starts with the host again, if it is enabled.
            _ if owner == Owner::Ssm => {
                let reboot = match unit.file.as_str() {
                    "disabled" | "masked" => no,
                    "" => unknown,
                    _ => yes,
                };
                let reboot = if unit.active == "failed" || !certain { unknown } else { reboot };
                note("stopped", stopped, Weight::Cause, reboot, yes);
            }
            _ => note("stopped", stopped, Weight::Cause, unknown, yes),
        },
        _ => {}
    }
}

/// `Unit amazon-ssm-agent.service could not be found.` and its kin.
fn missing(line: &str, books: &mut Books) -> bool {
    let name = line
        .strip_prefix("Unit ")
        .and_then(|rest| cut(rest, " could not be found"))
        .or_else(|| {
            cut(line, "Failed to ")
                .and_then(|(_, rest)| cut(rest, ": Unit "))
                .and_then(|(_, rest)| cut(rest, " not found"))
        })
        .or_else(|| {
            cut(line, "Failed to ")
                .and_then(|(_, rest)| cut(rest, ": Unit "))
                .and_then(|(_, rest)| cut(rest, " not loaded"))
        })
        .map(|(name, _)| name);
    let Some(name) = name else { return false };
    let (component, place, cause) = match owner(name) {
        Owner::Ssm => (Component::SsmAgent, Place::Ssm, Cause::SsmAgentStopped),
        Owner::Ecs => (Component::EcsAgent, Place::Ecs, Cause::EcsAgentStopped),
        Owner::Docker => (Component::Docker, Place::Docker, Cause::RuntimeDockerDown),
        Owner::Other => return false,
    };
    let sighting = Sighting::new("unit.not-installed", component, cause, Weight::Cause, line).at(place);
    books.note(sighting.helped(Helps::No, Helps::No), None);
    true
}

/// What `systemctl is-active` or `is-enabled` answered for a unit.
pub(super) fn said(name: &str, answer: &str, books: &mut Books) {
    let mut unit =
        Unit { owner: Some(owner(name)), evidence: format!("{name} is {answer}"), lines: 1, ..Unit::default() };
    match answer {
        "active" | "failed" | "inactive" | "activating" | "deactivating" => answer.clone_into(&mut unit.active),
        "masked" | "not-found" => answer.clone_into(&mut unit.load),
        _ => return,
    }
    judge(&unit, owner(name), true, books);
}

/// The name in `● ecs.service - Amazon Elastic Container Service`.
fn header(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(['●', '○', '×', '↻', '*'])?.trim_start();
    let name = rest.split_whitespace().next()?;
    name.contains('.').then_some(name)
}

fn owner(name: &str) -> Owner {
    if name.contains("ssm-agent") {
        Owner::Ssm
    } else if name.starts_with("ecs") || name.starts_with("amazon-ecs") {
        Owner::Ecs
    } else if name.starts_with("docker.service")
        || name == "docker"
        || name.starts_with("containerd")
        || name.contains("snap.docker")
    {
        Owner::Docker
    } else {
        Owner::Other
    }
}

fn is_file_state(text: &str) -> bool {
    matches!(text, "enabled" | "disabled" | "static" | "masked" | "enabled-runtime" | "indirect")
}

fn first(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// What follows on a mark, to the next space, comma or bracket.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark)?.1.split([' ', ',', ')', '/']).next()
}

#[allow(clippy::cast_possible_truncation, reason = "an exit code has three digits at most; a longer figure saturates")]
fn whole(number: f64) -> i32 {
    number as i32
}
