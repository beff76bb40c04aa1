//! `diagnose` on real evidence, where the folder that holds it is at hand, on rows of our own, and on anything at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // So may helpers of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use defib::diagnose::text::{Answer, Heals, Library, Reader, Weight, console_findings, read};
use defib::diagnose::{Cause, Severity};
use proptest::prelude::*;
use serde_json::Value;

/// What a labelled row says and what the answer to it is.
struct Row {
    id: String,
    cause: String,
    also: Vec<String>,
    reboot: String,
    restart: String,
    answer: Answer,
}

fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        Row {
            id: field("id"),
            cause: field("cause"),
            also: row["also"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect(),
            reboot: field("reboot_helps"),
            restart: field("restart_agent_helps"),
            answer: read(row["kind"].as_str(), row["text"].as_str().unwrap().as_bytes()),
        }
    };
    text.lines().map(row).collect()
}

fn helps(helps: defib::diagnose::Helps) -> String {
    serde_json::to_value(helps).unwrap().as_str().unwrap().to_owned()
}

impl Row {
    fn is_right(&self) -> bool {
        let given = self.answer.cause.code();
        given == self.cause || self.also.iter().any(|code| code == given)
    }

    /// What the answer advises though the label says that it does not help.
    fn harm(&self) -> Vec<String> {
        let advised = [
            ("reboot", helps(self.answer.reboot_helps), &self.reboot),
            ("restart", helps(self.answer.restart_agent_helps), &self.restart),
        ];
        let harm = advised.into_iter().filter(|(_, given, label)| given == "yes" && *label == "no");
        harm.map(|(what, _, _)| format!("{}: a {what} for {}", self.id, self.answer.cause)).collect()
    }
}

/// Prints what was taken for what, and gives back how many are right and what would do harm.
fn judge(rows: &[Row]) -> (usize, Vec<String>) {
    let mut table: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for row in rows {
        table.entry((&row.cause, row.answer.cause.code())).or_default().push(&row.id);
    }
    println!("{:38} {:38} rows", "label", "answer");
    for ((label, given), ids) in &table {
        let mark = if label == given { "" } else { "  <-" };
        let which = if label == given { String::new() } else { ids.join(", ") };
        println!("{label:38} {given:38} {:4}{mark} {which}", ids.len());
    }
    let wished = |label: fn(&Row) -> &str, given: fn(&Row) -> String| {
        let wanted: Vec<&Row> = rows.iter().filter(|row| label(row) == "yes").collect();
        (wanted.iter().filter(|row| given(row) == "yes").count(), wanted.len())
    };
    let right = rows.iter().filter(|row| row.is_right()).count();
    println!("right: {right} of {}", rows.len());
    println!("reboots where they help: {:?}", wished(|row| &row.reboot, |row| helps(row.answer.reboot_helps)));
    println!("restarts where they help: {:?}", wished(|row| &row.restart, |row| helps(row.answer.restart_agent_helps)));
    (right, rows.iter().flat_map(Row::harm).collect())
}

#[test]
fn real_evidence_is_diagnosed_as_its_labels_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/dev.jsonl");
    let Ok(text) = fs::read_to_string(file) else {
        println!("skipped: ../shared/corpus/dev.jsonl is not here; its excerpts are not part of this repository");
        return;
    };
    let rows = rows(&text);
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let (right, harm) = judge(&rows);
    // Some labels know the fault that was staged, where the text shows none of it.
    assert!(right * 100 >= rows.len() * 95, "{right} of {}", rows.len());
    assert_eq!(harm, Vec::<String>::new());
}

#[test]
fn rows_of_our_own_for_every_cause_are_diagnosed() {
    let rows = rows(include_str!("diagnose/rows.jsonl"));
    for &cause in Cause::ALL {
        let count = rows.iter().filter(|row| row.cause == cause.code()).count();
        assert!(count >= 3, "{cause}: {count} rows");
    }
    let (right, harm) = judge(&rows);
    assert!(right * 100 >= rows.len() * 98, "{right} of {}", rows.len());
    assert_eq!(harm, Vec::<String>::new());
}

