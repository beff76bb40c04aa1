//! `defib completions` and `defib man`.

use std::io::Write;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::{Ui, exit};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Print the manual page, of one command or of all of it.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// A command; without it, the page of `defib` itself.
    command: Option<String>,
}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command, _ui: &Ui) -> anyhow::Result<ExitCode> {
    // Written to memory first: clap_complete would panic on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "defib", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs, command: &Command, ui: &Ui) -> anyhow::Result<ExitCode> {
    let page = match &args.command {
        None => command.clone(),
        Some(name) => {
            let Some(found) = command.get_subcommands().find(|known| known.get_name() == name) else {
                let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
                ui.error(&format!("no such command: {name}; there are {}", known.join(", ")));
                return Ok(ExitCode::from(exit::USAGE));
            };
            found.clone().bin_name(format!("defib {name}"))
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    std::io::stdout().lock().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
