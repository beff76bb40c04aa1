//! What Defib does on each platform, as the scenarios in `tests/scenarios/platforms` show it; `docs/PLATFORMS.md` is made from
//! their outcomes. `UPDATE=1` writes the page's tables anew: read the diff, it is a diff of behaviour.
//!
//! A scenario is a platform. Its nodes are called like the remedies, and each falls ill of what calls for its remedy.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use defib::effect::Effect;
use defib::incident::{AttemptResult, Event, Incident, Remedy};
use defib::report::timeline;
use defib::sim::rehearsal::{Played, Rehearsal};
use defib::sim::scenario::Scenario;
use defib::sim::{stage, transcript};
use serde_json::Value;

/// In the order of the page: from what can do most to what is only told of.
const PLATFORMS: [&str; 10] = [
    "group-member",
    "linux",
    "snap",
    "windows",
    "spot",
    "instance-store",
    "bottlerocket",
    "ecs-anywhere",
    "hybrid",
    "managed-elsewhere",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("tests/scenarios/platforms")
}

/// One platform: what its scenario says of it, and what came of each remedy's node.
struct Shown {
    title: String,
    cells: BTreeMap<Remedy, Cell>,
}

/// What became of a node that called for a remedy.
#[derive(Debug, PartialEq, Eq)]
enum Cell {
    /// It helped; what was done around it.
    Helped { drained: bool, standby: bool, proof: String },
    /// Another remedy helped in its place.
    Instead(Vec<Remedy>),
    /// Nothing was done; why, in the words of the timeline.
    Told(String),
}

fn play(platform: &str) -> Shown {
    let text = std::fs::read_to_string(folder().join(format!("{platform}.txt"))).unwrap();
    let title = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
    let scenario: Scenario = text.parse().unwrap();
    let played = Rehearsal::of_scenario(stage::documentation_home().unwrap(), &scenario).play();
    let cells = Remedy::ALL.into_iter().filter_map(|remedy| Some((remedy, cell(&played, remedy)?))).collect();
    Shown { title, cells }
}

fn cell(played: &Played, remedy: Remedy) -> Option<Cell> {
    let node = *played.names.get(remedy.as_str())?;
    let told =
        |incident: &&std::sync::Arc<Incident>| incident.node == node && transcript::reports_of(incident, played) > 0;
    let incident = played.incidents.iter().find(told).unwrap_or_else(|| panic!("nobody was told of {remedy}'s node"));
    let helped: Vec<Remedy> = incident
        .attempts
        .iter()
        .filter(|attempt| attempt.result == AttemptResult::Helped)
        .map(|attempt| attempt.remedy)
        .collect();
    let done = |effect| incident.history.iter().any(|entry| entry.event == Event::Done(effect));
    if helped.contains(&remedy) {
        let proof = timeline::proven(incident.proof_of(remedy).unwrap());
        return Some(Cell::Helped { drained: done(Effect::Drain), standby: done(Effect::EnterStandby), proof });
    }
    if !helped.is_empty() {
        return Some(Cell::Instead(helped));
    }
    assert_eq!(incident.performed().count(), 0, "{remedy}: something was done in vain on {node}");
    let last = incident.history.iter().rev().find(|entry| matches!(entry.event, Event::Closed(_))).unwrap();
    let words = timeline::line(last, incident).unwrap();
    Some(Cell::Told(words.trim_start_matches("gave up: ").trim_start_matches("stopped: ").to_owned()))
}

fn short(cell: Option<&Cell>) -> String {
    match cell {
        None => "–".to_owned(),
        Some(Cell::Helped { drained, standby, .. }) => {
            let around = [drained.then_some("drained"), standby.then_some("Standby")];
            let around: Vec<&str> = around.into_iter().flatten().collect();
            if around.is_empty() { "yes".to_owned() } else { format!("yes: {}", around.join(", ")) }
        }
        Some(Cell::Instead(remedies)) => format!("no: {}", names(remedies)),
        Some(Cell::Told(_)) => "told".to_owned(),
    }
}

fn names(remedies: &[Remedy]) -> String {
    remedies.iter().map(|remedy| remedy.as_str()).collect::<Vec<_>>().join(", ")
}

/// What a real host has proved: rows of remedy, layout and story, where the on-host tests have left them.
fn proven() -> Option<BTreeMap<Remedy, BTreeSet<String>>> {
    let text = std::fs::read_to_string(root().join("tests/onhost/proven.json")).ok()?;
    let value: Value = serde_json::from_str(&text).unwrap();
    let rows = value.as_array().or_else(|| value.get("rows").and_then(Value::as_array)).unwrap();
    let mut proven: BTreeMap<Remedy, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let field = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let Some(remedy) = field("remedy").and_then(|remedy| remedy.parse::<Remedy>().ok()) else { continue };
        let story = field("story").or_else(|| field("host_story")).or_else(|| field("host-story"));
        let layout = field("layout").or_else(|| field("platform"));
        let told: Vec<String> = [layout, story].into_iter().flatten().collect();
        proven.entry(remedy).or_default().insert(told.join(": "));
    }
    Some(proven)
}

