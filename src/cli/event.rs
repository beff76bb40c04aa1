//! `defib event`: what an event leads to.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Table};

use super::{Global, Ui, exit, policy_file};
use crate::event::{EventAnswer, MAX_BYTES, answer};
use crate::node::{AccountId, Home, Region};

/// Say what EventBridge events lead to: trouble, recovered, gone, ignored or rejected.
#[derive(Debug, clap::Args)]
pub(super) struct EventArgs {
    /// Files with one event each; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &EventArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut answers = Vec::with_capacity(args.files.len());
    for file in &args.files {
        match read(file) {
            Ok(bytes) => {
                let home = home(global, &bytes);
                answers.push(answer(&file.to_string_lossy(), &bytes, home.as_ref(), crate::config::now()));
            }
            Err(error) => {
                ui.error(&format!("{error:#}"));
                code = ExitCode::from(exit::ERROR);
            }
        }
    }
    // Programs get objects; a person at a terminal gets a table.
    let table = ui.is_table() || (!ui.is_json() && std::io::stdout().is_terminal());
    if table {
        ui.line(&as_table(&answers))?;
    } else {
        for answer in &answers {
            ui.object(answer)?;
        }
    }
    Ok(code)
}

/// The bytes of a file, no more than an event can have and one.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    policy_file::bytes_up_to(file, MAX_BYTES)
}

/// One event, and the file that it came in.
#[derive(Debug)]
pub(super) struct EventFile {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl EventFile {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        Ok(Self { name: file.to_string_lossy().into_owned(), bytes: read(file)? })
    }
}

/// The home that the options name; what they leave out is the event's own.
pub(super) fn home(global: &Global, bytes: &[u8]) -> Option<Home> {
    if global.account.is_none() && global.region.is_none() {
        return None;
    }
    let own = crate::event::read(bytes, None, crate::config::now()).home_of();
    let account: Option<AccountId> = global.account.or_else(|| own.as_ref().map(|home| home.account));
    let region: Option<Region> = global.region.clone().or_else(|| own.map(|home| home.region));
    Some(Home { account: account?, region: region? })
}

fn as_table(answers: &[EventAnswer]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["file", "verdict", "signal", "node", "reason"]);
    for answer in answers {
        table.add_row([
            Cell::new(&answer.file),
            Cell::new(answer.verdict.as_str()),
            Cell::new(answer.signal.unwrap_or("-")),
            Cell::new(answer.node_id.map_or_else(|| "-".to_owned(), |node| node.to_string())),
            Cell::new(answer.reason.as_deref().unwrap_or("-")),
        ]);
    }
    table.to_string()
}
