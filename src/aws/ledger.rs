//! The ledger in DynamoDB: what `crate::ledger` decides, read and written as cells.
//!
//! Every commit reads the cells that it depends on, lets the ledger's own code decide, and writes what changed in one
//! transaction that holds only if nobody changed any of them meanwhile. Who was too late reads again and decides again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::{Expect, Key, Stored, Table, Write};
use crate::incident::record::{self, BadRecord};
use crate::incident::{Incident, IncidentId};
use crate::json;
use crate::ledger::cells::NodeCell;
use crate::ledger::entry::{self, Entry};
use crate::node::NodeId;
use crate::ports::{self, KillSwitch, Loaded, OutboxItem, PortError, Rails, ReportId};
use crate::storm::{Around, Bulletin, DigestId};

mod account;
mod commit;
mod evidence;
mod keys;
mod policy;
#[cfg(feature = "operate")]
mod reading;
mod sweep;
mod timer;

#[cfg(test)]
mod tests;

pub use sweep::Books;

/// Closed incidents are kept so long, in days: for as long as Step Functions refuses their execution's name.
const CLOSED_KEPT_DAYS: i64 = 90;
/// What is known of a node is kept so long after it was last written, in days, unless something of it still holds.
const NODE_KEPT_DAYS: i64 = 400;
/// Rates are kept so long after the last one, in days; they look back over one.
const RATES_KEPT_DAYS: i64 = 3;

/// The ledger of one deployment.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
}

impl Ledger {
    /// The ledger in this table.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table }
    }

    /// Reads what is known under a key.
    ///
    /// # Errors
    /// The table did not answer, or a newer version wrote the record.
    pub async fn load(&self, key: ports::Key) -> Result<Loaded, PortError> {
        let node = match key {
            ports::Key::Node(node) => node,
            ports::Key::Incident(id) => id.node(),
        };
        let mut wanted = vec![keys::node(node), keys::switch(), keys::bulletin()];
        if let ports::Key::Incident(id) = key {
            wanted.push(keys::incident(id));
        }
        let (cells, open, shelved) = tokio::join!(
            Box::pin(self.table.get(&wanted)),
            Box::pin(self.open_entries()),
            Box::pin(self.table.count(keys::SHELF))
        );
        let (cells, open, shelved) = (cells?, open?, shelved?);
        let cell: NodeCell = read_or_default(cells.get(&keys::node(node)))?;
        let incident = match key {
            ports::Key::Incident(id) => incident_of(cells.get(&keys::incident(id)))?,
            ports::Key::Node(_) => match cell.open {
                Some(id) => Some(Box::pin(self.incident(id)).await?.ok_or(PortError::Transient)?),
                None => None,
            },
        };
        let unsent = match &incident {
            Some(incident) => Box::pin(self.unsent(incident.id)).await?,
            None => Vec::new(),
        };
        let bulletin: Arc<Bulletin> = bulletin_of(cells.get(&keys::bulletin()))?;
        Ok(Loaded {
            incident,
            rails: Rails {
                switch: switch_of(cells.get(&keys::switch())),
                muted_until: cell.muted_until,
                quarantine: cell.quarantine,
                around: Some(Arc::new(entry::around(
                    &bulletin,
                    shelved,
                    open.into_iter().map(|(_, entry)| entry).collect(),
                ))),
            },
            last: cell.last,
            unsent,
        })
    }

    /// One incident, open or closed.
    ///
    /// # Errors
    /// The table did not answer, or a newer version wrote the record.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<Arc<Incident>>, PortError> {
        let key = keys::incident(id);
        incident_of(self.table.get(std::slice::from_ref(&key)).await?.get(&key))
    }

    /// Remembers that a report was sent.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn mark_sent(&self, id: ReportId) -> Result<(), PortError> {
        self.table.delete(&keys::outbox(id)).await
    }

    /// Remembers that a digest was sent.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn mark_digest_sent(&self, id: DigestId) -> Result<(), PortError> {
        self.table.delete(&keys::digest(id)).await
    }

    /// The list of open incidents.
    async fn open_entries(&self) -> Result<Vec<(NodeId, Entry)>, PortError> {
        let items = self.table.query(keys::OPEN, "").await?;
        let entry =
            |(key, stored): (Key, Stored)| Ok((key.sk.parse().map_err(|_| unreadable(&key))?, read(&key, &stored)?));
        items.into_iter().map(entry).collect()
    }

    /// Reports of an incident that nobody marked as sent.
    async fn unsent(&self, id: IncidentId) -> Result<Vec<Arc<OutboxItem>>, PortError> {
        let items = self.table.query(keys::OUTBOX, &format!("{id}/")).await?;
        items.iter().map(|(key, stored)| read(key, stored).map(Arc::new)).collect()
    }

    /// What else goes on in the account.
    async fn around(&self) -> Result<(Around, Vec<(NodeId, Entry)>), PortError> {
        let bulletin = keys::bulletin();
        let (cells, open, shelved) = tokio::join!(
            Box::pin(self.table.get(std::slice::from_ref(&bulletin))),
            Box::pin(self.open_entries()),
            Box::pin(self.table.count(keys::SHELF))
        );
        let (cells, open, shelved) = (cells?, open?, shelved?);
        let bulletin = bulletin_of(cells.get(&bulletin))?;
        let entries = open.iter().map(|(_, entry)| entry.clone()).collect();
        Ok((entry::around(&bulletin, shelved, entries), open))
    }
}

