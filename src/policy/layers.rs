//! Which layer decides: defaults, stack, document, its blocks, tags.
//!
//! Each layer goes over the one before: built-in defaults < stack settings < the document's top < the first cluster block that
//! matches < the first group block that matches. A group goes over a cluster because it is the narrower place. The mode is
//! different twice: no document goes beyond the stack's, because the stack's role holds no more; and tags only lower it.

use std::fmt;
use std::sync::Arc;

use super::document::Document;
use super::places::{Blocks, first_match, overwrite};
use super::settings::{SETTINGS, Setting, Value};
use super::{Mode, Policy};

/// A layer that decided about a setting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "layer")]
pub enum Layer {
    /// The built-in default.
    Default,
    /// The stack's settings.
    Stack,
    /// The document's top.
    Document {
        /// In this line.
        line: u32,
    },
    /// A block for clusters.
    ClusterBlock {
        /// Its pattern.
        names: String,
        /// In this line.
        line: u32,
    },
    /// A block for groups.
    GroupBlock {
        /// Its pattern.
        names: String,
        /// In this line.
        line: u32,
    },
    /// The document asks for more than the stack's mode.
    StackCap {
        /// What it asks for.
        asked: &'static str,
        /// In this line.
        line: u32,
    },
    /// No good document is there, so the mode has fallen.
    NoGoodDocument,
    /// A tag lowered it.
    Tag {
        /// On what.
        on: Tagged,
    },
}

/// What carries a tag that can lower the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tagged {
    /// The node.
    Node,
    /// Its Auto Scaling group.
    Group,
    /// Its cluster.
    Cluster,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Stack => f.write_str("stack"),
            Self::Document { line } => write!(f, "document, line {line}"),
            Self::ClusterBlock { names, line } => write!(f, "cluster block \"{names}\", line {line}"),
            Self::GroupBlock { names, line } => write!(f, "group block \"{names}\", line {line}"),
            Self::StackCap { asked, line } => write!(f, "stack: its mode caps the {asked} of line {line}"),
            Self::NoGoodDocument => f.write_str("no good document is there"),
            Self::Tag { on: Tagged::Node } => f.write_str("tag on the node"),
            Self::Tag { on: Tagged::Group } => f.write_str("tag on its Auto Scaling group"),
            Self::Tag { on: Tagged::Cluster } => f.write_str("tag on its cluster"),
        }
    }
}

/// A policy for one node, and who decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The policy.
    pub policy: Policy,
    /// For every setting the layer that decided, in the order of [`SETTINGS`].
    pub origins: Vec<Layer>,
}

impl Resolved {
    /// Every setting with its value and the layer that decided.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Setting, Value, &Layer)> {
        SETTINGS.iter().zip(&self.origins).map(|(setting, layer)| (setting, setting.get(&self.policy), layer))
    }

    /// This layer decided about the mode.
    pub fn mode_decided_by(&mut self, layer: &Layer) {
        for (index, origin) in self.origins.iter_mut().enumerate() {
            if is_mode(index) {
                origin.clone_from(layer);
            }
        }
    }
}

impl Document {
    /// The policy of an account with this stack: the document's top, with its blocks for [`Policy::at`].
    #[must_use]
    pub fn under(&self, stack: &Policy) -> Policy {
        let mut policy = stack.clone();
        overwrite(&mut policy, &self.top);
        policy.mode = policy.mode.min(stack.mode);
        policy.causes.extend(self.causes.iter().map(|(cause, rule)| (*cause, *rule)));
        if !self.clusters.is_empty() || !self.groups.is_empty() {
            let (clusters, groups) = (self.clusters.clone(), self.groups.clone());
            policy.blocks = Some(Arc::new(Blocks { cap: stack.mode, clusters, groups }));
        }
        policy
    }
}

