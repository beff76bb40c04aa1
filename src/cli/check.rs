//! `defib check`: what keeps a node's agents from answering, check by check. It reads, and changes nothing.

use crate::node::NodeId;

/// Look at nodes on AWS, read-only: OK, WARN or FAIL a line, each FAIL with its fix.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct CheckArgs {
    /// The nodes: `i-…` or `mi-…`.
    #[arg(value_name = "NODE")]
    nodes: Vec<NodeId>,
    /// Every node of this ECS cluster, by its name or ARN.
    #[arg(long, value_name = "C")]
    cluster: Option<String>,
}

/// Without the SDK nothing can be asked.
#[cfg(not(feature = "aws"))]
pub(super) fn run(_: &CheckArgs, _: &super::Global, _: &super::Ui) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("this build has no AWS SDK: build it with the feature aws")
}

#[cfg(feature = "aws")]
pub(super) use on_aws::run;

#[cfg(feature = "aws")]
mod on_aws {
    use std::process::ExitCode;

    use anyhow::{Context, anyhow, bail};
    use serde::Serialize;

    use super::super::{Global, Ui, exit, paint};
    use super::CheckArgs;
    use crate::aws::{Checked, Clients, Documents, Nodes};
    use crate::config;
    use crate::diagnose::{Cause, CheckLine, Mark, please, sentence};
    use crate::node::{Home, NodeId};
    use crate::policy::Policy;

    /// A node's answer for programs.
    #[derive(Serialize)]
    struct Told<'a> {
        node_id: NodeId,
        well: bool,
        cause: Cause,
        confidence: f64,
        also: &'a [Cause],
        checks: &'a [CheckLine],
    }

    pub(in crate::cli) fn run(args: &CheckArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
        runtime.block_on(Box::pin(check(args, global, ui)))
    }

    async fn check(args: &CheckArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
        let nodes = connect(args, global).await?;
        let (now, policy) = (config::now(), Policy::default());
        let wanted = match &args.cluster {
            Some(cluster) => {
                let read = nodes.members(cluster, now).await;
                read.map_err(|blind| anyhow!("failed to read the account: {}", blind.as_str()))?
            }
            None => args.nodes.clone(),
        };
        if wanted.is_empty() {
            bail!("the cluster has no container instances");
        }
        let mut failed = false;
        for node in wanted {
            let checked = nodes.check(node, &policy, now).await;
            failed |= checked.lines.iter().any(|line| line.verdict == Mark::Fail);
            tell(&checked, ui)?;
        }
        Ok(if failed { ExitCode::from(exit::FINDINGS) } else { ExitCode::SUCCESS })
    }

    /// The nodes of the account that the credentials lead to.
    async fn connect(args: &CheckArgs, global: &Global) -> anyhow::Result<Nodes> {
        let region = global.region.as_ref().map(ToString::to_string);
        let (profile, endpoint) = (global.profile.as_deref(), global.endpoint_url.as_deref());
        let (clients, region) = Box::pin(Clients::load_for(profile, region.as_deref(), endpoint)).await;
        let region = region.context("no region: give one with --region or AWS_REGION")?.parse()?;
        // A check sends no command, so it needs no document.
        let documents = Documents { probe: "Defib-Probe".parse()?, repair: "Defib-Repair".parse()? };
        let unknown = "000000000000".parse()?;
        let home = Home { account: global.account.unwrap_or(unknown), region };
        let nodes = Nodes::new(clients.clone(), home.clone(), documents.clone(), config::now);
        if global.account.is_some() {
            return Ok(nodes);
        }
        // Whose VPC is whose: told by the owner of an instance.
        let first = args.nodes.iter().copied().find(|node| node.is_instance());
        match nodes.account_of(first).await {
            Ok(account) => Ok(Nodes::new(clients, Home { account, ..home }, documents, config::now)),
            // The line of the node says what is wrong.
            Err(_) => Ok(nodes),
        }
    }

    fn tell(checked: &Checked, ui: &Ui) -> anyhow::Result<()> {
        let diagnosis = &checked.diagnosis;
        if ui.is_json() {
            return ui.object(&Told {
                node_id: checked.node,
                well: checked.well,
                cause: diagnosis.cause,
                confidence: f64::from(diagnosis.confidence) / 100.0,
                also: &diagnosis.also,
                checks: &checked.lines,
            });
        }
        let (head, faint) = (paint::HEAD, paint::FAINT);
        ui.line(&format!("{head}{}{head:#}", checked.node))?;
        for line in &checked.lines {
            let style = match line.verdict {
                Mark::Ok => paint::GOOD,
                Mark::Warn => paint::WARN,
                Mark::Fail => paint::BAD,
                Mark::Unknown => paint::FAINT,
            };
            ui.line(&format!("  {style}{:7}{style:#} {} {}", line.verdict, line.id, line.text))?;
            if let Some(fix) = &line.fix {
                ui.line(&format!("              {faint}fix: {fix}{faint:#}"))?;
            }
        }
        let (cause, sure) = (diagnosis.cause, diagnosis.confidence);
        ui.line(&format!("  {head}cause:{head:#} {cause}, {sure} % sure: {}", sentence(cause)))?;
        if cause != Cause::Healthy {
            ui.line(&format!("  please {}", please(cause)))?;
        }
        Ok(())
    }
}
