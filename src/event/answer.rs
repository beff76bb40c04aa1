//! What the command line says about an event.

use jiff::Timestamp;
use serde::Serialize;

use super::{Verdict, read};
use crate::node::{Home, NodeId};

/// One line of `defib event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventAnswer {
    /// The file, as the caller named it.
    pub file: String,
    /// What the event leads to.
    pub verdict: Verdict,
    /// The kind of signal, when there is one.
    pub signal: Option<&'static str>,
    /// The node that the signal is about.
    pub node_id: Option<NodeId>,
    /// Why there is no signal.
    pub reason: Option<String>,
}

/// Reads an event and answers for it, whatever the bytes are.
#[must_use]
pub fn answer(file: &str, bytes: &[u8], home: Option<&Home>, received_at: Timestamp) -> EventAnswer {
    let reading = read(bytes, home, received_at);
    let verdict = reading.verdict();
    let (signal, node_id, reason) = match reading.result {
        Ok(signal) => (Some(signal.kind.name()), Some(signal.node), None),
        Err(reason) => (None, None, Some(reason.to_string())),
    };
    EventAnswer { file: file.to_owned(), verdict, signal, node_id, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_five_promised_fields_in_order() {
        let line = serde_json::to_string(&answer("a.json", b"[]", None, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(
            line,
            r#"{"file":"a.json","verdict":"rejected","signal":null,"node_id":null,"reason":"an event is an object, this is a list"}"#
        );
        let event =
            br#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","account":"111122223333",
            "region":"us-east-1","detail":{"state":"terminated","instance-id":"i-0a1b2c3d"}}"#;
        let line = serde_json::to_string(&answer("b.json", event, None, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(line, r#"{"file":"b.json","verdict":"gone","signal":"gone","node_id":"i-0a1b2c3d","reason":null}"#);
    }
}
