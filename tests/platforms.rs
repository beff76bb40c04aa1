//! What Defib does on each platform, as the scenarios in `tests/scenarios/platforms` show it; `docs/PLATFORMS.md` is made from
//! their outcomes. `UPDATE=1` writes the page's tables anew: read the diff, it is a diff of behaviour.
//!
//! A scenario is a platform. Its nodes are called like the remedies, and each falls ill of what calls for its remedy.
//!
//! What the simulated account shows is one thing, what a machine has shown another: `tests/onhost` boots machines, and leaves what they
//! proved in `proven.json`. A cell says which of the two it rests on.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use defib::effect::Effect;
use defib::incident::{AttemptResult, Event, Incident, Remedy};
use defib::observe::Platform;
use defib::report::timeline;
use defib::sim::rehearsal::{Played, Rehearsal};
use defib::sim::scenario::Scenario;
use defib::sim::{stage, transcript};
use serde::Deserialize;

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
    /// What runs on its nodes, as the incidents hold it: all of them the same.
    runs: Platform,
}

/// A story that a real host has shown, as the on-host tests leave it.
#[derive(Debug, Deserialize)]
struct Proven {
    remedy: Remedy,
    layout: String,
    outcome: String,
}

impl Proven {
    /// How the host was laid out, without the particulars of the story.
    fn layout(&self) -> &str {
        self.layout.split([',', ' ']).next().unwrap()
    }
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
    let platforms: BTreeSet<Platform> = played.incidents.iter().map(|incident| incident.place.platform).collect();
    let [runs] = platforms.iter().copied().collect::<Vec<_>>()[..] else { panic!("{platform} has {platforms:?}") };
    Shown { title, cells, runs }
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

/// A cell, and behind its word where that was seen.
fn short(cell: Option<&Cell>, seen: Seen) -> String {
    match cell {
        None => "–".to_owned(),
        Some(Cell::Helped { drained, standby, .. }) => {
            let around = [drained.then_some("drained"), standby.then_some("Standby")];
            let around: Vec<&str> = around.into_iter().flatten().collect();
            let colon = if around.is_empty() { "" } else { ": " };
            format!("yes ({seen}){colon}{}", around.join(", "))
        }
        Some(Cell::Instead(remedies)) => format!("no ({seen}): {}", names(remedies)),
        Some(Cell::Told(_)) => format!("told ({seen})"),
    }
}

/// Where a cell was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// On the simulated account, and the remedy itself on a host that the on-host tests boot, too.
    Host,
    /// On the simulated account, and nowhere else.
    Simulated,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Simulated => "sim",
        })
    }
}

/// How the on-host tests call a host of a platform; none: they boot no such host.
fn layout_of(platform: Platform) -> Option<&'static str> {
    match platform {
        Platform::Linux => Some("systemd"),
        Platform::Snap => Some("snap"),
        Platform::Bottlerocket => Some("Bottlerocket"),
        Platform::Windows => None,
    }
}

/// Whether a host of the platform has shown, too, what a cell says of a remedy: that it heals, or that the host refuses it.
fn seen(proven: &[Proven], platform: Platform, remedy: Remedy, cell: Option<&Cell>) -> Seen {
    let outcome = match cell {
        Some(Cell::Helped { .. }) => "healed",
        Some(Cell::Instead(_)) => "refused",
        // Nothing was sent, so that no host could show it.
        Some(Cell::Told(_)) | None => return Seen::Simulated,
    };
    let is_shown =
        |row: &&Proven| row.remedy == remedy && Some(row.layout()) == layout_of(platform) && row.outcome == outcome;
    if proven.iter().any(|row| is_shown(&row)) { Seen::Host } else { Seen::Simulated }
}

fn names(remedies: &[Remedy]) -> String {
    remedies.iter().map(|remedy| remedy.as_str()).collect::<Vec<_>>().join(", ")
}

