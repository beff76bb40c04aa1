//! Words that are looked for all at once (docs/decisions/0052).

use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Input, Match};

/// Words, ready to be looked for. This one form of automaton is small and built quickly; the crate's own choice among its forms
/// would bring all of them into the zip.
#[derive(Debug)]
pub(super) struct Keys(NFA);

impl Keys {
    /// None: there are more words than the automaton takes, which are millions.
    pub(super) fn new<K: AsRef<[u8]>>(words: impl IntoIterator<Item = K>) -> Option<Self> {
        NFA::new(words).ok().map(Self)
    }

    /// Each place where one of them stands, also within another one.
    pub(super) fn hits<'a>(&'a self, line: &'a str) -> impl Iterator<Item = Match> + 'a {
        let (line, mut state) = (Input::new(line), OverlappingState::start());
        std::iter::from_fn(move || {
            self.0.try_find_overlapping(&line, &mut state).ok()?;
            state.get_match()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_within_words_are_found_and_each_as_often_as_it_is_there() {
        let keys = Keys::new(["he", "she", "hers", "x"]).unwrap();
        let found: Vec<_> =
            keys.hits("ushers, he").map(|hit| (hit.pattern().as_usize(), hit.start(), hit.end())).collect();
        assert_eq!(found, [(1, 1, 4), (0, 2, 4), (2, 2, 6), (0, 8, 10)]);
        assert_eq!(keys.hits("").count(), 0);
    }
}
