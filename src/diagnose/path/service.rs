//! The services that the agents speak with.

use std::fmt;

use super::super::Agents;

/// A service of AWS that an agent, or what it starts, needs a way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `ssm`: registration and pings.
    Ssm,
    /// `ssmmessages`: the control channel, sessions, and the commands of agents from 3.3.40.0 on.
    SsmMessages,
    /// `ec2messages`: the commands of older agents, and what newer ones fall back to.
    Ec2Messages,
    /// `ecs`: registration, and where the next one is found.
    Ecs,
    /// `ecs-agent`: the websocket that tasks come by.
    EcsAgent,
    /// `ecs-telemetry`: metrics and health. Without it the agent stays connected.
    EcsTelemetry,
    /// `ecr.api`: leave to pull images.
    EcrApi,
    /// `ecr.dkr`: the images' manifests.
    EcrDkr,
    /// `logs`: what tasks print, and what Run Command keeps.
    Logs,
    /// `s3`: the images' layers, and the agents' own updates.
    S3,
}

/// What an agent loses without a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Little enough that it stays connected.
    Useful,
    /// Everything.
    Vital,
}

impl Service {
    /// Each of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Ssm,
        Self::SsmMessages,
        Self::Ec2Messages,
        Self::Ecs,
        Self::EcsAgent,
        Self::EcsTelemetry,
        Self::EcrApi,
        Self::EcrDkr,
        Self::Logs,
        Self::S3,
    ];

    /// The name at the end of a VPC endpoint's service name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::SsmMessages => "ssmmessages",
            Self::Ec2Messages => "ec2messages",
            Self::Ecs => "ecs",
            Self::EcsAgent => "ecs-agent",
            Self::EcsTelemetry => "ecs-telemetry",
            Self::EcrApi => "ecr.api",
            Self::EcrDkr => "ecr.dkr",
            Self::Logs => "logs",
            Self::S3 => "s3",
        }
    }

    /// What the first label of its host name begins with: `ecs-a` of `ecs-a-1.us-east-1.amazonaws.com`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::EcsAgent => "ecs-a",
            Self::EcsTelemetry => "ecs-t",
            Self::EcrApi => "api.ecr",
            Self::EcrDkr => "dkr.ecr",
            Self::Ssm | Self::SsmMessages | Self::Ec2Messages | Self::Ecs | Self::Logs | Self::S3 => self.as_str(),
        }
    }

    /// Whether it is one of Systems Manager's own.
    #[must_use]
    pub fn is_ssm(self) -> bool {
        matches!(self, Self::Ssm | Self::SsmMessages | Self::Ec2Messages)
    }

    /// How much depends on it, for these agents; none: nothing does.
    #[must_use]
    pub fn need(self, agents: Agents) -> Option<Need> {
        let (agent, need) = match self {
            Self::Ssm | Self::SsmMessages => (agents.ssm, Need::Vital),
            Self::Ec2Messages => (agents.ssm, Need::Useful),
            Self::Ecs | Self::EcsAgent => (agents.ecs, Need::Vital),
            Self::EcsTelemetry | Self::EcrApi | Self::EcrDkr => (agents.ecs, Need::Useful),
            Self::Logs | Self::S3 => (agents.ssm || agents.ecs, Need::Useful),
        };
        agent.then_some(need)
    }

    /// The IAM actions without which the service is of no use to an agent.
    #[must_use]
    pub fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Ssm => &["ssm:UpdateInstanceInformation"],
            Self::SsmMessages => &["ssmmessages:CreateControlChannel", "ssmmessages:OpenControlChannel"],
            Self::Ec2Messages => &["ec2messages:GetMessages"],
            Self::Ecs => &["ecs:DiscoverPollEndpoint", "ecs:RegisterContainerInstance"],
            Self::EcsAgent => &["ecs:Poll"],
            Self::EcsTelemetry => &["ecs:StartTelemetrySession"],
            Self::EcrApi => &["ecr:GetAuthorizationToken"],
            Self::EcrDkr => &["ecr:BatchGetImage"],
            Self::Logs => &["logs:PutLogEvents"],
            Self::S3 => &["s3:GetObject"],
        }
    }

    /// Whether a VPC endpoint's service name is this service's in this region, in any partition: `com.amazonaws.REGION.ssm`, and
    /// in China also `cn.com.amazonaws.REGION.ecs`.
    #[must_use]
    pub fn is_named(self, name: &str, region: &str) -> bool {
        name.strip_suffix(self.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .and_then(|rest| rest.strip_suffix(region))
            .is_some_and(|rest| rest.ends_with("com.amazonaws."))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_services_are_known_in_every_partition() {
        assert!(Service::Ssm.is_named("com.amazonaws.us-east-1.ssm", "us-east-1"));
        assert!(Service::Ecs.is_named("cn.com.amazonaws.cn-north-1.ecs", "cn-north-1"));
        assert!(Service::EcrApi.is_named("com.amazonaws.us-gov-west-1.ecr.api", "us-gov-west-1"));
        assert!(!Service::Ssm.is_named("com.amazonaws.us-east-1.ssm", "us-west-2"));
        assert!(!Service::Ssm.is_named("com.amazonaws.us-east-1.ssmmessages", "us-east-1"));
        assert!(!Service::Ecs.is_named("com.amazonaws.vpce.us-east-1.vpce-svc-1.us-east-1.ecs", "us-east-1"));
    }

    #[test]
    fn telemetry_and_images_are_useful_and_the_websocket_is_vital() {
        let ecs = Agents { ssm: false, ecs: true };
        assert_eq!(Service::EcsAgent.need(ecs), Some(Need::Vital));
        assert_eq!(Service::EcsTelemetry.need(ecs), Some(Need::Useful));
        assert_eq!(Service::Ssm.need(ecs), None);
        assert_eq!(Service::Ec2Messages.need(Agents::BOTH), Some(Need::Useful));
    }
}
