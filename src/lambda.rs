//! The Lambda function: a payload comes in, passes are run, an answer goes out.
//!
//! It takes an SQS batch, a bare EventBridge event, a wake of the timer, the sweep, and an operator's request. Bad input is
//! answered and never tried again; only what a port did not answer is.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::{Done, IgnoreReason, OperatorRequest, Trigger, Verdict};
use crate::event::{self, DropReason, Reading};
use crate::incident::IncidentId;
use crate::operator::{Answer, Planned};
use crate::ports::PortError;
use crate::telemetry::DETAIL;
use crate::time::after;

mod batch;
mod drive;
mod embedded;
mod kept;
mod operator;
mod payload;
#[cfg(test)]
mod tests;

pub use drive::{Allowance, Driver, Either, Ran, note, note_policy, run_pass};
pub use embedded::Embedded;
pub use payload::BadPayload;

use payload::Payload;

/// The timer never waits for less than this many seconds (DESIGN.md §2).
const WAIT_MIN_SECS: i64 = 15;

/// Why an invocation has no answer. Whoever invoked the function may try again, but for a bad payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload is none of those that the function takes.
    #[error(transparent)]
    BadPayload(#[from] BadPayload),
    /// A port did not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A bug that was noticed. One that panics ends the process (docs/decisions/0078).
    #[error("a bug: the answer has no form as JSON")]
    Bug,
}

impl From<Failure> for lambda_runtime::Diagnostic {
    fn from(failure: Failure) -> Self {
        // The names that a Retry or Catch of Step Functions can match.
        let error_type = match failure {
            Failure::BadPayload(_) => "BadPayload",
            Failure::Port(PortError::Transient) => "Transient",
            Failure::Port(PortError::NewerSchema) => "NewerSchema",
            Failure::Bug => "Bug",
        };
        Self { error_type: error_type.to_owned(), error_message: failure.to_string() }
    }
}

/// The function, on one account.
#[derive(Debug)]
pub struct Function<D> {
    driver: D,
}

impl<D: Driver> Function<D> {
    /// A function that works through this driver.
    #[must_use]
    pub fn new(driver: D) -> Self {
        Self { driver }
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// The payload is none of those that the function takes, or a port did not answer.
    pub async fn handle(&self, payload: Value) -> Result<Value, Failure> {
        let answer = match payload::read(payload) {
            Err(bad) => Err(bad.into()),
            Ok(payload) => self.single(payload).await,
        };
        if let Err(failure) = &answer {
            tracing::error!(error = failure as &(dyn std::error::Error + 'static), "the invocation failed: {failure}");
        }
        answer
    }

    async fn single(&self, payload: Payload) -> Result<Value, Failure> {
        match payload {
            Payload::Batch(records) => Ok(self.batch(&records).await),
            Payload::Wake(id) => self.wake(id).await,
            Payload::Sweep => self.sweep().await,
            Payload::Operator(request) => self.operator(request).await,
            Payload::Event(value) => {
                let reading = event::read_value(&value, Some(self.driver.home()), self.driver.now());
                let handled = self.event(&reading, || kept::kept(&value)).await;
                handled.answer(self.driver.now())
            }
        }
    }

    /// Runs the pass that an event leads to, or logs why there is none.
    async fn event(&self, reading: &Reading, raw: impl Fn() -> String) -> Handled {
        let verdict = reading.verdict();
        match &reading.result {
            Err(reason) => {
                note_dropped(reason, verdict, &raw);
                Handled { verdict, reason: Some(reason.to_string()), done: None }
            }
            Ok(signal) => {
                let done = self.driver.run(Trigger::Signal(signal.clone()), &mut Allowance::new()).await.done;
                let mut reason = None;
                if let Verdict::Ignored(why) = &done.verdict {
                    let node = signal.node;
                    reason = Some(why.as_str().to_owned());
                    let why_text = why.as_str();
                    if *why == IgnoreReason::UnknownNode {
                        tracing::warn!(node.id = %node, reason = "unknown-node", raw = raw(), "dropped an event: {why_text}");
                    } else {
                        tracing::info!(node.id = %node, "nothing to do for an event: {why_text}");
                    }
                }
                Handled { verdict, reason, done: Some(done) }
            }
        }
    }

    async fn wake(&self, id: IncidentId) -> Result<Value, Failure> {
        let done = settled(self.driver.run(Trigger::Wake(id), &mut Allowance::new()).await.done)?;
        // Also when the ledger does not know it: nothing is left that the timer could wait for.
        let over = match done.verdict {
            Verdict::Closed | Verdict::Ignored(_) | Verdict::Refused(_) | Verdict::Planned(_) => true,
            Verdict::Progress | Verdict::Retry(_) => done.incident.is_none(),
        };
        if over {
            return Ok(json!({ "done": true }));
        }
        let now = self.driver.now();
        let at = not_sooner(done.wake_at.unwrap_or(now), now);
        Ok(json!({ "done": false, "wake_at": at.to_string() }))
    }

    async fn sweep(&self) -> Result<Value, Failure> {
        let ran = self.driver.run(Trigger::Sweep, &mut Allowance::new()).await;
        settled(ran.done)?;
        let (mut opened, mut woken, mut ignored, mut failed) = (0_u32, 0_u32, 0_u32, 0_u32);
        for (trigger, done) in &ran.follow {
            let count = match (&done.verdict, trigger) {
                (Verdict::Retry(_), _) => &mut failed,
                (Verdict::Ignored(_) | Verdict::Refused(_) | Verdict::Planned(_), _) => &mut ignored,
                (Verdict::Progress | Verdict::Closed, Trigger::Signal(_)) => &mut opened,
                (Verdict::Progress | Verdict::Closed, _) => &mut woken,
            };
            *count += 1;
        }
        tracing::info!(opened, woken, ignored, failed, "swept: {opened} opened, {woken} woken, {failed} failed");
        Ok(json!({ "swept": true, "opened": opened, "woken": woken, "ignored": ignored, "failed": failed }))
    }

    async fn operator(&self, request: Value) -> Result<Value, Failure> {
        let request = match operator::read(request, self.driver.now()) {
            Ok(request) => request,
            Err(refusal) => {
                tracing::warn!("turned an operator's request away: {refusal}");
                return written(&Answer::refused(refusal));
            }
        };
        let OperatorRequest { by, action, at: _, plan: _ } = &request;
        let said = format!("{action:?}");
        tracing::info!(by = %by, action = said, "an operator asks");
        let done = settled(self.driver.run(Trigger::Operator(request), &mut Allowance::new()).await.done)?;
        let (refusal, plan) = match done.verdict {
            Verdict::Refused(why) => (Some(why), None),
            Verdict::Ignored(why) => (Some(why.as_str().to_owned()), None),
            Verdict::Planned(preview) => (None, Some(Planned::from(&*preview))),
            Verdict::Progress | Verdict::Closed | Verdict::Retry(_) => (None, None),
        };
        if let Some(refusal) = &refusal {
            tracing::info!("refused an operator: {refusal}");
        }
        written(&Answer { ok: refusal.is_none(), refusal, incident_id: done.incident, plan })
    }
}

/// An answer as it goes out. Nothing in it has no JSON.
fn written(answer: &Answer) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|_| Failure::Bug)
}

/// What became of one event.
struct Handled {
    verdict: event::Verdict,
    reason: Option<String>,
    done: Option<Done>,
}

impl Handled {
    /// The port that did not answer, when there is one.
    fn unanswered(&self) -> Option<PortError> {
        match self.done.as_ref()?.verdict {
            Verdict::Retry(error) => Some(error),
            Verdict::Progress | Verdict::Closed | Verdict::Ignored(_) | Verdict::Refused(_) | Verdict::Planned(_) => {
                None
            }
        }
    }

