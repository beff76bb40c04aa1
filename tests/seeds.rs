//! Every seed that once broke a promise keeps it now.

use defib::sim::soak::{SoakOptions, run_seed};

#[test]
fn seeds_that_once_broke_a_promise_keep_it_now() {
    let seeds = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut broken = Vec::new();
    for line in seeds {
        let (seed, story) = line.split_once(' ').unwrap_or((line, ""));
        let result = run_seed(seed.parse().expect("a seed"), &SoakOptions::default());
        for violation in result.violations {
            broken.push(format!("seed {seed} ({story}): {violation}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seed_always_goes_the_same_way() {
    for seed in 0..8 {
        let once = run_seed(seed, &SoakOptions { trace: false, load: None, fingerprint: true });
        let again = run_seed(seed, &SoakOptions { trace: true, load: None, fingerprint: true });
        assert_eq!((once.hash, once.requests), (again.hash, again.requests), "seed {seed}");
    }
}
