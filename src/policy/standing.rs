//! The policy in force: what the document says now, or the last good one in mode `observe`.
//!
//! A document that cannot be used changes nothing but the mode. Its limits may be the very mistake, so nothing is done on any
//! node until a good one is there; but nobody's limits are forgotten meanwhile, and it is told once, not once a pass. Pure:
//! the driver brings what the parameter says and what the ledger remembers, and keeps what is answered.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::library::Library;
use super::tree::Finding;
use super::{Mode, Policy};
use crate::time::{after, secs_between};

/// For so long a pass that cannot read the document is tried again, in seconds; then the last good one is used, and tells
/// only.
pub const UNREADABLE_SECS: i64 = 15 * 60;
/// What was decided by a policy that was read longer ago than this is not sent any more, in seconds.
pub const HOLDS_SECS: i64 = 60;

/// What the parameter says now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reading {
    /// The stack has no document.
    Unused,
    /// The parameter is not there.
    Absent,
    /// It could not be read.
    Unreadable,
    /// This.
    Text(Arc<str>),
}

/// What the ledger remembers of the document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remembered {
    /// Rises by one with every change.
    pub version: u64,
    /// The last good document.
    pub good: Option<Arc<str>>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
    /// The last time without a good one.
    pub fallen: Option<Fallen>,
}

/// Something that is wrong with the document, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what", rename_all_fields = "kebab-case")]
pub enum Trouble {
    /// This text is no policy; it was told.
    Invalid {
        /// Which text.
        hash: DocumentHash,
    },
    /// One was there, and is no more; it was told.
    Gone,
    /// It could not be read since then.
    Unreadable {
        /// Since when.
        since: Timestamp,
        /// Whether it was told.
        told: bool,
    },
}

/// A time in which the mode had fallen to `observe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fallen {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end; none while it lasts.
    pub until: Option<Timestamp>,
}

impl Fallen {
    /// Whether it was so at a moment.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until)
    }
}

/// What a policy knows of its own document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Known {
    /// When it was read; none where there is no document.
    pub read_at: Option<Timestamp>,
    /// The last time without a good one.
    pub fallen: Option<Fallen>,
}

impl Known {
    /// Until when a decision that rests on it may be sent.
    #[must_use]
    pub fn holds_until(&self) -> Option<Timestamp> {
        self.read_at.map(|at| after(at, HOLDS_SECS))
    }
}

/// Tells documents apart: FNV-1a over the text. No proof against forgery; whoever may write the parameter needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentHash(u64);

impl DocumentHash {
    /// The hash of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(crate::hash::fnv1a(text.bytes()))
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What people are told when no good document is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyProblem {
    /// When it was found.
    pub at: Timestamp,
    /// What is wrong.
    pub what: Wrong,
    /// The document whose limits hold meanwhile; none: the stack's settings alone.
    pub in_force_hash: Option<DocumentHash>,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "wrong", rename_all_fields = "kebab-case")]
pub enum Wrong {
    /// It is no policy. The first mistake, and how many more there are.
    Invalid {
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
        /// What is wrong there.
        text: String,
        /// What would be allowed there, where that can be said.
        allowed: Option<String>,
        /// Mistakes beside the first.
        more: u32,
    },
    /// The parameter is not there any more.
    Gone,
    /// It could not be read for so long.
    Unreadable {
        /// In seconds.
        secs: i64,
    },
}

/// Something to tell, once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// No good document is there: a report is due.
    Problem(PolicyProblem),
    /// A good one is there again, after a problem that was told.
    Mended {
        /// How long the mode had fallen.
        fallen: Fallen,
    },
}

/// What holds for a pass that begins now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The policy in force; none: the document cannot be read for the moment, so the pass is to be tried again.
    pub policy: Option<Policy>,
    /// What to remember from now on; none: what is remembered already.
    pub keep: Option<Remembered>,
    /// What to tell, in the transaction that keeps the above.
    pub news: Option<News>,
}

/// The policy in force, and what is to be remembered and told. The library may know the texts already.
#[must_use]
pub fn standing(
    stack: &Policy,
    reading: &Reading,
    kept: &Remembered,
    now: Timestamp,
    library: &mut Library,
) -> Standing {
    match reading {
        Reading::Unused if *kept == Remembered::default() => {
            Standing { policy: Some(stack.clone()), keep: None, news: None }
        }
        // Whoever takes the document out of the stack wants the stack's settings alone.
        Reading::Unused => mended(stack.clone(), None, kept, now),
        Reading::Absent if kept.good.is_none() => mended(stack.clone(), None, kept, now),
        Reading::Absent => fallen(stack, kept, (Trouble::Gone, Wrong::Gone), now, library),
        Reading::Unreadable => unreadable(stack, kept, now, library),
        Reading::Text(text) => match library.read(text) {
            Ok(document) => mended(document.under(stack), Some(Arc::clone(text)), kept, now),
            Err(findings) => {
                let trouble = Trouble::Invalid { hash: DocumentHash::of(text) };
                let wrong = invalid(findings);
                fallen(stack, kept, (trouble, wrong), now, library)
            }
        },
    }
}

