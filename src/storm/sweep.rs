//! What a sweep decides about many nodes: who is looked at, who waits, and which digests are due.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::digest::ROWS_MAX;
use super::{Around, Baseline, Bulletin, Digest, DigestId, DigestKind, Episode, Gather, Haunt, Limits, Row, Situation};
use crate::engine::{Context, Trigger};
use crate::event::{HealthCheck, Signal, SignalKind};
use crate::guard::shared::Peer;
use crate::incident::held::Ghost;
use crate::node::NodeId;
use crate::plan;
use crate::policy::Mode;
use crate::policy::standing::News;
use crate::ports::{Found, OutboxItem, Post, ReportId, Survey};
use crate::time::secs_between;

/// Between two digests about the same thing, in seconds.
const APART_SECS: i64 = 15 * 60;
/// What has been dead for so long when the first sweep finds it is no news, in seconds.
const LONG_DEAD_SECS: i64 = 3_600;
/// A report about a command is held back for so long, in seconds: those of the other nodes come within minutes.
const COMMAND_HELD_SECS: i64 = 4 * 60;
/// A command is forgotten so long after it was last told of, in seconds.
const COMMAND_KEPT_SECS: i64 = 3_600;
/// A container instance whose EC2 instance has been gone for so long is left over, in seconds.
const GHOST_SECS: i64 = 3_600;
/// Nodes that one sweep starts to look at, at most: the next sweep comes in five minutes.
const FOLLOW_MAX: u32 = 200;

/// What a sweep leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// What is saved about the whole account; none where nothing changed.
    pub post: Option<Post>,
    /// The passes that follow.
    pub follow: Vec<Trigger>,
}

/// Decides what follows from what a sweep saw.
#[must_use]
pub fn sweep(survey: &Survey, context: &Context, now: Timestamp) -> Sweep {
    let limits = Limits::of(&context.policy);
    let before = &survey.around.bulletin;
    let mut draft = Draft {
        next: Bulletin::clone(before),
        survey,
        context,
        now,
        digests: Vec::new(),
        told: Vec::new(),
        release: Vec::new(),
    };
    draft.next.fleet = survey.fleet;
    draft.next.breaker.tidy(now, &limits.breaker);
    draft.baseline();
    draft.policy();
    draft.ghosts();
    let turns = draft.turns();
    for signal in turns.shelve.iter().filter(|signal| signal.kind.is_beyond_a_blip()) {
        draft.next.breaker.troubled(signal.node, now, &limits.breaker, survey.fleet);
    }
    draft.episodes(turns.shelved);
    let Draft { mut next, digests, told, release, .. } = draft;
    let Turns { go, shelve, unshelve, .. } = turns;
    let lists =
        !(digests.is_empty() && told.is_empty() && release.is_empty() && shelve.is_empty() && unshelve.is_empty());
    let post = (lists || next != **before).then(|| {
        let expect = before.version;
        next.version = expect.saturating_add(1);
        Post { expect, next: Arc::new(next), limits: limits.breaker, digests, told, release, shelve, unshelve }
    });
    let overdue = survey.overdue.iter().copied().map(Trigger::Wake);
    Sweep { post, follow: overdue.chain(go.into_iter().map(Trigger::Signal)).collect() }
}

/// Whose turn it is to be looked at.
struct Turns {
    go: Vec<Signal>,
    shelve: Vec<Signal>,
    unshelve: Vec<NodeId>,
    /// Nodes that are on the shelf afterwards.
    shelved: u32,
}

struct Draft<'a> {
    next: Bulletin,
    survey: &'a Survey,
    context: &'a Context,
    now: Timestamp,
    digests: Vec<Arc<Digest>>,
    told: Vec<ReportId>,
    release: Vec<ReportId>,
}

