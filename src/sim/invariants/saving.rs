//! Promises about a record at the moment it is saved.

use jiff::Timestamp;

use super::Inspector;
use crate::event::SignalKind;
use crate::incident::Incident;
use crate::sim::account::Account;

/// How the names of Defib's own documents begin.
const OWN_DOCUMENTS: &str = "Defib-";

impl Inspector {
    pub(super) fn check_saved(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        self.one_incident_a_node(account, saved, now);
        if saved.version <= 1 {
            self.never_of_our_own_making(account, saved, now);
        }
    }

    /// S5: at most one open incident a node.
    fn one_incident_a_node(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        let open = account.ledger.incidents().filter(|other| other.node == saved.node && !other.is_closed()).count();
        if open > 1 {
            self.broken("S5", now, Some(saved.node), || format!("{open} open incidents at once"));
        }
    }

    /// S4: our own commands and documents open no incident.
    fn never_of_our_own_making(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        for symptom in &saved.symptoms {
            if let SignalKind::CommandTrouble { command, document, .. } = &symptom.kind
                && (document.as_str().starts_with(OWN_DOCUMENTS) || account.own_commands.contains(command))
            {
                self.broken("S4", now, Some(saved.node), || format!("our own {document} opened {}", saved.id));
            }
        }
    }
}