/// The policy for a node of this cluster and group, and the layer that decided about each setting.
///
/// A stack setting that equals the built-in default counts as the default.
#[must_use]
pub fn resolve(
    document: &Document,
    stack: &Policy,
    (cluster, group): (Option<&str>, Option<&str>),
    tags: &[(Tagged, Mode)],
) -> Resolved {
    let account = document.under(stack);
    let policy = account.at(cluster, group).into_owned();
    let default = Policy::default();
    let mut origins: Vec<Layer> = SETTINGS
        .iter()
        .map(|setting| if setting.get(stack) == setting.get(&default) { Layer::Default } else { Layer::Stack })
        .collect();
    let cluster = first_match(&document.clusters, cluster);
    let group = first_match(&document.groups, group);
    let layers = document
        .top
        .iter()
        .map(|given| (given, Layer::Document { line: given.line }))
        .chain(cluster.into_iter().flat_map(|block| {
            let names = block.names.as_str();
            block.settings.iter().map(|g| (g, Layer::ClusterBlock { names: names.to_owned(), line: g.line }))
        }))
        .chain(group.into_iter().flat_map(|block| {
            let names = block.names.as_str();
            block.settings.iter().map(|g| (g, Layer::GroupBlock { names: names.to_owned(), line: g.line }))
        }));
    for (given, layer) in layers {
        let Some(origin) = origins.get_mut(given.index) else { continue };
        let asked = match &given.value {
            Value::Word(word) if is_mode(given.index) => word.parse::<Mode>().ok(),
            Value::Flag(_) | Value::Number(_) | Value::Word(_) | Value::Document(_) => None,
        };
        *origin = match asked {
            Some(asked) if asked > stack.mode => Layer::StackCap { asked: asked.as_str(), line: given.line },
            Some(_) | None => layer,
        };
    }
    let mut resolved = Resolved { policy, origins };
    for (on, mode) in tags {
        if *mode < resolved.policy.mode {
            resolved.policy.mode = *mode;
            resolved.mode_decided_by(&Layer::Tag { on: *on });
        }
    }
    resolved
}

