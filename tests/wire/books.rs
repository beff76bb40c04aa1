//! The books: DynamoDB, Step Functions, SNS and the policy parameter.

use std::collections::BTreeMap;
use std::sync::Arc;

use defib::policy::standing::Reading;
use defib::ports::{Committed, Key, PortError};
use serde_json::{Value, json};

use crate::wire_door::hands::{Hands, STACK, following, noon, report};
use crate::wire_door::table::cancelled;
use crate::wire_door::{Fault, Response, Rule, When, shapes};

const TRANSACT: &str = "TransactWriteItems";

fn run<F: Future<Output = ()>>(story: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

/// A commit while DynamoDB answers this first, and how many transactions it took.
async fn committed(first: Response) -> (Result<Committed, PortError>, usize, Arc<crate::wire_door::table::Store>) {
    let (hands, incident) = Hands::at_work().await;
    let before = hands.between.count(TRANSACT);
    hands.store.next.lock().unwrap().push_back(first);
    let told = hands.ledger.commit(&following(&incident), noon()).await;
    (told, hands.between.count(TRANSACT) - before, hands.store)
}

#[test]
fn a_lost_condition_and_a_conflict_are_decided_again() {
    run(async {
        for codes in [
            &["None", "ConditionalCheckFailed", "None"][..],
            &["TransactionConflict"],
            &["None", "TransactionConflict", "ThrottlingError"],
        ] {
            let (told, times, _) = committed(cancelled(codes)).await;
            assert_eq!((told, times), (Ok(Committed::Saved), 2), "{codes:?}");
        }
    });
}

#[test]
fn what_dynamodb_will_not_write_is_tried_by_a_later_pass() {
    run(async {
        for codes in
            [&["None", "ThrottlingError"][..], &["ProvisionedThroughputExceeded"], &["ItemCollectionSizeLimitExceeded"]]
        {
            let (told, times, _) = committed(cancelled(codes)).await;
            assert_eq!((told, times), (Err(PortError::Transient), 1), "{codes:?}");
        }
        let (hands, incident) = Hands::at_work().await;
        for _ in 0..3 {
            let throttled =
                Response::json_error(400, "ProvisionedThroughputExceededException", json!({ "message": "slower" }));
            hands.store.next.lock().unwrap().push_back(throttled);
        }
        assert_eq!(hands.ledger.commit(&following(&incident), noon()).await, Err(PortError::Transient));
        let stored = hands.store.body(&format!("incident#{}", incident.id), "record").unwrap();
        assert_eq!(stored["version"], incident.version, "nothing was written");
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_read_again_and_found_saved() {
    run(async {
        for still_at_work in [false, true] {
            let (hands, incident) = Hands::at_work().await;
            *hands.store.still_at_work.lock().unwrap() = still_at_work;
            let calls = if still_at_work { 1 } else { usize::MAX };
            hands.between.spoil(Some(Rule { calls, ..Rule::every(TRANSACT, Fault::Reset, When::After) }));
            let told = hands.ledger.commit(&following(&incident), noon()).await;
            assert_eq!(told, Ok(Committed::Saved), "still at work: {still_at_work}");
        }
    });
}

/// The SDK's own second try carries the same token, so that DynamoDB writes once.
#[test]
fn a_second_try_is_the_same_transaction() {
    run(async {
        let (hands, incident) = Hands::at_work().await;
        hands.between.spoil(Some(Rule { calls: 1, ..Rule::every(TRANSACT, Fault::Internal, When::After) }));
        assert_eq!(hands.ledger.commit(&following(&incident), noon()).await, Ok(Committed::Saved));
        let seen = hands.between.seen();
        let tokens: Vec<Value> = seen
            .iter()
            .filter(|request| request.operation == TRANSACT)
            .map(|request| request.json()["ClientRequestToken"].clone())
            .collect();
        assert!(tokens.len() == 3 && tokens[0] != tokens[1] && tokens[1] == tokens[2], "{tokens:?}");
    });
}

#[test]
fn keys_that_are_put_off_are_asked_for_again_and_pages_are_read_to_the_end() {
    run(async {
        let (hands, incident) = Hands::at_work().await;
        let key = Key::Node(incident.node);
        let right = hands.ledger.load(key).await.unwrap();
        *hands.store.page.lock().unwrap() = Some(1);
        *hands.store.put_off.lock().unwrap() = 2;
        assert_eq!(hands.ledger.load(key).await.unwrap(), right);
        assert_eq!(*hands.store.put_off.lock().unwrap(), 0);
        // For ever.
        *hands.store.put_off.lock().unwrap() = usize::MAX;
        assert_eq!(hands.ledger.load(key).await, Err(PortError::Transient));
    });
}

#[test]
fn an_execution_is_started_once_under_its_name() {
    run(async {
        let (hands, incident) = Hands::at_work().await;
        let (ledger, timer, id) = (&hands.ledger, &hands.timer, incident.id);
        // `ExecutionDoesNotExist`: the first one never began.
        assert_eq!(timer.revive(ledger, id, noon(), noon()).await, Ok(()));
        // `ExecutionAlreadyExists` is as good as started.
        assert_eq!(timer.ensure(ledger, id, noon()).await, Ok(()));
        assert_eq!(timer.revive(ledger, id, noon(), noon()).await, Ok(()), "it runs");
        let running = |name: &str| BTreeMap::from([(name.to_owned(), "RUNNING")]);
        assert_eq!(*hands.store.executions.lock().unwrap(), running(&format!("{id}-1")));
        hands.store.executions.lock().unwrap().insert(format!("{id}-1"), "ABORTED");
        assert_eq!(timer.revive(ledger, id, noon(), noon()).await, Ok(()));
        assert_eq!(hands.store.executions.lock().unwrap().get(&format!("{id}-2")), Some(&"RUNNING"));
        hands.store.executions.lock().unwrap().insert(format!("{id}-2"), "SOMETHING_NEW");
        assert_eq!(timer.revive(ledger, id, noon(), noon()).await, Err(PortError::Transient));
    });
}

/// Every request and answer of a short life, each first of its kind, as it stands in its file. `UPDATE=1` writes them anew.
#[test]
fn requests_are_those_of_their_files() {
    run(async {
        let (hands, incident) = Hands::at_work().await;
        hands.ledger.load(Key::Incident(incident.id)).await.unwrap();
        hands.timer.revive(&hands.ledger, incident.id, noon(), noon()).await.unwrap();
        hands.topic.report(&report(), &STACK).await.unwrap();
        hands.ledger.mark_sent(report().id).await.unwrap();
        assert!(matches!(hands.policy.read().await, Reading::Text(text) if &*text == "mode: cycle\n"));
        let mut known = Vec::new();
        for request in hands.between.seen() {
            if known.contains(&request.operation) {
                continue;
            }
            let answer = hands.store.replay(&request);
            shapes::kept(&request, &answer);
            known.push(request.operation);
        }
        assert_eq!(known.len(), 8, "{known:?}");
    });
}
