use std::future::Future;
use std::sync::Mutex;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Settings;
use crate::incident::IncidentId;
use crate::node::{Home, NodeId};

const TIMED_OUT: &str = include_str!("../../events/ssm-invocation-timed-out.json");
const NOON: &str = "2026-11-20T12:00:00Z";
/// What the node in an event makes the fake driver do.
const SILENT: &str = "i-00000000000000001";
const FOREIGN: &str = "i-00000000000000003";

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Answers without an account: some nodes are trouble.
struct Fake {
    home: Home,
    asked: Mutex<Vec<Trigger>>,
    verdict: Verdict,
}

impl Driver for Fake {
    fn home(&self) -> &Home {
        &self.home
    }

    fn now(&self) -> Timestamp {
        NOON.parse().unwrap()
    }

    async fn run(&self, trigger: Trigger, _allowance: &mut Allowance) -> Ran {
        self.asked.lock().unwrap().push(trigger.clone());
        let node = match &trigger {
            Trigger::Signal(signal) => signal.node,
            _ => "i-0a1b2c3d4e5f60718".parse().unwrap(),
        };
        let mut verdict = self.verdict.clone();
        match node.to_string().as_str() {
            SILENT => verdict = Verdict::Retry(PortError::Transient),
            FOREIGN => verdict = Verdict::Ignored(IgnoreReason::UnknownNode),
            _ => {}
        }
        let incident = Some(IncidentId::new(self.now(), node)).filter(|_| verdict == Verdict::Progress);
        Ran { done: Done { incident, wake_at: Some(self.now()), verdict, follow: Vec::new() }, follow: Vec::new() }
    }
}

fn fake(verdict: Verdict) -> Function<Fake> {
    let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    Function::new(Fake { home, asked: Mutex::default(), verdict })
}

/// The function on the embedded account, in mode `replace`.
fn embedded(pairs: &[(&str, &str)]) -> Function<Embedded> {
    let given = pairs.iter().chain(&[("DEFIB_ACCOUNT", "sim"), ("DEFIB_MODE", "replace")]);
    let settings = Settings::from_pairs(given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap();
    Function::new(Embedded::new(&settings, NOON.parse().unwrap()).unwrap())
}

fn timed_out(node: &str) -> String {
    TIMED_OUT.replace("i-0a1b2c3d4e5f60718", node)
}

fn batch(bodies: &[&str]) -> Value {
    let record =
        |(n, body): (usize, &&str)| json!({ "messageId": format!("m{n}"), "body": body, "eventSource": "aws:sqs" });
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[test]
fn only_what_a_port_did_not_answer_comes_back_from_a_batch() {
    let function = fake(Verdict::Progress);
    let (fine, silent, unknown) = (timed_out("i-0a1b2c3d"), timed_out(SILENT), timed_out(FOREIGN));
    let foreign = fine.replace("111122223333", "999999999999");
    let bodies = [&fine, "no JSON", &silent, &foreign, &silent, &unknown, "{}", r#"{"sweep":{}}"#];
    let answer = wait(function.handle(batch(&bodies)));
    assert_eq!(
        answer.unwrap().to_string(),
        r#"{"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m4"}]}"#
    );
    // One item that fails spoils nothing that comes after it.
    assert_eq!(function.driver.asked.lock().unwrap().last(), Some(&Trigger::Sweep));
}

#[test]
fn a_batch_of_junk_is_acknowledged() {
    for records in [json!([]), json!([null, 5, {}, { "messageId": "a" }, { "body": "x" }, { "body": { "a": 1 } }])] {
        let answer = wait(fake(Verdict::Progress).handle(json!({ "Records": records })));
        assert_eq!(answer, Ok(json!({ "batchItemFailures": [] })));
    }
}

#[test]
fn a_failed_item_without_an_id_fails_the_whole_batch() {
    let answer = wait(fake(Verdict::Progress).handle(json!({ "Records": [{ "body": timed_out(SILENT) }] })));
    assert_eq!(answer, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] })));
}

#[test]
fn a_silent_port_fails_everything_but_a_batch() {
    let function = fake(Verdict::Retry(PortError::Transient));
    let wake = json!({ "wake": { "incident_id": "inc-20261120T140211Z-i-0a1b2c3d4e5f60718" } });
    let pause = json!({ "operator": { "action": "pause", "by": "me" } });
    for payload in [wake, pause, json!({ "sweep": {} }), serde_json::from_str(TIMED_OUT).unwrap()] {
        assert_eq!(wait(function.handle(payload)), Err(Failure::Port(PortError::Transient)));
    }
}

/// JSON of any kind, and often with the words that payloads of ours are known by.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        3 => proptest::sample::select(vec![
            "Records", "wake", "sweep", "operator", "body", "messageId", "incident_id", "action", "by", "id", "node",
            "source", "detail", "detail-type", "fix", "pause", "aws.ssm", "inc-20261120T140211Z-i-0a1b2c3d4e5f60718",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(word.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_payload_is_answered_or_is_an_error_of_its_own(payload in any_json()) {
        let answer = wait(fake(Verdict::Progress).handle(payload));
        prop_assert!(matches!(answer, Ok(Value::Object(_)) | Err(Failure::BadPayload(_))), "{answer:?}");
    }
}

