//! Every cause and what follows from it, row by row, against a list of its own: what DESIGN.md §6, facts/checks.md and
//! facts/host.md say, written down from there and not from the code. A row that is missing fails, as does a code without a row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // So may tests.

use std::collections::BTreeSet;
use std::fs;

use defib::diagnose::{Cause, Family, Helps, advice};
use defib::incident::Remedy;
use defib::observe::{Health, Standing};
use defib::plan::course::Course;

/// The code; the remedies in their order by their first letters (`-`: none); whether a restart of the agent and whether a reboot
/// removes the cause by itself; where that stands.
///
/// F free-disk, S restart-ssm-agent, E restart-ecs-agent, R restart-runtime, B reboot, C stop-start, P replace.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str, &str, &str)] = &[
    // Network, IAM, clock, configuration: no host remedy at all, say what to change (DESIGN.md §6; checks.md §6 "N*, I*: no host rung").
    ("identity.imds-unreachable",         "-",    "no",        "no",      "S09 by iptables or a proxy, I07: notify; the agent tries again every 90 s by itself"),
    ("identity.no-instance-profile",      "-",    "after-fix", "no",      "I01: notify, when repaired restart the SSM agent"),
    ("identity.access-denied",            "-",    "after-fix", "no",      "I02, I03: notify; host.md ssm.access_denied: report IAM, never reboot"),
    ("identity.credentials-expired",      "-",    "yes",       "no",      "S11: I0x; a restart fetches new ones, and IAM is no business of a remedy"),
    ("identity.registration-mismatch",    "-",    "no",        "no",      "S10, I08: register again, notify only"),
    ("identity.default-host-management",  "-",    "after-fix", "no",      "I05: notify; the registrar waits up to 22 h"),
    ("network.dns",                       "-",    "after-fix", "no",      "H13, N11: notify"),
    ("network.unreachable",               "-",    "after-fix", "no",      "N01 to N10: notify, one shared incident"),
    ("network.tls",                       "-",    "after-fix", "no",      "S15: else notify"),
    ("network.proxy",                     "-",    "after-fix", "no",      "S14: notify"),
    ("clock.skew",                        "-",    "after-fix", "no",      "H15, S15; DESIGN.md §6: the clock is advice, we tell and do not act"),
    // The SSM agent only: restart it, reboot, stop/start or replace (checks.md §6).
    ("ssm-agent.stopped",                 "SBCP", "yes",       "yes",     "S04, S05: by another channel restart it; 194: start the unit"),
    ("ssm-agent.hung",                    "SBCP", "yes",       "yes",     "checks.md §6; host.md: a hung agent that cannot be reached otherwise"),
    ("ssm-agent.hibernating",             "SBCP", "after-fix", "no",      "S06: fix the cause, then restart; a boot is a restart for whoever has no other way in"),
    ("ssm-agent.worker-crash",            "SBCP", "no",        "no",      "S05, S07: restart, a loop: update or boot; host.md ssm.worker_panic: update it"),
    ("ssm-agent.workers-exhausted",       "SBCP", "after-fix", "yes",     "S08, S18; the workers outlive a restart of the core (KillMode=process)"),
    ("ssm-agent.update-stuck",            "BP",   "no",        "yes",     "S03: the update itself is advice; a boot ends the updater that holds the lock"),
    ("ssm-agent.misconfigured",           "-",    "after-fix", "no",      "configuration: no host remedy"),
    // The ECS agent only, SSM online: restart it, then the runtime, drain and reboot, replace (checks.md §6).
    ("ecs-agent.stopped",                 "ERBP", "yes",       "no",      "C05"),
    ("ecs-agent.hung",                    "ERBP", "yes",       "unknown", "C08: dead, restart it"),
    ("ecs-agent.crash-loop",              "ERBP", "no",        "unknown", "C07; host.md ecs.crash_loop: no, maybe"),
    // Exit 5, deregistered, type changed: a restart is futile, say so or replace (DESIGN.md §6).
    ("ecs-agent.terminal-exit",           "P",    "after-fix", "no",      "C06: skip the restart"),
    ("ecs-agent.deregistered",            "P",    "no",        "no",      "C09 Inactive: replace or notify"),
    ("ecs-agent.state-corrupt",           "P",    "no",        "no",      "C06, host.md §2: a restart reads the same state"),
    ("ecs-agent.cluster-mismatch",        "-",    "no",        "no",      "C09 mismatch: notify, nothing is deleted; C03: a replacement has the same template"),
    ("ecs-agent.cluster-missing",         "-",    "no",        "no",      "C04: notify"),
    ("ecs-agent.instance-type-changed",   "P",    "no",        "no",      "C06: replace and notify"),
    ("ecs-agent.image-missing",           "EP",   "no",        "no",      "C18: restart, which loads the cached image, then replace"),
    ("ecs-agent.cloud-init-failed",       "P",    "no",        "no",      "C06, C19: replace and notify"),
    ("ecs-agent.misconfigured",           "-",    "no",        "no",      "configuration: no host remedy"),
    // Hung runtime: drain, restart it, else reboot (DESIGN.md §6).
    ("runtime.docker-down",               "RBP",  "no",        "no",      "C10, C11: docker first"),
    ("runtime.docker-hung",               "RBP",  "no",        "yes",     "C10, C11; host.md: yes if it persists"),
    ("runtime.docker-misconfigured",      "-",    "no",        "no",      "configuration: no host remedy"),
    ("runtime.storage-corrupt",           "P",    "no",        "no",      "C13: replace"),
    // Disk full: free, then restart (DESIGN.md §6); never a boot, which frees nothing.
    ("host.disk-full",                    "FSEP", "after-fix", "no",      "H01, checks.md §6"),
    ("host.inodes-exhausted",             "FSEP", "no",        "no",      "H02, S16"),
    ("host.out-of-memory",                "SEBP", "no",        "yes",     "H05, H06, S17: restart the victim, notify; host.md: an OOM storm"),
    ("host.pids-exhausted",               "BP",   "no",        "yes",     "H08: boot"),
    ("host.open-files-exhausted",         "BP",   "no",        "no",      "H09: notify or boot; what leaks them comes back with the boot"),
    ("host.kernel-hang",                  "BCP",  "no",        "yes",     "E02: reboot, then replace; H16, C14: boot"),
    ("host.read-only-root",               "BP",   "no",        "yes",     "H03: boot once, then replace"),
    ("host.io-stalled",                   "CP",   "no",        "no",      "E03: cycle or replace; H04: replace"),
    ("host.cpu-saturated",                "-",    "no",        "unknown", "H07, E08: wait, notify"),
    ("host.boot-failure",                 "BP",   "no",        "no",      "E05: boot once, then replace; a bad line in fstab survives it"),
    ("host.network-stack",                "BP",   "no",        "no",      "H12: boot; H10: only if it leaks; H14: notify"),
    // System status check: stop/start or replace (DESIGN.md §6).
    ("platform.hardware",                 "CP",   "no",        "no",      "E01, E04 (retirement), H18: a boot stays on the same hardware"),
    // Never a fault of the node.
    ("command.script-timeout",            "-",    "no",        "no",      "S02: the script"),
    ("command.rejected",                  "-",    "no",        "no",      "S02: AccessDenied, InvalidPlatform, Terminated"),
    ("service.unavailable",               "-",    "no",        "no",      "G09"),
    ("session.client-gave-up",            "-",    "no",        "no",      "S19: none"),
    ("noise.periodic-reconnect",          "-",    "no",        "no",      "host.md §2: server or client closes every half hour"),
    ("healthy",                           "-",    "no",        "no",      "G01: healed, close"),
    // Both agents silent: one reboot, then replace (DESIGN.md §6; checks.md §6 "both lost").
    ("unknown",                           "BP",   "unknown",   "unknown", "checks.md §6"),
];

