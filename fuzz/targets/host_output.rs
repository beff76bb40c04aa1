//! What a host prints: whatever stands around a secret, no secret is shown, and no line plays tricks on its reader.
#![no_main]

use std::sync::Arc;

use defib::diagnose::{Cause, Channel, Diagnosis, Finding, Severity};
use defib::incident::Incident;
use defib::ports::OutboxItem;
use defib::report::redact::{self, EXCERPT_MAX, NAME_MAX};
use defib::report::{StackInfo, render};
use defib_fuzz::{assert_message, is_unseen};
use libfuzzer_sys::fuzz_target;

/// How a secret stands in a text, and the part that may not be seen. A blank or a line break stands before each: what
/// comes right before may else be a part of it.
const SECRETS: [(&str, &str); 12] = [
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    (" ASIAQQQQQQQQQQQQQQQQ ", "ASIAQQQQQQQQQQQQQQQQ"),
    (" password=Tr0ub4dor ", "Tr0ub4dor"),
    ("\nDB_PASSWORD: Tr0ub4dor\n", "Tr0ub4dor"),
    ("\nAuthorization: Tr0ub4dor x\n", "Tr0ub4dor"),
    ("\n-----BEGIN PRIVATE KEY-----\nTr0ub4dor\n-----END PRIVATE KEY-----\n", "Tr0ub4dor"),
    (" https://bob:Tr0ub4dor@host/ ", "Tr0ub4dor"),
    (" eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0 ", "eyJhbGciOiJIUzI1NiJ9"),
    ("\n{\"SecretAccessKey\" : \"Tr0ub4dor\"}\n", "Tr0ub4dor"),
    (" ghp_0123456789abcdefABCDEF ", "ghp_0123456789abcdefABCDEF"),
    (" wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("\naws --session-token Tr0ub4dor\n", "Tr0ub4dor"),
];

/// Whether the letters of a secret stand in a text, in their order: then it may hold the secret without any name before it,
/// with something between that is taken out.
fn is_spread_in(text: &str, secret: &str) -> bool {
    let mut letters = text.chars();
    secret.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

fn assert_safe(shown: &str, most: usize) {
    assert!(shown.chars().count() <= most, "{} characters", shown.chars().count());
    assert!(!shown.chars().any(is_unseen), "{shown:?}");
    let lower = shown.to_ascii_lowercase();
    for live in ["http://", "https://", "<!", "<@"] {
        assert!(!lower.contains(live), "{live} in {shown:?}");
    }
    let chat = redact::chat(shown);
    assert!(!chat.contains(['<', '>', '@', '`', '*', '~']), "{chat:?}");
    assert!(redact::ascii(shown).chars().all(|c| c == ' ' || c.is_ascii_graphic()));
}

/// A report with the text as evidence.
fn told(evidence: &str, secret: &str) {
    let stored = include_bytes!("../../tests/frozen/report-needs-human.json");
    let mut item: OutboxItem = serde_json::from_slice(stored).expect("a stored report");
    let mut incident: Incident = (*item.report.incident).clone();
    let finding = |channel| Finding {
        cause: Cause::HostDiskFull,
        severity: Severity::Cause,
        channel,
        evidence: Arc::from(evidence),
    };
    incident.diagnosis = Some(Diagnosis {
        cause: Cause::HostDiskFull,
        confidence: 95,
        also: Vec::new(),
        findings: Arc::from([finding(Channel::Probe), finding(Channel::Console)]),
    });
    item.report.incident = Arc::new(incident);
    let message = render(&item.report, &item.id, &StackInfo { name: "defib", version: "0.1.0" });
    assert_message(&message);
    let whole = message.sns_json();
    assert!(!whole.contains(secret), "{secret} in {whole}");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    for shown in [redact::excerpt(&text), redact::cut(&redact::excerpt(&text), 80)] {
        assert_safe(&shown, EXCERPT_MAX);
    }
    assert_safe(&redact::name(&text), NAME_MAX);
    // The secret stands where the fuzzer put the mark, or at the end.
    let (before, after) = text.split_once('\u{a7}').unwrap_or((&text, ""));
    let (stands, secret) = SECRETS[usize::from(choice) % SECRETS.len()];
    if is_spread_in(before, secret) || is_spread_in(after, secret) {
        return;
    }
    let whole = format!("{before}{stands}{after}");
    let shown = redact::excerpt(&whole);
    assert_safe(&shown, EXCERPT_MAX);
    assert!(!shown.contains(secret), "{secret} is shown: {whole:?} -> {shown:?}");
    // A whole report takes as long as a hundred excerpts.
    if choice >= 128 {
        told(&whole, secret);
    }
});
