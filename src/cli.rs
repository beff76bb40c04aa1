//! The command line: one file a subcommand. Results go to stdout, progress and errors to stderr.

use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::node::{AccountId, Region};

mod check;
mod diagnose;
mod docs;
mod duel;
mod event;
mod explain;
mod fleet;
mod operate;
mod policy;
mod policy_file;
mod replay;
mod simulate;
mod soak;
mod soaked;
mod template;

/// Exit codes (CONTRACT.md); 0 is fine or fixed.
pub mod exit {
    /// Something failed.
    pub const ERROR: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// Something was found: a broken promise, a mistake in a policy.
    pub const FINDINGS: u8 = 3;
    /// An incident needs a human, or is blocked.
    pub const NEEDS_HUMAN: u8 = 5;
    /// A rail refused what was asked for.
    pub const REFUSED: u8 = 4;
    /// Somebody pressed Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// Revives AWS instances whose SSM or ECS agents stopped answering, and says once, clearly, what it did.
#[derive(Debug, Parser)]
#[command(name = "defib", version, max_term_width = 100, propagate_version = true, disable_help_subcommand = true)]
struct Defib {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that may stand before or after the command.
#[derive(Debug, clap::Args)]
struct Global {
    /// The AWS profile to use.
    #[arg(long, global = true, value_name = "P")]
    profile: Option<String>,
    /// The region that is home.
    #[arg(long, global = true, value_name = "R")]
    region: Option<Region>,
    /// The account that is home; an event of another one is rejected.
    #[arg(long, global = true, value_name = "ID")]
    account: Option<AccountId>,
    /// Ask this endpoint instead of AWS.
    #[arg(long, global = true, value_name = "U")]
    endpoint_url: Option<String>,
    /// How to print results.
    #[arg(long, global = true, value_name = "FORMAT")]
    output: Option<Output>,
    /// The same as `--output json`: one object a line.
    #[arg(long, global = true)]
    json: bool,
    /// No colours; `NO_COLOR` does the same.
    #[arg(long, global = true)]
    no_color: bool,
}

/// How to print results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs: one object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(simulate::SimulateArgs),
    Replay(replay::ReplayArgs),
    Event(event::EventArgs),
    Diagnose(diagnose::DiagnoseArgs),
    Check(check::CheckArgs),
    Fix(operate::FixArgs),
    Incidents(operate::IncidentsArgs),
    Show(operate::ShowArgs),
    /// Approve the remedy that an incident waits with; it holds for an hour.
    Approve(operate::IncidentArgs),
    /// End an incident by hand; not one with a remedy under way.
    Close(operate::IncidentArgs),
    /// Leave a node alone for a while.
    Mute(operate::MuteArgs),
    /// Look after a muted node again.
    Unmute(operate::NodeArgs),
    /// End a node's quarantine, and forget what was done to it before.
    Clear(operate::NodeArgs),
    /// The kill switch: begin nothing new, on any node; what was taken is still given back.
    Pause(operate::OnlyArgs),
    /// Release the kill switch.
    Resume(operate::OnlyArgs),
    /// Look over the deployment itself: OK, WARN or FAIL a line, each FAIL with its fix.
    Doctor(operate::DoctorArgs),
    Soak(soak::SoakArgs),
    Duel(duel::DuelArgs),
    Policy(policy::PolicyArgs),
    Fleet(fleet::FleetArgs),
    Template(template::TemplateArgs),
    Completions(docs::CompletionsArgs),
    Man(docs::ManArgs),
}

/// Reads the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Defib::parse();
    let ui = Ui::new(&cli.global);
    let result = match &cli.command {
        Command::Simulate(args) => simulate::run(args, &cli.global, &ui),
        Command::Replay(args) => replay::run(args, &cli.global, &ui),
        Command::Event(args) => event::run(args, &cli.global, &ui),
        Command::Diagnose(args) => diagnose::run(args, &ui),
        Command::Check(args) => check::run(args, &cli.global, &ui),
        Command::Fix(args) => operate::run(&operate::Wanted::Fix(args), &cli.global, &ui),
        Command::Incidents(args) => operate::run(&operate::Wanted::Incidents(args), &cli.global, &ui),
        Command::Show(args) => operate::run(&operate::Wanted::Show(args), &cli.global, &ui),
        Command::Approve(args) => operate::run(&operate::Wanted::Approve(args), &cli.global, &ui),
        Command::Close(args) => operate::run(&operate::Wanted::Close(args), &cli.global, &ui),
        Command::Mute(args) => operate::run(&operate::Wanted::Mute(args), &cli.global, &ui),
        Command::Unmute(args) => operate::run(&operate::Wanted::Unmute(args), &cli.global, &ui),
        Command::Clear(args) => operate::run(&operate::Wanted::Clear(args), &cli.global, &ui),
        Command::Pause(args) => operate::run(&operate::Wanted::Pause(args), &cli.global, &ui),
        Command::Resume(args) => operate::run(&operate::Wanted::Resume(args), &cli.global, &ui),
        Command::Doctor(args) => operate::run(&operate::Wanted::Doctor(args), &cli.global, &ui),
        Command::Soak(args) => soak::run(args, &ui),
        Command::Duel(args) => duel::run(args, &ui),
        Command::Policy(args) => policy::run(args, &cli.global, &ui),
        Command::Fleet(args) => fleet::run(args, &cli.global, &ui),
        Command::Template(args) => template::run(args, &ui),
        Command::Completions(args) => docs::completions(args, Defib::command(), &ui),
        Command::Man(args) => docs::man(args, &Defib::command(), &ui),
    };
    match result {
        Ok(code) => code,
        // Whoever reads has seen enough: `defib simulate | head`.
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&format!("{error:#}"));
            ExitCode::from(exit::ERROR)
        }
    }
}

