//! The renderer's snapshots are the truth of what people read; its limits hold for any incident.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::redact::is_invisible;
use super::samples::{self, Tale};
use super::timeline::{LINE_MAX, line};
use super::{DESCRIPTION_MAX, Message, SMS_MAX, SUBJECT_MAX, StackInfo, WHOLE_MAX, render};
use crate::diagnose::{Cause, Channel, Diagnosis, Finding, Severity};
use crate::effect::Effect;
use crate::event::SignalKind;
use crate::guard::{Refusal, Scope};
use crate::incident::{Attempt, AttemptResult, Ending, Entry, Event, OperatorWord, Outcome, Remedy, Said};
use crate::observe::{HostRefusal, Platform};
use crate::time::after;

/// The forms that people and machines read, one snapshot a kind.
#[test]
fn every_kind_of_report_reads_well() {
    for (name, tale) in samples::all() {
        let message = tale.message();
        let mail = format!(
            "Subject: {}\nSMS:     {}\n{}\n---\n{}",
            message.subject,
            message.sms,
            message.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
            message.email
        );
        insta::assert_snapshot!(format!("{name}.email"), mail);
        insta::assert_json_snapshot!(format!("{name}.chat"), message.chat);
        insta::assert_json_snapshot!(format!("{name}.machine"), message.machine);
    }
}

#[test]
fn every_outcome_is_among_the_samples() {
    let told: Vec<Outcome> = samples::all().iter().map(|(_, tale)| tale.report().0.outcome()).collect();
    for outcome in Outcome::ALL {
        assert!(told.contains(&outcome), "{outcome}");
    }
}

#[test]
fn the_outcome_comes_first_and_what_to_do_comes_second() {
    for (name, tale) in samples::all() {
        let message = tale.message();
        let mut lines = message.email.lines();
        let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
        let label = first.split(':').next().unwrap();
        assert!(message.subject.starts_with(&format!("[defib] {label}: ")), "{name}: {}", message.subject);
        assert!(first.ends_with('.') && first.contains(&tale.incident.node.to_string()), "{name}: {first}");
        assert!(second.starts_with("Please ") || second.starts_with("Nothing for you to do"), "{name}: {second}");
    }
}

#[test]
fn the_machine_form_keeps_to_its_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/report-1.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, tale) in samples::all() {
        let form = serde_json::to_value(tale.message().machine).unwrap();
        let errors: Vec<String> = validator.iter_errors(&form).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let known = schema["properties"].as_object().unwrap();
        assert!(
            form.as_object().unwrap().keys().all(|key| known.contains_key(key)),
            "{name}: a field is not described"
        );
    }
}

#[test]
fn who_approved_is_told_and_cannot_speak_for_defib() {
    let mut tale = samples::cycled();
    let by = Some(Arc::from("mallory\u{202e}\n<!channel> https://evil.example/x"));
    tale.incident.note(tale.at, Event::Operator(Said { word: OperatorWord::Approved, by }));
    let message = tale.message();
    let named = message.machine.approved_by.clone().unwrap();
    for text in [named.as_str(), message.email.as_str()] {
        assert!(text.contains("mallory"), "{text}");
        assert!(!text.contains('\u{202e}') && !text.contains("https://evil"), "{text}");
    }
    assert!(!named.contains('\n'));
    assert_eq!(samples::cycled().message().machine.approved_by, None);
}

#[test]
fn a_refusal_reaches_the_mail_unchanged() {
    let refusal = Refusal::Budget { scope: Scope::Group("blue".into()), held: 3, limit: 2 };
    let tale = samples::cycled().closed("15:41:48", Ending::Refused { refusal: refusal.clone() });
    let mail: String = tale.message().email.split_whitespace().collect::<Vec<_>>().join(" ");
    let spoken = refusal.to_string();
    assert_eq!(spoken, "3 in repair in group blue, limit 2");
    assert!(mail.contains("3 in repair in"), "{mail}");
    assert_eq!(tale.message().machine.stopped_because_text.as_deref(), Some(spoken.as_str()));
}

#[test]
fn names_and_evidence_cannot_speak_for_defib() {
    let mut tale = samples::needs_human().named("x <!channel> `@here` https://evil.example/ *b*");
    tale = tale.diagnosed(
        Cause::HostDiskFull,
        95,
        &[(Channel::Probe, "\u{1b}[2J\u{202e}<@U123> password=hunter2\nSubject: forged\nFIXED: all good")],
    );
    let message = tale.message();
    let whole = message.sns_json();
    for forbidden in ["hunter2", "<!channel", "<@U123", "evil.example", "\u{202e}", "\u{1b}"] {
        assert!(!whole.contains(forbidden) && !message.subject.contains(forbidden), "{forbidden}: {whole}");
    }
    assert!(!message.email.lines().any(|line| line.starts_with("Subject:") || line.starts_with("FIXED")));
    assert!(!message.chat.content.title.contains(['<', '*', '`', '@']), "{}", message.chat.content.title);
}

