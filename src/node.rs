//! Names of things in AWS, checked once at the door.
//!
//! Text that came from outside becomes one of these types or is turned away; nobody behind the door checks again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the name it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {}", shown(given))]
pub struct BadName {
    /// What the text should have been, with its article: `an instance id`.
    pub expected: &'static str,
    /// The text that was given.
    pub given: String,
}

/// At most 40 printable characters of a text that nobody has checked yet.
fn shown(text: &str) -> String {
    let clean: String = text.chars().take(40).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    format!("\"{clean}\"")
}

/// Who runs the machine: EC2, or somebody else with a Systems Manager activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// An EC2 instance, `i-…`.
    Instance,
    /// A hybrid managed node or ECS Anywhere host, `mi-…`. No EC2 call works on it.
    Managed,
}

/// A machine: an EC2 instance id (`i-…`) or a managed-node id (`mi-…`).
///
/// 8 or 17 lower-case hexadecimal digits, kept as a number so that the id is small and free to copy. They take 68 bits: in two
/// parts, for a `u128` would double the room of everything that names a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    kind: NodeKind,
    digits: u8,
    /// The first of 17 digits.
    high: u8,
    /// The other 16.
    low: u64,
}

impl NodeId {
    /// An instance with the long form of an id; used by the simulated account to number its machines.
    #[must_use]
    pub fn numbered(value: u128) -> Self {
        Self::of(NodeKind::Instance, 17, value)
    }

    /// Who runs the machine.
    #[must_use]
    pub fn kind(self) -> NodeKind {
        self.kind
    }

    /// Whether the EC2 API knows the machine.
    #[must_use]
    pub fn is_instance(self) -> bool {
        self.kind == NodeKind::Instance
    }

    /// The digits as a number: a stable seed for anything that must differ between machines.
    #[must_use]
    pub fn value(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "what is cut off the low part is the high one, which has four bits"
    )]
    fn of(kind: NodeKind, digits: u8, value: u128) -> Self {
        Self { kind, digits, high: (value >> 64) as u8 & 0xf, low: value as u64 }
    }
}

impl FromStr for NodeId {
    type Err = BadName;

