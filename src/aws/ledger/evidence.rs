//! What nodes showed right before something disruptive was done to them: items of their own, beside the incident's record.

use super::super::black_box::BlackBox;
use super::super::table::{Expect, Transacted, Write};
use super::{CLOSED_KEPT_DAYS, Ledger, keys, text};
use crate::ports::{Perform, PortError};
use crate::time::after;

impl Ledger {
    /// Keeps evidence. The same effect's again takes its place.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn keep(&self, perform: &Perform, seen: &BlackBox) -> Result<(), PortError> {
        let key = keys::evidence(perform.incident, perform.intent);
        let expires_at = Some(after(seen.at, CLOSED_KEPT_DAYS * 24 * 3_600));
        let put = Write::Put { key, body: text(seen)?, expect: Expect::Anything, expires_at };
        match self.table.transact(&[put]).await? {
            Transacted::Saved => Ok(()),
            Transacted::Again | Transacted::Unknown => Err(PortError::Transient),
        }
    }
}