fn letters(remedies: &[Remedy]) -> String {
    let letter = |remedy: &Remedy| match remedy {
        Remedy::FreeDisk => 'F',
        Remedy::RestartSsmAgent => 'S',
        Remedy::RestartEcsAgent => 'E',
        Remedy::RestartRuntime => 'R',
        Remedy::Reboot => 'B',
        Remedy::StopStart => 'C',
        Remedy::Replace => 'P',
    };
    if remedies.is_empty() { "-".to_owned() } else { remedies.iter().map(letter).collect() }
}

fn word(helps: Helps) -> &'static str {
    match helps {
        Helps::Yes => "yes",
        Helps::No => "no",
        Helps::AfterFix => "after-fix",
        Helps::Unknown => "unknown",
    }
}

#[test]
fn each_cause_leads_where_the_facts_say() {
    let wrong: Vec<String> = Course::all()
        .iter()
        .filter_map(|course| {
            let row = ROWS.iter().find(|row| row.0 == course.cause.code());
            let Some(&(_, remedies, restart, reboot, source)) = row else {
                return Some(format!("{}: no row", course.cause));
            };
            let given = (letters(course.remedies), word(course.restart_agent_helps), word(course.reboot_helps));
            let wanted = (remedies.to_owned(), restart, reboot);
            (given != wanted).then(|| format!("{}: {given:?} instead of {wanted:?}: {source}", course.cause))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_exactly_one_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
    let codes: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
    assert_eq!(rows.len(), ROWS.len(), "a code stands there twice");
    assert_eq!(rows, codes);
    assert!(ROWS.iter().all(|row| !row.4.is_empty()), "a row without a source");
}

/// What an unknown cause calls for depends on who still answers.
#[test]
fn an_unknown_cause_follows_the_agents_that_are_silent() {
    let of = |ssm, ecs| {
        let health = Health { ssm, ecs, runtime: Standing::NotPresent, platform: Standing::Well };
        letters(Course::of(Cause::Unknown, health).remedies)
    };
    assert_eq!(of(Standing::Well, Standing::Ill), "ERBP", "the ECS agent only");
    assert_eq!(of(Standing::Well, Standing::Well), "-");
    assert_eq!(of(Standing::Ill, Standing::Well), "BP");
    assert_eq!(of(Standing::Ill, Standing::Ill), "BP", "both");
}

#[test]
fn what_no_remedy_removes_is_told_with_what_to_change() {
    for course in Course::all() {
        let forbidden = matches!(course.cause.family(), Family::Identity | Family::Network | Family::Clock);
        assert!(!forbidden || course.first().is_none(), "{}", course.cause);
        assert!(!course.please.is_empty() && !advice(course.cause).is_empty(), "{}", course.cause);
        // A reboot that surely helps is on the ladder, and the ladder of what it helps against does not stop below it.
        let reboots = course.remedies.contains(&Remedy::Reboot);
        assert!(course.reboot_helps != Helps::Yes || reboots, "{}", course.cause);
        assert!(course.first() <= course.highest(), "{}", course.cause);
    }
}

/// The page for people holds every row as it is.
#[test]
fn the_page_of_causes_is_this_table() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CAUSES.md")).unwrap();
    let printed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let name = |remedy: Option<Remedy>| remedy.map_or("-", Remedy::as_str);
    let wanted: Vec<String> = Course::all()
        .iter()
        .map(|course| {
            format!(
                "| `{}` | {} | {} | {} | {} | {} |",
                course.cause,
                name(course.first()),
                name(course.highest()),
                word(course.restart_agent_helps),
                word(course.reboot_helps),
                course.please
            )
        })
        .collect();
    assert_eq!(printed, wanted, "docs/CAUSES.md should hold:\n{}", wanted.join("\n"));
}
