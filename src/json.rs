//! JSON is read in one way, from bytes: a reader of texts beside it would be all of its code a second time in the zip
//! (docs/decisions/0076).

use serde::Deserialize;

/// What a text says.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    serde_json::from_slice(text.as_bytes())
}
