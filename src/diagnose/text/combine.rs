//! What only several pieces of evidence say together.

use super::super::{Cause, Helps};
use super::books::Sighting;
use super::place::Place;
use super::signature::{Component, Weight};

/// Adds what follows from several sightings, and takes back what others explain.
pub(super) fn combine(sightings: &mut Vec<Sighting>, hung: &Hung) {
    container_killed(sightings);
    metadata_through_proxy(sightings);
    inodes_not_blocks(sightings);
    watches_not_blocks(sightings);
    no_source_without_metadata(sightings);
    hung_tasks(sightings, hung);
    started_by_user_data(sightings);
    hibernates_for_a_reason(sightings);
    restarted_before(sightings);
    read_only_since_the_kernel_said_so(sightings);
    stopped_with_the_machine(sightings);
}

fn seen(sightings: &[Sighting], id: &str) -> bool {
    sightings.iter().any(|sighting| sighting.id == id)
}

/// The OOM killer's first and last lines are the same for a container's own limit and for the host.
fn container_killed(sightings: &mut [Sighting]) {
    let harmless = seen(sightings, "kernel.oom-container") || seen(sightings, "kernel.oom-by-hand");
    if !harmless || seen(sightings, "kernel.oom") {
        return;
    }
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "kernel.oom-killer") {
        sighting.weight = Weight::Noise;
    }
}

/// So many lines after the last word about a shutdown its units still stop.
const SHUTDOWN_LINES: u64 = 200;

/// Units that stop while the machine is shut down in order are not what ails it: it is off, or it comes up again.
fn stopped_with_the_machine(sightings: &mut [Sighting]) {
    let down = sightings.iter().filter(|sighting| sighting.id == "boot.shutting-down").map(|down| down.last_line).max();
    let Some(down) = down else { return };
    let stops = ["ssm-agent.unit-stopped", "ecs-agent.unit-stopped"];
    for sighting in sightings.iter_mut().filter(|sighting| stops.contains(&sighting.id.as_str())) {
        sighting.over |= sighting.last_line <= down + SHUTDOWN_LINES;
    }
}

/// The kernel made the root read-only, and then nothing can be written: one reboot lets fsck run (facts/checks.md H03). Where only
/// the second is seen, nobody knows why.
fn read_only_since_the_kernel_said_so(sightings: &mut [Sighting]) {
    if !sightings.iter().any(|sighting| sighting.id == "kernel.remount-ro" && !sighting.over) {
        return;
    }
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "kernel.erofs") {
        sighting.weight = sighting.weight.min(Weight::Symptom);
    }
}

/// Metadata that is asked through a proxy is not reached (facts/host.md: `no_proxy` must hold 169.254.169.254).
fn metadata_through_proxy(sightings: &mut Vec<Sighting>) {
    let proxied = seen(sightings, "agent.proxy-set") && !seen(sightings, "agent.no-proxy-names-metadata");
    let lost = sightings.iter().find(|sighting| {
        let cut = sighting.cause == Cause::IdentityImdsUnreachable
            || (sighting.cause == Cause::IdentityNoInstanceProfile && no_source(sighting));
        cut && sighting.weight == Weight::Cause && !sighting.over
    });
    if let Some(lost) = lost.filter(|_| proxied) {
        let text = format!("the agent has a proxy and no_proxy lacks 169.254.169.254: {}", lost.evidence);
        let sighting =
            Sighting::new("agent.metadata-through-proxy", Component::Agent, Cause::NetworkProxy, Weight::Cause, &text);
        let (line, place) = (lost.first_line, lost.place);
        sightings.push(Sighting { first_line: line, last_line: line, ..sighting.at(place) });
    }
}

/// "No space left" on file systems that have room: what is left out is the table of inodes.
fn inodes_not_blocks(sightings: &mut Vec<Sighting>) {
    let shut = ["host.df-inodes", "host.df-blocks", "host.df-inodes-fine", "host.inotify-limit"];
    let room = seen(sightings, "host.df-fine") && !shut.iter().any(|id| seen(sightings, id));
    let Some(full) = sightings.iter().find(|sighting| sighting.id == "kernel.enospc").filter(|_| room) else { return };
    let text = format!("df shows room, and yet: {}", full.evidence);
    let sighting =
        Sighting::new("host.room-but-no-space", Component::Host, Cause::HostInodesExhausted, Weight::Cause, &text);
    let line = full.first_line;
    let sighting = sighting.at(Place::Unknown).or(&[Cause::HostDiskFull]).helped(Helps::No, Helps::No);
    sightings.push(Sighting { first_line: line, last_line: line, ..sighting });
}

/// The kernel says "no space left" as well when no more files can be watched; what follows from that in the same agent says it too.
fn watches_not_blocks(sightings: &mut [Sighting]) {
    let full = seen(sightings, "host.df-blocks") || seen(sightings, "host.df-inodes");
    if !seen(sightings, "host.inotify-limit") || full {
        return;
    }
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "kernel.enospc") {
        sighting.weight = Weight::Symptom;
    }
}

