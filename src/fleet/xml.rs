//! XML as EC2 and the query services write it, from one JSON value.

use serde_json::{Map, Value};

/// How a service wraps the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// EC2: `<item>`.
    Item,
    /// Query services: `<member>`.
    Member,
}

impl Lists {
    fn element(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Member => "member",
        }
    }
}

/// Writes the fields of an object as elements; `null` is left out.
pub(super) fn fields(map: &Map<String, Value>, lists: Lists, out: &mut String) {
    for (name, value) in map {
        element(name, value, lists, out);
    }
}

/// Writes one element.
pub(super) fn element(name: &str, value: &Value, lists: Lists, out: &mut String) {
    if value.is_null() {
        return;
    }
    out.push('<');
    out.push_str(name);
    out.push('>');
    match value {
        Value::Object(map) => fields(map, lists, out),
        Value::Array(list) => {
            for one in list {
                element(lists.element(), one, lists, out);
            }
        }
        Value::String(text) => escape(text, out),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::Null => {}
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Writes text. What XML 1.0 cannot hold becomes `U+FFFD`.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A bare carriage return would be read back as a line feed.
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_family_wraps_its_lists_in_its_own_way() {
        let value = json!({ "set": [{ "a": 1 }, { "a": null }], "b": true, "empty": [] });
        let write = |lists| {
            let mut out = String::new();
            fields(value.as_object().unwrap(), lists, &mut out);
            out
        };
        assert_eq!(write(Lists::Item), "<b>true</b><empty></empty><set><item><a>1</a></item><item></item></set>");
        assert!(write(Lists::Member).contains("<member><a>1</a></member>"));
    }

    #[test]
    fn no_text_breaks_out_of_its_element() {
        let mut out = String::new();
        element("t", &json!("</t><x a=\"1\">&\u{0}\r"), Lists::Item, &mut out);
        assert_eq!(out, "<t>&lt;/t&gt;&lt;x a=&quot;1&quot;&gt;&amp;\u{fffd}&#xD;</t>");
    }
}
