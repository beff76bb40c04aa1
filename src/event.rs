//! Wire JSON becomes a typed [`Signal`], or a named reason to drop it.
//!
//! The door is lenient about form and strict about names. Fields that Defib does not know are ignored, optional ones may be
//! missing, and statuses may be spelled as AWS spells them this year. But the source, the account, the region and every id
//! must be what they claim: they are all that is believed, and everything else is read again from AWS before anything is
//! done. Any bytes get an answer.

mod answer;
mod cloudtrail;
mod command;
mod ecs;
mod envelope;
mod excerpt;
mod fields;
mod health;
mod instance;
mod reason;
mod signal;
mod verdict;

pub use answer::{EventAnswer, answer};
pub use envelope::MAX_BYTES;
pub use excerpt::Excerpt;
pub use reason::DropReason;
pub use signal::{CoarseStatus, GoneKind, HealthCheck, Signal, SignalKind, SweptAgent};
pub use verdict::Verdict;

use jiff::Timestamp;
use serde_json::Value;

use crate::node::Home;

/// What was made of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The signal, or why there is none.
    pub result: Result<Signal, DropReason>,
    /// The event's id, for the log.
    pub id: Option<Excerpt>,
    /// The event's source, for the log.
    pub source: Option<Excerpt>,
    /// The event's detail-type, for the log.
    pub detail_type: Option<Excerpt>,
    /// The event's `time` as it was sent; [`Signal::at`] is never later than the moment of receipt, this may be.
    pub sent_at: Option<Timestamp>,
    home: Option<Home>,
}

impl Reading {
    /// The account and region that the event names, well-formed or not at all; also when the event was dropped.
    #[must_use]
    pub fn home_of(&self) -> Option<Home> {
        self.home.clone()
    }

    /// What the event leads to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            Ok(signal) => signal.verdict(),
            Err(reason) => reason.verdict(),
        }
    }

    /// A reading of something that is not an event at all.
    fn unreadable(reason: DropReason) -> Self {
        Self { result: Err(reason), id: None, source: None, detail_type: None, sent_at: None, home: None }
    }
}

/// Reads one EventBridge event from its bytes.
///
/// `home` is the account and region that this deployment looks after; without it the event's own are taken.
/// `received_at` stands in for a missing or unreadable time, and caps a time that lies ahead.
#[must_use]
pub fn read(bytes: &[u8], home: Option<&Home>, received_at: Timestamp) -> Reading {
    match envelope::parse(bytes) {
        Ok(value) => read_value(&value, home, received_at),
        Err(reason) => Reading::unreadable(reason),
    }
}

/// Reads one EventBridge event that somebody parsed already.
#[must_use]
pub fn read_value(value: &Value, home: Option<&Home>, received_at: Timestamp) -> Reading {
    let Some(map) = value.as_object() else {
        return Reading::unreadable(DropReason::NotAnObject { found: fields::kind_of(value) });
    };
    let envelope = envelope::Envelope::new(map);
    Reading {
        result: envelope.signal(home, received_at),
        id: envelope.excerpt("id"),
        source: envelope.excerpt("source"),
        detail_type: envelope.excerpt("detail-type"),
        sent_at: envelope.sent_at(),
        home: envelope.home().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn home(account: &str, region: &str) -> Home {
        Home { account: account.parse().unwrap(), region: region.parse().unwrap() }
    }

    fn stopped() -> Value {
        json!({
            "id": "7d3f0c52-0000-4000-8000-000000000001", "source": "aws.ec2", "account": "111122223333",
            "detail-type": "EC2 Instance State-change Notification", "region": "us-east-1",
            "detail": { "instance-id": " i-0a1b2c3d4e5f60718", "state": "stopped" }
        })
    }

    fn with(mut event: Value, pointer: &str, value: Value) -> Value {
        *event.pointer_mut(pointer).unwrap() = value;
        event
    }

    #[test]
    fn without_a_given_home_the_event_is_at_home() {
        let reading = read_value(&stopped(), None, NOW);
        assert_eq!(reading.verdict(), Verdict::Gone);
        assert_eq!(reading.home_of(), Some(home("111122223333", "us-east-1")));
        assert_eq!(reading.id.unwrap().as_str(), "7d3f0c52-0000-4000-8000-000000000001");
    }

    #[test]
    fn an_event_from_elsewhere_is_rejected() {
        for (place, name) in [
            (home("444455556666", "us-east-1"), "foreign-account"),
            (home("111122223333", "eu-west-1"), "foreign-region"),
        ] {
            let reading = read_value(&stopped(), Some(&place), NOW);
            assert_eq!((reading.verdict(), reading.result.unwrap_err().name()), (Verdict::Rejected, name));
        }
        assert_eq!(read_value(&stopped(), Some(&home("111122223333", "us-east-1")), NOW).verdict(), Verdict::Gone);
    }

    #[test]
    fn an_event_that_hides_where_it_comes_from_is_rejected() {
        for field in ["account", "region"] {
            let mut event = stopped();
            event.as_object_mut().unwrap().remove(field);
            assert_eq!(read_value(&event, None, NOW).verdict(), Verdict::Rejected, "{field}");
        }
        for (pointer, bad) in
            [("/account", json!("1111")), ("/account", json!(111_122_223_333_u64)), ("/region", json!("x y"))]
        {
            assert_eq!(read_value(&with(stopped(), pointer, bad), None, NOW).verdict(), Verdict::Rejected, "{pointer}");
        }
    }

    #[test]
    fn only_aws_itself_may_report_a_node() {
        for source in ["com.example", "AWS.ec2", " aws.ec2", "aws", "aws.ecs", "aws.partner/example.com/1"] {
            let reading = read_value(&with(stopped(), "/source", json!(source)), None, NOW);
            assert_eq!(reading.verdict(), Verdict::Rejected, "{source}");
        }
    }

    #[test]
    fn other_events_of_aws_are_ignored() {
        for (source, kind) in [
            ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
            ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
            ("aws.health", "AWS Health Event"),
            ("aws.s3", "AWS API Call via CloudTrail"),
            ("aws.ssm", "Maintenance Window State-change Notification"),
        ] {
            let event = with(with(stopped(), "/source", json!(source)), "/detail-type", json!(kind));
            assert_eq!(read_value(&event, None, NOW).verdict(), Verdict::Ignored, "{kind}");
        }
    }

    #[test]
    fn the_time_of_receipt_stands_in_and_caps() {
        let now: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
        let at = |time: Value| {
            let mut event = stopped();
            event.as_object_mut().unwrap().insert("time".to_owned(), time);
            read_value(&event, None, now).result.unwrap().at
        };
        assert_eq!(at(json!("2026-11-20T13:59:00Z")).to_string(), "2026-11-20T13:59:00Z");
        for other in [json!("2999-01-01T00:00:00Z"), json!("yesterday"), json!(1_700_000_000), json!(null), json!([])] {
            assert_eq!(at(other.clone()), now, "{other}");
        }
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_counts() {
        let text = stopped().to_string().replace("\"state\"", "\"state\":\"running\",\"state\"");
        assert_eq!(read(text.as_bytes(), None, NOW).verdict(), Verdict::Gone);
    }

    #[test]
    fn a_byte_order_mark_is_tolerated() {
        let bytes = [b"\xef\xbb\xbf".as_slice(), stopped().to_string().as_bytes()].concat();
        assert_eq!(read(&bytes, None, NOW).verdict(), Verdict::Gone);
    }
}
