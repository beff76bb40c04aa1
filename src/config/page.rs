//! The page docs/CONFIGURATION.md, made from the table.

use std::fmt::Write;

use super::variables::VARIABLES;

/// What stands above the table.
const HEAD: &str = "\
# Configuration

Defib reads these environment variables once, when it starts. A value that is not allowed ends the process with an error
that names the variable, its value and what is allowed; a blank one counts as not set; a variable that begins with `DEFIB_`
and is not in this table is told in a warning, with the name that it resembles most.

This page is made from the table in `src/config/variables.rs`; a test keeps it fresh. To write it anew:
`DEFIB_WRITE_DOCS=1 cargo test --no-default-features --features lambda --lib config::page`.

| variable | meaning | default | allowed |
|---|---|---|---|
";

/// What stands below it.
const FOOT: &str = "
A policy document (`infra/policy.example.yaml`) goes over these settings. One that cannot be used stops nothing: the limits of the last
good one stay in force, the mode falls to `observe`, and it is told once, with line, column and what is allowed there. A good one ends that.
One that is gone counts as one that cannot be used; `{}` is a good one that changes nothing. One that cannot be *read* makes passes try again
for 15 minutes before the same follows. What the document, the tags and the settings come to for a node says `defib policy explain`.

`NO_COLOR` turns colours off in the command line. `AWS_REGION` and `AWS_DEFAULT_REGION` name the region where no setting
or option does. `DEFIB_COMMIT` is a word for `defib soak`: the commit that a violation names; `make soak` and `make test` set it.
";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for variable in VARIABLES {
        let default = match variable.default {
            Some(default) => format!("`{default}`"),
            None => variable.otherwise.to_owned(),
        };
        let (name, meaning, allowed) = (variable.name, variable.meaning, variable.allowed);
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "| `{name}` | {meaning} | {default} | {allowed} |");
    }
    page.push_str(FOOT);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
        if crate::config::value("DEFIB_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/CONFIGURATION.md is stale; its first paragraphs say how to write it anew");
    }

    #[test]
    fn every_row_is_complete_and_ends_its_sentence() {
        for variable in VARIABLES {
            assert!(variable.name.starts_with("DEFIB_") && variable.meaning.ends_with('.'), "{}", variable.name);
            assert!(!variable.allowed.is_empty() && !variable.allowed.contains('|'), "{}", variable.name);
            assert_eq!(variable.default.is_none(), !variable.otherwise.is_empty(), "{}", variable.name);
        }
    }
}
