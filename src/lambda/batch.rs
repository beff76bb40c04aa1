//! An SQS batch, item by item: what is bad is acknowledged, and only what a port did not answer comes back.

use serde_json::{Value, json};

use super::payload::is_sweep;
use super::{Driver, Function, kept};
use crate::config::Stopwatch;
use crate::event;
use crate::json;

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// A pass was run, or a sweep.
    Handled,
    /// It led to nothing and never will.
    Dropped,
    /// It should be tried again.
    Failed,
}

impl<D: Driver> Function<D> {
    pub(super) async fn batch(&self, records: &[Value]) -> Value {
        let watch = Stopwatch::start();
        let (mut dropped, mut failures) = (0_usize, Vec::new());
        for record in records {
            match self.record(record).await {
                Item::Handled => {}
                Item::Dropped => dropped += 1,
                Item::Failed => {
                    // Lambda takes an empty identifier as the failure of the whole batch: right, when there is none.
                    let id = text(record, "messageId").unwrap_or_default();
                    failures.push(json!({ "itemIdentifier": id }));
                }
            }
        }
        let (received, failed) = (records.len(), failures.len());
        tracing::info!(
            received,
            dropped,
            failed,
            took_ms = watch.millis(),
            "batch of {received}: {dropped} dropped, {failed} to be tried again"
        );
        json!({ "batchItemFailures": failures })
    }

    async fn record(&self, record: &Value) -> Item {
        let message = text(record, "messageId").unwrap_or_default();
        let Some(body) = text(record, "body") else {
            let raw = kept::kept(record);
            tracing::warn!(message.id = message, reason = "no-body", raw, "dropped a record without a body");
            return Item::Dropped;
        };
        let parsed: Option<Value> = json::read(body).ok().filter(|_| body.len() <= event::MAX_BYTES);
        if parsed.as_ref().and_then(Value::as_object).is_some_and(is_sweep) {
            return self.sweep().await.map_or(Item::Failed, |_| Item::Handled);
        }
        let (home, now) = (Some(self.driver.home()), self.driver.now());
        let reading = match &parsed {
            Some(value) => event::read_value(value, home, now),
            None => event::read(body.as_bytes(), home, now),
        };
        let handled = self.event(&reading, || parsed.as_ref().map_or_else(|| kept::cut(body), kept::kept)).await;
        if let Some(error) = handled.unanswered() {
            tracing::error!(message.id = message, "a message will be tried again: {error}");
            return Item::Failed;
        }
        if reading.result.is_err() { Item::Dropped } else { Item::Handled }
    }
}

fn text<'a>(record: &'a Value, field: &str) -> Option<&'a str> {
    record.get(field)?.as_str()
}
