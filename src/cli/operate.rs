//! The commands that work with a deployment: they read its ledger, and hand requests to its function. Nothing here changes a node: the
//! function is the only actor, so that nobody goes around its rails or its role.

use std::process::ExitCode;

use crate::event::Excerpt;
use crate::incident::{IncidentId, Remedy};
use crate::node::NodeId;
use crate::ports::MUTE_SECS;
use crate::time;

use super::{Global, Ui};

#[cfg(feature = "operate")]
mod ask;
#[cfg(feature = "operate")]
pub(super) mod desk;
#[cfg(feature = "operate")]
mod doctor;
#[cfg(feature = "operate")]
mod fix;
#[cfg(feature = "operate")]
mod incidents;

/// Which deployment is meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Which {
    /// The function of the deployment; without it that of `DEFIB_FUNCTION`, else the only one in the account and region.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
}

/// Which deployment is meant, and who asks it for something.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Asker {
    #[command(flatten)]
    which: Which,
    /// Who asks, for the incident's history; without it, whoever the credentials belong to.
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

/// Show what a repair of a node would be; with --approve, let the deployment begin it.
#[derive(Debug, clap::Args)]
pub(super) struct FixArgs {
    /// The node: `i-…` or `mi-…`.
    #[arg(value_name = "NODE")]
    node: NodeId,
    /// Begin with this remedy instead of the next one; refused where the cause does not call for it, or it had its tries.
    #[arg(long, value_name = "R")]
    remedy: Option<Remedy>,
    /// Hand the plan to the function. It looks again, and refuses when the plan is not this one any more.
    #[arg(long)]
    approve: bool,
    #[command(flatten)]
    asker: Asker,
}

/// List incidents: those that are open, or with --all also those that ended in the last ninety days.
#[derive(Debug, clap::Args)]
pub(super) struct IncidentsArgs {
    /// Also those that ended.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

/// Show an incident: its cause, what was seen, what was done; as JSON the whole record, which `defib replay` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The incident: `inc-…`.
    #[arg(value_name = "ID")]
    id: IncidentId,
    /// Also what the node printed before each disruptive remedy, redacted.
    #[arg(long)]
    evidence: bool,
    #[command(flatten)]
    which: Which,
}

/// An incident.
#[derive(Debug, clap::Args)]
pub(super) struct IncidentArgs {
    /// The incident: `inc-…`.
    #[arg(value_name = "ID")]
    id: IncidentId,
    #[command(flatten)]
    asker: Asker,
}

/// A node.
#[derive(Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The node: `i-…` or `mi-…`.
    #[arg(value_name = "NODE")]
    node: NodeId,
    #[command(flatten)]
    asker: Asker,
}

/// A node, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct MuteArgs {
    /// The node: `i-…` or `mi-…`.
    #[arg(value_name = "NODE")]
    node: NodeId,
    /// For how long, as in 90m, 8h or 7d; at most ninety days.
    #[arg(long = "for", value_name = "D", value_parser = span)]
    secs: i64,
    #[command(flatten)]
    asker: Asker,
}

/// A deployment, or what is left of one.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// The table of a deployment whose function is gone: what it still holds is listed all the same.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// No more than the deployment.
#[derive(Debug, clap::Args)]
pub(super) struct OnlyArgs {
    #[command(flatten)]
    asker: Asker,
}

/// What is wanted of a deployment.
#[derive(Debug)]
#[cfg_attr(not(feature = "operate"), allow(dead_code, reason = "this build has nobody to hand it to"))]
pub(super) enum Wanted<'a> {
    Fix(&'a FixArgs),
    Incidents(&'a IncidentsArgs),
    Show(&'a ShowArgs),
    Approve(&'a IncidentArgs),
    Close(&'a IncidentArgs),
    Mute(&'a MuteArgs),
    Unmute(&'a NodeArgs),
    Clear(&'a NodeArgs),
    Pause(&'a OnlyArgs),
    Resume(&'a OnlyArgs),
    Doctor(&'a DoctorArgs),
}

/// How long a node is muted.
fn span(text: &str) -> Result<i64, String> {
    let secs =
        time::span(text).ok_or_else(|| format!("expected a span as in 90m, 8h or 7d, not {}", Excerpt::of(text)))?;
    if MUTE_SECS.contains(&secs) {
        Ok(secs)
    } else {
        Err("a node is muted for at least a minute and at most ninety days".to_owned())
    }
}

/// Without the SDK nobody can be asked.
#[cfg(not(feature = "operate"))]
pub(super) fn run(_: &Wanted<'_>, _: &Global, _: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no AWS SDK: build it with the feature operate, as plain `cargo build` does")
}

/// Does what is wanted.
#[cfg(feature = "operate")]
pub(super) fn run(wanted: &Wanted<'_>, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    use anyhow::Context;

    use crate::operator::Verb;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let what = async {
        match wanted {
            Wanted::Fix(args) => Box::pin(fix::run(args, global, ui)).await,
            Wanted::Incidents(args) => Box::pin(incidents::list(args, global, ui)).await,
            Wanted::Show(args) => Box::pin(incidents::show(args, global, ui)).await,
            Wanted::Approve(args) => Box::pin(ask::about_incident(Verb::Approve, args, global, ui)).await,
            Wanted::Close(args) => Box::pin(ask::about_incident(Verb::Close, args, global, ui)).await,
            Wanted::Mute(args) => Box::pin(ask::mute(args, global, ui)).await,
            Wanted::Unmute(args) => Box::pin(ask::about_node(Verb::Unmute, args, global, ui)).await,
            Wanted::Clear(args) => Box::pin(ask::about_node(Verb::Clear, args, global, ui)).await,
            Wanted::Pause(args) => Box::pin(ask::about_all(Verb::Pause, args, global, ui)).await,
            Wanted::Resume(args) => Box::pin(ask::about_all(Verb::Resume, args, global, ui)).await,
            Wanted::Doctor(args) => Box::pin(doctor::run(args, global, ui)).await,
        }
    };
    runtime.block_on(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(span("90m"), Ok(5_400));
        assert_eq!(span("8h"), Ok(28_800));
        assert_eq!(span("7d"), Ok(604_800));
        assert_eq!(span("60s"), Ok(60));
        for wrong in ["", "h", "8", "8 h", "-1h", "1.5h", "8w", "ä", "91d", "59s", "9223372036854775807d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