    /// The answer to a bare event.
    fn answer(self, now: Timestamp) -> Result<Value, Failure> {
        if let Some(error) = self.unanswered() {
            return Err(error.into());
        }
        let mut answer = Map::new();
        answer.insert("verdict".to_owned(), self.verdict.as_str().into());
        if let Some(reason) = self.reason {
            answer.insert("reason".to_owned(), reason.into());
        }
        let done = self.done.as_ref();
        if let Some(incident) = done.and_then(|done| done.incident) {
            answer.insert("incident_id".to_owned(), incident.to_string().into());
        }
        if let Some(at) = done.and_then(|done| done.wake_at) {
            answer.insert("wake_at".to_owned(), not_sooner(at, now).to_string().into());
        }
        Ok(Value::Object(answer))
    }
}

/// A wake that the timer can keep.
fn not_sooner(at: Timestamp, now: Timestamp) -> Timestamp {
    at.max(after(now, WAIT_MIN_SECS))
}

/// The end of a pass, unless a port did not answer.
fn settled(done: Done) -> Result<Done, Failure> {
    match done.verdict {
        Verdict::Retry(error) => Err(error.into()),
        Verdict::Progress | Verdict::Closed | Verdict::Ignored(_) | Verdict::Refused(_) | Verdict::Planned(_) => {
            Ok(done)
        }
    }
}

/// One line for an event that led to nothing. What is no event of ours at all is kept whole, without its parameters; what
/// AWS sends all day is not worth a warning.
fn note_dropped(reason: &DropReason, verdict: event::Verdict, raw: &impl Fn() -> String) {
    let name = reason.name();
    let worth_keeping = match verdict {
        event::Verdict::Rejected => true,
        event::Verdict::Trouble | event::Verdict::Recovered | event::Verdict::Gone | event::Verdict::Ignored => {
            matches!(reason, DropReason::OtherEvent { .. })
        }
    };
    if worth_keeping {
        tracing::warn!(verdict = verdict.as_str(), reason = name, raw = raw(), "dropped an event: {reason}");
    } else {
        tracing::info!(target: DETAIL, { verdict = verdict.as_str(), reason = name }, "nothing to do for an event: {reason}");
    }
}
