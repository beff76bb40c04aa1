//! What keeps the books, on a store that is written in the test.

use std::sync::Arc;

use defib::aws::Clients;
use defib::aws::ledger::Ledger;
use defib::aws::parameter::Parameter;
use defib::aws::publish::Topic;
use defib::aws::table::Table as DynamoTable;
use defib::aws::timer::Timer;
use defib::incident::{Incident, record};
use defib::policy::Policy;
use defib::ports::{Commit, Committed, Expect, OutboxItem, Permits};
use defib::report::StackInfo;
use defib::storm::News;
use jiff::Timestamp;

use super::table::Store;
use super::{Between, Rule};

pub(crate) const STACK: StackInfo<'static> = StackInfo { name: "defib", version: "1" };

/// The hands on one store.
pub(crate) struct Hands {
    pub(crate) store: Arc<Store>,
    pub(crate) between: Between,
    pub(crate) ledger: Ledger,
    pub(crate) timer: Timer,
    pub(crate) topic: Topic,
    pub(crate) policy: Parameter,
}

impl Hands {
    pub(crate) async fn new(store: Arc<Store>, rule: Option<Rule>) -> Self {
        let between = Between::open(store.upstream(), rule).await;
        let clients = Clients::of(&between.shared().await);
        Self {
            store,
            ledger: Ledger::new(DynamoTable::new(clients.dynamodb, "defib".into())),
            timer: Timer::new(clients.sfn, "arn:aws:states:us-east-1:111122223333:stateMachine:defib-timer".into()),
            topic: Topic::new(clients.sns, "arn:aws:sns:us-east-1:111122223333:defib".into()),
            policy: Parameter::new(clients.ssm, "/defib/policy".into()),
            between,
        }
    }

    /// Hands on a store in which an incident is open, with a report on its way out.
    pub(crate) async fn at_work() -> (Self, Incident) {
        let hands = Self::new(Arc::default(), None).await;
        let incident = incident();
        let first =
            Commit { outbox: vec![Arc::new(report())], ..commit(Expect::NoOpenIncident { last: None }, &incident) };
        assert_eq!(hands.ledger.commit(&first, noon()).await, Ok(Committed::Saved));
        (hands, incident)
    }
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T16:00:00Z".parse().unwrap()
}

pub(crate) fn incident() -> Incident {
    record::read(include_bytes!("../frozen/incident-watching.json")).unwrap()
}

pub(crate) fn report() -> OutboxItem {
    serde_json::from_slice(include_bytes!("../frozen/report-ended.json")).unwrap()
}

pub(crate) fn commit(expect: Expect, next: &Incident) -> Commit {
    let news = News::nothing(&Policy::default());
    Commit { expect, next: Arc::new(next.clone()), permits: Permits::Keep, outbox: Vec::new(), news, quarantine: None }
}

/// The commit that follows.
pub(crate) fn following(incident: &Incident) -> Commit {
    let mut next = incident.clone();
    next.version += 1;
    next.looks += 1;
    commit(Expect::Version(incident.version), &next)
}