#[test]
fn what_is_history_and_what_stands_is_told_apart() {
    let rows = rows(include_str!("diagnose/rows.jsonl"));
    let of_boots: Vec<&Row> = rows.iter().filter(|row| row.id.starts_with("t3-")).collect();
    assert!(of_boots.len() >= 30);
    for row in of_boots {
        let given = helps(row.answer.reboot_helps);
        assert!(row.is_right(), "{}: {}", row.id, row.answer.cause);
        assert_eq!(given == "yes", row.reboot == "yes", "{}: {given}", row.id);
    }
}

#[test]
fn a_console_of_a_boot_that_came_up_tells_the_engine_nothing_of_the_boot_before() {
    let panic = "[ 8123.9] Kernel panic - not syncing: Fatal exception\n[ 8123.9] Rebooting in 10 seconds..\n";
    let boot = "[    0.000000] Linux version 6.1.112 (x) #1 SMP\n[    0.1] Command line: root=UUID=1\n";
    let of = |text: String| console_findings(&text).into_iter().map(|finding| finding.severity).max();
    assert_eq!(of(format!("{panic}{boot}ip-10-0-1-5 login: \n")), Some(Severity::Noise));
    assert_eq!(of(format!("{panic}{boot}")), Some(Severity::Cause), "it has not come up yet");
    assert_eq!(of(format!("{boot}ip-10-0-1-5 login: \n{panic}")), Some(Severity::Cause));
    assert_eq!(of(format!("{panic}{boot}ip-10-0-1-5 login: \n{boot}{panic}")), Some(Severity::Cause));
}

