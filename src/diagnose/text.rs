//! Raw text becomes findings, and findings become one cause: logs of the agents, journals, dmesg, consoles, output of tools,
//! JSON of AWS.
//!
//! Everything here is pure and streams: a text may have any bytes, any length and any order, and memory stays bounded. Nothing of
//! it runs while an incident is decided; there, findings are typed.

use std::sync::Arc;

use serde::Serialize;

use super::{Cause, Channel, Finding, Helps, Severity, advice};

mod books;
mod boots;
mod combine;
mod cut;
mod device;
mod hearsay;
mod judge;
mod keys;
mod lines;
mod owner;
mod place;
mod shapes;
mod signature;
mod summary;

pub use place::Place;
pub use signature::{Component, Found, Heals, Library, Signature, Weight};

use books::{Books, Sighting};
use lines::Lines;
use shapes::{Block, Shapes};

/// At most so many findings are told.
const FINDINGS_MAX: usize = 24;
/// A key has no more lines than this.
const KEY_LINES_MAX: u32 = 120;
/// A line with what belongs to it is not longer than this, in bytes.
const JOINED_MAX: usize = 16 * 1024;

/// What a text says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The one cause.
    pub cause: Cause,
    /// What else it could be, the likeliest first.
    pub also: Vec<Cause>,
    /// How sure, from 0 to 1.
    pub confidence: f64,
    /// Whether a reboot helps.
    pub reboot_helps: Helps,
    /// Whether a restart of the agent helps.
    pub restart_agent_helps: Helps,
    /// The cause as a clause.
    pub summary: &'static str,
    /// Steps that an operator can follow.
    pub advice: Vec<&'static str>,
    /// The evidence, the weightiest first.
    pub findings: Vec<Told>,
}

/// One kind of evidence, told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The signature, or the look that found it.
    pub signature: String,
    /// Who says so.
    pub component: Component,
    /// What it points to.
    pub cause: Cause,
    /// How it weighs.
    pub severity: Severity,
    /// Something later in the text shows that it is over.
    pub over: bool,
    /// How often.
    pub count: u64,
    /// How often a minute, where the lines say when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u64>,
    /// The number of the first line.
    pub line: u64,
    /// The line, redacted, in at most 400 characters.
    pub evidence: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meaning: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// Reads a text that is at hand.
#[must_use]
pub fn read(kind: Option<&str>, text: &[u8]) -> Answer {
    let mut reader = Reader::new(kind);
    reader.feed(text);
    reader.finish()
}

/// What a console's output shows, for [`super::diagnose`]. Nothing of it is a finding unless it points somewhere.
#[must_use]
pub fn console_findings(text: &str) -> Vec<Finding> {
    let told = read(Some("console"), text.as_bytes()).findings.into_iter();
    let telling =
        told.filter(|told| !matches!(told.cause, Cause::Healthy | Cause::Unknown | Cause::NoisePeriodicReconnect));
    telling
        .filter(|told| told.severity > Severity::Noise)
        .map(|told| Finding {
            cause: told.cause,
            severity: if told.over { Severity::Noise } else { told.severity },
            channel: Channel::Console,
            evidence: Arc::from(told.evidence),
        })
        .collect()
}

/// Reads a text as it comes.
#[derive(Debug)]
pub struct Reader {
    lines: Lines,
    desk: Desk,
}

impl Reader {
    /// A reader; the kind, such as `ssm-agent.log (tail)`, helps where lines do not say who wrote them.
    #[must_use]
    pub fn new(kind: Option<&str>) -> Self {
        let place = kind.map_or(Place::Unknown, place::of_kind);
        let desk = Desk {
            library: Library::get(),
            place,
            joined: String::new(),
            joined_at: 0,
            joinable: false,
            lower: String::new(),
            found: Found::default(),
            block: Block::default(),
            shapes: Shapes::default(),
            books: Books::default(),
            hung: combine::Hung::default(),
            owners: owner::Owners::default(),
            key_lines: 0,
        };
        Self { lines: Lines::default(), desk }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let desk = &mut self.desk;
        self.lines.feed(bytes, |line| desk.line(line));
    }

