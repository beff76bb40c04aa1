//! What an invocation may carry.

use serde_json::{Map, Value};

use crate::event::Excerpt;
use crate::incident::IncidentId;

/// What an invocation carries.
#[derive(Debug, PartialEq)]
pub(super) enum Payload {
    /// The records of an SQS batch.
    Batch(Vec<Value>),
    /// The timer of an incident.
    Wake(IncidentId),
    /// The five-minute sweep.
    Sweep,
    /// An operator's request, not looked into yet.
    Operator(Value),
    /// A bare EventBridge event, or what should be one.
    Event(Value),
}

/// A payload that the function does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{why}; allowed are an SQS batch {{\"Records\":[…]}}, an EventBridge event, {{\"wake\":{{\"incident_id\":\"inc-…\"}}}}, \
     {{\"sweep\":{{}}}} and {{\"operator\":{{\"action\":…,\"by\":…}}}}"
)]
pub struct BadPayload {
    why: String,
}

/// The words by which payloads of our own are known.
const WORDS: [&str; 4] = ["Records", "wake", "sweep", "operator"];

/// Looks what a payload is. Whatever claims to be none of ours is left to the event parser, which names what is wrong.
pub(super) fn read(payload: Value) -> Result<Payload, BadPayload> {
    let Value::Object(mut map) = payload else { return Ok(Payload::Event(payload)) };
    let mut words = WORDS.into_iter().filter(|word| map.contains_key(*word));
    match (words.next(), words.next()) {
        (None, _) => Ok(Payload::Event(Value::Object(map))),
        (Some(first), Some(second)) => Err(bad(format!("the payload has both {first} and {second}"))),
        (Some("Records"), None) => match map.remove("Records") {
            Some(Value::Array(records)) => Ok(Payload::Batch(records)),
            _ => Err(bad("Records is not a list")),
        },
        (Some("wake"), None) => wake(&map),
        (Some("sweep"), None) if is_sweep(&map) => Ok(Payload::Sweep),
        (Some("sweep"), None) => Err(bad("sweep is not an object")),
        (Some(word), None) => Ok(Payload::Operator(map.remove(word).unwrap_or_default())),
    }
}

fn wake(map: &Map<String, Value>) -> Result<Payload, BadPayload> {
    let id = map.get("wake").and_then(|wake| wake.get("incident_id")).and_then(Value::as_str);
    let id = id.ok_or_else(|| bad("wake has no incident_id"))?;
    id.parse().map(Payload::Wake).map_err(|_| bad(format!("not an incident id: \"{}\"", Excerpt::long(id))))
}

/// Whether an object is the schedule's event.
pub(super) fn is_sweep(map: &Map<String, Value>) -> bool {
    map.get("sweep").is_some_and(Value::is_object)
}

fn bad(why: impl Into<String>) -> BadPayload {
    BadPayload { why: why.into() }
}