fn tables() -> String {
    let shown: Vec<(&str, Shown)> = PLATFORMS.into_iter().map(|platform| (platform, play(platform))).collect();
    let mut page = String::new();
    let head = Remedy::ALL.map(Remedy::as_str).join(" | ");
    writeln!(page, "| platform | {head} |\n|---|{}", "---|".repeat(Remedy::ALL.len())).unwrap();
    for (platform, shown) in &shown {
        let cells = Remedy::ALL.map(|remedy| short(shown.cells.get(&remedy))).join(" | ");
        writeln!(page, "| [{platform}](../tests/scenarios/platforms/{platform}.txt) | {cells} |").unwrap();
    }
    page.push_str("\nThe platforms, in the words of their scenarios:\n\n");
    for (platform, shown) in &shown {
        writeln!(page, "- **{platform}**: {}", shown.title).unwrap();
    }
    page.push_str("\nWhere only a person can help, the message says why:\n\n| platform | would call for | what the message says |\n|---|---|---|\n");
    for (platform, shown) in &shown {
        let mut by_words: BTreeMap<&str, Vec<Remedy>> = BTreeMap::new();
        for (remedy, cell) in &shown.cells {
            if let Cell::Told(words) = cell {
                by_words.entry(words).or_default().push(*remedy);
            }
        }
        for (words, remedies) in by_words {
            writeln!(page, "| {platform} | {} | {words} |", names(&remedies)).unwrap();
        }
    }
    page.push_str("\nThe proof of each remedy, as a timeline says it, and where it was proved on a real host:\n\n");
    page.push_str("| remedy | its proof, on group-member | on a real host |\n|---|---|---|\n");
    let proven = proven();
    for remedy in Remedy::ALL {
        let Some(Cell::Helped { proof, .. }) = shown[0].1.cells.get(&remedy) else { panic!("{remedy} is not shown") };
        let host = match &proven {
            None => "not filled in yet".to_owned(),
            Some(proven) => match proven.get(&remedy) {
                None => "–".to_owned(),
                Some(stories) => stories.iter().cloned().collect::<Vec<_>>().join("; "),
            },
        };
        writeln!(page, "| {remedy} | {} | {host} |", without_times(proof)).unwrap();
    }
    page
}

/// Times of the day are the simulation's and would only make the page change.
fn without_times(words: &str) -> String {
    let is_time = |word: &str| word.len() == 8 && word.split(':').count() == 3;
    let shown = |word: &str| {
        let bare = word.trim_end_matches([',', ';']);
        if is_time(bare) { word.replace(bare, "HH:MM:SS") } else { word.to_owned() }
    };
    words.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_says_what_the_scenarios_show() {
    let path = root().join("docs/PLATFORMS.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- platforms: begin -->\n", "<!-- platforms: end -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (block, after) = rest.split_once(end).unwrap();
    let made = tables();
    #[allow(clippy::disallowed_methods, reason = "a switch for people who change behaviour on purpose")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{made}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(block, made, "docs/PLATFORMS.md differs from what the scenarios show");
}

#[test]
fn every_scenario_of_a_platform_is_on_the_page() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|ext| ext == "txt"));
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let known: BTreeSet<String> = texts.map(|path| stem(&path)).collect();
    assert_eq!(known, PLATFORMS.map(str::to_owned).into_iter().collect());
}

/// DESIGN.md §7: no host shell on Bottlerocket, no EC2 API outside EC2, nothing on what others repair, no stop of a Spot instance.
#[test]
fn what_a_platform_forbids_is_never_done_there() {
    let host = [Remedy::FreeDisk, Remedy::RestartSsmAgent, Remedy::RestartEcsAgent, Remedy::RestartRuntime];
    let ec2 = [Remedy::Reboot, Remedy::StopStart, Remedy::Replace];
    let forbidden: [(&str, &[Remedy]); 6] = [
        ("bottlerocket", &host),
        ("ecs-anywhere", &ec2),
        ("hybrid", &ec2),
        ("managed-elsewhere", &Remedy::ALL),
        ("spot", &[Remedy::StopStart]),
        ("linux", &[Remedy::Replace]),
    ];
    for (platform, remedies) in forbidden {
        let shown = play(platform);
        for remedy in remedies {
            let cell = shown.cells.get(remedy);
            assert!(!matches!(cell, Some(Cell::Helped { .. })), "{remedy} on {platform}: {cell:?}");
            if let Some(Cell::Instead(others)) = cell {
                assert!(others.iter().all(|other| !remedies.contains(other)), "{platform}: {others:?}");
            }
        }
    }
    let spot = play("spot");
    assert_eq!(
        spot.cells.get(&Remedy::StopStart),
        Some(&Cell::Instead(vec![Remedy::Replace])),
        "replaced, not stopped"
    );
    for remedy in Remedy::ALL {
        assert!(matches!(play("managed-elsewhere").cells.get(&remedy), Some(Cell::Told(_))), "{remedy} is told only");
    }
}

#[test]
fn where_a_remedy_is_claimed_it_helps_and_says_how_it_knows() {
    for platform in ["group-member", "snap", "windows"] {
        let shown = play(platform);
        for remedy in Remedy::ALL {
            let cell = shown.cells.get(&remedy);
            assert!(
                matches!(cell, Some(Cell::Helped { proof, .. }) if !proof.is_empty()),
                "{remedy} on {platform}: {cell:?}"
            );
        }
    }
    let member = play("group-member");
    let standby = |remedy| matches!(member.cells.get(&remedy), Some(Cell::Helped { standby: true, drained: true, .. }));
    assert!(standby(Remedy::StopStart) && standby(Remedy::Reboot), "a watched member is cycled in Standby");
}
