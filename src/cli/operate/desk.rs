//! Finding the deployment that a command is about.

use anyhow::Context;

use super::super::Global;
use super::Which;
use crate::aws::Clients;
use crate::aws::deployment::Deployment;
use crate::config;
use crate::ports::PortError;

/// The deployment in the account and region that the command line names.
pub(super) async fn deployment(which: &Which, global: &Global) -> anyhow::Result<Deployment> {
    let region = global.region.as_ref().map(ToString::to_string);
    let (profile, endpoint) = (global.profile.as_deref(), global.endpoint_url.as_deref());
    let shared = Box::pin(Clients::shared_for(profile, region.as_deref(), endpoint)).await;
    shared.region().context("no region: give one with --region or AWS_REGION")?;
    let function = which.function.clone().or_else(config::operated_function);
    Ok(Deployment::find(&shared, function.as_deref()).await?)
}

/// Who asks.
pub(super) async fn caller(which: &Which, deployment: &Deployment) -> String {
    match &which.by {
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
