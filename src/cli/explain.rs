//! `defib policy explain`: what holds for a node, and which layer decided.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use jiff::Timestamp;
use serde::Serialize;

use super::{Global, Ui, paint, policy_file};
use crate::config::Settings;
use crate::diagnose::Cause;
use crate::event::Excerpt;
use crate::node::NodeId;
use crate::observe::Tags;
use crate::policy::document::Document;
use crate::policy::layers::{Layer, Resolved, Tagged, resolve};
use crate::policy::library::Library;
use crate::policy::settings::Value;
use crate::policy::standing::{News, Reading, Remembered, standing};
use crate::policy::{Mode, Policy, yaml};
use crate::report::policy_problem;
use crate::sim::rehearsal::tour_start;
use crate::sim::scenario::{Scenario, What};
use crate::time::after;

#[cfg(feature = "operate")]
mod live;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The node: its name or id in the script, or in the tour; or the id of one that neither knows.
    #[arg(value_name = "NODE", value_parser = named)]
    node: Option<String>,
    /// The policy document; without it that of the script, or the stack alone.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A script of the simulated account, in which the node is looked up.
    #[arg(long, value_name = "FILE", requires = "node")]
    scenario: Option<PathBuf>,
    /// The moment in the script, as in 90s, 30m or 2h: tags and documents are what its steps have made of them.
    #[arg(long, value_name = "SPAN", requires = "node", value_parser = crate::sim::scenario::span_secs)]
    at: Option<i64>,
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
    /// Ask AWS: where the node is, its tags, the deployment's settings and the document in force. So does `--function`, `--profile` or
    /// `--endpoint-url`.
    #[arg(long, conflicts_with_all = ["scenario", "at"])]
    aws: bool,
    /// The function of the deployment that is meant, where there are several.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["scenario", "at"])]
    function: Option<String>,
    /// A setting of the stack, as the function's environment has it; its mode is the script's, else observe, unless set here.
    #[arg(long, value_name = "DEFIB_NAME=VALUE", value_parser = pair)]
    stack: Vec<(String, String)>,
}

fn named(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("expected the name or id of a node".to_owned()) } else { Ok(name.to_owned()) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, as in DEFIB_MODE=cycle")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is known of the node.
#[derive(Debug, Default)]
struct Subject {
    cluster: Option<String>,
    group: Option<String>,
    tags: Vec<TagLine>,
    /// The account that was asked does not know the node.
    is_unknown: bool,
    /// The script's own rules.
    stack: Option<Policy>,
    document: Option<Document>,
    /// Why there is no good document, in a line.
    problem: Option<String>,
}

/// The tags of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TagLine {
    on: Tagged,
    /// None: nobody said.
    managed: Option<bool>,
    mode: Option<Mode>,
    mute_until: Option<Timestamp>,
}

/// The answer, for programs.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    node: Option<&'a str>,
    cluster: Option<&'a str>,
    group: Option<&'a str>,
    tags: &'a [TagLine],
    /// Why there is no good document; none: nothing is wrong with it.
    problem: Option<&'a str>,
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