    /// Says what the text says.
    #[must_use]
    pub fn finish(mut self) -> Answer {
        let desk = &mut self.desk;
        self.lines.finish(|line| desk.line(line));
        self.desk.answer()
    }
}

/// Where lines are put together and looked at.
#[derive(Debug)]
struct Desk {
    library: &'static Library,
    place: Place,
    joined: String,
    /// The number of the first of them.
    joined_at: u64,
    joinable: bool,
    lower: String,
    found: Found,
    block: Block,
    shapes: Shapes,
    books: Books,
    hung: combine::Hung,
    owners: owner::Owners,
    /// So many more lines may belong to a key: what lies between `-----BEGIN` and `-----END` is nobody's evidence.
    key_lines: u32,
}

impl Desk {
    fn line(&mut self, line: &str) {
        self.books.next_line();
        match self.block.take(line) {
            shapes::Taken::No => self.plain(line),
            shapes::Taken::More => {}
            shapes::Taken::Whole(value) => self.value(&value),
            shapes::Taken::Back(text) => text.lines().for_each(|line| self.plain(line)),
        }
    }

    fn value(&mut self, value: &serde_json::Value) {
        self.flush();
        for text in shapes::read(value, &mut self.books) {
            // Output that AWS passes on is a text of its own.
            for line in text.lines() {
                if !shapes::passed_on(line, &mut self.books) {
                    self.plain(line);
                }
            }
            self.flush();
        }
    }

