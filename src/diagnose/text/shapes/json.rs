//! JSON in a text: what is known by its form is read as that; of anything else the words count.

use std::fmt::Write;

use serde_json::Value;

use super::super::books::Books;
use super::{aws, diagnostics, docker, network, policies, probe, renamed};

/// A longer piece of JSON is read as lines.
const BLOCK_MAX: usize = 2 * 1024 * 1024;

/// Collects lines until a JSON value is whole.
#[derive(Debug, Default)]
pub(in crate::diagnose::text) struct Block {
    text: String,
    /// The brackets that are open.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
}

/// What became of a line.
#[derive(Debug, PartialEq)]
pub(in crate::diagnose::text) enum Taken {
    /// It is no JSON.
    No,
    /// It belongs to a value that goes on.
    More,
    /// With it a value is whole.
    Whole(Value),
    /// It was no JSON after all; these are the lines.
    Back(String),
}

impl Block {
    /// Takes a line, if it belongs to JSON.
    pub(in crate::diagnose::text) fn take(&mut self, line: &str) -> Taken {
        if self.text.is_empty() {
            let start = line.trim_start();
            let object = start.starts_with("{\"") || start.trim_end() == "{";
            let list = start.trim_end() == "[" || start.starts_with("[{");
            if !object && !list {
                return Taken::No;
            }
        }
        let whole = self.scan(line);
        self.text.push_str(line);
        self.text.push('\n');
        if whole {
            let text = self.reset();
            let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
            return match values.next() {
                Some(Ok(value)) => Taken::Whole(value),
                Some(Err(_)) | None => Taken::Back(text),
            };
        }
        if self.text.len() > BLOCK_MAX { Taken::Back(self.reset()) } else { Taken::More }
    }

    /// What never became whole: the end of it was cut off. Often it can be read all the same, with its brackets closed.
    pub(in crate::diagnose::text) fn finish(&mut self) -> Taken {
        if self.text.is_empty() {
            return Taken::No;
        }
        let mut closed = self.text.trim_end().trim_end_matches(',').to_owned();
        if self.in_string {
            closed.push('"');
        }
        closed.extend(self.open.iter().rev().map(|&byte| char::from(byte)));
        let text = self.reset();
        match crate::json::read(&closed) {
            Ok(value) => Taken::Whole(value),
            Err(_) => Taken::Back(text),
        }
    }

    fn reset(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        *self = Self::default();
        text
    }

