//! What the fuzz targets have in common. A target asserts; whatever panics is a finding.

use defib::node::Home;
use defib::report::{Message, SMS_MAX, SUBJECT_MAX, WHOLE_MAX};
use jiff::Timestamp;
use serde::Serialize;

/// The account and region of the events in `events/`.
#[must_use]
pub fn home() -> Home {
    Home { account: "111122223333".parse().expect("an account"), region: "us-east-1".parse().expect("a region") }
}

/// The moment at which everything is received.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_second(1_795_186_800).expect("a moment")
}

/// Whether a character changes what is seen without being seen: what no text that people read may hold.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    let bidi_or_invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || bidi_or_invisible
}

/// A refusal or a reason: one short line of plain ASCII.
pub fn assert_plain_line(text: &str, most: usize) {
    assert!(text.len() <= most, "{} bytes: {text}", text.len());
    assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
}

/// What subscribers rely on in every rendered report.
pub fn assert_message<M: Serialize>(message: &Message<M>) {
    assert!(message.subject.len() <= SUBJECT_MAX && message.sms.len() <= SMS_MAX);
    assert_plain_line(&message.subject, SUBJECT_MAX);
    assert!(message.sms.is_ascii() && !message.email.is_empty());
    let whole = message.sns_json();
    assert!(whole.len() <= WHOLE_MAX, "{} bytes", whole.len());
    assert!(!message.email.chars().any(|c| c != '\n' && is_unseen(c)), "{:?}", message.email);
    for (name, value) in &message.attributes {
        assert!(!value.is_empty() && value.len() <= 256, "{name}={value}");
    }
}