    /// Surrounding white space is ignored: AWS's own sample events carry ids such as `" i-1234567890abcdef0"`.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "an instance or managed-node id", given: text.to_owned() };
        let trimmed = text.trim();
        let (kind, hex) = if let Some(hex) = trimmed.strip_prefix("i-") {
            (NodeKind::Instance, hex)
        } else if let Some(hex) = trimmed.strip_prefix("mi-") {
            (NodeKind::Managed, hex)
        } else {
            return Err(bad());
        };
        let digits = match hex.len() {
            8 => 8,
            17 => 17,
            _ => return Err(bad()),
        };
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let value = u128::from_str_radix(hex, 16).map_err(|_| bad())?;
        Ok(Self::of(kind, digits, value))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.kind {
            NodeKind::Instance => "i-",
            NodeKind::Managed => "mi-",
        };
        // `pad` lets tables align ids; most callers print without a width and take the quick way.
        if f.width().is_some() {
            f.pad(&format!("{prefix}{:0width$x}", self.value(), width = usize::from(self.digits)))
        } else {
            write!(f, "{prefix}{:0width$x}", self.value(), width = usize::from(self.digits))
        }
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An account number: twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl FromStr for AccountId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "a twelve-digit account number", given: text.to_owned() };
        let trimmed = text.trim();
        if trimmed.len() != 12 || !trimmed.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        trimmed.parse().map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A name that is only a checked text. Cheap to clone.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let trimmed = text.trim();
                let check: fn(&str) -> bool = $check;
                if check(trimmed) {
                    Ok(Self(trimmed.into()))
                } else {
                    Err(BadName { expected: $expected, given: text.to_owned() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use checked_text;

/// Letters, digits and the given marks, from 1 to `most` of them.
fn plain(text: &str, most: usize, marks: &str) -> bool {
    !text.is_empty() && text.len() <= most && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

/// No control characters, from 1 to 255 characters: the names that people give to groups may hold almost anything.
fn printable(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

checked_text!(
    /// A region's code, `us-east-1`.
    Region, "a region", |t| plain(t, 32, "-") && t.contains('-') && !t.bytes().any(|b| b.is_ascii_uppercase())
);
checked_text!(
    /// A Run Command id: a UUID.
    CommandId, "a command id", |t| t.len() == 36 && t.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);
checked_text!(
    /// A Systems Manager document's name, or the ARN of a shared one.
    DocumentName, "a document name", |t| plain(t, 256, "_-.:/")
);
checked_text!(
    /// An Auto Scaling group's name.
    AutoScalingGroupName, "an Auto Scaling group name", printable
);
checked_text!(
    /// An Availability Zone's name, `us-east-1a`.
    AvailabilityZone, "an Availability Zone", |t| plain(t, 32, "-")
);
checked_text!(
    /// The id or name of a resource that nodes share: a subnet, a VPC endpoint, a role, an AMI.
    ResourceName, "a resource's id or name", |t| plain(t, 255, "-_.+=,@/:")
);
checked_text!(
    /// The text of a `Name` tag: shown to people, never used to decide.
    DisplayName, "a name", printable
);
checked_text!(
    /// `arn:aws:ecs:region:account:cluster/name`.
    ClusterArn, "an ECS cluster ARN", |t| ecs_arn(t, "cluster/").is_some_and(|rest| plain(rest, 255, "-_"))
);
checked_text!(
    /// `arn:aws:ecs:region:account:container-instance/cluster/id`, or the old form without the cluster's name.
    ContainerInstanceArn, "an ECS container instance ARN",
    |t| ecs_arn(t, "container-instance/").is_some_and(|rest| plain(rest, 300, "-_/"))
);

/// What follows `kind` in an ECS ARN.
fn ecs_arn<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let mut parts = text.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = arn == "arn" && partition.starts_with("aws") && service == "ecs";
    if whole && region.parse::<Region>().is_ok() && account.parse::<AccountId>().is_ok() {
        resource.strip_prefix(kind)
    } else {
        None
    }
}

impl DocumentName {
    /// Whether it is one of Defib's own: its name, also at the end of an ARN, begins with `Defib-`.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.as_str().rsplit('/').next().is_some_and(|name| name.starts_with("Defib-"))
    }
}

impl ClusterArn {
    /// The cluster's name, the last part of its ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The region that it is in, the fourth part of its ARN.
    #[must_use]
    pub fn region(&self) -> &str {
        self.as_str().split(':').nth(3).unwrap_or_default()
    }
}

impl ContainerInstanceArn {
    /// The id at the end of the ARN, which the console's links want.
    #[must_use]
    pub fn id(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl Region {
    /// The partition that the region belongs to: `aws`, `aws-us-gov` or `aws-cn`.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        if self.as_str().starts_with("us-gov-") {
            "aws-us-gov"
        } else if self.as_str().starts_with("cn-") {
            "aws-cn"
        } else {
            "aws"
        }
    }

    /// The host of the console in this region.
    #[must_use]
    pub fn console_host(&self) -> String {
        match self.partition() {
            "aws-us-gov" => format!("{self}.console.amazonaws-us-gov.com"),
            "aws-cn" => format!("{self}.console.amazonaws.cn"),
            _ => format!("{self}.console.aws.amazon.com"),
        }
    }
}

/// The one account and region that this deployment looks after.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Home {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_trimmed_and_printed_as_they_came() {
        for id in ["i-1234567890abcdef0", "i-abcd1111", "mi-0123456789abcdef0", "i-00000000"] {
            assert_eq!(format!(" {id}\n").parse::<NodeId>().unwrap().to_string(), id);
        }
    }

    #[test]
    fn malformed_ids_are_turned_away() {
        for id in [
            "",
            "i-",
            "i-123",
            "i-1234567890abcdef01",
            "i-1234567890ABCDEF0",
            "ami-12345678",
            "i-12345678; reboot",
            "i-١٢٣٤",
        ] {
            assert!(id.parse::<NodeId>().is_err(), "{id}");
        }
    }

    #[test]
    fn a_bad_name_shows_nothing_that_could_harm_a_terminal() {
        let error = "i-\u{1b}[31m\u{202e}".parse::<NodeId>().unwrap_err().to_string();
        assert!(error.is_ascii() && !error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn both_forms_of_a_container_instance_arn_are_known() {
        let old = "arn:aws:ecs:us-east-1:111122223333:container-instance/b54a2a04-046f-4331-9d74-3f6d7f6ca315";
        let new = "arn:aws-us-gov:ecs:us-gov-west-1:111122223333:container-instance/prod/a1b2c3d4EXAMPLE";
        assert_eq!(old.parse::<ContainerInstanceArn>().unwrap().id(), "b54a2a04-046f-4331-9d74-3f6d7f6ca315");
        assert_eq!(new.parse::<ContainerInstanceArn>().unwrap().id(), "a1b2c3d4EXAMPLE");
        assert!("arn:aws:ecs:us-east-1:1:container-instance/x".parse::<ContainerInstanceArn>().is_err());
    }

    #[test]
    fn consoles_are_chosen_by_partition() {
        let host = |region: &str| region.parse::<Region>().unwrap().console_host();
        assert_eq!(host("us-east-1"), "us-east-1.console.aws.amazon.com");
        assert_eq!(host("us-gov-west-1"), "us-gov-west-1.console.amazonaws-us-gov.com");
        assert_eq!(host("cn-north-1"), "cn-north-1.console.amazonaws.cn");
    }

    proptest! {
        #[test]
        fn any_text_is_an_id_or_an_error(text in ".*") {
            if let Ok(id) = text.parse::<NodeId>() {
                prop_assert_eq!(text.trim(), id.to_string());
            }
        }
    }
}