pub(super) fn run(args: &ExplainArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let asks_aws = args.aws || args.function.is_some() || global.profile.is_some() || global.endpoint_url.is_some();
    let mut subject = if asks_aws { on_aws(args, global, ui)? } else { subject(args)? };
    set(args, &mut subject);
    if let (true, Some(node)) = (subject.is_unknown, &args.node) {
        ui.note(&format!(
            "the simulated account does not know {node}: this holds for a node in this place without tags"
        ));
    }
    if args.policy.is_some() && args.stack.is_empty() && subject.stack.is_none() {
        ui.note("no stack is named, so its mode is the default, observe; say --stack DEFIB_MODE=MODE for another");
    }
    if let Some(file) = &args.policy {
        subject.document = Some(policy_file::document(file)?);
        subject.problem = None;
    }
    let stack = stack(&args.stack, subject.stack.take())?;
    let place = (subject.cluster.as_deref(), subject.group.as_deref());
    let modes: Vec<_> = subject.tags.iter().filter_map(|tags| Some((tags.on, tags.mode?))).collect();
    let document = subject.document.take().unwrap_or_default();
    let resolved = if subject.problem.is_some() {
        only_observing(&document, &stack, place, &modes)
    } else {
        resolve(&document, &stack, place, &modes)
    };
    let causes = causes(&resolved);
    if ui.is_json() {
        let settings = resolved
            .rows()
            .map(|(setting, value, layer)| SettingLine { setting: setting.path(), value, decided_by: layer.clone() })
            .collect();
        let (cluster, group) = place;
        let (tags, problem) = (subject.tags.as_slice(), subject.problem.as_deref());
        ui.object(&Explained { node: args.node.as_deref(), cluster, group, tags, problem, settings, causes })?;
        return Ok(ExitCode::SUCCESS);
    }
    let of =
        |name: Option<&str>, what: &str| name.map_or_else(|| format!("no {what}"), |name| format!("{what} {name}"));
    let node = args.node.as_deref().unwrap_or("a node");
    ui.line(&format!("{0}{node}{0:#}: {1}, {2}", paint::HEAD, of(place.0, "cluster"), of(place.1, "group")))?;
    for tags in &subject.tags {
        ui.line(&told(tags))?;
    }
    if let Some(problem) = &subject.problem {
        ui.line(&format!("the document cannot be used, so the last good one holds in mode observe: {problem}"))?;
    }
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

/// The last good document under a stack that only observes.
fn only_observing(
    document: &Document,
    stack: &Policy,
    place: (Option<&str>, Option<&str>),
    modes: &[(Tagged, Mode)],
) -> Resolved {
    let mut resolved = resolve(document, stack, place, modes);
    if resolved.policy.mode > Mode::Observe {
        resolved.policy.mode = Mode::Observe;
        resolved.mode_decided_by(&Layer::NoGoodDocument);
    }
    resolved
}

/// The tags of one resource in a line: what they mean, not only what they say.
fn told(tags: &TagLine) -> String {
    let on = Layer::Tag { on: tags.on };
    let mut said = Vec::new();
    match tags.managed {
        Some(true) => said.push("defib:managed=true opts it in".to_owned()),
        Some(false) => said.push("no defib:managed=true, so it is only told about".to_owned()),
        None => {}
    }
    match tags.mode {
        Some(Mode::Off) => said.push("defib:mode=off opts it out".to_owned()),
        Some(mode) => said.push(format!("defib:mode={mode} allows {}", mode.allows())),
        None => {}
    }
    if let Some(until) = tags.mute_until {
        said.push(format!("defib:mute-until={until} mutes it until then"));
    }
    format!("{on}: {}", if said.is_empty() { "nothing".to_owned() } else { said.join("; ") })
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

/// The stack's layer: what is given, else the script's rules, else the defaults.
fn stack(given: &[(String, String)], script: Option<Policy>) -> anyhow::Result<Policy> {
    let script = script.unwrap_or_default();
    if given.is_empty() {
        return Ok(script);
    }
    let mode = ("DEFIB_MODE".to_owned(), script.mode.as_str().to_owned());
    let settings = Settings::from_pairs(std::iter::once(mode).chain(given.iter().cloned()))?;
    if let Some(unknown) = settings.unknown.first() {
        bail!("there is no setting {}; did you mean {}?", unknown.name, unknown.nearest);
    }
    if let Some((name, _)) = given.iter().find(|(name, _)| !name.starts_with(crate::config::PREFIX)) {
        bail!("{name} is no setting of the stack: their names begin with {}", crate::config::PREFIX);
    }
    Ok(settings.policy)
}

/// What AWS knows of the node.
#[cfg(feature = "operate")]
fn on_aws(args: &ExplainArgs, global: &Global, ui: &Ui) -> anyhow::Result<Subject> {
    let (subject, notes) = live::subject(args, global)?;
    for note in notes {
        ui.note(&note);
    }
    Ok(subject)
}

/// Without the SDK nothing can be asked.
#[cfg(not(feature = "operate"))]
fn on_aws(_: &ExplainArgs, _: &Global, _: &Ui) -> anyhow::Result<Subject> {
    bail!("this build has no AWS SDK: build it with the feature operate, as plain `cargo build` does")
}

/// What the script, or the tour, knows of the node.
fn subject(args: &ExplainArgs) -> anyhow::Result<Subject> {
    let at_secs = args.at.unwrap_or(0);
    Ok(match (&args.scenario, &args.node) {
        (Some(file), Some(node)) => {
            let script = script(file)?;
            of_script(&script, node, at_secs)
                .with_context(|| format!("{} has no node {node}; it has {}", file.display(), names(&script)))?
        }
        (None, Some(node)) => {
            let tour: Scenario = super::simulate::TOUR.parse().context("failed to read the tour")?;
            // Whoever names a place means a node of his own.
            let own = args.cluster.is_some() || args.group.is_some();
            match of_script(&tour, node, at_secs) {
                Some(known) if !own => known,
                Some(_) => Subject::default(),
                None if node.parse::<NodeId>().is_ok() => Subject { is_unknown: true, ..Subject::default() },
                None => bail!(
                    "there is no node {}; allowed: an id as i-0a1b2c3d4e5f60718 or mi-0a1b2c3d4e5f60718, or a node of the \
                     tour: {}",
                    Excerpt::of(node),
                    names(&tour)
                ),
            }
        }
        _ => Subject::default(),
    })
}

/// What the command line says instead.
fn set(args: &ExplainArgs, subject: &mut Subject) {
    if args.cluster.is_some() {
        subject.cluster.clone_from(&args.cluster);
    }
    if args.group.is_some() {
        subject.group.clone_from(&args.group);
    }
    let given =
        [(Tagged::Node, args.mode_tag), (Tagged::Group, args.group_mode_tag), (Tagged::Cluster, args.cluster_mode_tag)];
    for (on, mode) in given {
        let Some(mode) = mode else { continue };
        match subject.tags.iter_mut().find(|tags| tags.on == on) {
            Some(tags) => tags.mode = Some(mode),
            None => subject.tags.push(TagLine { on, managed: None, mode: Some(mode), mute_until: None }),
        }
    }
}

fn names(script: &Scenario) -> String {
    script.machines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn script(file: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    text.parse().with_context(|| format!("failed to read {}", file.display()))
}

/// The node as a script has it at a moment.
fn of_script(script: &Scenario, node: &str, at_secs: i64) -> Option<Subject> {
    let (name, spec) =
        script.machines.iter().find(|(name, spec)| name == node || spec.id.is_some_and(|id| id.to_string() == node))?;
    let line =
        |on, tags: Tags| TagLine { on, managed: Some(tags.managed), mode: tags.mode, mute_until: tags.mute_until };
    let cluster = spec.cluster.clone();
    let group = spec.group.as_ref().map(ToString::to_string);
    let opted_in = Tags { managed: true, mode: None, mute_until: None };
    let mut tags = vec![line(Tagged::Node, spec.tags)];
    if let Some(group) = &spec.group {
        let set = script.groups.get(group).and_then(|settings| settings.tags);
        tags.push(line(Tagged::Group, set.unwrap_or(opted_in)));
    }
    if cluster.is_some() {
        tags.push(line(Tagged::Cluster, opted_in));
    }
    let mut kept = Remembered::default();
    let mut problem = None;
    for step in script.steps.iter().filter(|step| step.at_secs <= at_secs) {
        let (on, new) = match &step.what {
            What::Tag(on, new) if on == name => (Tagged::Node, *new),
            What::TagGroup(on, new) if Some(on.as_str()) == group.as_deref() => (Tagged::Group, *new),
            What::TagCluster(on, new) if Some(on.as_str()) == cluster.as_deref() => (Tagged::Cluster, *new),
            What::Document(text) => {
                let reading = text.clone().map_or(Reading::Absent, Reading::Text);
                let now = after(tour_start(), step.at_secs);
                let standing = standing(&script.policy, &reading, &kept, now, &mut Library::default());
                kept = standing.keep.unwrap_or(kept);
                match &standing.news {
                    Some(News::Problem(told)) => problem = Some(policy_problem::in_short(told)),
                    Some(News::Mended { .. }) => problem = None,
                    None => {}
                }
                continue;
            }
            _ => continue,
        };
        if let Some(old) = tags.iter_mut().find(|tags| tags.on == on) {
            *old = line(on, new);
        }
    }
    let document = kept.good.as_deref().and_then(|text| yaml::read(text.as_bytes()).ok());
    Some(Subject { cluster, group, tags, is_unknown: false, stack: Some(script.policy.clone()), document, problem })
}
