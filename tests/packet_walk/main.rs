//! The way to a service, judged for all addresses at once, against a walk of single packets.
//!
//! Every `make test` walks through a few thousand VPCs; the hundred thousand need an optimized build:
//! `cargo test --release --no-default-features --test packet_walk -- --ignored --nocapture`.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of it is a test"
)]

mod generate;
mod walk;

use defib::diagnose::path::{Check, HostKey, Verdict, paths};
use walk::{Fate, Feet};

/// How often each verdict came up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Tally {
    vpcs: u64,
    open: u64,
    blocked: u64,
    unknown: u64,
    /// Hosts that share a judgement.
    neighbours: u64,
    /// By the check that blocked, in the order of [`Check::ALL`].
    by: [u64; Check::ALL.len()],
    disagreements: Vec<String>,
}

fn compare(seed: u64, tally: &mut Tally) {
    let case = generate::case(seed);
    let judged = paths(&case.host, &case.around);
    let feet = Feet::of(&case);
    tally.vpcs += 1;
    // Hosts that agree in what tells them apart are told the very same.
    if seed.is_multiple_of(4) {
        let neighbour = generate::neighbour(&case.host, seed);
        if HostKey::of(&neighbour, &case.around) == HostKey::of(&case.host, &case.around) {
            tally.neighbours += 1;
            if paths(&neighbour, &case.around) != judged {
                tally.disagreements.push(format!("seed {seed}: a neighbour with the same key fares differently"));
            }
        }
    }
    for service in &case.services {
        let verdict = judged.verdict(*service).unwrap();
        let fate = match verdict {
            Verdict::Open => Fate::Arrives,
            Verdict::Blocked(_) => Fate::Dies,
            Verdict::Unknown { .. } => Fate::Dark,
        };
        match verdict {
            Verdict::Open => tally.open += 1,
            Verdict::Unknown { .. } => tally.unknown += 1,
            Verdict::Blocked(found) => {
                tally.blocked += 1;
                tally.by[Check::ALL.iter().position(|check| *check == found.check).unwrap()] += 1;
                assert!(!found.why.is_empty() && !found.fix.is_empty(), "seed {seed}: {found:?}");
            }
        }
        let walked = feet.to(*service);
        if walked != fate {
            tally.disagreements.push(format!("seed {seed}, {service}: judged {verdict:?}, walked {walked:?}"));
        }
    }
}

fn walk_all(seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        compare(seed, &mut tally);
    }
    tally
}

fn judge(tally: &Tally) {
    let by: Vec<String> = Check::ALL.iter().zip(tally.by).map(|(check, count)| format!("{check} {count}")).collect();
    println!(
        "packet walk: {} VPCs, {} open, {} blocked, {} unknown, {} shared, {} disagreements; blocked by {}",
        tally.vpcs,
        tally.open,
        tally.blocked,
        tally.unknown,
        tally.neighbours,
        tally.disagreements.len(),
        by.join(", ")
    );
    let first: Vec<&String> = tally.disagreements.iter().take(5).collect();
    assert!(tally.disagreements.is_empty(), "{first:#?}");
    let rare = tally.vpcs / 20;
    assert!(tally.neighbours > rare, "hardly any two hosts share a judgement");
    assert!(tally.open > rare && tally.blocked > rare && tally.unknown > rare, "a verdict hardly comes up");
}

#[test]
fn the_judgement_agrees_with_a_walk_of_single_packets() {
    judge(&walk_all(0..2_000));
}

#[test]
#[ignore = "needs an optimized build"]
fn the_judgement_agrees_with_a_walk_through_a_hundred_thousand_vpcs() {
    let halves: Vec<Tally> = std::thread::scope(|scope| {
        let walkers = [0..50_000, 50_000..100_000].map(|seeds| scope.spawn(|| walk_all(seeds)));
        walkers.map(|walker| walker.join().unwrap()).into()
    });
    let mut whole = Tally::default();
    for half in halves {
        whole.vpcs += half.vpcs;
        whole.open += half.open;
        whole.blocked += half.blocked;
        whole.unknown += half.unknown;
        whole.neighbours += half.neighbours;
        whole.by.iter_mut().zip(half.by).for_each(|(sum, more)| *sum += more);
        whole.disagreements.extend(half.disagreements);
    }
    judge(&whole);
    // Each check that can block a way does so. V6 never does: it only leaves it unknown.
    let never: Vec<&Check> =
        Check::ALL.iter().zip(whole.by).filter(|(_, count)| *count == 0).map(|(check, _)| check).collect();
    assert_eq!(never, [&Check::V6]);
}