/// A good document is there, or none is wanted.
fn mended(mut policy: Policy, good: Option<Arc<str>>, kept: &Remembered, now: Timestamp) -> Standing {
    let told = kept.trouble.is_some_and(|trouble| match trouble {
        Trouble::Invalid { .. } | Trouble::Gone => true,
        Trouble::Unreadable { told, .. } => told,
    });
    let fallen = kept.fallen.map(|fallen| Fallen { until: fallen.until.or(Some(now)), ..fallen });
    let next = Remembered { version: kept.version.saturating_add(1), good, trouble: None, fallen };
    let changed = next.good != kept.good || next.trouble != kept.trouble || next.fallen != kept.fallen;
    policy.known = Known { read_at: Some(now), fallen };
    let news = fallen.filter(|_| told).map(|fallen| News::Mended { fallen });
    Standing { policy: Some(policy), keep: changed.then_some(next), news }
}

/// No good document is there: the last good one counts, in mode `observe`, and it is told once.
fn fallen(
    stack: &Policy,
    kept: &Remembered,
    (trouble, wrong): (Trouble, Wrong),
    now: Timestamp,
    library: &mut Library,
) -> Standing {
    let lasting = kept.fallen.filter(|fallen| fallen.until.is_none());
    let fallen = Some(lasting.unwrap_or(Fallen { since: now, until: None }));
    let mut policy = last_good(stack, kept, library);
    policy.known = Known { read_at: Some(now), fallen };
    let changed = kept.trouble != Some(trouble) || kept.fallen != fallen;
    #[cfg(feature = "plants")]
    let changed = changed || crate::plants::on(crate::plants::Plant::TellBadPolicyAgain);
    if !changed {
        return Standing { policy: Some(policy), keep: None, news: None };
    }
    let good = kept.good.clone();
    let in_force_hash = good.as_deref().map(DocumentHash::of);
    let next = Remembered { version: kept.version.saturating_add(1), good, trouble: Some(trouble), fallen };
    let news = News::Problem(PolicyProblem { at: now, what: wrong, in_force_hash });
    Standing { policy: Some(policy), keep: Some(next), news: Some(news) }
}

/// It could not be read: for a while that is the network's trouble, and no reason to end what is under way.
fn unreadable(stack: &Policy, kept: &Remembered, now: Timestamp, library: &mut Library) -> Standing {
    let since = match kept.trouble {
        Some(Trouble::Unreadable { since, .. }) => since,
        // It is wrong already, and was told.
        Some(Trouble::Invalid { .. } | Trouble::Gone) => {
            let mut policy = last_good(stack, kept, library);
            policy.known = Known { read_at: Some(now), fallen: kept.fallen };
            return Standing { policy: Some(policy), keep: None, news: None };
        }
        None => {
            let trouble = Some(Trouble::Unreadable { since: now, told: false });
            let next = Remembered { version: kept.version.saturating_add(1), trouble, ..kept.clone() };
            return Standing { policy: None, keep: Some(next), news: None };
        }
    };
    let secs = secs_between(since, now);
    if secs < UNREADABLE_SECS {
        return Standing { policy: None, keep: None, news: None };
    }
    fallen(stack, kept, (Trouble::Unreadable { since, told: true }, Wrong::Unreadable { secs }), now, library)
}

/// The limits of the last good document, under a stack whose mode is `observe` at most.
fn last_good(stack: &Policy, kept: &Remembered, library: &mut Library) -> Policy {
    let cap = stack.mode.min(Mode::Observe);
    #[cfg(feature = "plants")]
    let cap = if crate::plants::on(crate::plants::Plant::BadPolicyActs) { stack.mode } else { cap };
    let stack = Policy { mode: cap, ..stack.clone() };
    // It was good when it was kept; should a newer version think otherwise, the stack's settings are left.
    match kept.good.as_ref().map(|text| library.read(text)) {
        Some(Ok(document)) => document.under(&stack),
        Some(Err(_)) | None => Document::default().under(&stack),
    }
}

/// The first of the findings, for people.
fn invalid(findings: &[Finding]) -> Wrong {
    let first = findings.first();
    let problem = first.map(|finding| finding.problem.as_str()).unwrap_or_default();
    // The reader's sentences end with what is allowed.
    let (text, allowed) = ["; allowed here: ", "; allowed: "]
        .into_iter()
        .find_map(|mark| problem.split_once(mark))
        .map_or((problem, None), |(text, allowed)| (text, Some(allowed.to_owned())));
    Wrong::Invalid {
        line: first.map_or(1, |finding| finding.at.line),
        column: first.map_or(1, |finding| finding.at.column),
        text: text.to_owned(),
        allowed,
        more: u32::try_from(findings.len().saturating_sub(1)).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
