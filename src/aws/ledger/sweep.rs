//! The ledger's side of a sweep.

use super::account::Shelved;
use super::{
    Arc, Around, BTreeMap, BTreeSet, DeserializeOwned, Entry, Expect, IncidentId, Key, Ledger, NodeCell, NodeId,
    OutboxItem, PortError, Stored, Timestamp, Write, bulletin_of, keys, put, put_anyway, read, read_or_default,
};
use crate::aws::table::{Transacted, WRITES_MAX};
use crate::event::Signal;
use crate::ledger::{OVERDUE_SECS, cells};
use crate::policy::standing::News;
use crate::ports::{Committed, LastIncident, Post};
use crate::storm::Digest;
use crate::time::after;

/// What the ledger knows when a sweep begins.
#[derive(Debug, Clone)]
pub struct Books {
    /// Open incidents whose wake is overdue, and incidents with reports that nobody sent.
    pub overdue: Vec<IncidentId>,
    /// Nodes that wait for a place, in the order of their coming.
    pub waiting: Vec<Signal>,
    /// Reports that are told together with others.
    pub gathered: Vec<Arc<OutboxItem>>,
    /// Digests that nobody marked as sent.
    pub digests: Vec<Arc<Digest>>,
    /// What there was to tell of the policy document.
    pub policy_news: Vec<(Timestamp, News)>,
    /// What else goes on.
    pub around: Arc<Around>,
    /// Nodes that have an open incident.
    pub open: BTreeSet<NodeId>,
}

impl Ledger {
    /// Reads everything that a sweep needs to know.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn books(&self, now: Timestamp) -> Result<Books, PortError> {
        let (around, outbox, gathered, digests, waiting, policy_news) = tokio::join!(
            Box::pin(self.around()),
            Box::pin(self.table.query(keys::OUTBOX, "")),
            Box::pin(self.table.query(keys::GATHERED, "")),
            Box::pin(self.table.query(keys::DIGESTS, "")),
            Box::pin(self.table.query(keys::SHELF, "")),
            Box::pin(self.policy_news()),
        );
        let (around, open) = around?;
        let late = after(now, -OVERDUE_SECS);
        let is_late = |entry: &Entry| entry.wake_at.is_none_or(|wake| wake < late);
        let mut overdue: Vec<_> =
            open.iter().filter(|(_, entry)| is_late(entry)).map(|(_, entry)| entry.peer.incident).collect();
        for item in all::<OutboxItem>(&outbox?)? {
            if item.report.at < late && !overdue.contains(&item.id.incident) {
                overdue.push(item.id.incident);
            }
        }
        let mut shelved: Vec<Shelved> = all(&waiting?)?;
        shelved.sort_by_key(|shelved| (shelved.at, shelved.signal.node));
        let mut gathered: Vec<OutboxItem> = all(&gathered?)?;
        gathered.sort_by_key(|item| (item.report.at, item.id));
        let mut digests: Vec<Digest> = all(&digests?)?;
        digests.sort_by_key(|digest| (digest.at, digest.id));
        Ok(Books {
            overdue,
            waiting: shelved.into_iter().map(|shelved| shelved.signal).collect(),
            gathered: gathered.into_iter().map(Arc::new).collect(),
            digests: digests.into_iter().map(Arc::new).collect(),
            policy_news: policy_news?,
            around: Arc::new(around),
            open: open.into_iter().map(|(node, _)| node).collect(),
        })
    }

    /// How the last incident of each of these nodes ended.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn last(&self, nodes: &[NodeId]) -> Result<BTreeMap<NodeId, LastIncident>, PortError> {
        let found = self.table.get(&nodes.iter().map(|node| keys::node(*node)).collect::<Vec<_>>()).await?;
        let mut last = BTreeMap::new();
        for node in nodes {
            let cell: NodeCell = read_or_default(found.get(&keys::node(*node)))?;
            if let Some(ended) = cell.last {
                last.insert(*node, ended);
            }
        }
        Ok(last)
    }

    /// Saves what a sweep decided.
    ///
    /// The account's record and its digests are one transaction. What is more than fits follows it, or goes before it, so that
    /// a crash in between repeats something and loses nothing: who waits is written before, what was told or has its turn is
    /// taken away after.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn post(&self, post: &Post, now: Timestamp) -> Result<Committed, PortError> {
        self.put_on_shelf(post, now).await?;
        let key = keys::bulletin();
        let found = self.table.get(std::slice::from_ref(&key)).await?;
        let was = found.get(&key);
        let Some(next) = cells::posted(&*bulletin_of(was)?, post, now) else { return Ok(Committed::Conflict) };
        let mut after_it: Vec<Write> = Vec::new();
        for id in &post.release {
            let gathered = keys::gathered(*id);
            if let Some(stored) = self.table.get(std::slice::from_ref(&gathered)).await?.remove(&gathered) {
                after_it.push(Write::Put {
                    key: keys::outbox(*id),
                    body: stored.body,
                    expect: Expect::Anything,
                    expires_at: None,
                });
                after_it.push(Write::Delete { key: gathered });
            }
        }
        after_it.extend(post.told.iter().map(|id| Write::Delete { key: keys::gathered(*id) }));
        after_it.extend(post.unshelve.iter().map(|node| Write::Delete { key: keys::shelf(*node) }));
        let mut first = vec![put(key, &next, was, None)?];
        for digest in &post.digests {
            first.push(put_anyway(keys::digest(digest.id), &**digest)?);
        }
        let room = WRITES_MAX.saturating_sub(first.len());
        // Two of them belong together: a release is a put and a delete, and neither order loses it.
        let rest = after_it.split_off(room.min(after_it.len()));
        first.extend(after_it);
        match self.table.transact(&first).await? {
            Transacted::Saved => {}
            Transacted::Again => return Ok(Committed::Conflict),
            // The next sweep decides on what it finds.
            Transacted::Unknown => return Err(PortError::Transient),
        }
        for chunk in rest.chunks(WRITES_MAX) {
            if self.table.transact(chunk).await? != Transacted::Saved {
                return Err(PortError::Transient);
            }
        }
        Ok(Committed::Saved)
    }

    /// Who waits from now on: those without an open incident, each once.
    async fn put_on_shelf(&self, post: &Post, now: Timestamp) -> Result<(), PortError> {
        for signal in &post.shelve {
            let (node, place) = (keys::node(signal.node), keys::shelf(signal.node));
            self.until_saved(&[node.clone(), place.clone()], |found| {
                let cell: NodeCell = read_or_default(found.get(&node))?;
                if cell.open.is_some() || found.contains_key(&place) {
                    return Ok(Vec::new());
                }
                Ok(vec![
                    Write::Check { key: node.clone(), expect: Expect::unchanged(found.get(&node)) },
                    put(place.clone(), &Shelved { at: now, signal: signal.clone() }, None, None)?,
                ])
            })
            .await?;
        }
        Ok(())
    }
}

fn all<T: DeserializeOwned>(items: &[(Key, Stored)]) -> Result<Vec<T>, PortError> {
    items.iter().map(|(key, stored)| read(key, stored)).collect()
}
