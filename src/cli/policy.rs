//! `defib policy`: check a policy document, explain what holds for a node, print the schema.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::{Global, Ui, exit, explain, paint, policy_file};
use crate::policy::document::Document;
use crate::policy::settings::SETTINGS;
use crate::policy::{Policy, schema, yaml};

/// Check policy documents, say which layer decides, print the schema.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PolicyCommand {
    /// Check policy documents: 0 when all are good, 3 with findings.
    Check(CheckArgs),
    /// Say what holds for a node, and which layer decided about each setting.
    Explain(explain::ExplainArgs),
    /// Print the JSON schema of a policy document.
    Schema,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Files in YAML; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &PolicyArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    match &args.command {
        PolicyCommand::Check(args) => check(args, ui),
        PolicyCommand::Explain(args) => explain::run(args, global, ui),
        PolicyCommand::Schema => {
            ui.line(schema::printed().trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The answer about one file, for programs.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    file: &'a str,
    ok: bool,
    findings: Vec<FindingLine<'a>>,
}

#[derive(Debug, Serialize)]
struct FindingLine<'a> {
    line: u32,
    column: u32,
    problem: &'a str,
}

fn check(args: &CheckArgs, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut unread = false;
    for file in &args.files {
        let bytes = match policy_file::bytes(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                ui.error(&format!("{error:#}"));
                unread = true;
                continue;
            }
        };
        let outcome = yaml::read(&bytes);
        let findings = outcome.as_ref().err().map(Vec::as_slice).unwrap_or_default();
        if !findings.is_empty() {
            code = ExitCode::from(exit::FINDINGS);
        }
        if ui.is_json() {
            let findings = findings
                .iter()
                .map(|f| FindingLine { line: f.at.line, column: f.at.column, problem: &f.problem })
                .collect::<Vec<_>>();
            ui.object(&Checked { file: &file.to_string_lossy(), ok: outcome.is_ok(), findings })?;
            continue;
        }
        match &outcome {
            Ok(document) => ui.line(&format!("{0}ok{0:#}  {1}: {2}", paint::GOOD, file.display(), sum(document)))?,
            Err(findings) => {
                for finding in findings {
                    ui.line(&policy_file::shown(file, &bytes, finding))?;
                }
            }
        }
    }
    Ok(if unread { ExitCode::from(exit::ERROR) } else { code })
}

/// A document in a line.
fn sum(document: &Document) -> String {
    let default = Policy::default();
    let mut mode = "mode of the stack".to_owned();
    let mut differing = 0;
    for given in &document.top {
        let Some(setting) = SETTINGS.get(given.index) else { continue };
        if setting.name == "mode" {
            mode = format!("mode {}", given.value);
        } else if setting.get(&default) != given.value {
            differing += 1;
        }
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    [
        mode,
        count(differing, "other setting") + " changed",
        count(document.causes.len(), "cause"),
        count(document.clusters.len(), "cluster block"),
        count(document.groups.len(), "group block"),
    ]
    .join(", ")
}
