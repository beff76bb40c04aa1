//! What `defib policy explain` learns from AWS: the node's place and tags, the stack's settings, and the document in force.

use anyhow::{Context, bail};

use super::super::Global;
use super::super::operate::desk;
use super::{ExplainArgs, Subject, TagLine};
use crate::aws::deployment::{Deployment, NoDeployment};
use crate::config;
use crate::node::NodeId;
use crate::observe::{Look, Tags};
use crate::policy::layers::Tagged;
use crate::policy::yaml;

/// The node as AWS has it, and what is beside that worth saying.
pub(super) fn subject(args: &ExplainArgs, global: &Global) -> anyhow::Result<(Subject, Vec<String>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    runtime.block_on(Box::pin(read(args, global)))
}

async fn read(args: &ExplainArgs, global: &Global) -> anyhow::Result<(Subject, Vec<String>)> {
    let node: NodeId = match args.node.as_deref().map(str::parse) {
        Some(Ok(node)) => node,
        Some(Err(_)) => bail!("on AWS a node is named by its id, as i-0a1b2c3d4e5f60718 or mi-0a1b2c3d4e5f60718"),
        None => bail!("name the node that is meant"),
    };
    let shared = desk::shared(global).await?;
    let account = desk::nodes(&shared, global)?;
    let seen = Box::pin(account.observe(node, &Look::default(), config::now())).await;
    let mut notes = Vec::new();
    if seen.ec2.known().is_none() && seen.ssm.known().is_none() {
        notes
            .push(format!("AWS does not know {node}, or does not say: this holds for a node without a place and tags"));
    }
    let line =
        |on, tags: &Tags| TagLine { on, managed: Some(tags.managed), mode: tags.mode, mute_until: tags.mute_until };
    let mut tags = Vec::new();
    tags.extend(seen.ec2.known().map(|ec2| line(Tagged::Node, &ec2.tags)));
    tags.extend(seen.asg.known().map(|group| line(Tagged::Group, &group.tags)));
    tags.extend(seen.ecs.known().map(|ecs| line(Tagged::Cluster, &ecs.cluster_tags)));
    let mut subject = Subject {
        cluster: seen.ecs.known().map(|ecs| ecs.cluster.name().to_owned()),
        group: seen.asg.known().map(|group| group.name.to_string()),
        tags,
        ..Subject::default()
    };
    let function = args.function.clone().or_else(config::operated_function);
    match Deployment::find(&shared, function.as_deref()).await {
        Ok(deployment) => {
            subject.stack = Some(deployment.function.settings()?.policy);
            match deployment.ledger().remembered().await {
                Ok(remembered) => {
                    subject.document = remembered.good.as_deref().and_then(|text| yaml::read(text.as_bytes()).ok());
                    if remembered.trouble.is_some() {
                        subject.problem = Some("see defib doctor, and defib policy check FILE".to_owned());
                    }
                }
                Err(_) => {
                    notes.push("the ledger did not say which document is in force: this holds without one".to_owned());
                }
            }
        }
        // Whoever named one wants that one.
        Err(error) if function.is_some() => return Err(error.into()),
        Err(NoDeployment::None | NoDeployment::Failed(_)) => {
            notes.push("no deployment of defib was found: this holds under a stack without settings".to_owned());
        }
        Err(error) => return Err(error.into()),
    }
    Ok((subject, notes))
}
