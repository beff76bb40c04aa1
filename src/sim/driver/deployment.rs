//! What becomes of the function itself while it works: a newer version takes its place, or the stack is removed.

use std::sync::Arc;

use super::queue::Agenda;
use super::{ALWAYS, Driver, SignalChaos};
use crate::engine::Context;
use crate::incident::Incident;
use crate::incident::record;
use crate::policy::Policy;

impl Driver {
    /// A new version of the function takes the old one's place, with these stack parameters.
    ///
    /// What is going on is cut off, and comes back by its timers and messages as after any crash. Every record is as the oldest
    /// version of its schema would have stored it, so the new function finds an older one's work.
    pub fn upgrade(&mut self, policy: Policy) {
        self.context = Arc::new(Context { home: self.context.home.clone(), policy });
        for slot in 0..self.slots.len() {
            if let Some(running) = self.slots.get_mut(slot).and_then(Option::take) {
                self.die(slot, &running, "upgraded");
            }
        }
        let ledger = &mut self.ports.inner_mut().ledger;
        let older: Vec<Incident> = ledger.open().filter_map(|incident| as_stored_before(incident)).collect();
        for incident in older {
            ledger.restore(incident);
        }
    }

    /// The stack is removed: no pass, no timer, no sweep, and nobody hears an event any more.
    pub fn remove(&mut self) {
        self.slots.clear();
        self.backlog.clear();
        self.timers.clear();
        self.late.clear();
        self.agenda = Agenda::default();
        self.settings.signals = SignalChaos { lose: ALWAYS, ..SignalChaos::default() };
    }
}

/// Fields that records have had only since after their schema began: an older version does not write them.
const LATER: [&str; 10] = [
    "ecsDown",
    "shared",
    "allowed",
    "actedBefore",
    "proofs",
    "repair",
    "boot",
    "place.stop",
    "place.elasticAddress",
    "place.services",
];

/// A record as the oldest version of its schema would have stored it, and as this one reads it.
fn as_stored_before(incident: &Incident) -> Option<Incident> {
    let mut stored: serde_json::Value = serde_json::from_str(&record::write(incident).ok()?).ok()?;
    for field in LATER {
        let (at, name) = field.split_once('.').unwrap_or(("", field));
        let object = if at.is_empty() { Some(&mut stored) } else { stored.get_mut(at) };
        if let Some(object) = object.and_then(serde_json::Value::as_object_mut) {
            object.remove(name);
        }
    }
    record::read(stored.to_string().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn an_older_record_lacks_what_came_later_and_nothing_else() {
        for (name, tale) in samples::all() {
            let older = as_stored_before(&tale.incident).unwrap();
            let mut expected = tale.incident.clone();
            (expected.ecs_down, expected.shared, expected.allowed, expected.acted_before) = (None, None, None, None);
            (expected.proofs, expected.repair, expected.boot) = (Vec::new(), None, None);
            expected.place.services = std::sync::Arc::from([]);
            expected.place.stop = crate::observe::StopGates::default();
            assert_eq!(older, expected, "{name}");
        }
    }
}
