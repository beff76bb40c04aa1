//! Any run of takes and returns against a plain count of what was granted.

use proptest::prelude::*;

use super::*;
use crate::guard::Scope;
use crate::incident::Phase;
use crate::ports::{Claim, RateClaim};

const WINDOW_SECS: i64 = 3_600;

/// What one holder does, some seconds after the step before.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take { blue: bool },
    Free { unsent: bool },
}

fn steps() -> impl Strategy<Value = Vec<(i64, u128, Step)>> {
    let step = prop_oneof![
        3 => any::<bool>().prop_map(|blue| Step::Take { blue }),
        1 => any::<bool>().prop_map(|unsent| Step::Free { unsent }),
    ];
    prop::collection::vec((0_i64..900, 1_u128..6, step), 1..60)
}

/// What the ledger should hold: who holds where, and who took at which moment; counted anew at every step.
#[derive(Debug, Default)]
struct Count {
    held: Vec<(Scope, u128)>,
    taken: Vec<(i64, u128)>,
}

impl Count {
    fn others(&self, scope: &Scope, who: u128) -> usize {
        self.held.iter().filter(|(held, by)| held == scope && *by != who).count()
    }

    /// Takes of the last hour, but for the one that this take goes on from.
    fn recent(&self, now: i64, own: Option<usize>) -> usize {
        let stamps = self.taken.iter().enumerate();
        stamps.filter(|(index, (at, _))| Some(*index) != own && now - at < WINDOW_SECS).count()
    }
}

/// The phase of a record's next version.
fn phase(choice: u8, at: Timestamp) -> Phase {
    match choice {
        0 => Phase::Watching { until: at },
        1 => Phase::Examining { since: at, deadline: at, sending: None },
        2 => {
            Phase::Parked { refusal: Refusal::ActiveIncidents { active: 1, limit: 1 }, since: at, until: at, limit: at }
        }
        _ => Phase::Closed { ending: crate::incident::Ending::SelfHealed, at },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn permits_and_rates_are_what_a_plain_count_says(steps in steps(), at_once in 1_u32..4, in_group in 1_u32..3, an_hour in 1_u32..6) {
        let mut ledger = Ledger::default();
        let mut incidents: Vec<Incident> = (1..6).map(|number| super::tests::opened(&mut ledger, number)).collect();
        // When each holder chose its present remedy.
        let mut chosen = [0_i64; 6];
        let (mut count, mut now) = (Count::default(), 0);
        for (wait, who, step) in steps {
            now += wait;
            let index = usize::try_from(who).unwrap();
            let mut next = incidents[index - 1].clone();
            next.version += 1;
            let expect = Expect::Version(next.version - 1);
            let permits = match step {
                Step::Take { blue } => Permits::Take(Claims {
                    at_once: vec![
                        Claim { scope: Scope::Account, limit: at_once, floor: None },
                        Claim { scope: Scope::Group(if blue { "blue" } else { "red" }.into()), limit: in_group, floor: None },
                    ],
                    rates: vec![RateClaim { scope: Scope::Account, window_secs: WINDOW_SECS, limit: an_hour }],
                    chosen_at: super::tests::moment(chosen[index]),
                    remedy: crate::incident::Remedy::Reboot,
                    group: Scope::Account,
                }),
                Step::Free { unsent } => Permits::Free { unsent_since: unsent.then(|| super::tests::moment(chosen[index])) },
            };
            let answer = ledger.commit(&super::tests::commit(expect, &next, permits), super::tests::moment(now));
            let own = count.taken.iter().rposition(|(at, by)| *by == who && *at >= chosen[index]);
            match step {
                Step::Take { blue } => {
                    let group = Scope::Group(if blue { "blue" } else { "red" }.into());
                    let room = count.others(&Scope::Account, who) < at_once as usize
                        && count.others(&group, who) < in_group as usize
                        && count.recent(now, own) < an_hour as usize;
                    prop_assert_eq!(answer == Committed::Saved, room, "{:?} at {}: {:?}", answer, now, count);
                    if room {
                        for scope in [Scope::Account, group] {
                            if !count.held.contains(&(scope.clone(), who)) {
                                count.held.push((scope, who));
                            }
                        }
                        if let Some(own) = own {
                            count.taken.remove(own);
                        }
                        count.taken.push((now, who));
                    }
                }
                Step::Free { unsent } => {
                    prop_assert_eq!(&answer, &Committed::Saved);
                    count.held.retain(|(_, by)| *by != who);
                    if unsent {
                        count.taken.retain(|(at, by)| *by != who || *at < chosen[index]);
                    }
                    chosen[index] = now + 1;
                }
            }
            if answer == Committed::Saved {
                incidents[index - 1] = next;
            }
            let mut holders: Vec<_> = ledger.holders().map(|(scope, by)| (scope.clone(), by)).collect();
            let mut wanted: Vec<_> =
                count.held.iter().map(|(scope, by)| (scope.clone(), incidents[usize::try_from(*by).unwrap() - 1].id)).collect();
            holders.sort();
            wanted.sort();
            prop_assert_eq!(holders, wanted);
        }
    }
    #[test]
    fn what_is_kept_of_the_open_incidents_is_what_the_records_say(
        steps in prop::collection::vec((1_u128..6, 0_u8..4, any::<bool>()), 1..60),
    ) {
        let mut ledger = Ledger::default();
        for (secs, (number, choice, looked)) in (0..).zip(steps) {
            let now = super::tests::moment(secs);
            let (expect, next) = match ledger.open_on(NodeId::numbered(number)) {
                None => {
                    let last = ledger.last.get(&NodeId::numbered(number)).map(|last| last.id);
                    (Expect::NoOpenIncident { last }, super::tests::incident(number, now))
                }
                Some(open) => {
                    let mut next = Incident::clone(open);
                    next.version += 1;
                    next.phase = phase(choice, now);
                    (Expect::Version(open.version), next)
                }
            };
            let saved = ledger.commit(&super::tests::commit(expect, &next, Permits::Keep), now);
            prop_assert!(saved == Committed::Saved || next.is_driven(), "{saved:?}");
            let records = ledger.incidents().filter(|incident| !incident.is_closed());
            let mut records: Vec<_> = records.cloned().collect();
            records.sort_by_key(|incident| incident.node);
            prop_assert_eq!(ledger.open().cloned().collect::<Vec<_>>(), records);
            // Not at every step, so that what is kept has grown old by more than one change.
            if looked {
                let mut fresh = Ledger { around: None, ..ledger.clone() };
                prop_assert_eq!(ledger.around(), fresh.around());
            }
        }
    }
}