impl Draft<'_> {
    fn around(&self) -> &Around {
        &self.survey.around
    }

    /// The first sweep tells of what was dead long before, once; later ones forget what came back.
    fn baseline(&mut self) {
        let survey = self.survey;
        if let Some(baseline) = &mut self.next.baseline {
            let still: BTreeSet<NodeId> = survey.troubled.iter().map(|found| found.signal.node).collect();
            baseline.nodes.retain(|node| still.contains(node));
            return;
        }
        planted!(NoBaseline => {
            self.next.baseline = Some(Baseline { at: self.now, nodes: Vec::new() });
            return;
        });
        let long = |since: Option<Timestamp>| since.is_none_or(|since| secs_between(since, self.now) >= LONG_DEAD_SECS);
        let nodes: Vec<NodeId> =
            survey.troubled.iter().filter(|found| long(found.since)).map(|found| found.signal.node).collect();
        if !nodes.is_empty() {
            let rows = nodes.iter().map(|node| Row::of_node(*node)).collect();
            let id = DigestId { kind: DigestKind::Baseline, since: self.now, index: 0, n: 1 };
            let open = number(nodes.len());
            let digest = self.digest(id, rows);
            self.digests.push(Arc::new(Digest { open, ..digest }));
        }
        self.next.baseline = Some(Baseline { at: self.now, nodes });
    }

    /// What there is to tell of the policy document, each piece once.
    fn policy(&mut self) {
        let told = usize::try_from(self.next.policy_told).unwrap_or(usize::MAX);
        for (nth, (at, news)) in self.survey.policy_news.iter().enumerate().skip(told) {
            // The end of a problem belongs to its thread.
            let (since, n, over) = match news {
                News::Problem(problem) => (problem.at, 1, false),
                News::Mended { fallen } => (fallen.since, 2, true),
            };
            planted!(ForgetPolicyNews => continue);
            let id = DigestId { kind: DigestKind::Policy, since, index: 0, n };
            let digest = self.digest(id, Vec::new());
            self.digests.push(Arc::new(Digest { at: *at, over, policy: Some(news.clone()), ..digest }));
            self.next.policy_told = number(nth.saturating_add(1));
        }
    }

    /// What is left of instances that are gone, each told once. ECS removes most of it by itself, and so does a replacement of ours.
    fn ghosts(&mut self) {
        let (now, survey) = (self.now, self.survey);
        let before = std::mem::take(&mut self.next.ghosts);
        let seen = survey.ghosts.iter().take(ROWS_MAX);
        self.next.ghosts = seen
            .map(|ghost| {
                let known = before.iter().find(|known| known.container_instance == ghost.container_instance);
                let new = || Haunt { container_instance: ghost.container_instance.clone(), since: now, told: false };
                known.cloned().unwrap_or_else(new)
            })
            .collect();
        let ours = |node| survey.around.peers.iter().any(|peer| peer.incident.node() == node);
        let is_due = |ghost: &&Ghost, haunts: &[Haunt]| {
            let of = haunts.iter().find(|known| known.container_instance == ghost.container_instance);
            of.is_some_and(|known| !known.told && secs_between(known.since, now) >= GHOST_SECS) && !ours(ghost.node)
        };
        let due: Vec<Ghost> = survey.ghosts.iter().filter(|ghost| is_due(ghost, &self.next.ghosts)).cloned().collect();
        if due.is_empty() {
            return;
        }
        for known in &mut self.next.ghosts {
            known.told |= due.iter().any(|ghost| ghost.container_instance == known.container_instance);
        }
        let id = DigestId { kind: DigestKind::Ghosts, since: now, index: 0, n: 1 };
        let digest = self.digest(id, due.iter().map(|ghost| Row::of_node(ghost.node)).collect());
        self.digests.push(Arc::new(Digest { open: number(due.len()), ghosts: due.into(), ..digest }));
    }

    /// Who waited longest comes first, as far as there is room; the rest waits, and costs no call.
    fn turns(&self) -> Turns {
        let survey = self.survey;
        let waiting: BTreeSet<NodeId> = survey.waiting.iter().map(|signal| signal.node).collect();
        if self.context.policy.highest_mode() == Mode::Off {
            // Nobody has a turn, so nobody waits for one.
            return Turns { go: Vec::new(), shelve: Vec::new(), unshelve: waiting.into_iter().collect(), shelved: 0 };
        }
        let news = survey
            .troubled
            .iter()
            .filter(|found| !plan::is_no_news(&found.signal, found.last.as_ref(), self.context, self.now));
        let told = |found: &Found| plan::told_already(&found.signal, found.last.as_ref(), self.context, self.now);
        let untold = survey.troubled.iter().filter(|found| !told(found));
        let troubled: BTreeSet<NodeId> = untold.map(|found| found.signal.node).collect();
        // Who got well while waiting, or was told of, needs no look: what a sweep can see, it has just seen.
        let well = |signal: &&Signal| seen_by_sweeps(signal) && !troubled.contains(&signal.node);
        let fresh = news.filter(|found| {
            let node = found.signal.node;
            !self.next.is_baseline(node) && !waiting.contains(&node)
        });
        // What is as it was told has its look where there is room for it, and waits for none.
        let (as_told, fresh): (Vec<&Found>, Vec<&Found>) =
            fresh.partition(|found| plan::is_as_told(&found.signal, found.last.as_ref(), self.context, self.now));
        let fresh = fresh.into_iter().map(|found| &found.signal);
        let as_told = as_told.into_iter().map(|found| &found.signal);
        let room = self.around().room(&self.context.policy).min(FOLLOW_MAX);
        planted!(ForgetTheShelf => {
            let go = fresh.chain(as_told).cloned().collect();
            return Turns { go, shelve: Vec::new(), unshelve: Vec::new(), shelved: number(waiting.len()) };
        });
        #[cfg(feature = "plants")]
        let room = if crate::plants::on(crate::plants::Plant::NoActiveCap) { FOLLOW_MAX } else { room };
        let mut queue = survey.waiting.iter().filter(|signal| !well(signal)).chain(fresh);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut go: Vec<Signal> = queue.by_ref().take(room).cloned().collect();
        go.extend(as_told.take(room.saturating_sub(go.len())).cloned());
        let have_a_turn = go.iter().map(|signal| signal.node).filter(|node| waiting.contains(node));
        let unshelve: Vec<NodeId> =
            have_a_turn.chain(survey.waiting.iter().filter(well).map(|signal| signal.node)).collect();
        let shelve: Vec<Signal> = queue.filter(|signal| !waiting.contains(&signal.node)).cloned().collect();
        let shelved = waiting.len().saturating_add(shelve.len()).saturating_sub(unshelve.len());
        Turns { go, shelve, unshelve, shelved: number(shelved) }
    }

    /// Begins, tells and ends what many nodes have to do with.
    fn episodes(&mut self, shelved: u32) {
        for about in self.subjects(shelved) {
            if self.next.episode(&about).is_none() {
                let kind = DigestKind::of(&about);
                let same = self.next.episodes.iter().filter(|known| DigestKind::of(&known.about) == kind);
                let index = number(same.filter(|known| known.since == self.now).count());
                let (since, last) = (self.now, Situation::default());
                self.next.episodes.push(Episode { about, since, index, told_at: None, told: 0, last });
            }
        }
        let episodes = std::mem::take(&mut self.next.episodes);
        self.next.episodes = episodes.into_iter().filter_map(|episode| self.episode(episode, shelved)).collect();
    }

    /// Everything that goes on, or has reports that wait.
    fn subjects(&self, shelved: u32) -> BTreeSet<Gather> {
        let items = self.survey.gathered.iter().filter_map(|item| item.gather.clone());
        let shared = self.around().peers.iter().filter_map(|peer| peer.shared.clone().map(Gather::Shared));
        let storm = self.goes_on(&Gather::Storm, shelved).then_some(Gather::Storm);
        items.chain(shared).chain(storm).collect()
    }

    fn goes_on(&self, about: &Gather, shelved: u32) -> bool {
        match about {
            Gather::Storm => !self.next.breaker.trips.is_empty() || self.around().parked.saturating_add(shelved) > 0,
            Gather::Shared(factor) => self.around().peers.iter().any(|peer| peer.shared.as_ref() == Some(factor)),
            Gather::Command(_) => false,
        }
    }

    /// Tells of an episode when that is due. None: it is over.
    fn episode(&mut self, mut episode: Episode, shelved: u32) -> Option<Episode> {
        let now = self.now;
        let about = episode.about.clone();
        let items: Vec<Arc<OutboxItem>> =
            self.survey.gathered.iter().filter(|item| item.gather.as_ref() == Some(&about)).cloned().collect();
        let over = !self.goes_on(&about, shelved);
        let situation = self.situation(&about, shelved);
        if let Gather::Command(_) = &about {
            let held = items.iter().map(|item| secs_between(item.report.at, now)).max().unwrap_or(0);
            if items.is_empty() {
                let told = episode.told_at.is_some_and(|at| secs_between(at, now) < COMMAND_KEPT_SECS);
                return told.then_some(episode);
            }
            if held < COMMAND_HELD_SECS {
                return Some(episode);
            }
            if items.len() == 1 && episode.told == 0 {
                // It stayed the only node of its command: its report goes out as it is.
                self.release.extend(items.iter().map(|item| item.id));
                return None;
            }
        }
        let apart = episode.told_at.is_none_or(|at| secs_between(at, now) >= APART_SECS);
        #[cfg(feature = "plants")]
        let apart = apart || crate::plants::on(crate::plants::Plant::DigestEachSweep);
        let last = episode.last;
        let news = !items.is_empty()
            || situation.trips != last.trips
            || situation.open > last.open
            || situation.waiting > last.waiting;
        let ends = over && !matches!(about, Gather::Command(_));
        let due = if episode.told == 0 { news } else { apart && (news || ends) };
        if !due {
            // What was never told and is over already is not worth a message.
            let forgotten = over && items.is_empty() && episode.told == 0;
            return (!forgotten).then_some(episode);
        }
        episode.told = episode.told.saturating_add(1);
        (episode.told_at, episode.last) = (Some(now), situation);
        let digest = self.tell(&episode, &items, ends, situation);
        self.digests.push(Arc::new(digest));
        planted!(ForgetGathered => if episode.told > 1 {
            self.digests.pop();
        });
        self.told.extend(items.iter().map(|item| item.id));
        (!ends).then_some(episode)
    }

    fn situation(&self, about: &Gather, shelved: u32) -> Situation {
        let peers = &self.around().peers;
        let count = |is: &dyn Fn(&Peer) -> bool| number(peers.iter().filter(|peer| is(peer)).count());
        match about {
            Gather::Storm => Situation {
                trips: number(self.next.breaker.trips.len()),
                open: count(&|peer| peer.beyond_a_blip),
                waiting: self.around().parked.saturating_add(shelved),
            },
            Gather::Shared(factor) => {
                Situation { open: count(&|peer| peer.shared.as_ref() == Some(factor)), ..Situation::default() }
            }
            Gather::Command(command) => {
                Situation { open: count(&|peer| peer.command.as_ref() == Some(command)), ..Situation::default() }
            }
        }
    }

    /// What is told of an episode.
    fn tell(&self, episode: &Episode, items: &[Arc<OutboxItem>], over: bool, situation: Situation) -> Digest {
        let about = &episode.about;
        let id = DigestId { kind: DigestKind::of(about), since: episode.since, index: episode.index, n: episode.told };
        let mut rows: Vec<Row> = Vec::with_capacity(items.len());
        for item in items {
            // The latest of an incident's reports says how it stands.
            rows.retain(|row| row.incident != Some(item.id.incident));
            rows.push(Row::of_report(item));
        }
        let concerned = |peer: &&Peer| match about {
            Gather::Storm => peer.beyond_a_blip,
            Gather::Shared(factor) => peer.shared.as_ref() == Some(factor),
            Gather::Command(_) => false,
        };
        let known: BTreeSet<NodeId> = rows.iter().map(|row| row.node).collect();
        let open = self.around().peers.iter().filter(concerned).filter(|peer| !known.contains(&peer.incident.node()));
        rows.extend(open.map(|peer| Row { incident: Some(peer.incident), ..Row::of_node(peer.incident.node()) }));
        let digest = self.digest(id, rows);
        let trips = self.next.breaker.trips.iter().map(|trip| (trip.why.clone(), trip.until));
        let document = items.iter().find_map(|item| document_of(item));
        Digest {
            over,
            trips: if *about == Gather::Storm { trips.collect() } else { Vec::new() },
            factor: match about {
                Gather::Shared(factor) => Some(factor.clone()),
                Gather::Storm | Gather::Command(_) => None,
            },
            command: match about {
                Gather::Command(command) => Some((command.clone(), document)),
                Gather::Storm | Gather::Shared(_) => None,
            },
            open: situation.open,
            waiting: situation.waiting,
            ..digest
        }
    }

    fn digest(&self, id: DigestId, mut rows: Vec<Row>) -> Digest {
        let more = number(rows.len().saturating_sub(ROWS_MAX));
        rows.truncate(ROWS_MAX);
        let home = &self.context.home;
        Digest {
            id,
            at: self.now,
            account: home.account,
            region: home.region.clone(),
            mode: self.context.policy.mode,
            over: false,
            trips: Vec::new(),
            factor: None,
            command: None,
            policy: None,
            ghosts: Arc::default(),
            fleet: self.survey.fleet,
            open: 0,
            waiting: 0,
            rows: rows.into(),
            more,
        }
    }
}

