//! The function's payload, whatever it is: an answer, and no request that the payload does not hold.
#![no_main]

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use defib::engine::{Action, Done, Trigger, Verdict};
use defib::lambda::{Allowance, Driver, Failure, Function, Ran};
use defib::node::Home;
use defib::ports::Switch;
use defib_fuzz::{assert_plain_line, home, now};
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

thread_local! {
    /// What the function asked the account for.
    static ASKED: RefCell<Vec<Trigger>> = const { RefCell::new(Vec::new()) };
}

/// An account on which every pass goes well.
struct Willing {
    home: Home,
}

impl Driver for Willing {
    fn home(&self) -> &Home {
        &self.home
    }

    fn now(&self) -> Timestamp {
        now()
    }

    async fn run(&self, trigger: Trigger, _allowance: &mut Allowance) -> Ran {
        ASKED.with_borrow_mut(|asked| asked.push(trigger));
        let done = Done { incident: None, wake_at: None, verdict: Verdict::Progress, follow: Vec::new() };
        Ran { done, follow: Vec::new() }
    }
}

/// Nothing here waits for anything.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn handle(payload: Value) -> (Result<Value, Failure>, Vec<Trigger>) {
    let answer = at_once(Function::new(Willing { home: home() }).handle(payload));
    (answer, ASKED.take())
}

/// A request of an operator: refused in plain words, or exactly what was asked for.
fn assert_request(request: &Value) {
    let (answer, asked) = handle(serde_json::json!({ "operator": request }));
    let answer = answer.expect("an operator's request has an answer");
    let refusal = answer["refusal"].as_str();
    assert_eq!(answer["ok"].as_bool(), Some(refusal.is_none()), "{answer}");
    assert_eq!(asked.len(), usize::from(refusal.is_none()), "{answer}: {asked:?}");
    if let Some(refusal) = refusal {
        assert_plain_line(refusal, 400);
    }
    let [Trigger::Operator(wanted)] = asked.as_slice() else { return };
    let text = |field: &str| request[field].as_str().unwrap_or_default();
    assert!(!wanted.by.trim().is_empty() && !wanted.by.chars().any(char::is_control), "{wanted:?}");
    // Every id comes out of the request: nobody else's node is touched.
    let named = |id: String| [text("node"), text("id")].iter().any(|given| given.trim().contains(&id));
    match wanted.action {
        Action::Fix(node, _) => assert!(named(node.to_string()) && text("action") == "fix"),
        Action::Preview(node, _) => assert!(named(node.to_string()) && text("action") == "plan"),
        Action::Approve(id) => assert!(named(id.to_string()) && text("action") == "approve"),
        Action::Close(id) => assert!(named(id.to_string()) && text("action") == "close"),
        Action::Switch(Switch::Mute(node, until)) => {
            assert!(named(node.to_string()) && text("action") == "mute");
            assert!(until > now() && until <= now() + SignedDuration::from_hours(90 * 24));
        }
        Action::Switch(Switch::Unmute(node)) => assert!(named(node.to_string()) && text("action") == "unmute"),
        Action::Switch(Switch::Clear(node)) => assert!(named(node.to_string()) && text("action") == "clear"),
        Action::Switch(Switch::Pause) => assert_eq!(text("action"), "pause"),
        Action::Switch(Switch::Resume) => assert_eq!(text("action"), "resume"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else { return };
    if let Value::Object(map) = &payload {
        assert_request(map.get("operator").unwrap_or(&payload));
    }
    let batch = payload.get("Records").and_then(Value::as_array).map(Vec::len);
    let (answer, asked) = handle(payload);
    match answer {
        Ok(answer) => {
            assert!(answer.is_object(), "{answer}");
            let failed = answer.get("batchItemFailures").and_then(Value::as_array).map_or(0, Vec::len);
            assert_eq!(failed, 0, "every pass went well: {answer}");
        }
        Err(failure) => {
            assert!(asked.is_empty(), "{failure}: {asked:?}");
            assert!(matches!(failure, Failure::BadPayload(_)), "{failure}");
            assert!(!failure.to_string().contains('\n'));
        }
    }
    assert!(asked.len() <= batch.unwrap_or(1), "{asked:?}");
});
