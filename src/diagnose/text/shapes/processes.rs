//! `ps`: processes that are stopped, or wait for a disk for good.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Weight};

/// Workers that run at once, at most (facts/host.md §1).
const WORKERS_MAX: u32 = 5;

/// Reads `ps`.
#[derive(Debug, Default)]
pub(super) struct Processes {
    workers: u32,
    /// The process that `/proc/PID/status` shows.
    named: String,
}

impl Processes {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        let words: Vec<&str> = line.split_whitespace().take(12).collect();
        if words.iter().take(2).any(|word| word.parse::<u32>().is_ok()) {
            self.worker(&words, line, books);
        }
        self.status(&words, line, books);
        let Some(at) = words.iter().position(|word| is_state(word)) else { return };
        // Before the state stand a process's number and the like.
        let numbered = words.iter().take(at).any(|word| word.parse::<u32>().is_ok());
        let command = words.get(at + 1..).unwrap_or_default().join(" ");
        let state = words.get(at).and_then(|word| word.chars().next());
        if !numbered || command.is_empty() {
            return;
        }
        let agent = ["amazon-ssm-agent", "ssm-agent-worker"].iter().any(|name| command.contains(name));
        match state {
            Some('T') if agent => {
                stopped_by_signal(line, books);
            }
            Some('T') if command.contains("amazon-ecs-agent") || command.contains("/agent") => {
                let text = format!("the ECS agent's process is stopped by a signal: {line}");
                let sighting = Sighting::new(
                    "host.agent-stopped-by-signal",
                    Component::EcsAgent,
                    Cause::EcsAgentHung,
                    Weight::Cause,
                    &text,
                );
                books.note(sighting.at(Place::Ecs).helped(Helps::Unknown, Helps::Yes), None);
            }
            Some('T' | 'D') if command.contains("dockerd") || command.contains("containerd") => {
                docker_stuck(line, books);
            }
            Some('D') if agent => {
                let text = format!("the SSM agent waits for a disk: {line}");
                books.note(
                    Sighting::new(
                        "host.agent-waits-for-disk",
                        Component::SsmAgent,
                        Cause::HostIoStalled,
                        Weight::Symptom,
                        &text,
                    ),
                    None,
                );
            }
            Some(_) | None => {}
        }
    }
}

impl Processes {
    /// `/proc/PID/status`: `Name: amazon-ssm-agen`, then `State: T (stopped)`.
    fn status(&mut self, words: &[&str], line: &str, books: &mut Books) {
        match words {
            ["Name:", name] => (*name).clone_into(&mut self.named),
            ["State:", "T" | "t", ..]
                if self.named.starts_with("amazon-ssm-") || self.named.starts_with("ssm-agent") =>
            {
                stopped_by_signal(line, books);
            }
            ["State:", "D" | "T", ..] if self.named == "dockerd" || self.named == "containerd" => {
                docker_stuck(line, books);
            }
            _ => {}
        }
    }

    /// A document worker's row, whichever columns `ps` was asked for.
    fn worker(&mut self, words: &[&str], line: &str, books: &mut Books) {
        let named = |word: &&str| word.rsplit('/').next().is_some_and(|name| name.starts_with("ssm-document-w"));
        let typed = words.iter().any(|word| matches!(*word, "grep" | "pgrep" | "egrep"));
        if typed || !words.iter().any(named) {
            return;
        }
        self.workers += 1;
        if self.workers >= WORKERS_MAX {
            let text = format!("{} document workers run at once: {line}", self.workers);
            let cause = Cause::SsmAgentWorkersExhausted;
            books.note(
                Sighting::new("host.workers-full", Component::SsmAgent, cause, Weight::Cause, &text).at(Place::Ssm),
                None,
            );
        }
    }
}

fn stopped_by_signal(line: &str, books: &mut Books) {
    let text = format!("the SSM agent's process is stopped by a signal: {line}");
    let (id, cause) = ("host.agent-stopped-by-signal", Cause::SsmAgentHung);
    let sighting = Sighting::new(id, Component::SsmAgent, cause, Weight::Cause, &text);
    books.note(sighting.at(Place::Ssm).helped(Helps::Yes, Helps::Yes), None);
}

fn docker_stuck(line: &str, books: &mut Books) {
    let text = format!("docker's process does not run on: {line}");
    let (id, cause) = ("host.docker-stuck", Cause::RuntimeDockerHung);
    books.note(Sighting::new(id, Component::Docker, cause, Weight::Cause, &text).at(Place::Docker), None);
}

/// `Ssl`, `T`, `D+`: one letter for the state, then marks.
fn is_state(word: &str) -> bool {
    let mut letters = word.chars();
    let state = letters.next().is_some_and(|c| "DRSTtZI".contains(c));
    word.len() <= 5 && state && letters.all(|c| "<NLsl+".contains(c))
}
