//! The policy document: where it is read, and what the ledger remembers of it.

use jiff::Timestamp;

use super::PortError;
use crate::policy::standing::{News, Reading, Remembered};

/// Answers what a driver asks before a pass begins, so that the pass goes by the policy in force.
///
/// # Errors
/// As in [`super::Ports`].
pub trait DocumentPorts {
    /// Reads the document.
    fn document(&mut self, now: Timestamp) -> Reading;

    /// What is remembered of it.
    ///
    /// # Errors
    /// See the trait.
    fn remembered(&mut self, now: Timestamp) -> Result<Remembered, PortError>;

    /// Remembers this from now on, unless somebody else was faster, and saves the news in the same transaction. Says whether
    /// it was saved.
    ///
    /// # Errors
    /// See the trait.
    fn remember(&mut self, next: &Remembered, news: Option<&News>, now: Timestamp) -> Result<bool, PortError>;
}
