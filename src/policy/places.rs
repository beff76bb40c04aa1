//! Where a policy differs: blocks for clusters and Auto Scaling groups, and rules for single causes.

use std::borrow::Cow;
use std::sync::Arc;

use super::settings::{SETTINGS, Value};
use super::{Mode, Policy};
use crate::incident::Remedy;

/// What a policy says about one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CauseRule {
    /// Seconds from the first look to a remedy against it, in place of both hold-downs. The cause is looked for once the
    /// hold-down before agent restarts is over, so nothing is done before that.
    pub wait_secs: Option<i64>,
    /// The strongest remedy against it.
    pub highest: Option<Highest>,
}

/// The strongest remedy that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Highest {
    /// None at all: it is told, not treated.
    Nothing,
    /// This one.
    Remedy(Remedy),
}

impl Highest {
    /// Whether it reaches as far as a remedy.
    #[must_use]
    pub fn reaches(self, remedy: Remedy) -> bool {
        match self {
            Self::Nothing => false,
            Self::Remedy(highest) => remedy <= highest,
        }
    }

    /// The remedy, if there is one.
    #[must_use]
    pub fn remedy(self) -> Option<Remedy> {
        match self {
            Self::Nothing => None,
            Self::Remedy(remedy) => Some(remedy),
        }
    }
}

/// A pattern for names: `*` stands for any letters, `?` for one; everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob(Arc<str>);

impl Glob {
    /// The longest pattern, in characters: no name is longer.
    pub const MOST: usize = 255;

    /// A pattern, unless no name can match it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fine = !text.is_empty() && text.chars().count() <= Self::MOST;
        // A colon is in no name of a cluster or group: somebody wrote an ARN.
        (fine && !text.chars().any(|c| c.is_control() || c == ':')).then(|| Self(text.into()))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name matches. Takes at most the product of both lengths, and no memory.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where to go on after a dead end: behind the last star, with one letter more under it.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let mut next = pattern.clone();
            match next.next() {
                Some('*') => {
                    retry = Some((next.clone(), rest.clone()));
                    pattern = next;
                    continue;
                }
                Some(wanted) => {
                    if let Some(letter) = rest.next()
                        && (wanted == '?' || wanted == letter)
                    {
                        pattern = next;
                        continue;
                    }
                }
                None if rest.next().is_none() => return true,
                None => {}
            }
            let Some((behind, under)) = &mut retry else { return false };
            if under.next().is_none() {
                return false;
            }
            (pattern, rest) = (behind.clone(), under.clone());
        }
    }
}

/// A setting that somebody wrote down, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Given {
    /// Its place in [`SETTINGS`].
    pub index: usize,
    /// What it holds.
    pub value: Value,
    /// The line, from 1.
    pub line: u32,
}

/// Settings for the clusters or groups whose names match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// Which names.
    pub names: Glob,
    /// The line in which it begins, from 1.
    pub line: u32,
    /// Only what differs.
    pub settings: Vec<Given>,
}

/// The blocks of a document, under one stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// The stack's mode, which no block goes beyond.
    pub cap: Mode,
    /// For clusters; the first match counts.
    pub clusters: Vec<Block>,
    /// For Auto Scaling groups; the first match counts, after the cluster's.
    pub groups: Vec<Block>,
}

/// The first block that matches a name.
#[must_use]
pub fn first_match<'a>(blocks: &'a [Block], name: Option<&str>) -> Option<&'a Block> {
    let name = name?;
    blocks.iter().find(|block| block.names.matches(name))
}

/// Writes settings over a policy.
pub(super) fn overwrite(policy: &mut Policy, settings: &[Given]) {
    for given in settings {
        if let Some(setting) = SETTINGS.get(given.index) {
            setting.set(policy, &given.value);
        }
    }
}

impl Policy {
    /// The policy for a node of this cluster and group.
    ///
    /// A group's block goes over a cluster's: a cluster may have several groups, so the group is the narrower place. Nothing
    /// is allocated where no block matches.
    #[must_use]
    pub fn at(&self, cluster: Option<&str>, group: Option<&str>) -> Cow<'_, Self> {
        let Some(blocks) = &self.blocks else { return Cow::Borrowed(self) };
        let found = [first_match(&blocks.clusters, cluster), first_match(&blocks.groups, group)];
        if found == [None, None] {
            return Cow::Borrowed(self);
        }
        let mut policy = self.clone();
        for block in found.into_iter().flatten() {
            overwrite(&mut policy, &block.settings);
        }
        policy.mode = policy.mode.min(blocks.cap);
        Cow::Owned(policy)
    }

    /// The highest mode that any node can have: below it, no look is worth while.
    #[must_use]
    pub fn highest_mode(&self) -> Mode {
        let Some(blocks) = &self.blocks else { return self.mode };
        let given = blocks.clusters.iter().chain(&blocks.groups).flat_map(|block| &block.settings);
        let modes = given.filter_map(|given| match (SETTINGS.get(given.index)?.name, &given.value) {
            ("mode", Value::Word(word)) => word.parse::<Mode>().ok(),
            _ => None,
        });
        modes.map(|mode| mode.min(blocks.cap)).fold(self.mode, Mode::max)
    }

    /// The strongest remedy against a cause, where the policy names one.
    #[must_use]
    pub fn highest_against(&self, cause: crate::diagnose::Cause) -> Option<Highest> {
        self.causes.get(&cause).and_then(|rule| rule.highest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_is_any_letters_and_a_question_mark_one() {
        assert!(matches("prod-*", "prod-web") && matches("prod-*", "prod-") && !matches("prod-*", "prod"));
        assert!(matches("*-db", "a-db-db") && matches("a*b*c", "a-b-b-c") && !matches("a*b*c", "a-c-b"));
        assert!(matches("web-?", "web-1") && !matches("web-?", "web-") && !matches("web-?", "web-12"));
        assert!(matches("*", "") && matches("**", "x") && !matches("web", "Web"));
    }

    #[test]
    fn a_pattern_that_no_name_can_match_is_none() {
        for text in ["", "arn:aws:ecs:eu-west-1:111122223333:cluster/prod", "a\nb", &"x".repeat(256)] {
            assert!(Glob::new(text).is_none(), "{text:?}");
        }
    }

    /// The same by definition, for short names.
    fn by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| by_definition(rest, &name[taken..])),
            (['?', rest @ ..], [_, letters @ ..]) => by_definition(rest, letters),
            ([wanted, rest @ ..], [letter, letters @ ..]) => wanted == letter && by_definition(rest, letters),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_definition_says(pattern in "[ab*?]{1,6}", name in "[ab]{0,7}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), by_definition(&letters(&pattern), &letters(&name)));
        }
    }
}
