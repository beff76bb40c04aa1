//! Any bytes are an event or have a named reason why not.
#![no_main]

use defib::event::{self, MAX_BYTES, Verdict};
use defib_fuzz::{assert_plain_line, home, now};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (home, now) = (home(), now());
    let reading = event::read(bytes, Some(&home), now);
    let verdict = reading.verdict();
    match &reading.result {
        Ok(signal) => {
            assert!(bytes.len() <= MAX_BYTES);
            assert!(matches!(verdict, Verdict::Trouble | Verdict::Recovered | Verdict::Gone), "{verdict:?}");
            assert!(signal.at <= now, "{signal:?} is in the future");
            // A foreign event speaks of no node of ours (S13).
            assert_eq!(reading.home_of().as_ref(), Some(&home));
            // The id in the answer is one, so it reads back.
            assert_eq!(signal.node.to_string().parse().ok(), Some(signal.node));
        }
        Err(reason) => {
            assert!(matches!(verdict, Verdict::Ignored | Verdict::Rejected), "{verdict:?}");
            assert_plain_line(&reason.to_string(), 300);
        }
    }
    for text in [&reading.id, &reading.source, &reading.detail_type].into_iter().flatten() {
        assert_plain_line(text.as_str(), 128);
    }
    let answer = event::answer("file", bytes, Some(&home), now);
    assert_eq!((answer.verdict, answer.node_id.is_some()), (verdict, reading.result.is_ok()));
    let line = serde_json::to_string(&answer).expect("an answer is JSON");
    assert!(!line.contains('\n'));
    // The same from JSON that somebody parsed already, and without a home of our own.
    if let Ok(value) = serde_json::from_slice(bytes)
        && bytes.len() <= MAX_BYTES
    {
        assert_eq!(event::read_value(&value, Some(&home), now).verdict(), verdict);
    }
    let anywhere = event::read(bytes, None, now);
    assert!(anywhere.result.is_ok() || reading.result.is_err(), "only at home: {:?}", reading.result);
});
