//! A dropped message as the log keeps it: whole, but without parameters, which may hold secrets.

use serde_json::{Map, Value};

/// `CloudWatch` takes 256 KiB a line; escapes can double a text.
const KEPT_MAX: usize = 64 * 1024;
/// What parameters are called, in any case: `parameters`, `requestParameters`.
const SECRET: &str = "parameters";
/// What stands in their place.
const LEFT_OUT: &str = "(left out)";

/// A message without its parameters, wherever they stand.
pub(super) fn kept(message: &Value) -> String {
    short(without(message).to_string())
}

/// A message that is no JSON: where parameters begin cannot be told from where they end, so it ends there.
pub(super) fn cut(message: &str) -> String {
    let lower = message.to_ascii_lowercase();
    match lower.find(SECRET).and_then(|at| message.get(..at)) {
        Some(before) => format!("{}{LEFT_OUT}", short(before.to_owned())),
        None => short(message.to_owned()),
    }
}

fn without(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.iter().map(pair_without).collect::<Map<_, _>>()),
        Value::Array(list) => Value::Array(list.iter().map(without).collect()),
        // JSON inside of text.
        Value::String(text) => Value::String(cut(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn pair_without((name, value): (&String, &Value)) -> (String, Value) {
    let secret = name.to_ascii_lowercase().contains(SECRET);
    (name.clone(), if secret { Value::String(LEFT_OUT.to_owned()) } else { without(value) })
}

fn short(mut text: String) -> String {
    if text.len() > KEPT_MAX {
        let end = (0..=KEPT_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_left_out_wherever_they_stand() {
        let message = json!({
            "id": 1, "detail": { "Parameters": { "commands": ["pw=hunter2"] }, "requestParameters": "hunter2" },
            "as-text": "{\"parameters\":{\"commands\":[\"hunter2\"]}}", "list": [{ "parameters": "hunter2" }]
        });
        assert_eq!(
            kept(&message),
            "{\"as-text\":\"{\\\"(left out)\",\"detail\":{\"Parameters\":\"(left out)\",\
             \"requestParameters\":\"(left out)\"},\"id\":1,\"list\":[{\"parameters\":\"(left out)\"}]}"
        );
    }

    #[test]
    fn what_is_no_json_ends_where_its_parameters_begin() {
        assert_eq!(cut("{\"a\":1,\"PARAMETERS\":{\"pw\":\"hunter2\""), "{\"a\":1,\"(left out)");
        assert_eq!(cut("no json"), "no json");
    }

    #[test]
    fn a_long_message_is_cut_between_two_letters() {
        let kept = cut(&"é".repeat(100_000));
        assert!(kept.len() <= KEPT_MAX + 3 && kept.ends_with("é..."));
    }
}
