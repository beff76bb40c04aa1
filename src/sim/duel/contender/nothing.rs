//! Nobody: what happens when nothing is done.

use super::Rules;
use crate::sim::duel::hands::Hands;

/// Does nothing.
#[derive(Debug)]
pub(super) struct Nothing;

impl Rules for Nothing {
    const EVERY_SECS: i64 = 86_400;

    fn look(&mut self, _hands: &mut Hands<'_>) {}
}
