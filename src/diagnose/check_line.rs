//! One line of `defib check`: a check, what came of it, and what to do.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest evidence, in characters.
pub const EVIDENCE_MAX: usize = 400;

/// What came of a check, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mark {
    /// It was looked at, and is as it must be.
    Ok,
    /// It could not be seen, so nothing follows from it.
    Unknown,
    /// It weakens something, and alone keeps no agent from answering.
    Warn,
    /// It keeps an agent from answering.
    Fail,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Unknown => "UNKNOWN",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// One line of `defib check`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct CheckLine {
    /// The check's number, `N09`: the same in the documentation and in every output.
    pub id: &'static str,
    /// What came of it.
    pub verdict: Mark,
    /// What was seen, in at most [`EVIDENCE_MAX`] characters.
    pub text: Arc<str>,
    /// What a person changes. Every FAIL has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Arc<str>>,
}

impl CheckLine {
    /// As it must be.
    #[must_use]
    pub fn ok(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, verdict: Mark::Ok, text: evidence(text.into()), fix: None }
    }

    /// Not seen.
    #[must_use]
    pub fn unknown(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, verdict: Mark::Unknown, text: evidence(text.into()), fix: None }
    }

    /// Weakens something.
    #[must_use]
    pub fn warn(id: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { id, verdict: Mark::Warn, text: evidence(text.into()), fix: Some(evidence(fix.into())) }
    }

    /// Keeps an agent from answering.
    #[must_use]
    pub fn fail(id: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { id, verdict: Mark::Fail, text: evidence(text.into()), fix: Some(evidence(fix.into())) }
    }
}

impl fmt::Display for CheckLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7} {} {}", self.verdict, self.id, self.text)?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "; fix: {fix}"))
    }
}

/// A text as evidence: one line of at most [`EVIDENCE_MAX`] characters.
#[must_use]
pub fn evidence(text: String) -> Arc<str> {
    if text.chars().count() <= EVIDENCE_MAX && !text.contains(char::is_control) {
        return text.into();
    }
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.clone().take(EVIDENCE_MAX).collect();
    if clean.count() > EVIDENCE_MAX {
        short.pop();
        short.push('…');
    }
    short.into()
}

/// Which of a node's agents something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Agents {
    /// The SSM agent.
    pub ssm: bool,
    /// The ECS container agent.
    pub ecs: bool,
}

impl Agents {
    /// Both of them.
    pub const BOTH: Self = Self { ssm: true, ecs: true };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_from_its_verdict_to_its_fix() {
        let line = CheckLine::fail("N09", "sg-1 lets no TCP 443 out", "allow it");
        assert_eq!(line.to_string(), "FAIL    N09 sg-1 lets no TCP 443 out; fix: allow it");
        assert_eq!(CheckLine::unknown("I06", "not visible").to_string(), "UNKNOWN I06 not visible");
    }

    #[test]
    fn evidence_is_one_line_of_at_most_400_characters() {
        assert_eq!(&*evidence("two\nlines".to_owned()), "two lines");
        let long = evidence("é".repeat(401));
        assert_eq!((long.chars().count(), long.chars().last()), (400, Some('…')));
        assert_eq!(evidence("é".repeat(400)).chars().last(), Some('é'));
    }
}
