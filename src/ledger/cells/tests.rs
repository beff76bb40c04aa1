//! A store of cells decides what the whole ledger decides, for any run of commits.

use proptest::prelude::*;

use super::*;
use crate::ledger::samples::{decided, step};
use crate::ledger::tests::{FIRST, commit, incident, moment};
use crate::ports::Key;

/// The cells as a table keeps them, each by itself.
#[derive(Default)]
struct Store {
    incidents: BTreeMap<IncidentId, (Arc<Incident>, BTreeSet<Scope>)>,
    nodes: BTreeMap<NodeId, NodeCell>,
    scopes: BTreeMap<Scope, ScopeCell>,
    driven: BTreeSet<IncidentId>,
    bulletin: Arc<Bulletin>,
}

impl Store {
    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Committed {
        let (id, node) = (commit.next.id, commit.next.node);
        let (record, held) =
            self.incidents.get(&id).cloned().map_or((None, BTreeSet::new()), |(record, held)| (Some(record), held));
        let scopes = Cells::scopes_of(commit, &held);
        let mut cells = Cells {
            incident: record,
            held,
            node: self.nodes.get(&node).cloned().unwrap_or_default(),
            scopes: scopes
                .into_iter()
                .map(|scope| (scope.clone(), self.scopes.get(&scope).cloned().unwrap_or_default()))
                .collect(),
            driven: self.driven.clone(),
            bulletin: Arc::clone(&self.bulletin),
            switch: KillSwitch::Running,
        };
        let before = cells.clone();
        let committed = cells.commit(commit, now);
        if committed != Committed::Saved {
            assert_eq!(cells, before, "what is refused changes nothing");
            return committed;
        }
        if let Some(record) = cells.incident {
            self.incidents.insert(id, (record, cells.held));
        }
        self.nodes.insert(node, cells.node);
        self.scopes.extend(cells.scopes);
        (self.driven, self.bulletin) = (cells.driven, cells.bulletin);
        committed
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cells_decide_what_the_whole_ledger_decides(steps in prop::collection::vec(step(), 1..80)) {
        let (mut whole, mut store) = (Ledger::default(), Store::default());
        let mut secs = 0;
        for step in steps {
            secs += step.wait;
            let now = moment(secs);
            let commit = decided(&whole.load(Key::Node(NodeId::numbered(step.number))), step, now);
            prop_assert_eq!(whole.commit(&commit, now), store.commit(&commit, now));
            prop_assert_eq!(whole.bulletin(), &store.bulletin);
            for (scope, cell) in &store.scopes {
                prop_assert_eq!(whole.permits.get(scope).cloned().unwrap_or_default(), cell.holders.clone());
                prop_assert_eq!(whole.rates.get(scope).cloned().unwrap_or_default(), cell.stamps.clone());
            }
            for (node, cell) in &store.nodes {
                prop_assert_eq!(whole.open_on(*node).map(|open| open.id), cell.open);
                prop_assert_eq!(whole.last(*node), cell.last.as_ref());
                prop_assert_eq!(whole.quarantines.get(node).copied(), cell.quarantine);
            }
            prop_assert_eq!(&whole.driven, &store.driven);
        }
    }
}

#[test]
fn an_incident_is_never_opened_beside_another_whose_record_was_not_read() {
    let (one, other) = (incident(1, moment(0)), incident(1, moment(60)));
    let mut cells = Cells {
        incident: None,
        held: BTreeSet::new(),
        node: NodeCell { open: Some(one.id), ..NodeCell::default() },
        scopes: BTreeMap::new(),
        driven: BTreeSet::new(),
        bulletin: Arc::default(),
        switch: KillSwitch::Running,
    };
    let commit = commit(FIRST, &other, Permits::Keep);
    assert_eq!(cells.commit(&commit, moment(60)), Committed::Conflict);
}
