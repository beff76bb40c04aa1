//! Windows services, as PowerShell and `sc` show them.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Weight};

/// Services that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ssm,
    Ecs,
    Docker,
}

/// How it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Automatic,
    Manual,
    Disabled,
}

/// Reads lists and tables of services.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// What the list speaks of.
    of: Option<Service>,
    start: Option<Start>,
    stopped: Vec<(Service, String)>,
}

/// More services than these do not matter here.
const STOPPED_MAX: usize = 8;

impl Services {
    pub(super) fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.len() > 200 {
            return;
        }
        if let Some((key, value)) = trimmed.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
            match key {
                "Name" | "SERVICE_NAME" => self.of = service(value),
                "Status" | "State" | "STATE" if value.to_ascii_lowercase().ends_with("stopped") => {
                    if let Some(of) = self.of {
                        self.note(of, trimmed);
                    }
                }
                "StartType" | "StartMode" | "START_TYPE" if self.of.is_some() => self.starts(value),
                _ => {}
            }
            return;
        }
        let row = trimmed.contains("Stopped");
        if !row && trimmed.contains(' ') {
            return;
        }
        let words: Vec<&str> = trimmed.split_whitespace().take(10).collect();
        if let [word] = words.as_slice() {
            // What `(Get-WmiObject …).StartMode` answers.
            self.starts(word);
        } else if row && words.contains(&"Stopped") && words.len() < 10 {
            // A row of a table: the columns stand in any order.
            if let Some(of) = words.iter().find_map(|word| service(word)) {
                self.note(of, trimmed);
                for word in &words {
                    self.starts(word);
                }
            }
        }
    }

    fn starts(&mut self, word: &str) {
        self.start = match word.rsplit(' ').next().unwrap_or_default() {
            "Auto" | "Automatic" | "AUTO_START" => Some(Start::Automatic),
            "Manual" | "DEMAND_START" => Some(Start::Manual),
            "Disabled" | "DISABLED" => Some(Start::Disabled),
            _ => self.start,
        };
    }

    fn note(&mut self, of: Service, line: &str) {
        if self.stopped.len() < STOPPED_MAX {
            self.stopped.push((of, line.to_owned()));
        }
    }

    pub(super) fn finish(&mut self, books: &mut Books) {
        for (of, line) in std::mem::take(&mut self.stopped) {
            stopped(of, self.start, &line, books);
        }
    }
}

fn service(name: &str) -> Option<Service> {
    match name {
        "AmazonSSMAgent" => Some(Service::Ssm),
        "AmazonECS" => Some(Service::Ecs),
        "docker" | "Docker" => Some(Service::Docker),
        _ => None,
    }
}

/// A service that starts by itself comes back with a reboot; one that is disabled does not.
fn stopped(of: Service, start: Option<Start>, line: &str, books: &mut Books) {
    let (yes, no, unknown, fix) = (Helps::Yes, Helps::No, Helps::Unknown, Helps::AfterFix);
    let with_the_host = match start {
        Some(Start::Automatic) => yes,
        Some(Start::Manual | Start::Disabled) => no,
        None => unknown,
    };
    let restart = if start == Some(Start::Disabled) { fix } else { yes };
    let (component, place, cause, reboot, restart) = match of {
        Service::Ssm => (Component::SsmAgent, Place::Ssm, Cause::SsmAgentStopped, with_the_host, restart),
        Service::Ecs => (Component::EcsAgent, Place::Ecs, Cause::EcsAgentStopped, unknown, restart),
        Service::Docker => (Component::Docker, Place::Docker, Cause::RuntimeDockerDown, unknown, no),
    };
    let sighting = Sighting::new("host.windows-service", component, cause, Weight::Cause, line);
    books.note(sighting.at(place).helped(reboot, restart), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_service_is_seen_in_lists_and_tables_and_a_running_one_is_not() {
        for (text, cause) in [
            ("Name      : AmazonSSMAgent\nStatus    : Stopped\nStartType : Automatic", Some(Cause::SsmAgentStopped)),
            ("SERVICE_NAME: AmazonSSMAgent\n  STATE : 1  STOPPED", Some(Cause::SsmAgentStopped)),
            ("Stopped  AmazonECS          Amazon ECS", Some(Cause::EcsAgentStopped)),
            ("docker   Stopped  Manual", Some(Cause::RuntimeDockerDown)),
            ("Name : AmazonSSMAgent\nStatus : Running\nName : Spooler\nStatus : Stopped", None),
            ("Running  AmazonSSMAgent     Amazon SSM Agent", None),
        ] {
            let (mut services, mut books) = (Services::default(), Books::default());
            text.lines().for_each(|line| services.line(line));
            services.finish(&mut books);
            assert_eq!(books.close().0.first().map(|seen| seen.cause), cause, "{text}");
        }
    }
}