/// A stored value.
fn read<T: DeserializeOwned>(key: &Key, stored: &Stored) -> Result<T, PortError> {
    json::read(&stored.body).map_err(|error| {
        // What was stored may hold what a node printed: the place, never the content.
        tracing::error!(
            "the item {}/{} cannot be read: line {}, column {}",
            key.pk,
            key.sk,
            error.line(),
            error.column()
        );
        PortError::Transient
    })
}

fn unreadable(key: &Key) -> PortError {
    tracing::error!("the item {}/{} has a name that means nothing", key.pk, key.sk);
    PortError::Transient
}

fn read_or_default<T: DeserializeOwned + Default>(stored: Option<&Stored>) -> Result<T, PortError> {
    stored.map_or_else(|| Ok(T::default()), |stored| read(&Key { pk: String::new(), sk: String::new() }, stored))
}

/// A stored incident, migrated where it is older; one that a newer version wrote is left alone.
fn incident_of(stored: Option<&Stored>) -> Result<Option<Arc<Incident>>, PortError> {
    let Some(stored) = stored else { return Ok(None) };
    match record::read(stored.body.as_bytes()) {
        Ok(incident) => Ok(Some(Arc::new(incident))),
        Err(error @ BadRecord::Newer { .. }) => {
            tracing::error!("{error}");
            Err(PortError::NewerSchema)
        }
        Err(error) => {
            tracing::error!("{error}");
            Err(PortError::Transient)
        }
    }
}

/// The account's record; none yet is an empty one, and a newer one is left alone.
fn bulletin_of(stored: Option<&Stored>) -> Result<Arc<Bulletin>, PortError> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u32,
    }
    let Some(stored) = stored else { return Ok(Arc::default()) };
    let key = keys::bulletin();
    let Head { schema } = read(&key, stored)?;
    if schema > crate::storm::SCHEMA {
        tracing::error!("the account's record has schema {schema}; a newer version of defib wrote it");
        return Err(PortError::NewerSchema);
    }
    read(&key, stored).map(Arc::new)
}

/// The kill switch. What cannot be read means paused (SAFETY.md); nobody ever touched it: it runs.
fn switch_of(stored: Option<&Stored>) -> KillSwitch {
    match stored.map(|stored| json::read::<account::SwitchCell>(&stored.body)) {
        None => KillSwitch::Running,
        Some(Ok(cell)) if cell.paused => KillSwitch::Paused,
        Some(Ok(_)) => KillSwitch::Running,
        Some(Err(_)) => KillSwitch::Unreadable,
    }
}

fn text<T: Serialize>(value: &T) -> Result<String, PortError> {
    serde_json::to_string(value).map_err(|error| {
        tracing::error!("a value cannot be stored: {error}");
        PortError::Transient
    })
}

/// A write of a value on the condition that nobody wrote it since it was read.
fn put<T: Serialize>(
    key: Key,
    value: &T,
    was: Option<&Stored>,
    expires_at: Option<Timestamp>,
) -> Result<Write, PortError> {
    Ok(Write::Put { body: text(value)?, expect: Expect::unchanged(was), key, expires_at })
}

/// A write of a value whatever was there.
fn put_anyway<T: Serialize>(key: Key, value: &T) -> Result<Write, PortError> {
    Ok(Write::Put { key, body: text(value)?, expect: Expect::Anything, expires_at: None })
}

fn in_days(now: Timestamp, days: i64) -> Timestamp {
    crate::time::after(now, days * 86_400)
}

/// A pause before a transaction is decided anew, so that those who collided do not collide again.
#[allow(
    clippy::disallowed_methods,
    reason = "milliseconds between two tries of one request; nothing is waited for here"
)]
async fn breathe(attempt: u32) {
    let most = 20_u64 << attempt.min(6);
    tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(most / 2..=most))).await;
}

type Found = BTreeMap<Key, Stored>;
