//! Log lines: one JSON object each, with an RFC 3339 `timestamp`, a `level`, a `message` and flat fields.
//!
//! Lambda files a line by its `timestamp` and `level`; a line without them counts as INFO, and a filter for WARN would drop
//! our errors. So the layer is our own. It never panics and never waits for anything but its writer, and a line that cannot
//! be written is lost.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};

mod fields;
pub mod metrics;

use fields::Fields;

/// The target of an event that only `DEFIB_LOG=debug` shows. It is an event of info, because what ships is built without any lower
/// one (docs/decisions/0076): the libraries below have thousands, and not one was ever shown.
pub const DETAIL: &str = "defib::detail";

/// Writes each event as one line of JSON.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: Mutex<W>,
    clock: fn() -> Timestamp,
}

impl<W: Write> JsonLines<W> {
    /// Lines to this writer, stamped by this clock.
    #[must_use]
    pub fn new(out: W, clock: fn() -> Timestamp) -> Self {
        Self { out: Mutex::new(out), clock }
    }

    fn write(&self, line: &[u8]) {
        // One write a line, so that lines of several writers do not mix; nobody can be told when it fails.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(line);
        let _ = out.flush();
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut all = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                all.add(fields);
            }
        }
        event.record(&mut all);
        let said = event.metadata();
        let level = if said.target() == DETAIL { Level::DEBUG } else { *said.level() };
        let mut line = all.line((self.clock)(), level);
        line.push(b'\n');
        self.write(&line);
    }
}

/// What is logged from this level on.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("defib", level)
        .with_target(DETAIL, if level >= LevelFilter::DEBUG { LevelFilter::INFO } else { LevelFilter::OFF })
        .with_target("bootstrap", level)
        // Its span carries the id of the request.
        .with_target("lambda_runtime", LevelFilter::INFO)
        // It repeats a failure that the function has logged already.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
}

/// Logs to stdout from now on: our own lines from `level` on, and warnings of the libraries below. A panic is logged, too, and
/// ends the process in whatever way the build treats panics (docs/decisions/0078). A second call changes nothing.
pub fn start(level: LevelFilter) {
    let layers = JsonLines::new(std::io::stdout(), crate::config::now).with_filter(targets(level));
    let subscriber = tracing_subscriber::registry().with(layers);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a bug: {}", said(panic.payload()));
            std::process::abort();
        }));
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::Value;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    fn noon() -> Timestamp {
        "2026-11-20T12:00:00.123456789Z".parse().unwrap()
    }

    fn lines(log: impl FnOnce()) -> String {
        lines_from(LevelFilter::INFO, log)
    }

    fn lines_from(level: LevelFilter, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let layer = JsonLines::new(kept.clone(), noon).with_filter(targets(level));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_begins_with_its_time_and_level_and_its_fields_are_flat() {
        let line = lines(|| {
            let span = tracing::info_span!("invocation", requestId = "r-1", node.id = "i-0a1b2c3d", late = 1);
            let _inside = span.enter();
            tracing::warn!(node.id = %"i-0d0e0f01", wait_secs = 15_i64, share = 0.5, ok = true, "waits {}", "a while");
        });
        assert_eq!(
            line,
            "{\"timestamp\":\"2026-11-20T12:00:00.123Z\",\"level\":\"WARN\",\"message\":\"waits a while\",\
             \"requestId\":\"r-1\",\"node.id\":\"i-0d0e0f01\",\"late\":1,\"wait_secs\":15,\"share\":0.5,\"ok\":true}\n"
        );
    }

    #[test]
    fn what_comes_from_outside_cannot_break_a_line() {
        let line = lines(|| tracing::info!(raw = "a\n\"b\u{1b}[31m\u{0}", shown = ?"c\nd", "e\nf"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}') && !line.contains('\u{0}'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["raw"], "a\n\"b\u{1b}[31m\u{0}");
        assert_eq!(value["message"], "e\nf");
    }

    #[test]
    fn fields_added_later_and_fields_named_like_ours_are_kept() {
        let line = lines(|| {
            let span = tracing::info_span!("pass", outcome = tracing::field::Empty);
            let _inside = span.enter();
            span.record("outcome", "fixed");
            tracing::info!(level = "mine", timestamp = 1);
        });
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&value["level"], &value["field.level"], &value["field.timestamp"]),
            (&"INFO".into(), &"mine".into(), &1.into())
        );
        assert_eq!(value["outcome"], "fixed");
        assert_eq!(value["message"], "");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not save")]
        struct Outer(#[source] std::io::Error);
        let line = lines(|| {
            let error = Outer(std::io::Error::other("the wire broke"));
            tracing::error!(error = &error as &(dyn std::error::Error + 'static), "lost");
        });
        assert!(line.contains("\"error\":\"could not save: the wire broke\""), "{line}");
    }

    #[test]
    fn lower_levels_are_left_out() {
        assert_eq!(lines(|| tracing::debug!("no")), "");
        let all = || {
            tracing::error!("e");
            tracing::info!("i");
            tracing::info!(target: DETAIL, "d");
            tracing::warn!(target: "hyper", "w");
            tracing::info!(target: "hyper", "no");
        };
        let levels = |level| {
            let said = lines_from(level, all);
            let told = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].to_string());
            told.collect::<Vec<_>>().join(" ").replace('"', "")
        };
        assert_eq!(levels(LevelFilter::ERROR), "ERROR");
        assert_eq!(levels(LevelFilter::INFO), "ERROR INFO WARN");
        assert_eq!(levels(LevelFilter::DEBUG), "ERROR INFO DEBUG WARN");
        assert_eq!(levels(LevelFilter::TRACE), levels(LevelFilter::DEBUG));
    }

    /// In a process of its own, for that is what ends.
    #[cfg(unix)]
    #[test]
    #[allow(clippy::disallowed_methods, reason = "how the test tells the process that ends from its own")]
    fn a_bug_is_told_and_ends_the_process() {
        use std::os::unix::process::ExitStatusExt;

        const INSIDE: &str = "DEFIB_TEST_OF_A_BUG";
        if std::env::var_os(INSIDE).is_some() {
            start(LevelFilter::INFO);
            let caught = std::panic::catch_unwind(|| panic!("no {}", "way out"));
            tracing::error!("still here: {caught:?}");
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "telemetry::tests::a_bug_is_told_and_ends_the_process", "--nocapture"]).env(INSIDE, "1");
        let ran = child.output().unwrap();
        assert_eq!(ran.status.signal(), Some(6), "SIGABRT: {ran:?}");
        let told = String::from_utf8(ran.stdout).unwrap();
        let lines: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let [line] = &lines[..] else { panic!("{told}") };
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"a bug: no way out".into()));
        assert!(line["place"].as_str().unwrap().starts_with("src/telemetry.rs:"), "{line}");
    }

    #[test]
    fn a_writer_that_fails_harms_nobody() {
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(Broken, noon));
        tracing::subscriber::with_default(subscriber, || tracing::error!("nobody hears this"));
    }
}
