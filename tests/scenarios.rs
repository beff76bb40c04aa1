//! Every script in `tests/scenarios` is played on the simulated account, and its transcript compared with the `.out` file
//! beside it. `UPDATE=1` writes the files anew: read the diff, it is a diff of behaviour.

use std::fmt::Write;
use std::path::Path;

use defib::node::Home;
use defib::sim::rehearsal::Rehearsal;
use defib::sim::scenario::Scenario;
use defib::sim::transcript;

fn plays_as_written(path: &Path) -> datatest_stable::Result<()> {
    let script: Scenario = std::fs::read_to_string(path)?.parse()?;
    let home = Home { account: "111122223333".parse()?, region: "us-east-1".parse()? };
    let played = Rehearsal::of_scenario(home, &script).play();
    let mut transcript = String::new();
    for line in transcript::lines(&played) {
        writeln!(transcript, "{line}")?;
    }
    let golden = path.with_extension("out");
    #[allow(clippy::disallowed_methods, reason = "a switch for people who change behaviour on purpose")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&golden, &transcript)?;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if expected == transcript {
        Ok(())
    } else {
        Err(format!("{} differs; it is now:\n{transcript}", golden.display()).into())
    }
}

datatest_stable::harness! { { test = plays_as_written, root = "tests/scenarios", pattern = r".*\.txt$" } }
