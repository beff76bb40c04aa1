//! Reads YAML into a tree, whatever the bytes are, within limits.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned, alias_limits, budget, options};

use super::document::Document;
use super::mistakes::{self, ALIAS_DEPTH_MAX, ALIASES_MAX, DEPTH_MAX, REPEATED_MAX, VALUES_MAX};
use super::tree::{Finding, Key, Node, Spot, Yaml};

/// The largest document, in bytes: eight times what a parameter of Systems Manager can hold.
pub const MAX_BYTES: usize = 65_536;

/// Reads a document.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines; at least one finding.
pub fn read(bytes: &[u8]) -> Result<Document, Vec<Finding>> {
    Document::of(&tree(bytes).map_err(|finding| vec![finding])?)
}

/// Reads bytes into a tree.
///
/// # Errors
/// Why they are no YAML, or too much of it.
pub fn tree(bytes: &[u8]) -> Result<Node, Finding> {
    let at_start = |problem: String| Finding { at: Spot::START, problem };
    if bytes.len() > MAX_BYTES {
        return Err(at_start(format!("the document is too large; allowed: {MAX_BYTES} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
        let column = lines.last().map_or(0, |last| String::from_utf8_lossy(last).chars().count());
        Finding {
            at: spot(lines.len(), column.saturating_add(1)),
            problem: "this is no text; allowed: UTF-8".to_owned(),
        }
    })?;
    let options = options! {
        strict_booleans: true,
        with_snippet: false,
        // A policy is a page of text: nobody needs more, and a bomb of aliases gets no further.
        budget: budget! { max_depth: DEPTH_MAX, max_nodes: VALUES_MAX, max_aliases: ALIASES_MAX, max_anchors: ALIASES_MAX },
        alias_limits: alias_limits! { max_total_replayed_events: REPEATED_MAX, max_replay_stack_depth: ALIAS_DEPTH_MAX },
    };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Yaml>>>(text, options) {
        Ok(Some(root)) => Ok(Node { at: of(root.referenced), yaml: root.value }),
        Ok(None) => Ok(Node { at: Spot::START, yaml: Yaml::Null }),
        Err(error) => {
            let at = error.location().map_or(Spot::START, of);
            Err(Finding { at, problem: mistakes::told(&error) })
        }
    }
}

fn spot(line: usize, column: usize) -> Spot {
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Spot { line: short(line), column: short(column) }
}

fn of(location: Location) -> Spot {
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Spot { line: short(location.line()), column: short(location.column()) }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Yaml;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Null)
            }

            fn visit_none<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Yaml, D::Error> {
                inner.deserialize_any(Self)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Yaml, E> {
                Ok(Yaml::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Yaml, E> {
                Ok(Yaml::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Yaml, E> {
                Ok(i64::try_from(number).map_or(Yaml::Other("a very large number"), Yaml::Number))
            }

            fn visit_i128<E>(self, _: i128) -> Result<Yaml, E> {
                Ok(Yaml::Other("a very large number"))
            }

            fn visit_u128<E>(self, _: u128) -> Result<Yaml, E> {
                Ok(Yaml::Other("a very large number"))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Yaml, E> {
                Ok(Yaml::Other("not a whole number"))
            }

            fn visit_str<E>(self, text: &str) -> Result<Yaml, E> {
                Ok(Yaml::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<Spanned<Yaml>>()? {
                    list.push(Node { at: of(item.referenced), yaml: item.value });
                }
                Ok(Yaml::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
                let mut map = Vec::new();
                while let Some(key) = entries.next_key::<Spanned<String>>()? {
                    let value: Spanned<Yaml> = entries.next_value()?;
                    let key = Key { at: of(key.referenced), text: key.value };
                    map.push((key, Node { at: of(value.referenced), yaml: value.value }));
                }
                Ok(Yaml::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