    fn plain(&mut self, line: &str) {
        if self.key_lines > 0 {
            self.key_lines = if line.contains("-----END") { 0 } else { self.key_lines - 1 };
            return;
        }
        if line.contains("-----BEGIN") && !line.contains("-----END") {
            self.key_lines = KEY_LINES_MAX;
        }
        match place::stamp(line).place {
            // Tables and the like bear no stamps.
            Some(
                place @ (Place::Ssm | Place::Ecs | Place::Docker | Place::Kernel | Place::CloudInit | Place::Plugin),
            ) => {
                self.shapes.speaks(place);
            }
            Some(Place::Systemd | Place::Application | Place::Unknown) | None => {
                self.shapes.look(line, &mut self.books);
            }
        }
        let room = self.joinable && self.joined.len() + line.len() < JOINED_MAX;
        if room && let Some(rest) = continuation(line) {
            self.joined.push(' ');
            self.joined.push_str(rest);
            return;
        }
        self.flush();
        self.joined_at = self.books.newest();
        self.joined.push_str(line);
        self.joinable = !line.trim().is_empty();
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.joined);
        // A line is looked at when the next one shows that nothing more belongs to it.
        self.books.back_to(self.joined_at);
        self.look(&line);
        self.books.back_to(self.books.newest());
        self.joined = line;
        self.joined.clear();
        self.joinable = false;
    }

    fn look(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        let unescaped;
        let line = if line.contains('\\') {
            unescaped = line.replace("\\n", " ").replace("\\t", " ").replace("\\\"", "\"").replace("\\\\", "\\");
            unescaped.as_str()
        } else {
            line
        };
        lower_into(line, &mut self.lower);
        let stamp = place::stamp(line);
        let spoken_at = self.joined_at;
        let voice = self.owners.hear(&self.lower, stamp, self.place, spoken_at);
        let place = match stamp.place {
            Some(_) | None if voice == owner::Voice::Foreign => Place::Application,
            // Both print their lines in one form; the kind, or a line before, knows better.
            Some(Place::Ssm) if self.place == Place::Plugin => Place::Plugin,
            Some(place) => place,
            None => self.place,
        };
        if place == Place::Plugin && self.place == Place::Unknown {
            self.place = Place::Plugin;
        }
        self.books.pass(&self.lower, place, stamp.at);
        self.library.matches(&self.lower, place, &mut self.found);
        let authored = !matches!(stamp.place, None | Some(Place::Application | Place::Unknown));
        for &number in &self.found.signatures {
            let Some(signature) = self.library.signatures().get(number) else { continue };
            let at = self.library.position(number, &self.lower).unwrap_or_default();
            let of_host = matches!(signature.component, Component::Kernel | Component::Boot | Component::Host);
            if of_host && signature.weight >= Weight::Symptom && !authored && hearsay::is_hearsay(&self.lower, at) {
                continue;
            }
            if signature.weight >= Weight::Symptom && owner::is_passed_on(signature, &self.lower, stamp) {
                continue;
            }
            if signature.id == "kernel.erofs" && !authored && device::is_of_application(&self.lower) {
                continue;
            }
            let stands = of_component(signature.component).unwrap_or(place);
            let Some(place) = self.owners.place(signature, &self.lower, stamp, voice, (stands, spoken_at)) else {
                continue;
            };
            match signature.id.as_str() {
                "boot.begins" => self.books.boot(&self.lower, stamp.at),
                "kernel.clean" if !self.lower.contains("welcome to") => self.books.came_up(stamp.at),
                "cloud-init.done" => self.books.came_up(stamp.at),
                "kernel.hung-task" => self.hung.line(&self.lower),
                _ if signature.heals == Some(Heals::Connection) => self.books.came_up(stamp.at),
                _ if signature.heals == Some(Heals::Start) => self.books.serves(),
                _ => {}
            }
            if device::is_data(signature, &self.lower) {
                self.books.note(device::sighting(signature, line), stamp.at);
            } else if let Some(heals) = signature.heals {
                self.books.success_at(place, heals, stamp.at);
            } else if !self.books.again(&signature.id, place, stamp.at) {
                self.books.note(sighting(signature, place, around(line, at)), stamp.at);
            }
        }
        self.hung.trace(&self.lower);
        if let Some(root) = device::root(&self.lower) {
            self.books.note(root, None);
        }
        self.books.keep(line);
    }

    fn answer(&mut self) -> Answer {
        match self.block.finish() {
            shapes::Taken::No | shapes::Taken::More => {}
            shapes::Taken::Whole(value) => self.value(&value),
            shapes::Taken::Back(text) => text.lines().for_each(|line| self.plain(line)),
        }
        self.flush();
        self.shapes.finish(self.place, &mut self.books);
        let books = std::mem::take(&mut self.books);
        let tail = books.tail();
        let (mut sightings, works) = books.close();
        self.weigh(&mut sightings);
        std::mem::take(&mut self.owners).weigh(self.library, &mut sightings);
        device::combine(&mut sightings);
        combine::combine(&mut sightings, &self.hung);
        let judgement = judge::judge(&mut sightings, works);
        let mut findings: Vec<Told> = sightings.iter().take(FINDINGS_MAX).map(told).collect();
        if judgement.cause == Cause::Unknown && findings.is_empty() {
            findings.extend(tail.into_iter().map(|(evidence, count)| unrecognised(evidence, count)));
        }
        Answer {
            cause: judgement.cause,
            also: judgement.also,
            confidence: judgement.confidence,
            reboot_helps: judgement.reboot,
            restart_agent_helps: judgement.restart,
            summary: summary::of(judgement.cause, &sightings),
            advice: advice(judgement.cause).to_vec(),
            findings,
        }
    }

    /// What was not seen often enough is noise.
    fn weigh(&self, sightings: &mut [Sighting]) {
        for sighting in sightings {
            let Some(signature) = self.library.signatures().iter().find(|entry| entry.id == sighting.id) else {
                continue;
            };
            let seldom = sighting.count < signature.at_least;
            let slow = signature.per_minute > 0 && sighting.per_minute().is_none_or(|rate| rate < signature.per_minute);
            if seldom || slow {
                sighting.weight = Weight::Noise;
            }
        }
    }
}