#[test]
fn a_sample_alone_names_the_cause_of_its_signature() {
    let mut wrong = Vec::new();
    for entry in Library::get().signatures() {
        // What is only of weight when it comes often says nothing alone.
        if entry.at_least > 1 || entry.per_minute > 0 {
            continue;
        }
        for sample in &entry.samples {
            // Words that only count where an agent says them are read as a log of one.
            let ecs = entry.id.starts_with("ecs") || sample.starts_with("level=");
            let log = if ecs { "ecs-agent.log" } else { "ssm-agent.log" };
            let answer = read(entry.asks_for_agent().then_some(log), sample.as_bytes());
            let seen = answer.findings.iter().any(|told| told.signature == entry.id);
            let fits = match entry.weight {
                // A success shows itself as health, never as a finding.
                Weight::Good if entry.heals == Some(Heals::Start) => answer.cause == Cause::Unknown,
                Weight::Good => answer.cause == Cause::Healthy,
                Weight::Noise => seen,
                Weight::Symptom => seen && (answer.cause == entry.cause || answer.also.contains(&entry.cause)),
                Weight::Cause => {
                    seen && (answer.cause == entry.cause
                        || answer.also.contains(&entry.cause)
                        || entry.also.contains(&answer.cause))
                }
            };
            if !fits {
                wrong.push(format!("{} ({}) gives {} from {sample:?}", entry.id, entry.cause, answer.cause));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_host_that_booted_and_works_shows_no_trouble() {
    let answer = read(None, include_bytes!("diagnose/healthy-host.txt"));
    let trouble: Vec<_> = answer.findings.iter().filter(|told| told.severity > Severity::Noise && !told.over).collect();
    assert!(trouble.is_empty(), "{trouble:#?}");
    assert!(matches!(answer.cause, Cause::Healthy | Cause::NoisePeriodicReconnect), "{}", answer.cause);
}

#[test]
fn evidence_is_short_and_holds_no_secrets() {
    let line = format!(
        "2026-11-20 08:14:01.1 ERROR open /x?password=hunter2hunter2 AKIAIOSFODNN7EXAMPLE {}: no space left on device",
        "y".repeat(4_000)
    );
    for told in read(None, line.as_bytes()).findings {
        assert!(told.evidence.chars().count() <= 400, "{}", told.evidence);
        assert!(!told.evidence.contains("hunter2") && !told.evidence.contains("AKIA"), "{}", told.evidence);
    }
}

#[test]
fn no_secret_is_shown_wherever_it_stands() {
    let secrets = [
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("password=Tr0ub4dor", "Tr0ub4dor"),
        ("Authorization: Tr0ub4dor", "Tr0ub4dor"),
        ("aws --session-token Tr0ub4dor", "Tr0ub4dor"),
        ("\n-----BEGIN PRIVATE KEY-----\nTr0ub4dor\n-----END PRIVATE KEY-----\n", "Tr0ub4dor"),
        ("\n{\"SecretAccessKey\" : \"Tr0ub4dor\"}\n", "Tr0ub4dor"),
        ("\n{\"environment\": [{\"name\": \"DB_PASSWORD\", \"value\": \"Tr0ub4dor\"}]}\n", "Tr0ub4dor"),
    ];
    for (stands, secret) in secrets {
        for before in [0, 1, 30, 38, 39, 40, 41, 42, 43, 44, 45, 80] {
            for message in ["", "no space left on device", "x509: certificate signed by unknown authority"] {
                let text =
                    format!("2026-11-20 08:14:01.1 ERROR {}{stands} words {message} more", "word ".repeat(before));
                for told in read(None, text.as_bytes()).findings {
                    assert!(!told.evidence.contains(secret), "{text:?} shows {}", told.evidence);
                }
            }
        }
    }
}

#[test]
fn a_flood_of_equal_lines_hides_nothing_and_is_counted() {
    let mut text = String::from(
        "level=critical msg=\"Error creating data client\" error=\"open /data/agent.db: no space left on device\"\n",
    );
    for n in 0..50_000 {
        use std::fmt::Write;
        writeln!(
            text,
            "level=warn time=2026-11-20T08:{:02}:{:02}Z msg=\"Docker events stream closed\" n={n}",
            n / 1_000,
            n % 60
        )
        .unwrap();
    }
    text.push_str("level=info msg=\"the last line\"\n");
    let answer = read(None, text.as_bytes());
    assert_eq!(answer.cause, Cause::HostDiskFull);
    let flood = answer.findings.iter().find(|told| told.cause == Cause::RuntimeDockerDown).unwrap();
    assert_eq!(flood.count, 50_000);
    assert!(flood.per_minute.unwrap() > 500, "{flood:?}");
}

/// Words in quotes that look like the id of a signature.
fn ids_in(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let families = ["kernel", "boot", "agent", "ssm-agent", "ecs-agent", "host", "cloud-init", "unit"];
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_id =
        |text: &&str| text.split_once('.').is_some_and(|(family, name)| families.contains(&family) && is_word(name));
    text.split('"').filter(is_id).filter(|id| !id.ends_with('.')).map(str::to_owned).collect()
}

#[test]
fn what_the_code_asks_of_a_signature_it_asks_of_one_that_exists() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnose/text");
    let mut known: BTreeSet<String> = Library::get().signatures().iter().map(|entry| entry.id.clone()).collect();
    for entry in fs::read_dir(home.join("shapes")).unwrap() {
        known.extend(ids_in(&entry.unwrap().path()));
    }
    // What the code itself notes, and the one that it puts together.
    let noted = [
        "agent.metadata-through-proxy",
        "host.room-but-no-space",
        "host.root-device",
        "kernel.remount-ro-data",
        "unit.active-long",
    ];
    known.extend(noted.map(str::to_owned));
    let asked: Vec<String> = ["../text.rs", "boots.rs", "combine.rs", "device.rs"]
        .iter()
        .flat_map(|file| ids_in(&home.join(file)))
        .collect();
    assert!(asked.len() > 30, "{asked:?}");
    for id in asked {
        assert!(known.contains(&id), "{id}");
    }
}

#[test]
fn a_console_gives_typed_findings() {
    let found = console_findings("[ 8123.4] EXT4-fs (nvme0n1p1): Remounting filesystem read-only\n");
    assert_eq!(found.iter().map(|finding| finding.cause).collect::<Vec<_>>(), [Cause::HostReadOnlyRoot]);
    assert!(console_findings("Amazon Linux 2023\nip-10-0-1-5 login: ").is_empty());
}

/// A line of some log: from the signatures' samples, or noise of applications.
fn any_line() -> impl Strategy<Value = String> {
    let samples: Vec<String> =
        Library::get().signatures().iter().flat_map(|entry| entry.samples.iter().cloned()).collect();
    prop_oneof![
        proptest::sample::select(samples),
        ".{0,200}",
        Just("{".to_owned()),
        Just("Filesystem Use% Mounted on".to_owned())
    ]
}

/// Lines that say nothing about a node.
fn unrelated() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "Nov 20 08:14:01 h sshd[9]: Accepted publickey for ops from 10.0.0.1 port 4242".to_owned(),
        "Nov 20 08:14:01 h CRON[88]: pam_unix(cron:session): session opened for user root".to_owned(),
        "Nov 20 08:14:01 h shop[77]: dial tcp 10.9.9.9:5432: connect: connection refused".to_owned(),
        "Nov 20 08:14:01 h systemd[1]: Started session-4.scope - Session 4 of User ops.".to_owned(),
        "Nov 20 08:14:01 h nginx[12]: upstream timed out (110: Connection timed out)".to_owned(),
        // Nobody's name stands on these.
        "dial tcp 10.9.9.9:5432: connect: connection refused".to_owned(),
        "lookup db.internal on 10.0.0.2:53: no such host".to_owned(),
        "2026/11/20 08:14:01 [error] 31#31: *8 recv() failed (11: Resource temporarily unavailable)".to_owned(),
        "java.net.SocketException: Too many open files".to_owned(),
        "OSError: [Errno 12] Cannot allocate memory".to_owned(),
        r#"{"level":"error","msg":"dial tcp 10.0.9.9:6379: connect: connection refused"}"#.to_owned(),
        r#"{"level":"error","ts":"2026-11-20T08:14:01Z","logger":"shop","msg":"lookup db.internal: no such host"}"#.to_owned(),
        r#"{"severity":"ERROR","message":"x is not authorized to perform: dynamodb:PutItem on resource: t"}"#.to_owned(),
        r#"{"log":"Get \"https://partner.example.com/\": x509: certificate has expired\n","stream":"stderr"}"#.to_owned(),
        r#"level=error msg="dial tcp 10.0.7.7:443: i/o timeout""#.to_owned(),
        r#"time="2026-11-20T08:14:01Z" level=error msg="dial tcp 10.0.7.7:443: i/o timeout""#.to_owned(),
        "panic: runtime error: index out of range [3] with length 3".to_owned(),
        "Liveness probe failed: Get \"http://10.0.3.7:8080/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned(),
        String::new(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..4_096), cut in 0_usize..4_096) {
        let whole = read(None, &bytes);
        prop_assert!((0.0..=1.0).contains(&whole.confidence));
        let mut reader = Reader::new(None);
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        reader.feed(head);
        reader.feed(tail);
        prop_assert_eq!(reader.finish(), whole, "how bytes arrive makes no difference");
    }

    #[test]
    fn any_lines_in_any_order_get_an_answer(lines in proptest::collection::vec(any_line(), 0..40)) {
        let answer = read(Some("journal"), lines.join("\n").as_bytes());
        prop_assert!(answer.findings.len() <= 24);
        prop_assert!(answer.findings.iter().all(|told| told.evidence.chars().count() <= 400));
        prop_assert!(!answer.also.contains(&answer.cause));
    }

    #[test]
    fn unrelated_lines_do_not_change_the_cause(
        row in 0_usize..8,
        noise in proptest::collection::vec(unrelated(), 0..30),
        places in proptest::collection::vec(0_usize..100, 30),
    ) {
        let evidence = [
            "Nov 20 08:14:01 h kernel: Out of memory: Killed process 930 (ssm-agent-worke) total-vm:1kB",
            "Nov 20 08:14:01 h kernel: EXT4-fs (nvme0n1p1): Remounting filesystem read-only",
            "Nov 20 08:14:01 h amazon-ecs-agent[1]: level=critical msg=\"x\" error=\"open agent.db: no space left on device\"",
            "Nov 20 08:14:01 h dockerd[1]: unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid character",
            "Nov 20 08:14:01 h kernel: watchdog: BUG: soft lockup - CPU#1 stuck for 134s! [x:1]",
            "Nov 20 08:14:01 h amazon-ssm-agent[1]: ERROR InvalidSignatureException: Signature expired: a is now earlier than b",
            "Nov 20 08:14:01 h systemd[1]: ecs.service: Main process exited, code=exited, status=5/NOTINSTALLED",
            "Nov 20 08:14:01 h amazon-ssm-agent[1]: ERROR dial tcp: lookup ssm.eu-west-1.amazonaws.com: no such host",
        ][row];
        let alone = read(None, evidence.as_bytes());
        let mut lines = vec![evidence.to_owned()];
        for (line, place) in noise.into_iter().zip(places) {
            let at = place % (lines.len() + 1);
            lines.insert(at, line);
        }
        let among = read(None, lines.join("\n").as_bytes());
        prop_assert_eq!((among.cause, among.reboot_helps), (alone.cause, alone.reboot_helps));
    }
}