fn is_mode(index: usize) -> bool {
    SETTINGS.get(index).is_some_and(|setting| setting.name == "mode")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml::read;
    use super::*;

    fn document(text: &str) -> Document {
        read(text.as_bytes()).unwrap()
    }

    fn decided(resolved: &Resolved, name: &str) -> (String, String) {
        let row = resolved.rows().find(|(setting, ..)| setting.name == name).unwrap();
        (row.1.to_string(), row.2.to_string())
    }

    const LAYERED: &str = "mode: restart\ncooldown-secs: 400\nsessions: warn\nclusters:\n  - match: prod-*\n    mode: cycle\n    \
                           cooldown-secs: 500\ngroups:\n  - match: prod-db-*\n    cooldown-secs: 600\n  - match: prod-*\n    mode: off\n";

    #[test]
    fn what_the_stack_allows_just_so_far_is_the_document_s_own_word() {
        let document = document("mode: cycle\n");
        let mode = |stack| decided(&resolve(&document, &Policy::in_mode(stack), (None, None), &[]), "mode").1;
        assert_eq!(mode(Mode::Cycle), "document, line 1");
        assert_ne!(mode(Mode::Restart), "document, line 1", "the stack lowers it");
    }

    #[test]
    fn a_tag_decides_the_mode_and_nothing_else() {
        let stack = Policy { quiet_secs: 600, ..Policy::in_mode(Mode::Replace) };
        let tagged = resolve(&document("sessions: warn\n"), &stack, (None, None), &[(Tagged::Node, Mode::Observe)]);
        assert_eq!(decided(&tagged, "mode").0, "observe");
        assert_eq!(decided(&tagged, "quiet-secs"), ("600".into(), "stack".into()));
        assert_eq!(decided(&tagged, "sessions"), ("warn".into(), "document, line 1".into()));
    }

    #[test]
    fn each_layer_goes_over_the_one_before() {
        let stack = Policy { quiet_secs: 600, ..Policy::in_mode(Mode::Replace) };
        let document = document(LAYERED);
        let nowhere = resolve(&document, &stack, (None, None), &[]);
        assert_eq!(decided(&nowhere, "parked-max-secs"), ("21600".into(), "default".into()));
        assert_eq!(decided(&nowhere, "quiet-secs"), ("600".into(), "stack".into()));
        assert_eq!(decided(&nowhere, "mode"), ("restart".into(), "document, line 1".into()));
        let cluster = resolve(&document, &stack, (Some("prod-web"), None), &[]);
        assert_eq!(decided(&cluster, "mode"), ("cycle".into(), "cluster block \"prod-*\", line 6".into()));
        assert_eq!(decided(&cluster, "sessions"), ("warn".into(), "document, line 3".into()));
        let both = resolve(&document, &stack, (Some("prod-web"), Some("prod-db-1")), &[]);
        assert_eq!(decided(&both, "cooldown-secs"), ("600".into(), "group block \"prod-db-*\", line 10".into()));
        assert_eq!(decided(&both, "mode"), ("cycle".into(), "cluster block \"prod-*\", line 6".into()));
    }

    #[test]
    fn the_stack_s_mode_is_a_hard_cap() {
        let resolved = resolve(&document(LAYERED), &Policy::in_mode(Mode::Restart), (Some("prod-a"), None), &[]);
        assert_eq!(decided(&resolved, "mode"), ("restart".into(), "stack: its mode caps the cycle of line 6".into()));
    }

    #[test]
    fn a_tag_that_lowers_is_named() {
        let stack = Policy::in_mode(Mode::Replace);
        let tags = [(Tagged::Node, Mode::Cycle), (Tagged::Group, Mode::Observe), (Tagged::Cluster, Mode::Replace)];
        let resolved = resolve(&Document::default(), &stack, (None, None), &tags);
        assert_eq!(decided(&resolved, "mode"), ("observe".into(), "tag on its Auto Scaling group".into()));
    }

    #[test]
    fn nothing_is_copied_where_no_block_matches() {
        let policy = document(LAYERED).under(&Policy::in_mode(Mode::Replace));
        assert!(matches!(policy.at(Some("test"), Some("test")), std::borrow::Cow::Borrowed(_)));
        assert!(matches!(policy.at(Some("prod-x"), None), std::borrow::Cow::Owned(_)));
    }

    #[test]
    fn a_block_may_look_after_what_the_top_leaves_alone() {
        let policy =
            document("mode: off\ngroups:\n  - {match: a, mode: cycle}\n").under(&Policy::in_mode(Mode::Restart));
        assert_eq!((policy.mode, policy.highest_mode()), (Mode::Off, Mode::Restart));
        assert_eq!(Policy::in_mode(Mode::Cycle).highest_mode(), Mode::Cycle);
    }

    proptest! {
        #[test]
        fn a_tag_only_lowers(
            stack in 0_usize..5, top in 0_usize..5, cluster in 0_usize..5, tags in proptest::collection::vec((0_usize..3, 0_usize..5), 0..6)
        ) {
            let word = |mode: usize| Mode::ALL[mode].as_str();
            let text = format!("mode: {}\nclusters:\n  - {{match: c, mode: {}}}\n", word(top), word(cluster));
            let stack = Policy::in_mode(Mode::ALL[stack]);
            let on = [Tagged::Node, Tagged::Group, Tagged::Cluster];
            let tags: Vec<_> = tags.into_iter().map(|(who, mode)| (on[who], Mode::ALL[mode])).collect();
            let document = document(&text);
            let without = resolve(&document, &stack, (Some("c"), None), &[]);
            let with = resolve(&document, &stack, (Some("c"), None), &tags);
            prop_assert!(with.policy.mode <= without.policy.mode && without.policy.mode <= stack.mode);
            let lowest = tags.iter().map(|(_, mode)| *mode).fold(without.policy.mode, Mode::min);
            prop_assert_eq!(with.policy.mode, lowest);
            // Nothing but the mode follows a tag.
            prop_assert_eq!(Policy { mode: without.policy.mode, ..with.policy }, without.policy);
        }
    }
}