/// The part of a long line around a message. It begins with a word, and never with what a name for a secret stands before.
fn around(line: &str, at: usize) -> &str {
    const BEFORE: usize = 160;
    if line.len() <= crate::report::redact::EXCERPT_MAX || at <= BEFORE {
        return line;
    }
    let mut from = line.floor_char_boundary(at.saturating_sub(BEFORE).min(line.len()));
    loop {
        let rest = line.get(from..).unwrap_or_default();
        let Some(space) = rest.find(char::is_whitespace) else { return line };
        from += space + 1;
        let before = line
            .get(..from)
            .unwrap_or_default()
            .split_whitespace()
            .next_back()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let named = before.ends_with([':', '='])
            || ["pass", "secret", "token", "key", "auth", "bearer", "cred"].iter().any(|name| before.contains(name));
        if !named {
            return line.get(from..).unwrap_or(line);
        }
    }
}

/// What a line adds to the message before it, if it goes on with that.
fn continuation(line: &str) -> Option<&str> {
    let goes_on = |text: &str| text.starts_with("caused by:") || text.starts_with("status code:");
    let trimmed = line.trim_start();
    let indented =
        trimmed.len() < line.len() && !trimmed.is_empty() && !trimmed.starts_with(['[', '{', '"', '├', '└', '●']);
    if goes_on(trimmed) || (indented && line.starts_with('\t')) {
        return Some(trimmed);
    }
    // syslog puts its head before each line of a message, and writes a tab as #011.
    let (head, message) = line.split_once(": ").filter(|(head, _)| head.ends_with([']', 't']))?;
    let message = message.trim_start().trim_start_matches("#011").trim_start();
    (head.ends_with(']') || head.ends_with("-agent")).then_some(message).filter(|message| goes_on(message))
}

/// Lower case, with single spaces.
fn lower_into(line: &str, out: &mut String) {
    out.clear();
    if line.is_ascii() && !line.contains("  ") && !line.contains('\t') {
        out.push_str(line);
        out.make_ascii_lowercase();
        return;
    }
    let mut space = true;
    for c in line.chars() {
        let blank = c.is_whitespace();
        if !blank {
            out.push(c.to_ascii_lowercase());
        } else if !space {
            out.push(' ');
        }
        space = blank;
    }
}

/// Where messages of a component come from, whoever passes them on.
fn of_component(component: Component) -> Option<Place> {
    match component {
        Component::SsmAgent | Component::SsmCli => Some(Place::Ssm),
        Component::EcsAgent | Component::EcsInit => Some(Place::Ecs),
        Component::Docker => Some(Place::Docker),
        Component::Kernel => Some(Place::Kernel),
        Component::SessionManagerPlugin => Some(Place::Plugin),
        Component::Systemd
        | Component::Boot
        | Component::CloudInit
        | Component::Ec2Status
        | Component::RunCommand
        | Component::EcsService
        | Component::Host
        | Component::Probe
        | Component::Agent => None,
    }
}

fn sighting(signature: &Signature, place: Place, line: &str) -> Sighting {
    Sighting {
        also: signature.also.clone(),
        meaning: signature.meaning.clone(),
        remedy: signature.remedy.clone(),
        reboot: signature.reboot,
        restart: signature.restart,
        ..Sighting::new(&signature.id, signature.component, signature.cause, signature.weight, line)
    }
    .at(place)
}

fn told(sighting: &Sighting) -> Told {
    Told {
        signature: sighting.id.clone(),
        component: sighting.component,
        cause: sighting.cause,
        severity: match sighting.weight {
            Weight::Good | Weight::Noise => Severity::Noise,
            Weight::Symptom => Severity::Symptom,
            Weight::Cause => Severity::Cause,
        },
        over: sighting.over,
        count: sighting.count,
        per_minute: sighting.per_minute(),
        line: sighting.first_line,
        evidence: sighting.evidence.clone(),
        meaning: sighting.meaning.clone(),
        remedy: sighting.remedy.clone(),
    }
}

/// A line that nothing is known of, shown so that somebody can look at it.
fn unrecognised(evidence: String, count: u64) -> Told {
    Told {
        signature: "unrecognised".to_owned(),
        component: Component::Host,
        cause: Cause::Unknown,
        severity: Severity::Noise,
        over: false,
        count,
        per_minute: None,
        line: 0,
        evidence,
        meaning: String::new(),
        remedy: String::new(),
    }
}