#[test]
fn what_is_no_event_is_rejected_with_a_reason() {
    for junk in [json!([]), json!("x"), json!(null), json!(-0.0), json!({}), json!({ "detail": {} })] {
        let answer = wait(fake(Verdict::Progress).handle(junk)).unwrap();
        assert_eq!(answer["verdict"], "rejected");
        assert!(!answer["reason"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_payload_that_is_nearly_one_of_ours_is_an_error_that_names_what_is_allowed() {
    for payload in [
        json!({ "wake": {} }),
        json!({ "wake": { "incident_id": "inc-1\u{1b}" } }),
        json!({ "sweep": null }),
        json!({ "sweep": {}, "wake": {} }),
        json!({ "Records": {} }),
    ] {
        let error = wait(fake(Verdict::Progress).handle(payload)).unwrap_err().to_string();
        assert!(error.contains("allowed are an SQS batch") && !error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn a_timer_is_never_asked_to_wait_for_less_than_fifteen_seconds() {
    let wake = json!({ "wake": { "incident_id": "inc-20261120T140211Z-i-0a1b2c3d4e5f60718" } });
    let answer = wait(fake(Verdict::Progress).handle(wake)).unwrap();
    assert_eq!(answer.to_string(), r#"{"done":false,"wake_at":"2026-11-20T12:00:15Z"}"#);
}

#[test]
fn an_incident_that_nobody_knows_is_nothing_to_wait_for() {
    let wake = json!({ "wake": { "incident_id": "inc-20261120T140211Z-i-0a1b2c3d4e5f60718" } });
    assert_eq!(wait(embedded(&[]).handle(wake)), Ok(json!({ "done": true })));
}

/// Wakes an incident until it is over or rests, and counts the wakes.
fn drive(function: &Function<Embedded>, id: &Value) -> usize {
    for wakes in 1..=60 {
        let answer = wait(function.handle(json!({ "wake": { "incident_id": id } }))).unwrap();
        if answer["done"] == true {
            assert_eq!(answer, json!({ "done": true }));
            return wakes;
        }
    }
    panic!("not over after 60 wakes");
}

#[test]
fn a_hung_agent_is_healed_from_event_to_end() {
    let function = embedded(&[]);
    let event: Value = serde_json::from_str(include_str!("../../events/ecs-health-impaired-agent.json")).unwrap();
    let answer = wait(function.handle(event.clone())).unwrap();
    assert_eq!(
        answer.to_string(),
        "{\"incident_id\":\"inc-20261120T123000Z-i-0a1b2c3d4e5f60718\",\"verdict\":\"trouble\",\
         \"wake_at\":\"2026-11-20T12:35:00Z\"}"
    );
    let again = wait(function.handle(event)).unwrap();
    assert_eq!(again["incident_id"], answer["incident_id"]);
    drive(&function, &answer["incident_id"]);
    function.driver.with(|state| {
        let incident = state.account.ledger.incidents().next().unwrap();
        assert_eq!(incident.ending().unwrap().outcome(), crate::incident::Outcome::Fixed);
        assert_eq!(state.account.published.len(), 1);
    });
}

#[test]
fn a_sweep_finds_what_no_event_told() {
    let function = embedded(&[]);
    // A recovery brings the node into the world, and then it falls ill without a word.
    let event = TIMED_OUT.replace("TimedOut", "Success");
    let answer = wait(function.handle(serde_json::from_str(&event).unwrap())).unwrap();
    assert_eq!(answer["verdict"], "recovered");
    let node: NodeId = "i-0a1b2c3d4e5f60718".parse().unwrap();
    function
        .driver
        .with(|state| state.account.world.afflict(node, crate::sim::ailment::Ailment::SsmAgentHung, state.now, None));
    let swept: Vec<_> = (0..6).map(|_| wait(function.handle(json!({ "sweep": {} }))).unwrap()).collect();
    assert_eq!(swept[0].to_string(), r#"{"failed":0,"ignored":0,"opened":0,"swept":true,"woken":0}"#);
    assert_eq!(swept.iter().map(|answer| answer["opened"].as_u64().unwrap()).sum::<u64>(), 1);
    assert!(swept.iter().any(|answer| answer["woken"] == 1));
}

#[test]
fn an_operator_is_answered() {
    let function = embedded(&[]);
    let ask = |request: Value| wait(function.handle(json!({ "operator": request }))).unwrap();
    assert_eq!(ask(json!({ "action": "pause", "by": "me" })), json!({ "ok": true }));
    assert_eq!(ask(json!({ "action": "resume", "by": "me" })), json!({ "ok": true }));
    let refused = ask(json!({ "action": "fix", "by": "me", "node": "i-0a1b2c3d" }));
    assert_eq!(refused["ok"], false);
    let event = wait(function.handle(serde_json::from_str(TIMED_OUT).unwrap())).unwrap();
    let close = json!({ "action": "close", "by": "me", "id": event["incident_id"] });
    assert_eq!(ask(close.clone()), json!({ "ok": true, "incident_id": event["incident_id"] }));
    let again = ask(close);
    assert_eq!(again["ok"], false);
    assert!(again["refusal"].as_str().unwrap().contains("closed already"), "{again}");
}

#[test]
fn an_allowance_ends_an_endless_invocation() {
    let mut allowance = Allowance::new();
    assert!((0..2_000).all(|_| allowance.take()));
    assert!(!allowance.take() && !allowance.take());
}
