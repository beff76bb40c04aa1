//! Promises about what people are told, at the moment they are told.

use super::Inspector;
use crate::sim::account::Account;

impl Inspector {
    /// L2: people are told only what is saved, and what is told again carries the id of before.
    pub(super) fn follow_reports(&mut self, account: &Account) {
        for (at, item) in account.published.iter().skip(self.published_seen) {
            let (id, node) = (item.id, Some(item.id.incident.node()));
            let saved = account.ledger.incident(id.incident);
            if saved.is_none_or(|saved| saved.version < item.report.incident.version) {
                self.broken("L2", *at, node, || format!("{id} was told before it was saved"));
            }
            if saved.is_some_and(|saved| saved.reports < id.n) {
                self.broken("L2", *at, node, || format!("{id} is no report that was saved"));
            }
        }
        self.published_seen = account.published.len();
    }
}
