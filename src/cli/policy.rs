//! `defib policy`: check a policy document, explain what holds for a node, print the schema.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::{Ui, exit, paint, policy_file};
use crate::config::Settings;
use crate::diagnose::Cause;
use crate::policy::document::Document;
use crate::policy::layers::{Layer, Resolved, Tagged, resolve};
use crate::policy::settings::{SETTINGS, Value};
use crate::policy::{Mode, Policy, schema, yaml};
use crate::sim::scenario::Scenario;

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
    Explain(ExplainArgs),
    /// Print the JSON schema of a policy document.
    Schema,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Files in YAML; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ExplainArgs {
    /// The node: its name or id in the script; without a script only a word in the answer.
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// The policy document; without it, the stack alone.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A script of the simulated account, in which the node is looked up.
    #[arg(long, value_name = "FILE", requires = "node")]
    scenario: Option<PathBuf>,
    /// The node's cluster.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The node's Auto Scaling group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The tag `defib:mode` on the node.
    #[arg(long, value_name = "M")]
    mode_tag: Option<Mode>,
    /// The tag `defib:mode` on its group.
    #[arg(long, value_name = "M")]
    group_mode_tag: Option<Mode>,
    /// The tag `defib:mode` on its cluster.
    #[arg(long, value_name = "M")]
    cluster_mode_tag: Option<Mode>,
    /// A setting of the stack, as the function's environment has it; its mode is replace unless set here.
    #[arg(long, value_name = "DEFIB_NAME=VALUE", value_parser = pair)]
    stack: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, as in DEFIB_MODE=cycle")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &PolicyArgs, ui: &Ui) -> anyhow::Result<ExitCode> {
    match &args.command {
        PolicyCommand::Check(args) => check(args, ui),
        PolicyCommand::Explain(args) => explain(args, ui),
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

/// What is known of the node.
#[derive(Debug, Default)]
struct Subject {
    cluster: Option<String>,
    group: Option<String>,
    tags: Vec<(Tagged, Mode)>,
}

/// The answer, for programs.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    node: Option<&'a str>,
    cluster: Option<&'a str>,
    group: Option<&'a str>,
    settings: Vec<SettingLine>,
    causes: Vec<CauseLine>,
}

#[derive(Debug, Serialize)]
struct SettingLine {
    setting: String,
    value: Value,
    decided_by: Layer,
}

#[derive(Debug, Serialize)]
struct CauseLine {
    cause: Cause,
    wait_secs: Option<i64>,
    highest_remedy: Option<&'static str>,
}

fn explain(args: &ExplainArgs, ui: &Ui) -> anyhow::Result<ExitCode> {
    let stack = stack(&args.stack)?;
    let document = args.policy.as_deref().map(policy_file::document).transpose()?.unwrap_or_default();
    let subject = subject(args)?;
    let place = (subject.cluster.as_deref(), subject.group.as_deref());
    let resolved = resolve(&document, &stack, place, &subject.tags);
    let causes = causes(&resolved);
    if ui.is_json() {
        let settings = resolved
            .rows()
            .map(|(setting, value, layer)| SettingLine { setting: setting.path(), value, decided_by: layer.clone() })
            .collect();
        let (cluster, group) = place;
        ui.object(&Explained { node: args.node.as_deref(), cluster, group, settings, causes })?;
        return Ok(ExitCode::SUCCESS);
    }
    let of =
        |name: Option<&str>, what: &str| name.map_or_else(|| format!("no {what}"), |name| format!("{what} {name}"));
    let node = args.node.as_deref().unwrap_or("a node");
    ui.line(&format!("{0}{node}{0:#}: {1}, {2}", paint::HEAD, of(place.0, "cluster"), of(place.1, "group")))?;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["setting", "value", "decided by"]);
    for (setting, value, layer) in resolved.rows() {
        table.add_row([setting.path(), value.to_string(), layer.to_string()]);
    }
    for cause in causes {
        let wait = cause.wait_secs.map(|secs| format!("wait-secs {secs}"));
        let highest = cause.highest_remedy.map(|remedy| format!("highest-remedy {remedy}"));
        let said: Vec<String> = wait.into_iter().chain(highest).collect();
        table.add_row([format!("causes.{}", cause.cause), said.join(", "), "document".to_owned()]);
    }
    for line in table.to_string().lines() {
        ui.line(line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn causes(resolved: &Resolved) -> Vec<CauseLine> {
    let rules = resolved.policy.causes.iter();
    rules
        .map(|(cause, rule)| CauseLine {
            cause: *cause,
            wait_secs: rule.wait_secs,
            highest_remedy: rule.highest.map(|highest| highest.remedy().map_or("none", |remedy| remedy.as_str())),
        })
        .collect()
}

/// The stack's layer.
fn stack(given: &[(String, String)]) -> anyhow::Result<Policy> {
    let mode = ("DEFIB_MODE".to_owned(), Mode::Replace.as_str().to_owned());
    let settings = Settings::from_pairs(std::iter::once(mode).chain(given.iter().cloned()))?;
    if let Some(unknown) = settings.unknown.first() {
        bail!("there is no setting {}; did you mean {}?", unknown.name, unknown.nearest);
    }
    if let Some((name, _)) = given.iter().find(|(name, _)| !name.starts_with(crate::config::PREFIX)) {
        bail!("{name} is no setting of the stack: their names begin with {}", crate::config::PREFIX);
    }
    Ok(settings.policy)
}

/// What the script knows of the node, and what the command line says instead.
fn subject(args: &ExplainArgs) -> anyhow::Result<Subject> {
    let mut subject = match (&args.scenario, &args.node) {
        (Some(file), Some(node)) => of_script(file, node)?,
        _ => Subject::default(),
    };
    if args.cluster.is_some() {
        subject.cluster.clone_from(&args.cluster);
    }
    if args.group.is_some() {
        subject.group.clone_from(&args.group);
    }
    let given =
        [(Tagged::Node, args.mode_tag), (Tagged::Group, args.group_mode_tag), (Tagged::Cluster, args.cluster_mode_tag)];
    for (on, mode) in given {
        if let Some(mode) = mode {
            subject.tags.retain(|(tagged, _)| *tagged != on);
            subject.tags.push((on, mode));
        }
    }
    Ok(subject)
}

fn of_script(file: &Path, node: &str) -> anyhow::Result<Subject> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let scenario: Scenario = text.parse().with_context(|| format!("failed to read {}", file.display()))?;
    let found =
        scenario.machines.iter().find(|(name, spec)| name == node || spec.id.is_some_and(|id| id.to_string() == node));
    let Some((_, spec)) = found else {
        let known: Vec<&str> = scenario.machines.iter().map(|(name, _)| name.as_str()).collect();
        bail!("{} has no node {node}; it has {}", file.display(), known.join(", "));
    };
    Ok(Subject {
        cluster: spec.cluster.clone(),
        group: spec.group.as_ref().map(ToString::to_string),
        tags: spec.tags.mode.map(|mode| (Tagged::Node, mode)).into_iter().collect(),
    })
}