/// What real hosts have shown.
fn proven() -> Vec<Proven> {
    let text = std::fs::read_to_string(root().join("tests/onhost/proven.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// How many stories of a remedy real hosts have shown, by layout and outcome.
fn stories(proven: &[Proven], remedy: Remedy) -> String {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for row in proven.iter().filter(|row| row.remedy == remedy) {
        *counts.entry(row.layout()).or_default().entry(&row.outcome).or_default() += 1;
    }
    let each = |(layout, outcomes): (&str, BTreeMap<&str, usize>)| {
        let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        format!("{layout}: {}", outcomes.join(", "))
    };
    let told: Vec<String> = counts.into_iter().map(each).collect();
    if told.is_empty() { "–".to_owned() } else { told.join("; ") }
}

fn tables() -> String {
    let shown: Vec<(&str, Shown)> = PLATFORMS.into_iter().map(|platform| (platform, play(platform))).collect();
    let proven = proven();
    let mut page = String::new();
    let head = Remedy::ALL.map(Remedy::as_str).join(" | ");
    writeln!(page, "| platform | {head} |\n|---|{}", "---|".repeat(Remedy::ALL.len())).unwrap();
    for (platform, shown) in &shown {
        let cell = |remedy| {
            let cell = shown.cells.get(&remedy);
            short(cell, seen(&proven, shown.runs, remedy, cell))
        };
        let cells = Remedy::ALL.map(cell).join(" | ");
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
    page.push_str("\nThe proof of each remedy, as a timeline says it, and what real hosts have shown of it:\n\n");
    page.push_str(
        "| remedy | its proof, on group-member | on real hosts: stories by layout and outcome |\n|---|---|---|\n",
    );
    for remedy in Remedy::ALL {
        let Some(Cell::Helped { proof, .. }) = shown[0].1.cells.get(&remedy) else { panic!("{remedy} is not shown") };
        writeln!(page, "| {remedy} | {} | {} |", without_times(proof), stories(&proven, remedy)).unwrap();
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

/// The mark comes from what hosts have shown, and goes with it.
#[test]
fn a_cell_rests_on_a_host_only_where_one_of_its_kind_has_shown_just_that() {
    let helped = Cell::Helped { drained: false, standby: false, proof: String::new() };
    let instead = Cell::Instead(vec![Remedy::Reboot]);
    let told = Cell::Told("nothing".to_owned());
    let row = |layout: &str, outcome: &str| {
        vec![Proven { remedy: Remedy::FreeDisk, layout: layout.to_owned(), outcome: outcome.to_owned() }]
    };
    let cases = [
        (row("systemd, KillMode=process", "healed"), Platform::Linux, &helped, Seen::Host),
        (row("systemd", "told"), Platform::Linux, &helped, Seen::Simulated),
        (row("systemd", "refused"), Platform::Linux, &helped, Seen::Simulated),
        (row("systemd", "healed"), Platform::Snap, &helped, Seen::Simulated),
        (row("systemd", "healed"), Platform::Windows, &helped, Seen::Simulated),
        (row("snap", "healed"), Platform::Snap, &helped, Seen::Host),
        (row("Bottlerocket", "refused"), Platform::Bottlerocket, &instead, Seen::Host),
        (row("Bottlerocket", "healed"), Platform::Bottlerocket, &instead, Seen::Simulated),
        (row("systemd", "healed"), Platform::Linux, &told, Seen::Simulated),
        (Vec::new(), Platform::Linux, &helped, Seen::Simulated),
    ];
    for (proven, platform, cell, expected) in cases {
        let of = |remedy| seen(&proven, platform, remedy, Some(cell));
        assert_eq!(of(Remedy::FreeDisk), expected, "{proven:?}, {platform:?}, {cell:?}");
        assert_eq!(of(Remedy::RestartRuntime), Seen::Simulated, "another remedy than the one that was shown");
    }
}

#[test]
fn every_host_that_is_booted_stands_for_a_platform_of_the_page() {
    let all = [Platform::Linux, Platform::Snap, Platform::Windows, Platform::Bottlerocket];
    let known: BTreeSet<&str> = all.into_iter().filter_map(layout_of).collect();
    let proven = proven();
    assert_eq!(proven.iter().map(Proven::layout).collect::<BTreeSet<_>>(), known);
}
