//! One piece of evidence.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Cause;

/// Something that a channel showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// What it points to.
    pub cause: Cause,
    /// How it weighs.
    pub severity: Severity,
    /// Where it was seen.
    pub channel: Channel,
    /// What was seen, in at most 400 characters without secrets; empty when the code says it all.
    pub evidence: Arc<str>,
}

/// How a finding weighs: a cause outranks a symptom, a symptom outranks noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a line, explains nothing.
    Noise,
    /// Follows from a cause.
    Symptom,
    /// Explains the outage.
    Cause,
}

/// Where a finding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// EC2's status checks and states.
    Ec2,
    /// IAM, profile, metadata options, registration.
    Identity,
    /// Security groups, network ACLs, routes, endpoints, DNS settings.
    Network,
    /// Console output.
    Console,
    /// ECS's own view.
    Ecs,
    /// Systems Manager's own view, and Run Command statuses.
    Ssm,
    /// Our probe on the host.
    Probe,
}
