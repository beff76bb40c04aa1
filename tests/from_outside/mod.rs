//! The command line, run from outside.

use std::process::{Command, Output};

/// Runs it at the root of the repository.
pub(crate) fn defib(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_defib"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

/// What it printed as its result.
pub(crate) fn out(ran: &Output) -> String {
    String::from_utf8(ran.stdout.clone()).unwrap()
}