#[test]
fn a_managed_node_elsewhere_gets_links_of_its_own_partition() {
    let mut tale = samples::node("mi-0123456789abcdef0", "14:02:11").told("14:02:11", SignalKind::SessionRefused);
    tale.incident.place.region = "cn-north-1".parse().unwrap();
    let message = tale.closed("14:10:00", Ending::Gone).message();
    assert!(message.email.contains("https://cn-north-1.console.amazonaws.cn/systems-manager/"), "{}", message.email);
    assert!(!message.email.contains("/ec2/home"));
    assert_eq!(
        message.chat.metadata.related_resources,
        ["arn:aws-cn:ssm:cn-north-1:111122223333:managed-instance/mi-0123456789abcdef0"]
    );
}

#[test]
fn nobody_is_told_to_run_what_the_node_does_not_have() {
    let mut windows = samples::needs_human();
    windows.incident.place.platform = Platform::Windows;
    let mail = windows.message().email;
    assert!(mail.contains("Restart-Service AmazonSSMAgent") && !mail.contains("systemctl restart"), "{mail}");
    let hybrid = samples::node("mi-0123456789abcdef0", "14:02:11")
        .diagnosed(Cause::HostDiskFull, 95, &[])
        .rests("14:30:00", Ending::CauseNotOurs);
    assert!(!hybrid.message().email.contains("aws ec2"), "{}", hybrid.message().email);
}

/// Every promise about size and shape that subscribers rely on.
fn keeps_its_limits(message: &Message, node: &str) -> Result<(), TestCaseError> {
    let subject = &message.subject;
    prop_assert!(
        subject.len() <= SUBJECT_MAX && subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{subject}"
    );
    prop_assert!(subject.starts_with("[defib] ") && subject.contains(node), "{subject}");
    prop_assert!(message.sms.len() <= SMS_MAX && message.sms.is_ascii() && message.sms.contains(node));
    let whole = message.sns_json();
    prop_assert!(whole.len() <= WHOLE_MAX, "{} bytes", whole.len());
    let document: Value = serde_json::from_str(&whole).unwrap();
    let document = document.as_object().unwrap();
    let keys: Vec<&str> = document.keys().map(String::as_str).collect();
    prop_assert_eq!(keys, ["default", "email", "email-json", "firehose", "https", "lambda", "sms", "sqs"]);
    prop_assert!(document.values().all(|value| value.as_str().is_some_and(|text| !text.is_empty())));
    for text in document.values().filter_map(Value::as_str).chain([subject.as_str()]) {
        prop_assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || is_invisible(c)));
    }
    let chat: Value = serde_json::from_str(document["https"].as_str().unwrap()).unwrap();
    prop_assert_eq!((&chat["version"], &chat["source"]), (&Value::from("1.0"), &Value::from("custom")));
    prop_assert_eq!(&chat["content"]["textType"], "client-markdown");
    prop_assert!(chat["content"]["description"].as_str().unwrap().chars().count() < DESCRIPTION_MAX);
    prop_assert!(chat["metadata"]["additionalContext"].as_object().unwrap().values().all(Value::is_string));
    prop_assert!(serde_json::from_str::<Value>(document["sqs"].as_str().unwrap()).is_ok());
    prop_assert_eq!(message.attributes.len(), 6);
    for (name, value) in &message.attributes {
        prop_assert!(!value.is_empty() && value.len() <= 256, "{}={}", name, value);
    }
    Ok(())
}

fn any_event() -> impl Strategy<Value = Event> {
    let refusal =
        any::<String>().prop_map(|group| Refusal::Budget { scope: Scope::Group(group.into()), held: 9, limit: 3 });
    prop_oneof![
        proptest::sample::select(Effect::ALL.to_vec()).prop_map(Event::Done),
        proptest::sample::select(Effect::ALL.to_vec()).prop_map(Event::Burned),
        proptest::sample::select(HostRefusal::ALL.to_vec())
            .prop_map(|why| Event::HostRefused { remedy: Remedy::RestartRuntime, why }),
        any::<u32>().prop_map(|left| Event::Drained { left }),
        any::<i64>().prop_map(|secs| Event::HoldDownOver { secs }),
        (any::<u32>(), any::<i64>()).prop_map(|(findings, secs)| Event::ProbeAnswered { findings, secs }),
        proptest::sample::select(Cause::ALL.to_vec()).prop_map(|cause| Event::Diagnosed { cause, confidence: 255 }),
        refusal.prop_map(Event::Parked),
        any::<String>().prop_map(|by| Event::Closed(Ending::ClosedBy { by: by.into(), rested: true })),
    ]
}

