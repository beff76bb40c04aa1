//! Looking into JSON objects that may hold anything.

use serde_json::{Map, Value};

use super::{DropReason, Excerpt};
use crate::node::{BadName, NodeId};

/// An object of the event.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The field's value; `null` counts as missing.
    pub(super) fn value(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// The field's text, when it has one. Blank text counts as missing.
    pub(super) fn text(self, field: &'static str) -> Result<Option<&'a str>, DropReason> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
            Some(other) => Err(wrong_type(field, "text", other)),
        }
    }

    /// The field's text, which must be there.
    pub(super) fn need_text(self, field: &'static str) -> Result<&'a str, DropReason> {
        self.text(field)?.ok_or(DropReason::Missing { field })
    }

    /// The field's object, which must be there.
    pub(super) fn need_object(self, field: &'static str) -> Result<Self, DropReason> {
        match self.value(field) {
            None => Err(DropReason::Missing { field }),
            Some(Value::Object(map)) => Ok(Self(map)),
            Some(other) => Err(wrong_type(field, "an object", other)),
        }
    }

    /// The field's list, which must be there.
    pub(super) fn need_list(self, field: &'static str) -> Result<&'a [Value], DropReason> {
        match self.value(field) {
            None => Err(DropReason::Missing { field }),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(wrong_type(field, "a list", other)),
        }
    }

    /// The field's yes or no, which must be there.
    pub(super) fn need_bool(self, field: &'static str) -> Result<bool, DropReason> {
        match self.value(field) {
            None => Err(DropReason::Missing { field }),
            Some(Value::Bool(yes)) => Ok(*yes),
            Some(other) => Err(wrong_type(field, "true or false", other)),
        }
    }

    /// The field's text as a checked name, when it is there.
    pub(super) fn name<T>(self, field: &'static str) -> Result<Option<T>, DropReason>
    where
        T: std::str::FromStr<Err = BadName>,
    {
        self.text(field)?.map(|text| checked(field, text)).transpose()
    }

    /// The field's text as a checked name, which must be there.
    pub(super) fn need_name<T>(self, field: &'static str) -> Result<T, DropReason>
    where
        T: std::str::FromStr<Err = BadName>,
    {
        self.name(field)?.ok_or(DropReason::Missing { field })
    }

    /// The node that the field names. Nothing but a well-formed id will do.
    pub(super) fn node(self, field: &'static str) -> Result<NodeId, DropReason> {
        match self.value(field) {
            None => Err(DropReason::NoId { field }),
            Some(Value::String(text)) => {
                text.parse().map_err(|_| DropReason::BadId { field, given: Excerpt::of(text) })
            }
            Some(other) => Err(wrong_type(field, "an id", other)),
        }
    }
}

fn checked<T>(field: &'static str, text: &str) -> Result<T, DropReason>
where
    T: std::str::FromStr<Err = BadName>,
{
    text.parse().map_err(|error: BadName| DropReason::BadName {
        field,
        expected: error.expected,
        given: Excerpt::of(text),
    })
}

fn wrong_type(field: &'static str, expected: &'static str, found: &Value) -> DropReason {
    DropReason::WrongType { field, expected, found: kind_of(found) }
}

/// What a value is, with its article.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A status without its spaces, marks and case.
///
/// AWS writes one status in several ways: `Delivery Timed Out`, `DeliveryTimedOut`, `Canceled`, `CANCELLED`.
pub(super) fn folded(status: &str) -> String {
    status.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_status_fold_together() {
        for status in ["DeliveryTimedOut", "Delivery Timed Out", " delivery\ttimed\u{a0}out\n", "DELIVERY_TIMED_OUT"] {
            assert_eq!(folded(status), "deliverytimedout");
        }
    }
}
