//! Incident ids: a moment and a whole node id, because seconds collide.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::node::{BadName, NodeId};

/// `inc-20261120T140211Z-i-0a1b2c3d4e5f60718`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId {
    second: i64,
    node: NodeId,
}

impl IncidentId {
    /// The id of an incident that opens now on a node.
    #[must_use]
    pub fn new(now: Timestamp, node: NodeId) -> Self {
        Self { second: now.as_second(), node }
    }

    /// The node.
    #[must_use]
    pub fn node(self) -> NodeId {
        self.node
    }

    /// When it opened, to the second.
    #[must_use]
    pub fn opened_at(self) -> Timestamp {
        Timestamp::from_second(self.second).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Offset::UTC.to_datetime(self.opened_at());
        write!(
            f,
            "inc-{:04}{:02}{:02}T{:02}{:02}{:02}Z-{}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            self.node
        )
    }
}

impl FromStr for IncidentId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "an incident id", given: text.to_owned() };
        let text = text.trim();
        let rest = text.strip_prefix("inc-").ok_or_else(bad)?;
        let (moment, node) = rest.split_once("Z-").ok_or_else(bad)?;
        let parsed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", moment).map_err(|_| bad())?;
        let at = Offset::UTC.to_timestamp(parsed).map_err(|_| bad())?;
        let id = Self { second: at.as_second(), node: node.parse().map_err(|_| bad())? };
        // `strptime` takes fewer digits, too: with one missing it would be the id of another incident.
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_the_whole_node_id_and_read_back() {
        let at: Timestamp = "2026-11-20T14:02:11Z".parse().unwrap();
        let id = IncidentId::new(at, "i-0a1b2c3d4e5f60718".parse().unwrap());
        assert_eq!(id.to_string(), "inc-20261120T140211Z-i-0a1b2c3d4e5f60718");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.opened_at(), at);
        assert!("inc-20261120T140211Z-".parse::<IncidentId>().is_err());
        assert_eq!(format!(" {id}\n").parse(), Ok(id));
        for mistyped in ["inc-20261120T14021Z", "inc-2026112T140211Z", "inc-20261120T1402 1Z", "inc-20261120T140260Z"] {
            assert!(format!("{mistyped}-i-0a1b2c3d4e5f60718").parse::<IncidentId>().is_err(), "{mistyped}");
        }
        assert!("inc-20261399T140211Z-i-0a1b2c3d4e5f60718".parse::<IncidentId>().is_err());
    }
}
