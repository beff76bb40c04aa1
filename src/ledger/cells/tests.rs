//! A store of cells decides what the whole ledger decides, for any run of commits.

use proptest::prelude::*;

use super::*;
use crate::guard::breaker::Tried;
use crate::incident::{Ending, Phase, Remedy};
use crate::ledger::tests::{FIRST, commit, incident, moment};
use crate::ports::{Claim, Claims, Expect, Key, Loaded, RateClaim};
use crate::time::after;

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

/// What happens to one node at one moment.
#[allow(clippy::struct_excessive_bools, reason = "each is one choice of its own")]
#[derive(Debug, Clone, Copy)]
struct Step {
    wait: i64,
    number: u128,
    phase: u8,
    permits: u8,
    stale: bool,
    troubled: bool,
    tried: bool,
    quarantine: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (
        0_i64..400,
        1_u128..7,
        0_u8..5,
        0_u8..4,
        prop::bool::weighted(0.1),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(wait, number, phase, permits, stale, troubled, tried, quarantine)| Step {
            wait,
            number,
            phase,
            permits,
            stale,
            troubled,
            tried,
            quarantine,
        })
}

fn claims(node: NodeId, at: Timestamp) -> Claims {
    Claims {
        at_once: vec![
            Claim { scope: Scope::Node(node), limit: 1, floor: None },
            Claim { scope: Scope::Account, limit: 2, floor: None },
        ],
        rates: vec![
            RateClaim { scope: Scope::Node(node), window_secs: 3_600, limit: 2 },
            RateClaim { scope: Scope::Account, window_secs: 3_600, limit: 4 },
        ],
        chosen_at: at,
        remedy: Remedy::Reboot,
        group: Scope::Account,
    }
}

/// The commit that a step makes on what is stored.
fn decided(loaded: &Loaded, step: Step, now: Timestamp) -> Commit {
    let open = loaded.incident.as_ref();
    let last = loaded.last.as_ref().filter(|_| !step.stale).map(|last| last.id);
    let (expect, mut next) = match open {
        None => (Expect::NoOpenIncident { last }, incident(step.number, now)),
        Some(open) => {
            let mut next = Incident::clone(open);
            next.version += 1;
            (Expect::Version(open.version - u64::from(step.stale)), next)
        }
    };
    if open.is_some() {
        next.phase = match step.phase {
            0 => Phase::Watching { until: now },
            1..=3 => Phase::Examining { since: now, deadline: now, sending: None },
            _ => Phase::Closed { ending: Ending::SelfHealed, at: now },
        };
    }
    let permits = match step.permits {
        0 => Permits::Keep,
        1 => Permits::Free { unsent_since: None },
        2 => Permits::Free { unsent_since: Some(after(now, -600)) },
        _ => Permits::Take(claims(next.node, after(now, -600))),
    };
    let mut commit = commit(expect, &next, permits);
    commit.news.limits.active = 3;
    commit.news.troubled = step.troubled;
    if step.tried {
        commit.news.tried.push(Tried {
            incident: next.id,
            scope: Scope::Account,
            remedy: Remedy::Reboot,
            helped: false,
        });
    }
    commit.quarantine = step.quarantine.then_some(3);
    commit
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
