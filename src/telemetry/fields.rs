//! The fields of a line or a span.

use std::error::Error;
use std::fmt;

use jiff::{Timestamp, Unit};
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

/// Names and values in the order of their arrival; a name that comes again replaces the older value.
#[derive(Debug, Default)]
pub(super) struct Fields {
    message: String,
    named: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Takes over the fields of a span.
    pub(super) fn add(&mut self, others: &Self) {
        for (name, value) in &others.named {
            self.set(name, value.clone());
        }
    }

    /// The whole line, without its end.
    pub(super) fn line(&self, at: Timestamp, level: Level) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        // Values are ours and the writer is memory, so this cannot fail; if it does, half a line is not JSON.
        if self.write(&mut line, at, level).is_err() {
            line.clear();
            let lost = format!(r#"{{"timestamp":"{at}","level":"ERROR","message":"a log line could not be written"}}"#);
            line.extend_from_slice(lost.as_bytes());
        }
        line
    }

    fn write(&self, line: &mut Vec<u8>, at: Timestamp, level: Level) -> Result<(), serde_json::Error> {
        let mut serializer = serde_json::Serializer::new(line);
        let mut map = serializer.serialize_map(None)?;
        let at = at.round(Unit::Millisecond).unwrap_or(at);
        map.serialize_entry("timestamp", &format_args!("{at:.3}"))?;
        map.serialize_entry("level", level.as_str())?;
        map.serialize_entry("message", &self.message)?;
        for (name, value) in &self.named {
            match *name {
                "timestamp" | "level" => map.serialize_entry(&format_args!("field.{name}"), value)?,
                name => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, older)) => *older = value,
            None => self.named.push((name, value)),
        }
    }

    fn text(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            self.set(field.name(), Value::String(text));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.text(field, text);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }
}
