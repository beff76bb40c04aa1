//! Runs passes: asks the ports what a pass needs until it is done.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::{self, Answer, Context, Done, Pass, Request, Trigger};
use crate::incident::Incident;
use crate::node::Home;
use crate::policy::standing::News;
use crate::ports::{Commit, Committed, OutboxItem, Perform, Performed, PortError, Ports};
use crate::report::{StackInfo, policy_problem, render, render_digest};
use crate::storm::Digest;
use crate::telemetry::DETAIL;

/// Requests that one trigger may cost, with all that follows from it. A pass takes about ten; a sweep may start a hundred.
const REQUESTS_MAX: u32 = 2_000;

/// Carries triggers to their end on one account. The embedded account answers at once; AWS is waited for.
pub trait Driver {
    /// The account and region that it works on.
    fn home(&self) -> &Home;

    /// The present, by this account's clock.
    fn now(&self) -> Timestamp;

    /// Runs the pass that a trigger begins, and those that follow from it.
    fn run(&self, trigger: Trigger, allowance: &mut Allowance) -> impl Future<Output = Ran>;
}

/// The embedded account or another one: one function for both, and not its code twice.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The one.
    This(A),
    /// The other one.
    That(B),
}

impl<A: Driver, B: Driver> Driver for Either<A, B> {
    fn home(&self) -> &Home {
        match self {
            Self::This(driver) => driver.home(),
            Self::That(driver) => driver.home(),
        }
    }

    fn now(&self) -> Timestamp {
        match self {
            Self::This(driver) => driver.now(),
            Self::That(driver) => driver.now(),
        }
    }

    async fn run(&self, trigger: Trigger, allowance: &mut Allowance) -> Ran {
        match self {
            Self::This(driver) => driver.run(trigger, allowance).await,
            Self::That(driver) => driver.run(trigger, allowance).await,
        }
    }
}

/// How the passes of one trigger ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The pass that the trigger began.
    pub done: Done,
    /// Those that followed from it.
    pub follow: Vec<(Trigger, Done)>,
}

/// How many requests are left to an invocation, so that no bug makes it run until Lambda ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance(u32);

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

impl Allowance {
    /// All of it.
    #[must_use]
    pub fn new() -> Self {
        Self(REQUESTS_MAX)
    }

    /// Takes one request, when one is left. Where none is, it is told, for the pass is given up.
    pub fn take(&mut self) -> bool {
        let left = self.0 > 0;
        if !left {
            tracing::error!("a pass was given up: the invocation has made {REQUESTS_MAX} requests");
        }
        self.0 = self.0.saturating_sub(1);
        left
    }
}

/// Runs one pass through ports that answer at once.
pub fn run_pass<P: Ports>(
    ports: &mut P,
    context: &Arc<Context>,
    stack: &StackInfo<'_>,
    trigger: Trigger,
    now: Timestamp,
    allowance: &mut Allowance,
) -> Done {
    let (mut pass, mut request) = Pass::new(Arc::clone(context), trigger).step(Answer::Start, now);
    loop {
        if let Request::Done(done) = request {
            return done;
        }
        if !allowance.take() {
            return Done::retry(PortError::Transient);
        }
        let answer = engine::answer(ports, &request, now);
        note(&request, &answer, stack, now);
        (pass, request) = pass.step(answer, now);
    }
}

/// Logs what there is to tell of the policy document. People are told in the next sweep's digest.
pub fn note_policy(news: &News, home: &Home, stack: &StackInfo<'_>, now: Timestamp) {
    match news {
        News::Problem(problem) => {
            let text = policy_problem::email(problem, home, stack);
            tracing::error!(at = %now, text, "told of a policy problem: {}", policy_problem::subject(problem));
        }
        News::Mended { fallen } => tracing::info!(at = %now, "{}", policy_problem::mended(fallen)),
    }
}

/// Logs what changed something.
pub fn note(request: &Request, answer: &Answer, stack: &StackInfo<'_>, now: Timestamp) {
    match (request, answer) {
        (Request::Perform(perform), Answer::Performed(how)) => note_performed(perform, how, now),
        (Request::Commit(commit), Answer::Committed(how)) => note_committed(commit, how, now),
        (Request::Publish(item), Answer::Ok) => note_published(item, stack, now),
        (Request::PublishDigest(digest), Answer::Ok) => note_digest(digest, stack, now),
        (Request::Shelve(shelve), Answer::Ok) => {
            let node = shelve.signal.node;
            tracing::warn!(node.id = %node, at = %now, "{node} waits for a place: so many nodes are in trouble");
        }
        (_, Answer::Failed(error)) => tracing::warn!("a port failed: {error}"),
        _ => {}
    }
}

fn note_performed(perform: &Perform, how: &Performed, now: Timestamp) {
    let effect = word(perform.effect);
    let node = perform.target.node;
    let (result, command) = match how {
        Performed::Done { command } => ("done", command.as_ref()),
        Performed::Refused => ("refused", None),
        Performed::TooLate => ("too-late", None),
        Performed::Unknown => ("unknown", None),
    };
    tracing::info!(
        effect,
        result,
        node.id = %node,
        incident.id = %perform.incident,
        intent = perform.intent.0,
        command.id = command.map(tracing::field::display),
        at = %now,
        "performed {effect} on {node}: {result}"
    );
}

fn note_committed(commit: &Commit, how: &Committed, now: Timestamp) {
    let next: &Incident = &commit.next;
    let (id, node, phase) = (next.id, next.node, next.phase.name());
    match how {
        Committed::Saved if next.is_closed() => {
            let outcome = next.ending().map_or("none", |ending| ending.outcome().as_str());
            let cause = next.diagnosis.as_ref().map_or("none", |diagnosis| diagnosis.cause.code());
            tracing::info!(incident.id = %id, node.id = %node, outcome, cause, at = %now, "closed {id}: {outcome}");
        }
        Committed::Saved if next.version == 1 => {
            tracing::info!(incident.id = %id, node.id = %node, phase, at = %now, "opened {id}");
        }
        Committed::Saved => {
            tracing::info!(target: DETAIL, { incident.id = %id, node.id = %node, phase, version = next.version, at = %now }, "saved {id}");
        }
        Committed::Conflict => {
            tracing::info!(target: DETAIL, { incident.id = %id }, "somebody else changed {id} first");
        }
        Committed::Refused(refusal) => tracing::info!(incident.id = %id, node.id = %node, "a rail refused: {refusal}"),
    }
}

fn note_published(item: &OutboxItem, stack: &StackInfo<'_>, now: Timestamp) {
    let incident = &item.report.incident;
    let message = render(&item.report, &item.id, stack);
    tracing::info!(
        report.id = %item.id,
        report.kind = word(item.report.kind),
        outcome = item.id.outcome.as_str(),
        subject = message.subject,
        node.id = %incident.node,
        incident.id = %incident.id,
        at = %now,
        "published a report: {}",
        message.subject
    );
    tracing::info!(target: DETAIL, { report.id = %item.id, text = message.email }, "the report's text");
}

fn note_digest(digest: &Digest, stack: &StackInfo<'_>, now: Timestamp) {
    let message = render_digest(digest, stack);
    tracing::info!(
        digest.id = %digest.id,
        digest.kind = digest.id.kind.as_str(),
        digest.open,
        digest.waiting,
        subject = message.subject,
        at = %now,
        "published a digest: {}",
        message.subject
    );
    tracing::info!(target: DETAIL, { digest.id = %digest.id, text = message.email }, "the digest's text");
}

/// The word that stored records use for a value without fields.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
