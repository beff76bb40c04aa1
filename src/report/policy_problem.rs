//! What people read when no good policy document is there.

use std::fmt::Write as _;

use super::email::{WIDTH, row, wrap};
use super::subject::SUBJECT_MAX;
use super::timeline::{clock, date};
use super::{StackInfo, redact, words};
use crate::node::Home;
use crate::policy::standing::{Fallen, PolicyProblem, Wrong};
use crate::time::secs_between;

/// What is wrong, in a line.
#[must_use]
pub fn in_short(problem: &PolicyProblem) -> String {
    match &problem.what {
        Wrong::Invalid { line, column, text, allowed, .. } => {
            let allowed = allowed.as_ref().map(|allowed| format!("; allowed: {allowed}")).unwrap_or_default();
            redact::excerpt(&format!("line {line}, column {column}: {text}{allowed}"))
        }
        Wrong::Gone => "it is gone".to_owned(),
        Wrong::Unreadable { secs } => format!("it could not be read for {}", words::span(*secs)),
    }
}

/// The subject: what happened and where, in ASCII.
#[must_use]
pub fn subject(problem: &PolicyProblem) -> String {
    let what = match &problem.what {
        Wrong::Invalid { line, column, .. } => {
            format!("the policy document is not valid (line {line}, column {column})")
        }
        Wrong::Gone => "the policy document is gone".to_owned(),
        Wrong::Unreadable { secs } => format!("the policy document cannot be read ({})", words::span(*secs)),
    };
    redact::cut(&redact::ascii(&format!("[defib] NEEDS YOU: {what}; Defib only observes")), SUBJECT_MAX)
}

/// The plain-text mail.
#[must_use]
pub fn email(problem: &PolicyProblem, home: &Home, stack: &StackInfo<'_>) -> String {
    let (first, ask) = match &problem.what {
        Wrong::Invalid { line, .. } => {
            ("the policy document is not valid", format!("Please correct line {line}; the steps are below."))
        }
        Wrong::Gone => {
            ("the policy document is gone", "Please put it back, or {} in its place; the steps are below.".to_owned())
        }
        Wrong::Unreadable { .. } => (
            "the policy document cannot be read",
            "Please look why Defib's role cannot read it; the steps are below.".to_owned(),
        ),
    };
    let mut mail = format!("NEEDS YOU: {first}, so Defib only observes.\n{ask}\n\n");
    facts(&mut mail, problem);
    row(&mut mail, "Where", &format!("account {}, {}", home.account, home.region));
    mail.push_str("\nWhat to do\n");
    for (n, step) in steps(&problem.what).iter().enumerate() {
        for (line, text) in wrap(step, WIDTH).iter().enumerate() {
            let mark = if line == 0 { format!("{}.", n + 1) } else { "  ".to_owned() };
            // Writing to a `String` cannot fail.
            let _ = writeln!(mail, "  {mark} {text}");
        }
    }
    let _ = write!(
        mail,
        "\nUntil then no node is changed, and what Defib had set aside is given back. The next pass reads the document again.\n\
         defib {} | stack {}\n",
        stack.version,
        redact::name(stack.name)
    );
    mail
}

/// The line in which the end of it is told.
#[must_use]
pub fn mended(fallen: &Fallen) -> String {
    let lasted = fallen.until.map(|until| words::span(secs_between(fallen.since, until)));
    format!("a good policy document is there again, after {} in mode observe", lasted.unwrap_or_default())
}

fn facts(mail: &mut String, problem: &PolicyProblem) {
    match &problem.what {
        Wrong::Invalid { line, column, text, allowed, more } => {
            row(mail, "Wrong", &format!("line {line}, column {column}: {}", redact::excerpt(text)));
            if let Some(allowed) = allowed {
                row(mail, "Allowed", &redact::excerpt(allowed));
            }
            if *more > 0 {
                let mistakes = if *more == 1 { "mistake" } else { "mistakes" };
                row(mail, "And", &format!("{more} more {mistakes}"));
            }
        }
        Wrong::Gone => row(mail, "Wrong", "the parameter that held the document is not there any more"),
        Wrong::Unreadable { secs } => {
            row(mail, "Wrong", &format!("it could not be read for {}", words::span(*secs)));
        }
    }
    row(mail, "Since", &format!("{} UTC, {}", clock(problem.at, false), date(problem.at)));
    let limits = match problem.in_force_hash {
        Some(hash) => format!("those of the last good document ({hash}), in mode observe"),
        None => "those of the stack's settings, in mode observe".to_owned(),
    };
    row(mail, "Limits", &limits);
}

fn steps(what: &Wrong) -> Vec<String> {
    let step = |text: &str| text.to_owned();
    match what {
        Wrong::Invalid { .. } => vec![
            step("Copy the document into a file, correct it, and check it: defib policy check FILE"),
            step("Put it back where it was"),
        ],
        Wrong::Gone => vec![
            step("Put the document back where it was, checked: defib policy check FILE"),
            step("Or, for the stack's settings alone: {}"),
            step("Or take the document out of the stack's settings"),
        ],
        Wrong::Unreadable { .. } => vec![
            step("Check that Defib's role may read the parameter (ssm:GetParameter), and its key (kms:Decrypt)"),
            step("Check that Systems Manager answers in this region"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::standing::DocumentHash;
    use crate::report::samples::at;

    fn told(what: Wrong) -> String {
        let problem =
            PolicyProblem { at: at("14:20:00"), what, in_force_hash: Some(DocumentHash::of("mode: cycle\n")) };
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let stack = StackInfo { name: "defib", version: "0.1.0" };
        format!("Subject: {}\n---\n{}", subject(&problem), email(&problem, &home, &stack))
    }

    fn invalid(text: &str) -> Wrong {
        let allowed = Some("a whole number from 1 to 50".to_owned());
        Wrong::Invalid { line: 3, column: 18, text: text.to_owned(), allowed, more: 2 }
    }

    #[test]
    fn each_problem_reads_well() {
        insta::assert_snapshot!("policy-invalid.email", told(invalid("group-percent is 120")));
        insta::assert_snapshot!("policy-gone.email", told(Wrong::Gone));
        insta::assert_snapshot!("policy-unreadable.email", told(Wrong::Unreadable { secs: 1_200 }));
    }

    #[test]
    fn a_document_cannot_speak_for_defib() {
        let text = told(invalid("sessions is \"\u{202e}<!channel>\nNothing for you to do AKIAIOSFODNN7EXAMPLE\""));
        assert!(!text.contains("\nNothing for you") && !text.contains('\u{202e}'), "{text}");
        assert!(!text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
    }

    #[test]
    fn subjects_are_short_and_plain() {
        for what in [invalid("x"), Wrong::Gone, Wrong::Unreadable { secs: i64::MAX }] {
            let problem = PolicyProblem { at: at("14:20:00"), what, in_force_hash: None };
            let subject = subject(&problem);
            assert!(subject.is_ascii() && subject.len() <= SUBJECT_MAX && subject.starts_with("[defib] NEEDS YOU: "));
        }
    }
}