/// The SDK's "no valid providers in chain" follows from metadata that is not reached, and so does "no role found" unless metadata
/// itself said 404.
fn no_source_without_metadata(sightings: &mut [Sighting]) {
    let Some(lost) = sightings.iter().find(|sighting| sighting.id == "agent.imds" && !sighting.over) else { return };
    let evidence = lost.evidence.to_ascii_lowercase();
    let cut = ["unreachable", "no route to host", "timeout", "deadline exceeded", "refused"];
    let cut = cut.iter().any(|word| evidence.contains(word));
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "agent.no-role") {
        if no_source(sighting) || (cut && !sighting.evidence.contains("404")) {
            sighting.weight = Weight::Symptom;
        }
    }
}

/// Whether these are the SDK's last words where no source of credentials answered. Metadata that says 404 was reached.
fn no_source(sighting: &Sighting) -> bool {
    let evidence = sighting.evidence.to_ascii_lowercase();
    evidence.contains("nocredentialproviders") || evidence.contains("no valid providers in chain")
}

/// So many programs are told apart.
const PROGRAMS_MAX: usize = 8;

/// Which programs wait for the kernel, as far as the lines about hung tasks tell.
#[derive(Debug, Default)]
pub(super) struct Hung {
    programs: Vec<String>,
    /// The trace of one of them shows that it waits for a disk.
    disk: bool,
}

impl Hung {
    /// A line, in lower case, about a hung task: `task NAME:PID blocked for more than ...`.
    pub(super) fn line(&mut self, line: &str) {
        let Some((_, task)) = line.split_once("task ") else { return };
        let Some((name, _)) = task.split_once(" blocked").and_then(|(task, _)| task.rsplit_once(':')) else { return };
        if self.programs.len() < PROGRAMS_MAX && !self.programs.iter().any(|known| known == name) {
            self.programs.push(name.to_owned());
        }
    }

    /// Another line: it may be one of the trace.
    pub(super) fn trace(&mut self, line: &str) {
        let waits = [
            "io_schedule",
            "wait_on_page",
            "wait_on_buffer",
            "jbd2_log_wait",
            "blk_mq_",
            "xfs_log_force",
            "submit_bio_wait",
        ];
        self.disk |= !self.programs.is_empty() && line.contains("+0x") && waits.iter().any(|name| line.contains(name));
    }
}

/// An application that waits for its disk, once or again and again, is no ground to reboot a machine: that is slow storage. A
/// task of the system itself is one, and traces of two programs, or of one that waits for something else than a disk
/// (facts/checks.md H16).
fn hung_tasks(sightings: &mut [Sighting], hung: &Hung) {
    let more = ["kernel.hung-system-task", "kernel.lockup", "kernel.panic", "kernel.oops"];
    let stands = |id: &str| sightings.iter().any(|sighting| sighting.id == id && !sighting.over);
    let traced = stands("kernel.call-trace");
    if more.iter().any(|id| stands(id)) || (traced && hung.programs.len() > 1) {
        return;
    }
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "kernel.hung-task") {
        if !traced || hung.disk || sighting.count > 1 {
            sighting.reboot = Some(Helps::Unknown);
        }
    }
}

/// The unit waits for cloud-final, so a start from user data waits for itself, and so does a restart meanwhile
/// (facts/host.md §2).
fn started_by_user_data(sightings: &mut [Sighting]) {
    if !seen(sightings, "ecs-agent.start-in-user-data") || !seen(sightings, "cloud-init.script") {
        return;
    }
    let restarts = |sighting: &&mut Sighting| {
        sighting.cause == Cause::EcsAgentStopped && sighting.restart.is_none_or(|helps| helps == Helps::Yes)
    };
    for sighting in sightings.iter_mut().filter(restarts) {
        sighting.restart = Some(Helps::AfterFix);
    }
}

/// The agent hibernates because something keeps it from its service; what is seen of that comes first.
fn hibernates_for_a_reason(sightings: &mut [Sighting]) {
    let reasons = ["agent.handshake-timeout", "ssm-agent.dhmc", "agent.no-credentials"];
    let of_agent = |sighting: &Sighting| matches!(sighting.place, Place::Ssm | Place::Unknown) && !sighting.over;
    if !sightings.iter().any(|sighting| reasons.contains(&sighting.id.as_str()) && of_agent(sighting)) {
        return;
    }
    for sighting in sightings.iter_mut().filter(|sighting| sighting.id == "ssm-agent.hibernate-silent") {
        sighting.weight = Weight::Symptom;
    }
}

/// A unit that has run for minutes has its restarts behind itself, which its status still shows.
fn restarted_before(sightings: &mut [Sighting]) {
    let runs = |place: Place| move |sighting: &Sighting| sighting.id == "unit.active-long" && sighting.place == place;
    let (ecs, ssm) = (sightings.iter().any(runs(Place::Ecs)), sightings.iter().any(runs(Place::Ssm)));
    for sighting in sightings.iter_mut() {
        let before = match sighting.id.as_str() {
            "ecs-agent.unit-restarts" | "ecs-agent.start-failed" | "ecs-agent.unit-stopped" => ecs,
            "ssm-agent.failed" | "ssm-agent.unit-stopped" => ssm,
            _ => false,
        };
        sighting.over |= before;
    }
}