    /// Whether the outermost bracket closes in this line.
    fn scan(&mut self, line: &str) -> bool {
        for byte in line.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.open.push(b'}'),
                b'[' => self.open.push(b']'),
                b'}' | b']' => {
                    self.open.pop();
                    if self.open.is_empty() {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

/// A field of an object; null where there is none.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// Reads a value by its form, and gives back the words in it that should be read as lines.
#[must_use]
pub(in crate::diagnose::text) fn read(value: &Value, books: &mut Books) -> Vec<String> {
    if let Some(checks) = field(value, "DiagnosticsOutput").as_array() {
        for check in checks {
            let text = |name: &str| field(check, name).as_str().unwrap_or_default();
            diagnostics::check(text("Check"), text("Status"), text("Note"), books);
        }
        return Vec::new();
    }
    if probe::own(value, books) {
        return Vec::new();
    }
    if let Some(line) = log_line(value) {
        return vec![line];
    }
    inspected(value, books);
    aws::read(value, books);
    network::read(value, books);
    policies::read(value, books);
    renamed::read(value, books);
    let mut words = Vec::new();
    collect(value, 0, &mut words);
    words
}

/// A log line as an object: `{"level":"error","time":…,"msg":…}`, docker's `{"log":…}`, or one of the journal. What it says of who wrote
/// it stays with it, since the form is everyone's.
fn log_line(value: &Value) -> Option<String> {
    if let Some(log) = field(value, "log").as_str() {
        return Some(log.trim_end().to_owned());
    }
    let of = |names: &[&str]| names.iter().find_map(|name| field(value, name).as_str());
    if let Some(message) = field(value, "MESSAGE").as_str() {
        let program = of(&["SYSLOG_IDENTIFIER", "_COMM"])?;
        let id = of(&["_PID", "SYSLOG_PID"]).unwrap_or("0");
        return Some(format!("{program}[{id}]: {message}"));
    }
    let level = of(&["level", "severity", "lvl", "log.level", "levelname"]);
    let time = of(&["time", "ts", "timestamp", "@timestamp"]);
    let message = of(&["msg", "message"]).filter(|_| level.is_some() || time.is_some())?;
    let error = of(&["error", "err"]).unwrap_or_default();
    let mut line = format!(
        "level={} time={} msg=\"{message}\" error=\"{error}\"",
        level.unwrap_or_default(),
        time.unwrap_or_default()
    );
    for name in ["module", "logger", "caller", "service", "app", "component", "trace_id", "request_id"] {
        if let Some(text) = field(value, name).as_str() {
            let _ = write!(line, " {name}={text}");
        }
    }
    Some(line)
}

/// `docker inspect` of the ECS agent's container.
fn inspected(value: &Value, books: &mut Books) {
    for container in value.as_array().into_iter().flatten().chain(std::iter::once(value)) {
        let state = &field(container, "State");
        let name = field(container, "Name").as_str().unwrap_or_default();
        let agent = name.contains("ecs-agent")
            || field(field(container, "Config"), "Image")
                .as_str()
                .is_some_and(|image| image.contains("amazon-ecs-agent"));
        // `--format '{{json .State}}'` leaves the state alone.
        let killed = field(state, "OOMKilled") == true || field(container, "OOMKilled") == true;
        if !agent && killed {
            docker::passed_its_limit(name, books);
        }
        if !agent || !state.is_object() {
            continue;
        }
        let code = field(state, "ExitCode").as_i64().unwrap_or_default();
        let health = field(field(state, "Health"), "Status").as_str().unwrap_or_default();
        let status = match field(state, "Status").as_str().unwrap_or_default() {
            "running" if health == "unhealthy" => "Up (unhealthy)".to_owned(),
            "running" => "Up".to_owned(),
            "paused" => "Up (Paused)".to_owned(),
            "restarting" => format!("Restarting ({code})"),
            "exited" | "dead" => format!("Exited ({code})"),
            other => other.to_owned(),
        };
        docker::container(&status, &format!("{name} is {status}"), books);
    }
}

/// How deep an answer of AWS is looked into.
const DEPTH_MAX: u32 = 10;

/// Whether what lies within a value is looked at, too.
pub(super) enum Within {
    Also,
    Not,
}

/// Shows each array and each object of an answer of AWS, the outer ones first, with how deep it lies.
pub(super) fn walk(value: &Value, look: &mut impl FnMut(&Value, u32) -> Within) {
    walk_from(value, 0, look);
}

fn walk_from(value: &Value, depth: u32, look: &mut impl FnMut(&Value, u32) -> Within) {
    if depth == DEPTH_MAX || !(value.is_array() || value.is_object()) {
        return;
    }
    match (look(value, depth), value) {
        (Within::Also, Value::Array(items)) => items.iter().for_each(|item| walk_from(item, depth + 1, look)),
        (Within::Also, Value::Object(fields)) => fields.values().for_each(|item| walk_from(item, depth + 1, look)),
        (Within::Also | Within::Not, _) => {}
    }
}

/// The words of a value: sentences, and the output that AWS passes on.
fn collect(value: &Value, depth: u32, words: &mut Vec<String>) {
    if depth > 24 || words.len() > 4_096 {
        return;
    }
    match value {
        Value::String(text) if text.len() > 7 => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth + 1, words)),
        Value::Object(fields) => {
            // `{"name":"DB_PASSWORD","value":…}`: the name stands beside it.
            let named =
                ["name", "Name"].iter().any(|key| fields.get(*key).and_then(Value::as_str).is_some_and(is_secret));
            for (key, item) in fields {
                let secret = is_secret(key) || (named && key.eq_ignore_ascii_case("value"));
                // A command that was denied tells nothing of the agent; with its name it is not taken for the agent's word.
                if key == "StatusDetails" && item == "AccessDenied" {
                    words.push("StatusDetails: AccessDenied".to_owned());
                } else if !secret {
                    collect(item, depth + 1, words);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a name is one that secrets bear. Without its name nobody could tell later that a word is one.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "auth", "cred", "private"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_over_many_lines_is_put_together_and_what_is_none_is_given_back() {
        let mut block = Block::default();
        assert_eq!(block.take("{"), Taken::More);
        assert_eq!(block.take("  \"a\": \"}\\\"\""), Taken::More);
        assert_eq!(block.take("}"), Taken::Whole(serde_json::json!({"a": "}\""})));
        assert_eq!(block.take("[  12.3] kernel"), Taken::No);
        assert_eq!(block.take("{\"a\":1} rc=0"), Taken::Whole(serde_json::json!({"a": 1})));
        assert_eq!(block.take("{\"a\":x}"), Taken::Back("{\"a\":x}\n".to_owned()));
        assert_eq!(block.take("{\"a\":"), Taken::More);
        assert_eq!(block.finish(), Taken::Back("{\"a\":\n".to_owned()));
        assert_eq!(block.take("{\"a\": [{\"b\": \"c\"},"), Taken::More);
        assert_eq!(block.finish(), Taken::Whole(serde_json::json!({"a": [{"b": "c"}]})));
    }
}
