//! The ledger in a real table decides what the ledger in memory decides.
//!
//! Needs something that speaks DynamoDB: `tests/e2e.py` starts one, makes the table, and runs this with its address in
//! `DEFIB_TEST_DYNAMODB`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::ledger as memory;
use crate::ledger::samples::{Step, decided, step};
use crate::ledger::tests::{FIRST, commit, incident, moment};
use crate::ports::{Commit, Committed, Permits, Shelve, Switch};
use crate::storm::News;

/// The table at the address that the tests were given, with a prefix of its own for this test.
#[allow(clippy::disallowed_methods, reason = "a test that is told where its table is")]
fn ledger() -> Ledger {
    let endpoint = std::env::var("DEFIB_TEST_DYNAMODB").expect("the address of something that speaks DynamoDB");
    let name = std::env::var("DEFIB_TEST_TABLE").expect("the name of an empty table");
    // ministack takes an access key of twelve digits for the account.
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("111122223333", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .build();
    Ledger::new(Table::new(aws_sdk_dynamodb::Client::from_conf(config), name.into()))
}

/// A run of commits, the same at every run of the test.
fn steps(count: usize) -> Vec<Step> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| step().new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test]
#[ignore = "needs a table; tests/e2e.py brings one"]
async fn a_table_decides_what_memory_decides() {
    let (table, mut memory) = (ledger(), memory::Ledger::default());
    let mut secs = 0;
    let mut saved = 0;
    for step in steps(250) {
        secs += step.wait;
        let now = moment(secs);
        let node = NodeId::numbered(step.number);
        let commit = decided(&memory.load(ports::Key::Node(node)), step, now);
        let answer = memory.commit(&commit, now);
        saved += u32::from(answer == Committed::Saved);
        assert_eq!(table.commit(&commit, now).await, Ok(answer), "{step:?}");
        assert_eq!(table.load(ports::Key::Node(node)).await.unwrap(), memory.load(ports::Key::Node(node)), "{step:?}");
    }
    assert!(saved > 100, "only {saved} of the commits were saved");
    let now = moment(secs + 7_200);
    let books = table.books(now).await.unwrap();
    let (mut here, mut there) = (books.overdue.clone(), memory.overdue(now));
    here.sort_unstable();
    there.sort_unstable();
    assert_eq!(here, there);
    assert_eq!(books.around, memory.around());
    switches_and_shelves(&table, &mut memory, now).await;
}

async fn switches_and_shelves(table: &Ledger, memory: &mut memory::Ledger, now: Timestamp) {
    let node = NodeId::numbered(77);
    let same = |loaded: Loaded, memory: &mut memory::Ledger| assert_eq!(loaded, memory.load(ports::Key::Node(node)));
    for switch in
        [Switch::Pause, Switch::Mute(node, moment(90_000)), Switch::Resume, Switch::Unmute(node), Switch::Clear(node)]
    {
        memory.switch(switch);
        table.switch(switch, now).await.unwrap();
        same(table.load(ports::Key::Node(node)).await.unwrap(), memory);
    }
    let signal = crate::event::Signal { node, at: now, kind: crate::event::SignalKind::SessionRefused };
    let shelve = Shelve { signal: signal.clone(), news: News::nothing(&crate::policy::Policy::default()) };
    memory.shelve(&shelve, now);
    table.shelve(&shelve, now).await.unwrap();
    table.shelve(&shelve, now).await.unwrap();
    assert_eq!(table.books(now).await.unwrap().waiting, memory.shelf());
    // Its turn has come: whoever opens the incident takes the node from the shelf.
    let opened = commit(FIRST, &incident(77, now), Permits::Keep);
    assert_eq!(memory.commit(&opened, now), table.commit(&opened, now).await.unwrap());
    assert_eq!(table.books(now).await.unwrap().waiting, memory.shelf());
}

/// Two that open an incident on one node at the same moment: one of them does.
#[tokio::test]
#[ignore = "needs a table; tests/e2e.py brings one"]
async fn of_two_at_once_one_is_saved() {
    let table = ledger();
    let now = moment(1_000_000);
    let one: Vec<Commit> =
        (0..6).map(|late| commit(FIRST, &incident(500, crate::time::after(now, late)), Permits::Keep)).collect();
    let (a, b, c, d) = tokio::join!(
        table.commit(&one[0], now),
        table.commit(&one[1], now),
        table.commit(&one[2], now),
        table.commit(&one[3], now)
    );
    let answers = [a, b, c, d];
    let saved = answers.iter().filter(|answer| **answer == Ok(Committed::Saved)).count();
    let conflicts = answers.iter().filter(|answer| **answer == Ok(Committed::Conflict)).count();
    assert_eq!((saved, conflicts), (1, 3), "{answers:?}");
}

/// The timer's generations: counted once for each execution that died, however many noticed.
#[tokio::test]
#[ignore = "needs a table; tests/e2e.py brings one"]
async fn a_dead_execution_is_followed_by_one_of_another_name() {
    let table = ledger();
    let now = moment(2_000_000);
    let id = IncidentId::new(now, NodeId::numbered(900));
    assert_eq!(table.timer_generation(id).await, Ok(1));
    let (one, other) = tokio::join!(table.next_timer(id, 1, now), table.next_timer(id, 1, now));
    assert_eq!((one, other), (Ok(2), Ok(2)));
    assert_eq!(table.timer_generation(id).await, Ok(2));
}