/// Whether sweeps see the trouble that a signal tells of, and so its end.
fn seen_by_sweeps(signal: &Signal) -> bool {
    match &signal.kind {
        SignalKind::Swept { .. } | SignalKind::EcsDisconnected { .. } => true,
        SignalKind::EcsHealthImpaired { check, .. } => *check == HealthCheck::AgentConnectivity,
        SignalKind::CommandTrouble { .. }
        | SignalKind::CommandSucceeded
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsConnected
        | SignalKind::SessionRefused
        | SignalKind::Gone { .. } => false,
    }
}

impl Row {
    fn of_node(node: NodeId) -> Self {
        Self { node, name: None, incident: None, outcome: None, cause: None }
    }

    fn of_report(item: &OutboxItem) -> Self {
        let incident = &item.report.incident;
        Self {
            node: incident.node,
            name: incident.place.name.clone(),
            incident: Some(incident.id),
            outcome: Some(item.id.outcome),
            cause: incident.diagnosis.as_ref().map(|found| found.cause),
        }
    }
}

/// The document of the command that an incident began with.
fn document_of(item: &OutboxItem) -> Option<crate::node::DocumentName> {
    item.report.incident.symptoms.iter().find_map(|symptom| match &symptom.kind {
        SignalKind::CommandTrouble { document, .. } => Some(document.clone()),
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthImpaired { .. }
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsDisconnected { .. }
        | SignalKind::EcsConnected
        | SignalKind::SessionRefused
        | SignalKind::Swept { .. }
        | SignalKind::Gone { .. } => None,
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
