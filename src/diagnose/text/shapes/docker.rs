//! `docker ps`, with the ECS agent's own container in it.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Heals, Weight};

/// Reads the table of `docker ps`.
#[derive(Debug, Default)]
pub(super) struct Containers {
    table: bool,
}

impl Containers {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        if line.contains("CONTAINER ID") && line.contains("STATUS") {
            self.table = true;
            return;
        }
        self.table = self.table && line.split_whitespace().count() >= 4;
        // Also a row without its head.
        if line.contains("ecs-agent") && (self.table || line.contains("amazon-ecs-agent")) {
            agent(line, books);
        }
    }
}

fn agent(row: &str, books: &mut Books) {
    let status = ["Up ", "Exited (", "Restarting (", "Created", "Dead", "Paused"]
        .iter()
        .find_map(|word| row.find(word).and_then(|at| row.get(at..)));
    let row_of_table = row
        .split_whitespace()
        .next()
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Some(status) = status.filter(|_| row_of_table || row.starts_with("amazon/") || row.starts_with("ecs-agent"))
    {
        container(status, row, books);
    }
}

/// `docker inspect` of a task's container that the kernel killed. The limit is the container's own; the node is well.
pub(super) fn passed_its_limit(name: &str, books: &mut Books) {
    let name = if name.is_empty() { "container" } else { name };
    let text = format!("{name} passed its own memory limit (OOMKilled)");
    let sighting = Sighting::new("docker.oom-killed", Component::Docker, Cause::Healthy, Weight::Noise, &text);
    books.note(sighting.at(Place::Docker), None);
}

/// What the state of the ECS agent's container means: `Exited (5) 3 minutes ago`, `Up 2 hours (unhealthy)`.
pub(super) fn container(status: &str, evidence: &str, books: &mut Books) {
    let code = status
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(code, _)| code.parse::<i32>().ok());
    let note = |books: &mut Books, id: &str, cause, weight, reboot, restart| {
        let sighting = Sighting::new(id, Component::EcsAgent, cause, weight, evidence).at(Place::Ecs);
        books.note(sighting.helped(reboot, restart), None);
    };
    if status.starts_with("Up") {
        if status.contains("(unhealthy)") {
            note(
                books,
                "ecs-agent.container-unhealthy",
                Cause::EcsAgentHung,
                Weight::Cause,
                Helps::Unknown,
                Helps::Yes,
            );
        } else if status.contains("(Paused)") {
            note(books, "ecs-agent.container-paused", Cause::EcsAgentHung, Weight::Cause, Helps::Unknown, Helps::Yes);
        } else if status.contains("Less than a second") || status.contains("seconds") {
            note(books, "ecs-agent.container-young", Cause::EcsAgentCrashLoop, Weight::Noise, Helps::No, Helps::No);
        } else {
            books.success(Place::Ecs, Heals::Start);
            books.success(Place::Ecs, Heals::Nothing);
        }
    } else if status.starts_with("Restarting") {
        note(
            books,
            "ecs-agent.container-restarting",
            Cause::EcsAgentCrashLoop,
            Weight::Cause,
            Helps::Unknown,
            Helps::No,
        );
    } else {
        match code {
            Some(5) => note(
                books,
                "ecs-agent.container-exit-5",
                Cause::EcsAgentTerminalExit,
                Weight::Cause,
                Helps::No,
                Helps::AfterFix,
            ),
            Some(0 | 143) => note(
                books,
                "ecs-agent.container-exit-0",
                Cause::EcsAgentStopped,
                Weight::Cause,
                Helps::Unknown,
                Helps::Yes,
            ),
            Some(137) => note(
                books,
                "ecs-agent.container-killed",
                Cause::EcsAgentStopped,
                Weight::Symptom,
                Helps::Unknown,
                Helps::Yes,
            ),
            Some(_) => note(
                books,
                "ecs-agent.container-exited",
                Cause::EcsAgentCrashLoop,
                Weight::Symptom,
                Helps::Unknown,
                Helps::No,
            ),
            None => note(
                books,
                "ecs-agent.container-not-up",
                Cause::EcsAgentStopped,
                Weight::Symptom,
                Helps::Unknown,
                Helps::Unknown,
            ),
        }
    }
}
