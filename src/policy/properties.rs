//! What holds for every document: its layers against their definition, and what `explain` says against what a plan does.

use proptest::prelude::*;
use proptest::sample::select;

use super::document::Document;
use super::layers::{Layer, Tagged, resolve};
use super::places::{Block, Given, Glob};
use super::settings::{Kind, SETTINGS, Value};
use super::{Mode, Policy};
use crate::engine::Context;
use crate::guard::mode::reach;
use crate::observe::samples::{home, noon, seen};

/// Any setting with a value that it may hold; those of the whole account only where `everywhere` says so.
fn given(everywhere: bool) -> impl Strategy<Value = Given> {
    let indices: Vec<usize> =
        SETTINGS.iter().enumerate().filter(|(_, setting)| everywhere || setting.in_blocks).map(|(n, _)| n).collect();
    (select(indices), any::<prop::sample::Index>(), 1_u32..99).prop_map(|(index, pick, line)| {
        let value = match SETTINGS[index].kind {
            Kind::Flag => Value::Flag(pick.index(2) == 1),
            Kind::Number { low, high } => Value::Number(if pick.index(2) == 0 { low } else { high }),
            Kind::Document => Value::Document(["freeze", "holidays"][pick.index(2)].parse().unwrap()),
            Kind::Word(words) => Value::Word(words[pick.index(words.len())]),
        };
        Given { index, value, line }
    })
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let block = (select(vec!["a*", "ab", "*b", "?", "*", "x"]), prop::collection::vec(given(false), 0..4), 1_u32..99);
    let block = block.prop_map(|(names, settings, line)| Block { names: Glob::new(names).unwrap(), line, settings });
    prop::collection::vec(block, 0..4)
}

fn documents() -> impl Strategy<Value = Document> {
    (prop::collection::vec(given(true), 0..6), blocks(), blocks()).prop_map(|(top, clusters, groups)| Document {
        top,
        clusters,
        groups,
        ..Document::default()
    })
}

fn name() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("a"), Some("ab"), Some("abb"), Some("x"), Some("zz")])
}

fn stacks() -> impl Strategy<Value = Policy> {
    (select(Mode::ALL.to_vec()), prop::collection::vec(given(true), 0..3)).prop_map(|(mode, settings)| {
        let mut stack = Policy::default();
        for given in settings {
            SETTINGS[given.index].set(&mut stack, &given.value);
        }
        Policy { mode, ..stack }
    })
}

/// The layers over a stack that hold for these names, the lowest first: of blocks the first that matches.
fn layers<'a>(document: &'a Document, cluster: Option<&str>, group: Option<&str>) -> Vec<&'a [Given]> {
    let mut layers = vec![document.top.as_slice()];
    for (blocks, name) in [(&document.clusters, cluster), (&document.groups, group)] {
        for block in blocks {
            if name.is_some_and(|name| block.names.matches(name)) {
                layers.push(&block.settings);
                break;
            }
        }
    }
    layers
}

/// The tags of a node, its group and its cluster.
fn tags() -> impl Strategy<Value = [Option<Mode>; 3]> {
    let tag = || prop::option::of(select(Mode::ALL.to_vec()));
    [tag(), tag(), tag()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_layer_that_names_a_setting_decides(
        document in documents(), stack in stacks(), cluster in name(), group in name(),
    ) {
        let resolved = resolve(&document, &stack, (cluster, group), &[]);
        let layers = layers(&document, cluster, group);
        for (index, (setting, value, origin)) in resolved.rows().enumerate() {
            let last = layers.iter().flat_map(|layer| layer.iter()).rfind(|given| given.index == index);
            let Some(last) = last else {
                prop_assert_eq!(value, setting.get(&stack), "{}", setting.name);
                prop_assert!(matches!(origin, Layer::Default | Layer::Stack), "{}: {}", setting.name, origin);
                continue;
            };
            let asked = match last.value {
                Value::Word(word) if setting.name == "mode" => Some(word.parse::<Mode>().unwrap()),
                _ => None,
            };
            match asked {
                Some(asked) if asked > stack.mode => {
                    let capped = Layer::StackCap { asked: asked.as_str(), line: last.line };
                    prop_assert_eq!((value, origin), (Value::Word(stack.mode.as_str()), &capped));
                }
                _ => {
                    prop_assert_eq!(&value, &last.value, "{}", setting.name);
                    prop_assert!(origin.to_string().ends_with(&format!("line {}", last.line)), "{}", origin);
                }
            }
        }
    }

    #[test]
    fn explain_says_what_a_plan_goes_by(
        document in documents(), stack in stacks(), tags in tags(), of_group in any::<bool>(),
    ) {
        let [node, group, cluster] = tags;
        let mut look = seen(noon()).in_cluster().with_ecs(|ecs| ecs.cluster_tags.mode = cluster);
        if of_group {
            look = look.in_group().with_asg(|asg| asg.tags.mode = group);
        }
        let look = look.with_ec2(|ec2| ec2.tags.mode = node);
        let place = (
            look.ecs.known().map(|ecs| ecs.cluster.name().to_owned()),
            look.asg.known().map(|asg| asg.name.as_str().to_owned()),
        );
        let on = [(Tagged::Node, node), (Tagged::Group, group.filter(|_| of_group)), (Tagged::Cluster, cluster)];
        let tags: Vec<_> = on.into_iter().filter_map(|(on, mode)| Some((on, mode?))).collect();
        let explained = resolve(&document, &stack, (place.0.as_deref(), place.1.as_deref()), &tags);
        let context = Context { home: home(), policy: document.under(&stack) };
        let policy = context.policy_for(Some(&look), None);
        let reach = reach(&look, &policy);
        prop_assert_eq!(explained.policy.mode, reach.mode);
        prop_assert!(reach.mode <= policy.mode && policy.mode <= stack.mode, "a tag or a document raised the mode");
        prop_assert_eq!(Policy { mode: policy.mode, ..explained.policy }, policy.into_owned());
        let by_tag = explained.origins.iter().any(|layer| matches!(layer, Layer::Tag { .. }));
        prop_assert_eq!(by_tag, reach.lowered_by.is_some());
    }

    #[test]
    fn the_highest_mode_is_reached_by_some_node_and_exceeded_by_none(document in documents(), stack in stacks()) {
        let account = document.under(&stack);
        let highest = account.highest_mode();
        for cluster in [None, Some("a"), Some("ab"), Some("abb"), Some("x"), Some("zz")] {
            for group in [None, Some("a"), Some("ab"), Some("abb"), Some("x"), Some("zz")] {
                prop_assert!(account.at(cluster, group).mode <= highest);
            }
        }
        let given = account.blocks.iter().flat_map(|blocks| blocks.clusters.iter().chain(&blocks.groups));
        let named = given.flat_map(|block| &block.settings).any(|given| {
            given.value == Value::Word(highest.as_str()) || (highest == stack.mode && SETTINGS[given.index].name == "mode")
        });
        prop_assert!(highest == account.mode || named, "nobody asks for {}", highest);
    }
}
