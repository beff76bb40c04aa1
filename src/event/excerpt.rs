//! Text that nobody checked, made fit to show.

use std::fmt;

use serde::Serialize;

/// The beginning of a text that came from outside: short, one line, plain ASCII.
///
/// Letters, digits, spaces and a few marks stay; everything else becomes `?`. So no event can colour a terminal, break a log
/// line or call a chat channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// At most 40 characters, for a sentence.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::cut(text, 40)
    }

    /// At most 128 characters, for a field of a log line; EventBridge allows no longer detail-type.
    #[must_use]
    pub fn long(text: &str) -> Self {
        Self::cut(text, 128)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn cut(text: &str, most: usize) -> Self {
        let whole = text.chars().nth(most).is_none();
        let kept = if whole { most } else { most.saturating_sub(3) };
        let mut shown: String = text.chars().take(kept).map(harmless).collect();
        if !whole {
            shown.push_str("...");
        }
        Self(shown.into())
    }
}

fn harmless(c: char) -> char {
    if c.is_ascii_alphanumeric() || " -_.:/,+()=".contains(c) { c } else { '?' }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_text_is_cut_and_says_so() {
        let shown = Excerpt::of(&"a".repeat(1_000_000));
        assert_eq!(shown.as_str().len(), 40);
        assert!(shown.as_str().ends_with("a..."));
        assert_eq!(Excerpt::of(&"a".repeat(40)).as_str(), "a".repeat(40));
    }

    proptest! {
        #[test]
        fn any_text_becomes_short_and_plain(text in ".*") {
            let shown = Excerpt::of(&text);
            prop_assert!(shown.as_str().len() <= 40);
            prop_assert!(shown.as_str().chars().all(|c| c == '?' || harmless(c) == c));
        }
    }
}
