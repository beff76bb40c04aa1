//! What is left of instances that are gone, in words and with the commands that remove it.

use std::fmt::Write as _;

use crate::storm::Digest;

/// How many there are, and whose instances are gone: two halves of a sentence.
pub(super) fn left_over(count: u32) -> (String, &'static str) {
    if count == 1 {
        ("1 container instance is".to_owned(), "its EC2 instance is")
    } else {
        (format!("{count} container instances are"), "their EC2 instances are")
    }
}

/// How to remove each container instance that is left over, a command each.
pub(super) fn removals(digest: &Digest, most: usize) -> String {
    let mut block = "To remove them".to_owned();
    for ghost in digest.ghosts.iter().take(most) {
        // One line, to be copied as it is.
        let _ = write!(block, "\n  {}\n  {}", ghost.node, ghost.removal());
    }
    let hidden = digest.ghosts.len().saturating_sub(most);
    let hidden = u32::try_from(hidden).unwrap_or(u32::MAX).saturating_add(digest.more);
    if hidden > 0 {
        let _ = write!(block, "\n  and {hidden} more");
    }
    block
}