fn closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Where the command line speaks, and how.
#[derive(Debug)]
pub struct Ui {
    output: Option<Output>,
}

impl Ui {
    fn new(global: &Global) -> Self {
        if global.no_color || crate::config::no_color() {
            anstream::ColorChoice::Never.write_global();
        }
        Self { output: if global.json { Some(Output::Json) } else { global.output } }
    }

    /// Whether results are for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.output == Some(Output::Json)
    }

    /// Whether somebody asked for a table in so many words.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.output == Some(Output::Table)
    }

    /// Prints a line of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&self, text: &str) -> std::io::Result<()> {
        writeln!(anstream::stdout().lock(), "{text}")
    }

    /// Prints an object of the result on a line of its own.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn object(&self, object: &impl serde::Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(object)?;
        writeln!(anstream::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Says what went wrong. Nothing can be done when nobody can hear it.
    pub fn error(&self, text: &str) {
        let style = paint::BAD;
        let _ = writeln!(anstream::stderr().lock(), "{style}error:{style:#} {text}");
    }

    /// Says what whoever reads the result should know beside it.
    pub fn note(&self, text: &str) {
        let style = paint::WARN;
        let _ = writeln!(anstream::stderr().lock(), "{style}note:{style:#} {text}");
    }

    /// Says what is going on.
    pub fn progress(&self, text: &str) {
        let style = paint::FAINT;
        let _ = writeln!(anstream::stderr().lock(), "{style}{text}{style:#}");
    }
}

/// Colours, by what they mean.
pub mod paint {
    use super::{AnsiColor, Style};

    /// What nobody needs to look at.
    pub const FAINT: Style = Style::new().dimmed();
    /// A headline.
    pub const HEAD: Style = Style::new().bold();
    /// It went well.
    pub const GOOD: Style = AnsiColor::Green.on_default().bold();
    /// Somebody should look.
    pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
    /// Somebody must look.
    pub const BAD: Style = AnsiColor::Red.on_default().bold();
    /// Something that Defib did.
    pub const DID: Style = AnsiColor::Cyan.on_default();
    /// Something that happened in the world.
    pub const WORLD: Style = AnsiColor::Magenta.on_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Defib::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_before_or_after_the_command() {
        let before = Defib::try_parse_from(["defib", "--json", "--region", "eu-west-1", "event", "a.json"]).unwrap();
        let after = Defib::try_parse_from(["defib", "event", "a.json", "--json", "--region", "eu-west-1"]).unwrap();
        assert!(before.global.json && after.global.json);
        assert_eq!(before.global.region, after.global.region);
    }

    #[test]
    fn a_region_that_is_none_is_a_wrong_command_line() {
        let error = Defib::try_parse_from(["defib", "--region", "nowhere", "man"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(exit::USAGE));
    }
}