/// A sample whose names, evidence and history are as long and as strange as they come.
fn any_tale() -> impl Strategy<Value = Tale> {
    let names = ("\\PC{0,255}", "\\PC{0,255}", "[a-zA-Z0-9_-]{1,255}");
    let evidence = proptest::collection::vec((any::<String>(), 0..60_usize), 0..40);
    let story = (proptest::collection::vec(any_event(), 0..40), 0..30_usize, 0..300_usize);
    let cause = proptest::sample::select(Cause::ALL.to_vec());
    (0..samples::all().len(), names, evidence, story, cause).prop_map(
        |(n, (name, group, cluster), evidence, (events, repeats, attempts), cause)| {
            let mut tale = samples::all().swap_remove(n).1;
            tale.incident.place.name = name.parse().ok();
            tale.incident.place.group = group.parse().ok();
            if evidence.len() % 2 == 0 {
                tale = tale.in_cluster(&cluster, "c0ffee00112233445566778899aabbcc", 3);
            }
            let findings: Vec<Finding> = evidence
                .into_iter()
                .map(|(text, times)| Finding {
                    cause,
                    severity: Severity::Symptom,
                    channel: Channel::Console,
                    evidence: text.repeat(times).into(),
                })
                .collect();
            let also = vec![cause; findings.len()];
            tale.incident.diagnosis = Some(Diagnosis { cause, confidence: 200, also, findings: findings.into() });
            let start = tale.incident.first_seen;
            for (n, event) in events.iter().cycle().take(events.len() * repeats).enumerate() {
                let at = after(start, i64::try_from(n).unwrap() * 37);
                tale.incident.note(at, event.clone());
            }
            let attempt =
                Attempt { remedy: Remedy::Reboot, at: start, acted_at: Some(start), result: AttemptResult::Failed };
            tale.incident.attempts.extend(std::iter::repeat_n(attempt, attempts));
            tale
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_incident_keeps_the_limits(tale in any_tale(), stack in any::<String>()) {
        let (report, id) = tale.report();
        let message = render(&report, &id, &StackInfo { name: &stack, version: "0.1.0" });
        keeps_its_limits(&message, &tale.incident.node.to_string())?;
        for entry in tale.incident.history.iter() {
            if let Some(line) = line(entry, &tale.incident) {
                prop_assert!(line.chars().count() < LINE_MAX && !line.contains('\n'), "{}", line);
            }
        }
    }
}

#[test]
fn the_longest_story_fits_and_says_what_was_left_out() {
    let mut tale = samples::cycled();
    let wide = "\u{10ffff}\"\\\"".repeat(200);
    let finding = Finding {
        cause: Cause::Unknown,
        severity: Severity::Cause,
        channel: Channel::Console,
        evidence: wide.as_str().into(),
    };
    let findings = vec![finding; 500];
    tale.incident.diagnosis =
        Some(Diagnosis { cause: Cause::Unknown, confidence: 1, also: vec![], findings: Arc::from(findings) });
    for n in 0..900 {
        let at = after(tale.incident.first_seen, n);
        tale.incident.note(at, Event::Done(Effect::Probe));
    }
    let message = tale.message();
    keeps_its_limits(&message, samples::BATCH).unwrap();
    assert!(message.email.contains("lines left out: defib show inc-"), "{}", message.email);
    assert!(message.email.contains("more: defib show inc-"));
}

#[test]
fn what_a_host_refused_is_told_with_its_reason() {
    let tale = samples::node("i-0a1b2c3d4e5f60718", "14:02:11");
    let said = |remedy, why| {
        let entry = Entry { at: tale.incident.first_seen, event: Event::HostRefused { remedy, why } };
        line(&entry, &tale.incident).unwrap()
    };
    let words = "agent restart: it did not work: docker does not answer on the host";
    assert_eq!(said(Remedy::RestartEcsAgent, HostRefusal::RuntimeSilent), words);
    let words = "docker restart: it did not work: its unit is masked, which only a person does";
    assert_eq!(said(Remedy::RestartRuntime, HostRefusal::Masked), words);
    for why in HostRefusal::ALL {
        assert!(said(Remedy::RestartSsmAgent, why).ends_with(why.as_str()), "nothing of {why:?} is cut");
    }
}
