//! Metrics: `CloudWatch`'s embedded metric format, one line of the log each. No call is made for them.
//!
//! Format: Amazon `CloudWatch` user guide, "Specification: Embedded metric format". Names are few, so that the bill is small.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::{Answer, Request};
use crate::incident::{Outcome, Phase};
use crate::ports::{Commit, Committed};
use crate::report::ReportKind;
use crate::time::secs_between;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Defib";

/// What there is to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics(Vec<Metric>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Metric {
    name: &'static str,
    unit: &'static str,
    value: i64,
    outcome: Option<Outcome>,
}

impl Metrics {
    /// What a request and its answer mean for the dashboard.
    #[must_use]
    pub fn of(request: &Request, answer: &Answer) -> Self {
        let mut all = Self::default();
        if let (Request::Commit(commit), Answer::Committed(Committed::Saved)) = (request, answer) {
            all.saved(commit);
        }
        if let (Request::Survey, Answer::Surveyed(survey)) = (request, answer) {
            let around = &survey.around;
            all.count("OpenIncidents", i64::try_from(around.peers.len()).unwrap_or(i64::MAX));
            all.count("BreakerOpen", i64::from(!around.bulletin.breaker.trips.is_empty()));
        }
        all
    }

    fn saved(&mut self, commit: &Commit) {
        if commit.outbox.iter().any(|item| item.report.kind == ReportKind::NeedsHuman) {
            self.count("NeedsHuman", 1);
            self.outcome(Outcome::NeedsHuman);
        }
        let next = &commit.next;
        let Phase::Closed { ending, at } = &next.phase else { return };
        let outcome = ending.outcome();
        self.outcome(outcome);
        if matches!(outcome, Outcome::Fixed | Outcome::Cycled | Outcome::Replaced) {
            let value = secs_between(next.down_since, *at);
            self.0.push(Metric { name: "TimeToRepairSecs", unit: "Seconds", value, outcome: None });
        }
    }

    fn count(&mut self, name: &'static str, value: i64) {
        self.0.push(Metric { name, unit: "Count", value, outcome: None });
    }

    fn outcome(&mut self, outcome: Outcome) {
        self.0.push(Metric { name: "Incidents", unit: "Count", value: 1, outcome: Some(outcome) });
    }

    /// One line a metric.
    #[must_use]
    pub fn lines(&self, stack: &str, now: Timestamp) -> Vec<String> {
        self.0.iter().map(|metric| line(metric, stack, now)).collect()
    }
}

fn line(metric: &Metric, stack: &str, now: Timestamp) -> String {
    let mut dimensions = vec!["Stack"];
    let mut line = Map::new();
    // Lambda files a line by these two.
    line.insert("timestamp".to_owned(), now.to_string().into());
    line.insert("level".to_owned(), "INFO".into());
    line.insert("Stack".to_owned(), stack.into());
    if let Some(outcome) = metric.outcome {
        dimensions.push("Outcome");
        line.insert("Outcome".to_owned(), outcome.as_str().into());
    }
    line.insert(metric.name.to_owned(), metric.value.into());
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [dimensions],
                "Metrics": [{ "Name": metric.name, "Unit": metric.unit }],
            }],
        }),
    );
    Value::Object(line).to_string()
}

/// Writes them to the log. A line that cannot be written is lost, like any other.
pub fn send(stack: &str, metrics: &Metrics, now: Timestamp) {
    let mut out = std::io::stdout().lock();
    for mut line in metrics.lines(stack, now) {
        line.push('\n');
        let _ = out.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_takes_for_a_metric() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut metrics = Metrics::default();
        metrics.outcome(Outcome::Fixed);
        let line: Value = serde_json::from_str(&metrics.lines("defib", now)[0]).unwrap();
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Stack", "Outcome"]]));
        assert_eq!(line["_aws"]["Timestamp"], json!(1_795_176_000_000_i64));
        assert_eq!(
            (&line["Incidents"], &line["Outcome"], &line["Stack"]),
            (&json!(1), &json!("fixed"), &json!("defib"))
        );
        assert_eq!(line["level"], json!("INFO"));
    }

    #[test]
    fn what_led_to_nothing_counts_nothing() {
        assert_eq!(Metrics::of(&Request::Survey, &Answer::Ok), Metrics::default());
    }
}
