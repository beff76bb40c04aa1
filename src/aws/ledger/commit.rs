//! A commit: read, decide, write, all or nothing.

use super::{
    BTreeMap, BTreeSet, CLOSED_KEPT_DAYS, Entry, Expect, Found, Key, Ledger, NODE_KEPT_DAYS, NodeCell, PortError,
    RATES_KEPT_DAYS, Serialize, Timestamp, Write, breathe, bulletin_of, in_days, incident_of, keys, put, put_anyway,
    read_or_default, record, switch_of,
};
use crate::aws::table::Transacted;
use crate::guard::Scope;
use crate::ledger::cells::{Cells, ScopeCell};
use crate::ports::{Commit, Committed, Permits};

/// So often a commit is decided anew when others were faster. Each time one of them got its way, so this ends.
const TRIES: u32 = 8;

/// So many writes without an answer, each of which takes as long as all tries of a call may: a pass has a minute.
pub(super) const UNSURE_MAX: u32 = 2;

/// The cells of one commit, with their revisions.
struct Read {
    found: Found,
    cells: Cells,
}

impl Ledger {
    /// Changes the ledger: all of it, or nothing.
    ///
    /// # Errors
    /// The table did not answer: nothing is known then about whether it was saved.
    pub async fn commit(&self, commit: &Commit, now: Timestamp) -> Result<Committed, PortError> {
        let mut unsure = 0;
        for attempt in 0..TRIES {
            if attempt > 0 {
                breathe(attempt).await;
            }
            let Read { found, mut cells } = self.read_cells(commit).await?;
            // The write before this one had no answer: it landed if this very record is there.
            if unsure > 0 && cells.incident.as_ref() == Some(&commit.next) {
                return Ok(Committed::Saved);
            }
            if unsure == UNSURE_MAX {
                break;
            }
            let before = cells.clone();
            let committed = cells.commit(commit, now);
            if committed != Committed::Saved {
                return Ok(committed);
            }
            match self.table.transact(&writes(commit, &found, &before, &cells, now)?).await? {
                Transacted::Saved => return Ok(Committed::Saved),
                Transacted::Again => {}
                Transacted::Unknown => unsure += 1,
            }
        }
        tracing::warn!(incident.id = %commit.next.id, "others were faster {TRIES} times, or the table did not answer");
        Err(PortError::Transient)
    }

    async fn read_cells(&self, commit: &Commit) -> Result<Read, PortError> {
        let (id, node) = (commit.next.id, commit.next.node);
        let held_key = keys::held(id);
        let mut wanted = vec![keys::incident(id), keys::node(node), keys::switch(), keys::bulletin(), keys::driven()];
        if !matches!(commit.permits, Permits::Keep) {
            wanted.push(held_key.clone());
        }
        if let Permits::Take(_) = commit.permits {
            wanted.extend(Cells::scopes_of(commit, &BTreeSet::new()).iter().map(keys::scope));
        }
        let mut found = self.table.get(&wanted).await?;
        let held: BTreeSet<Scope> = read_or_default(found.get(&held_key))?;
        let scopes = Cells::scopes_of(commit, &held);
        if let Permits::Free { .. } = commit.permits
            && !scopes.is_empty()
        {
            found.extend(self.table.get(&scopes.iter().map(keys::scope).collect::<Vec<_>>()).await?);
        }
        let scopes = scopes
            .into_iter()
            .map(|scope| read_or_default(found.get(&keys::scope(&scope))).map(|cell: ScopeCell| (scope, cell)))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        let cells = Cells {
            incident: incident_of(found.get(&keys::incident(id)))?,
            held,
            node: read_or_default(found.get(&keys::node(node)))?,
            scopes,
            driven: read_or_default(found.get(&keys::driven()))?,
            bulletin: bulletin_of(found.get(&keys::bulletin()))?,
            switch: switch_of(found.get(&keys::switch())),
        };
        Ok(Read { found, cells })
    }
}

/// What changed, each on the condition that nobody else changed it; and what the decision rests on, checked.
fn writes(
    commit: &Commit,
    found: &Found,
    before: &Cells,
    after: &Cells,
    now: Timestamp,
) -> Result<Vec<Write>, PortError> {
    let next = &commit.next;
    let (id, node) = (next.id, next.node);
    let takes = matches!(commit.permits, Permits::Take(_));
    let closed_until = next.is_closed().then(|| in_days(now, CLOSED_KEPT_DAYS));
    let mut writes = Vec::with_capacity(16);
    let record = record::write(next).map_err(|error| {
        tracing::error!("{error}");
        PortError::Transient
    })?;
    let key = keys::incident(id);
    writes.push(Write::Put { expect: Expect::unchanged(found.get(&key)), key, body: record, expires_at: closed_until });
    writes.push(if next.is_closed() {
        Write::Delete { key: keys::open(node) }
    } else {
        put_anyway(keys::open(node), &Entry::of(next))?
    });
    let unchanged = |key: Key| Write::Check { expect: Expect::unchanged(found.get(&key)), key };
    if after.node != before.node {
        writes.push(put_read(keys::node(node), &after.node, found, node_until(&after.node, now))?);
    } else if takes {
        writes.push(unchanged(keys::node(node)));
    }
    for (scope, cell) in &after.scopes {
        if before.scopes.get(scope) != Some(cell) {
            writes.push(put_read(keys::scope(scope), cell, found, scope_until(cell, now))?);
        } else if takes {
            writes.push(unchanged(keys::scope(scope)));
        }
    }
    if after.held != before.held {
        writes.push(put_read(keys::held(id), &after.held, found, closed_until)?);
    }
    if after.driven != before.driven {
        writes.push(put_read(keys::driven(), &after.driven, found, None)?);
    }
    if after.bulletin != before.bulletin {
        writes.push(put_read(keys::bulletin(), &*after.bulletin, found, None)?);
    } else if takes {
        writes.push(unchanged(keys::bulletin()));
    }
    if takes {
        // The kill switch is checked in the same transaction.
        writes.push(unchanged(keys::switch()));
    }
    for item in &commit.outbox {
        let key = if item.gather.is_some() { keys::gathered(item.id) } else { keys::outbox(item.id) };
        writes.push(put_anyway(key, &**item)?);
    }
    writes.push(Write::Delete { key: keys::shelf(node) });
    Ok(writes)
}

fn put_read<T: Serialize>(
    key: Key,
    value: &T,
    found: &Found,
    expires_at: Option<Timestamp>,
) -> Result<Write, PortError> {
    let was = found.get(&key);
    put(key, value, was, expires_at)
}

/// Until when a node's cell is kept: for ever while something of it holds.
pub(super) fn node_until(cell: &NodeCell, now: Timestamp) -> Option<Timestamp> {
    let holds = cell.open.is_some() || cell.quarantine.is_some();
    (!holds).then(|| in_days(now, NODE_KEPT_DAYS))
}

/// TTL never expires a permit.
pub(super) fn scope_until(cell: &ScopeCell, now: Timestamp) -> Option<Timestamp> {
    cell.holders.is_empty().then(|| in_days(now, RATES_KEPT_DAYS))
}
