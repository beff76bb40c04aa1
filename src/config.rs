//! The only reader of the environment and of the clock.
//!
//! Everything else is handed its settings and its `now`; clippy's `disallowed-methods` keeps it so.

use std::time::Duration;

use jiff::Timestamp;

mod page;
mod resources;
mod settings;
mod variables;

pub use page::page;
pub use resources::{Deployment, Resources};
pub use settings::{AccountKind, BadSetting, Settings, UnknownVariable};
pub use variables::{PREFIX, VARIABLES, Variable};

/// The present.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that measures time")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Whole milliseconds since the start, for a log line.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether output should have no colours: `NO_COLOR` is set to anything (no-color.org).
#[must_use]
pub fn no_color() -> bool {
    value("NO_COLOR").is_some()
}

/// The function that the command line's requests go to, where whoever runs it says so by `DEFIB_FUNCTION`.
#[cfg(feature = "operate")]
#[must_use]
pub fn operated_function() -> Option<String> {
    value("DEFIB_FUNCTION").filter(|name| !name.is_empty())
}

/// The commit that this was built from, where whoever runs it says so: `make` and the tests do.
///
/// It is read when it is needed and not compiled in, so that a commit alone builds nothing anew.
#[must_use]
pub fn commit() -> Option<String> {
    value("DEFIB_COMMIT").and_then(shown_commit)
}

fn shown_commit(text: String) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!text.is_empty() && text.len() <= 64 && text.chars().all(plain)).then_some(text)
}

/// The region that AWS's own tools would use, as it stands in the environment.
#[must_use]
pub fn aws_region() -> Option<String> {
    settings::region_names().find_map(value)
}

/// What a variable of the SDKs' own says, such as `AWS_ENDPOINT_URL`; none when it is empty.
#[must_use]
pub fn of_the_sdk(name: &str) -> Option<String> {
    value(name)
}

/// Every variable; bytes that are no text become `U+FFFD`, which no setting allows.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// One variable; an empty one counts as absent.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn value(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_a_short_plain_word_or_none() {
        let shown = |text: &str| shown_commit(text.to_owned());
        assert_eq!(shown("0123456789ab-dirty").as_deref(), Some("0123456789ab-dirty"));
        for bad in [String::new(), "a b".to_owned(), "\u{1b}[31m".to_owned(), "a".repeat(65)] {
            assert_eq!(shown(&bad), None);
        }
    }
}
