//! What only several pieces of evidence say together.

use super::super::{Cause, Helps};
use super::books::Sighting;
use super::place::Place;
use super::signature::{Component, Weight};

/// Adds what follows from several sightings, and takes back what others explain.
pub(super) fn combine(sightings: &mut Vec<Sighting>) {
    container_killed(sightings);
    metadata_through_proxy(sightings);
    inodes_not_blocks(sightings);
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

/// Metadata that is asked through a proxy is not reached (facts/host.md: `no_proxy` must hold 169.254.169.254).
fn metadata_through_proxy(sightings: &mut Vec<Sighting>) {
    let proxied = seen(sightings, "agent.proxy-set") && !seen(sightings, "agent.no-proxy-names-metadata");
    // The SDK's last words where no source of credentials answered; a metadata service that says 404 was reached.
    let no_source = |sighting: &Sighting| {
        let evidence = sighting.evidence.to_ascii_lowercase();
        evidence.contains("nocredentialproviders") || evidence.contains("no valid providers in chain")
    };
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
    let room =
        seen(sightings, "host.df-fine") && !seen(sightings, "host.df-inodes") && !seen(sightings, "host.df-blocks");
    let Some(full) = sightings.iter().find(|sighting| sighting.id == "kernel.enospc").filter(|_| room) else { return };
    let text = format!("df shows room, and yet: {}", full.evidence);
    let sighting =
        Sighting::new("host.room-but-no-space", Component::Host, Cause::HostInodesExhausted, Weight::Cause, &text);
    let line = full.first_line;
    let sighting = sighting.at(Place::Unknown).or(&[Cause::HostDiskFull]).helped(Helps::No, Helps::No);
    sightings.push(Sighting { first_line: line, last_line: line, ..sighting });
}
