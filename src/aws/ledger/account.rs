//! Switches, and nodes that wait for a place.

use super::commit::{UNSURE_MAX, node_until, scope_until};
use super::{
    Arc, Expect, Found, Key, Ledger, NodeCell, NodeId, PortError, Serialize, Timestamp, Write, breathe, bulletin_of,
    keys, put, read_or_default,
};
use crate::aws::table::Transacted;
use crate::guard::Scope;
use crate::ledger::cells::{self, ScopeCell};
use crate::ports::{Shelve, Switch};

const TRIES: u32 = 8;

/// The kill switch as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct SwitchCell {
    pub(super) paused: bool,
}

impl Ledger {
    /// Lets a node wait for a place, unless it has an open incident.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn shelve(&self, shelve: &Shelve, now: Timestamp) -> Result<(), PortError> {
        let node = shelve.signal.node;
        let wanted = [keys::node(node), keys::bulletin(), keys::shelf(node)];
        self.until_saved(&wanted, |found| {
            let cell: NodeCell = read_or_default(found.get(&keys::node(node)))?;
            if cell.open.is_some() {
                return Ok(Vec::new());
            }
            let before = bulletin_of(found.get(&keys::bulletin()))?;
            let mut bulletin = Arc::clone(&before);
            cells::hear_shelved(&mut bulletin, shelve, now);
            let mut writes =
                vec![Write::Check { key: keys::node(node), expect: Expect::unchanged(found.get(&keys::node(node))) }];
            if bulletin != before {
                writes.push(put(keys::bulletin(), &*bulletin, found.get(&keys::bulletin()), None)?);
            }
            if !found.contains_key(&keys::shelf(node)) {
                writes.push(put(keys::shelf(node), &Shelved { at: now, signal: shelve.signal.clone() }, None, None)?);
            }
            Ok(writes)
        })
        .await
    }

    /// Changes a switch.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn switch(&self, switch: Switch, now: Timestamp) -> Result<(), PortError> {
        match switch {
            Switch::Pause => self.set_paused(true).await,
            Switch::Resume => self.set_paused(false).await,
            Switch::Mute(node, until) => self.change_node(node, now, |cell| cell.muted_until = Some(until)).await,
            Switch::Unmute(node) => self.change_node(node, now, |cell| cell.muted_until = None).await,
            Switch::Clear(node) => self.clear(node, now).await,
        }
    }

    async fn set_paused(&self, paused: bool) -> Result<(), PortError> {
        self.until_saved(&[keys::switch()], |found| {
            Ok(vec![put(keys::switch(), &SwitchCell { paused }, found.get(&keys::switch()), None)?])
        })
        .await
    }

    async fn change_node(&self, node: NodeId, now: Timestamp, change: impl Fn(&mut NodeCell)) -> Result<(), PortError> {
        self.until_saved(&[keys::node(node)], |found| {
            let was = found.get(&keys::node(node));
            let mut cell: NodeCell = read_or_default(was)?;
            change(&mut cell);
            Ok(vec![put(keys::node(node), &cell, was, node_until(&cell, now))?])
        })
        .await
    }

    /// Ends a quarantine; what was done to the node before does not count in its rates any more.
    async fn clear(&self, node: NodeId, now: Timestamp) -> Result<(), PortError> {
        let (cell_key, scope_key) = (keys::node(node), keys::scope(&Scope::Node(node)));
        self.until_saved(&[cell_key.clone(), scope_key.clone()], |found| {
            let mut cell: NodeCell = read_or_default(found.get(&cell_key))?;
            cell.quarantine = None;
            let mut scope: ScopeCell = read_or_default(found.get(&scope_key))?;
            cells::clear(&mut scope);
            Ok(vec![
                put(cell_key.clone(), &cell, found.get(&cell_key), node_until(&cell, now))?,
                put(scope_key.clone(), &scope, found.get(&scope_key), scope_until(&scope, now))?,
            ])
        })
        .await
    }

    /// Reads, decides and writes until nobody was faster. Deciding the same twice must do no harm.
    pub(super) async fn until_saved(
        &self,
        wanted: &[Key],
        decide: impl Fn(&Found) -> Result<Vec<Write>, PortError>,
    ) -> Result<(), PortError> {
        let mut unsure = 0;
        for attempt in 0..TRIES {
            if attempt > 0 {
                breathe(attempt).await;
            }
            let writes = decide(&self.table.get(wanted).await?)?;
            if writes.is_empty() {
                return Ok(());
            }
            match self.table.transact(&writes).await? {
                Transacted::Saved => return Ok(()),
                Transacted::Again => {}
                Transacted::Unknown if unsure + 1 == UNSURE_MAX => break,
                Transacted::Unknown => unsure += 1,
            }
        }
        Err(PortError::Transient)
    }
}

/// A node that waits for a place, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct Shelved {
    pub(super) at: Timestamp,
    pub(super) signal: crate::event::Signal,
}
