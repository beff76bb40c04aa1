//! Finding the deployment that a command is about.

use anyhow::Context;
use aws_config::SdkConfig;

use super::super::Global;
use super::{Asker, Which};
use crate::aws::deployment::{Deployment, NoDeployment};
use crate::aws::{Clients, Documents, Nodes};
use crate::config;
use crate::node::Home;
use crate::ports::PortError;

/// The deployment in the account and region that the command line names.
pub(super) async fn deployment(which: &Which, global: &Global) -> anyhow::Result<Deployment> {
    Ok(find(which, &shared(global).await?).await?)
}

/// The deployment that this configuration leads to.
pub(super) async fn find(which: &Which, shared: &SdkConfig) -> Result<Deployment, NoDeployment> {
    let function = which.function.clone().or_else(config::operated_function);
    Deployment::find(shared, function.as_deref()).await
}

/// The configuration of the SDK's clients.
pub(in crate::cli) async fn shared(global: &Global) -> anyhow::Result<SdkConfig> {
    let region = global.region.as_ref().map(ToString::to_string);
    let (profile, endpoint) = (global.profile.as_deref(), global.endpoint_url.as_deref());
    let shared = Box::pin(Clients::shared_for(profile, region.as_deref(), endpoint)).await;
    shared.region().context("no region: give one with --region or AWS_REGION")?;
    Ok(shared)
}

/// Who asks.
pub(super) async fn caller(asker: &Asker, deployment: &Deployment) -> String {
    match &asker.by {
        Some(by) => by.clone(),
        None => deployment.caller().await.unwrap_or_else(|_| "an operator whom STS did not name".to_owned()),
    }
}

/// What a port that did not answer means for whoever waits for a result.
pub(super) fn unread(error: PortError) -> anyhow::Error {
    match error {
        PortError::Transient => anyhow::anyhow!(
            "the ledger did not answer, or denied it; reading needs dynamodb:BatchGetItem, Query and Scan on its table"
        ),
        PortError::NewerSchema => {
            anyhow::anyhow!("a newer version of defib wrote this; use that version's command line")
        }
    }
}

/// The nodes of the account, to be looked at only.
pub(in crate::cli) fn nodes(shared: &SdkConfig, global: &Global) -> anyhow::Result<Nodes> {
    let region = shared.region().context("no region: give one with --region or AWS_REGION")?.as_ref().parse()?;
    let home = Home { account: global.account.unwrap_or("000000000000".parse()?), region };
    // Nothing is sent, so that no document is needed.
    let documents = Documents { probe: "Defib-Probe".parse()?, repair: "Defib-Repair".parse()? };
    Ok(Nodes::new(Clients::of(shared), home, documents, config::now))
}
