//! The ledger, the timer, the topic and the policy parameter: an answer that is right, or "try again"; never a wrong "saved".

use defib::config::Stopwatch;
use defib::incident::{Incident, record};
use defib::policy::standing::Reading;
use defib::ports::{Committed, Key, PortError};

use crate::cells::{self, Cell};
use crate::wire_door::hands::{Hands, STACK, following, noon, report};
use crate::wire_door::{Fault, Rule, When};

/// A pass has a minute.
const CALL_SECS_MAX: f64 = 59.0;

/// What Defib does with its books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Load,
    Commit,
    Books,
    Pause,
    MarkSent,
    Ensure,
    Revive,
    Tell,
    Policy,
}

/// Deeds with the operations that each needs.
const DEEDS: [(Deed, &[&str]); 9] = [
    (Deed::Load, &["BatchGetItem", "Query"]),
    (Deed::Commit, &["BatchGetItem", "TransactWriteItems"]),
    (Deed::Books, &["BatchGetItem", "Query"]),
    (Deed::Pause, &["TransactWriteItems"]),
    (Deed::MarkSent, &["DeleteItem"]),
    (Deed::Ensure, &["BatchGetItem", "StartExecution"]),
    (Deed::Revive, &["DescribeExecution", "TransactWriteItems", "StartExecution"]),
    (Deed::Tell, &["Publish"]),
    (Deed::Policy, &["GetParameter"]),
];
const WRITES: [&str; 4] = ["TransactWriteItems", "DeleteItem", "StartExecution", "Publish"];

/// The matrices of all that keeps the books: with the fault before the service acts, and after.
pub(crate) fn matrices() -> (Vec<Cell>, Vec<Cell>) {
    let watch = Stopwatch::start();
    let mut tasks = Vec::new();
    for (deed, operations) in DEEDS {
        for operation in operations.iter().copied() {
            let writes = WRITES.contains(&operation);
            for fault in Fault::ALL {
                // An answer of which nothing is left says "done" where there is nothing to say but that.
                if !(fault.needs_answer() || writes && matches!(fault, Fault::Empty | Fault::Malformed)) {
                    tasks.push((deed, Rule::every(operation, fault, When::Before)));
                }
                let refused = matches!(fault, Fault::BadRequest | Fault::TooMany | Fault::Denied | Fault::Expired);
                if (writes && !refused) || fault.needs_answer() {
                    tasks.push((deed, Rule::every(operation, fault, When::After)));
                    tasks.push((deed, Rule { calls: 1, ..Rule::every(operation, fault, When::After) }));
                }
            }
        }
    }
    let count = tasks.len();
    let cells =
        cells::run(tasks, |(_, rule)| rule.fault.hangs(), |(deed, rule)| async move { (rule, cell(deed, rule).await) });
    println!("{count} cells of books in {:.0} s", watch.seconds());
    let (before, after): (Vec<_>, Vec<_>) = cells.into_iter().partition(|(rule, _)| rule.when == When::Before);
    let only = |cells: Vec<(Rule, Cell)>| cells.into_iter().map(|(_, cell)| cell).collect();
    (only(before), only(after))
}

async fn cell(deed: Deed, rule: Rule) -> Cell {
    cells::undisturbed(rule.fault, || tried(deed, rule)).await.0
}

async fn tried(deed: Deed, rule: Rule) -> (Cell, f64) {
    let (hands, incident) = Hands::at_work().await;
    if deed == Deed::Revive {
        hands.timer.ensure(&hands.ledger, incident.id, noon()).await.unwrap();
        hands.store.executions.lock().unwrap().values_mut().for_each(|status| *status = "FAILED");
    }
    hands.between.spoil(Some(rule));
    let watch = Stopwatch::start();
    let mut problems = Vec::new();
    let told = did(deed, &hands, &incident, &mut problems).await;
    let secs = watch.seconds();
    if secs > CALL_SECS_MAX {
        problems.push(format!("it took {secs:.1} s"));
    }
    if hands.between.count(rule.operation) == 0 {
        problems.push("never asked for".to_owned());
    }
    // What nobody can read is not asked for again, and a page is taken for a refusal.
    let tried_again = !matches!(rule.fault, Fault::Page | Fault::Malformed);
    if rule.calls == 1 && tried_again && told != "done" {
        problems.push(format!("once: {told}"));
    }
    for problem in &mut problems {
        problem.insert_str(0, &format!("[{deed:?}, {:?}] ", rule.when));
    }
    (Cell { operation: rule.operation, fault: rule.fault, word: told, problems }, secs)
}

/// Does it, and compares what is told with what is stored.
async fn did(deed: Deed, hands: &Hands, incident: &Incident, problems: &mut Vec<String>) -> &'static str {
    let Hands { store, ledger, .. } = hands;
    let mut broken = |what: String| {
        problems.push(what);
        "?"
    };
    let mut done = |told: Result<(), PortError>, is: bool| match told {
        Ok(()) if is => "done",
        Err(PortError::Transient) => "again",
        other => broken(format!("told {other:?}, and it is {is}")),
    };
    match deed {
        Deed::Load => match ledger.load(Key::Node(incident.node)).await {
            Ok(loaded) => {
                let whole = loaded.incident.as_deref() == Some(incident) && loaded.unsent.len() == 1;
                done(Ok(()), whole)
            }
            Err(error) => done(Err(error), false),
        },
        Deed::Commit => {
            let commit = following(incident);
            let told = ledger.commit(&commit, noon()).await;
            let is = store
                .body(&format!("incident#{}", incident.id), "record")
                .is_some_and(|body| record::read(body.to_string().as_bytes()).unwrap() == *commit.next);
            match told {
                Ok(Committed::Saved) => done(Ok(()), is),
                Err(error) => done(Err(error), is),
                Ok(other) => broken(format!("told {other:?}, and nobody else was there")),
            }
        }
        Deed::Books => match ledger.books(noon()).await {
            Ok(books) => done(Ok(()), books.open.contains(&incident.node) && books.overdue == [incident.id]),
            Err(error) => done(Err(error), false),
        },
        Deed::Pause => {
            let told = ledger.switch(defib::ports::Switch::Pause, noon()).await;
            let is = store.body("account", "switch").is_some_and(|body| body["paused"] == true);
            done(told, is)
        }
        Deed::MarkSent => {
            let id = report().id;
            let told = ledger.mark_sent(id).await;
            done(told, store.body("outbox", &id.to_string()).is_none())
        }
        Deed::Ensure | Deed::Revive => {
            let (told, name) = if deed == Deed::Ensure {
                (hands.timer.ensure(ledger, incident.id, noon()).await, format!("{}-1", incident.id))
            } else {
                (hands.timer.revive(ledger, incident.id, noon(), noon()).await, format!("{}-2", incident.id))
            };
            let executions = store.executions.lock().unwrap().clone();
            let running = executions.values().filter(|status| **status == "RUNNING").count();
            if running > 1 {
                return broken(format!("{running} executions run"));
            }
            done(told, executions.get(&name) == Some(&"RUNNING"))
        }
        Deed::Tell => {
            let told = hands.topic.report(&report(), &STACK).await;
            let is = !store.told.lock().unwrap().is_empty();
            done(told, is)
        }
        Deed::Policy => match hands.policy.read().await {
            Reading::Text(text) => done(Ok(()), &*text == "mode: cycle\n"),
            Reading::Unreadable => done(Err(PortError::Transient), false),
            Reading::Absent | Reading::Unused => broken("a document that is there was told as gone".to_owned()),
        },
    }
}
