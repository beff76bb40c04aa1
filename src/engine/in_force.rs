//! The policy in force when a pass begins.

use jiff::Timestamp;

use crate::policy::Policy;
use crate::policy::library::Library;
use crate::policy::standing::{News, standing};
use crate::ports::{DocumentPorts, PortError};

/// The policy for a pass that begins now, and the news that this very call saved. What the library knows is not read again.
///
/// # Errors
/// The document or the ledger could not be read: the pass is to be tried again.
pub fn policy_in_force<P: DocumentPorts>(
    ports: &mut P,
    stack: &Policy,
    now: Timestamp,
    library: &mut Library,
) -> Result<(Policy, Option<News>), PortError> {
    let reading = ports.document(now);
    let kept = ports.remembered(now)?;
    let mut standing = standing(stack, &reading, &kept, now, library);
    // Whoever was faster tells, and whoever cannot save leaves it to the next pass; the policy is the same.
    let saved = standing.keep.is_some_and(|next| ports.remember(&next, standing.news.as_ref(), now) == Ok(true));
    let policy = standing.policy.take().ok_or(PortError::Transient)?;
    Ok((policy, standing.news.filter(|_| saved)))
}
