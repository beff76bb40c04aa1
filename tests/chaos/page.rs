//! The page docs/CHAOS.md, made from the run.

use std::fmt::Write as _;

use crate::cells::Table;
use crate::wire_door::Fault;

const HEAD: &str = "\
# What becomes of every operation when something goes wrong

Made by `tests/chaos.rs`, which puts a proxy between the real SDK and its service and spoils one operation. A test keeps this page fresh;
`DEFIB_WRITE_DOCS=1 cargo test --test chaos` writes it anew. The service is `defib fleet` for Systems Manager, EC2, ECS, Auto Scaling and IAM, and
one written in the test, by AWS's documentation, for DynamoDB, Step Functions, SNS and the policy parameter. Nothing here was verified on a real
account.

Faults: `400`, `429`, `500`, `503` in the service's own words; `denied`: the role may not; `expired`: the credentials have expired; `page`: 403
with a page of HTML, from something on the way; `timeout`: no answer; `reset`: the connection is reset; `truncated`: half of the answer;
`malformed`: 200 with a body that nobody can read; `empty`: 200 with a body in which everything is missing; `slow`: all of the answer, over two
seconds; `endless`: an answer that never ends. Each strikes every try of the operation, where nothing else is said.

Results of reads: `same`: what is seen without the fault; `throttled`, `denied`, `empty`, `no answer`: what depends on it is unknown for that
reason, and the rest is the same (S8); `again`: the sweep gives up whole, and is tried again. `empty` is the same where nothing is made of the
answer, or where nothing is what it says without the fault. Of sends: `done`, `refused` (certainly nothing landed), `unknown` (it may have landed);
each was sent once. Of the books: `done`, or `again`: the pass is tried again. Where
both stand, the service had acted: `again` if every try was struck, `done` if only the first was.
";

/// Keeps the page fresh.
#[allow(clippy::disallowed_methods, reason = "a switch for people who change what becomes of a fault on purpose")]
pub(crate) fn keep(tables: &[(&str, &Table)]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CHAOS.md");
    let page = page(tables);
    if std::env::var_os("DEFIB_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/CHAOS.md is stale; its first paragraph says how to write it anew. It would be:\n{page}"
    );
}

fn page(tables: &[(&str, &Table)]) -> String {
    let mut page = HEAD.to_owned();
    for (title, table) in tables {
        let met = |fault: &Fault| table.values().any(|row| row.contains_key(fault));
        let faults: Vec<Fault> = Fault::ALL.into_iter().filter(met).collect();
        let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
        let _ = write!(
            page,
            "\n## {title}\n\n| operation | {} |\n|---|{}\n",
            names.join(" | "),
            "---|".repeat(names.len())
        );
        for (operation, row) in *table {
            let words =
                faults.iter().map(|fault| row.get(fault).map_or_else(|| "–".to_owned(), |words| words.join(", ")));
            let _ = writeln!(page, "| {operation} | {} |", words.collect::<Vec<_>>().join(" | "));
        }
    }
    page
}
