//! A policy from a YAML file, for the simulated account.

use std::path::Path;

use anyhow::Context;

use crate::policy::{Mode, Policy};

/// The policy of a rehearsal: the file's, else the defaults; in mode `replace` unless a mode is given.
pub(super) fn load(file: Option<&Path>, mode: Option<Mode>) -> anyhow::Result<Policy> {
    let mut policy = match file {
        None => Policy::in_mode(Mode::Replace),
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
            read(&text).with_context(|| format!("failed to read the policy in {}", file.display()))?
        }
    };
    if let Some(mode) = mode {
        policy.mode = mode;
    }
    Ok(policy)
}

fn read(text: &str) -> anyhow::Result<Policy> {
    let mut policy: Policy = if text.trim().is_empty() { Policy::default() } else { serde_saphyr::from_str(text)? };
    let given: serde_json::Value = serde_saphyr::from_str(text).unwrap_or_default();
    if given.get("mode").is_none() {
        policy.mode = Mode::Replace;
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_only_what_differs() {
        let policy = read("sessions: warn\nbudgets:\n  account-at-once: 2\n").unwrap();
        assert_eq!(policy.mode, Mode::Replace);
        assert_eq!(policy.budgets.account_at_once, 2);
        assert_eq!(policy.budgets.group_at_once, 3);
        assert_eq!(read("mode: cycle").unwrap().mode, Mode::Cycle);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = format!("{:#}", read("mode: cycle\nsesions: wait\n").unwrap_err());
        assert!(error.contains("sesions") && error.contains('2'), "{error}");
    }
}
