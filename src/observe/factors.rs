//! What nodes share, and what can therefore fail for many of them at once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::node::{AvailabilityZone, ResourceName};

/// Something that nodes share. In this order the more telling one is named first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "id")]
pub enum Factor {
    /// The VPC endpoint by which the agents reach AWS.
    Endpoint(ResourceName),
    /// The subnet.
    Subnet(ResourceName),
    /// The instance profile's role.
    Role(ResourceName),
    /// The AMI.
    Image(ResourceName),
    /// The Availability Zone.
    Zone(AvailabilityZone),
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(id) => write!(f, "VPC endpoint {id}"),
            Self::Subnet(id) => write!(f, "subnet {id}"),
            Self::Role(id) => write!(f, "role {id}"),
            Self::Image(id) => write!(f, "image {id}"),
            Self::Zone(id) => write!(f, "Availability Zone {id}"),
        }
    }
}

impl Factor {
    /// A stable word for machines: `subnet`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "endpoint",
            Self::Subnet(_) => "subnet",
            Self::Role(_) => "role",
            Self::Image(_) => "image",
            Self::Zone(_) => "zone",
        }
    }

    /// What AWS calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Endpoint(id) | Self::Subnet(id) | Self::Role(id) | Self::Image(id) => id.as_str(),
            Self::Zone(id) => id.as_str(),
        }
    }
}

/// What a node shares with others, and with how many.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Factors {
    /// What it shares, each once.
    pub shared: Arc<[Common]>,
    /// Nodes in the account and region.
    pub fleet: u32,
}

/// Something that a node shares, and how many nodes have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Common {
    /// What.
    pub factor: Factor,
    /// Nodes that have it, this one included.
    pub members: u32,
}
