//! The simulated account: machines, the ledger and the mail box, all in memory.

use std::sync::Arc;

use jiff::Timestamp;

use super::world::World;
use crate::effect::{Effect, IntentId};
use crate::event::Signal;
use crate::incident::IncidentId;
use crate::ledger::Ledger;
use crate::node::{CommandId, NodeId};
use crate::observe::{Look, Observation};
use crate::policy::standing::{News, Reading, Remembered};
use crate::ports::{
    Commit, Committed, DocumentPorts, Found, Key, Loaded, OutboxItem, Perform, Performed, PortError, Ports, Post,
    ReportId, Shelve, Survey, Switch,
};
use crate::storm::{Digest, DigestId};

/// Everything that Defib works on, in one process and without a network.
#[derive(Debug)]
pub struct Account {
    /// The machines and the services around them.
    pub world: World,
    /// What Defib remembers.
    pub ledger: Ledger,
    /// What people were sent, in order, repeats included.
    pub published: Vec<(Timestamp, Arc<OutboxItem>)>,
    /// What people were sent about many nodes at once, in order, repeats included.
    pub digests: Vec<(Timestamp, Arc<Digest>)>,
    /// Effects that reached a service, in order.
    pub sent: Vec<Sent>,
    /// Switches that were changed, in order.
    pub switched: Vec<(Timestamp, Switch)>,
    /// The commands that were ours.
    pub own_commands: Vec<CommandId>,
    /// How many commits were saved.
    pub commits: u64,
    /// What stands where the policy document is read.
    pub document: Reading,
}

/// An effect that reached a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// For which incident.
    pub incident: IncidentId,
    /// Under which name.
    pub intent: IntentId,
    /// What.
    pub effect: Effect,
    /// To which node.
    pub node: NodeId,
    /// Whether the service took it, so that it changed something.
    pub landed: bool,
    /// Whether the breaker was open for the whole account.
    pub breaker_open: bool,
}

impl Account {
    /// An account with these machines, and with an empty ledger.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self {
            world,
            ledger: Ledger::default(),
            published: Vec::new(),
            digests: Vec::new(),
            sent: Vec::with_capacity(64),
            switched: Vec::new(),
            own_commands: Vec::new(),
            commits: 0,
            document: Reading::Unused,
        }
    }
}

impl DocumentPorts for Account {
    fn document(&mut self, _now: Timestamp) -> Reading {
        self.document.clone()
    }

    fn remembered(&mut self, _now: Timestamp) -> Result<Remembered, PortError> {
        Ok(self.ledger.remembered().clone())
    }

    fn remember(&mut self, next: &Remembered, news: Option<&News>, now: Timestamp) -> Result<bool, PortError> {
        Ok(self.ledger.remember(next, news, now))
    }
}

impl Ports for Account {
    fn load(&mut self, key: Key, _now: Timestamp) -> Result<Loaded, PortError> {
        Ok(self.ledger.load(key))
    }

    fn observe(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        self.world.advance(now);
        self.world.observe(node, look, now)
    }

    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Committed, PortError> {
        let committed = self.ledger.commit(commit, now);
        if committed == Committed::Saved {
            self.commits += 1;
        }
        Ok(committed)
    }

    fn perform(&mut self, perform: &Perform, now: Timestamp) -> Performed {
        let too_late = now > perform.not_after;
        #[cfg(feature = "plants")]
        let too_late = too_late && !crate::plants::on(crate::plants::Plant::NoPrecheck);
        if too_late {
            return Performed::TooLate;
        }
        self.world.advance(now);
        let answer = self.world.perform(perform.effect, &perform.target, now);
        let landed = match &answer {
            Performed::Done { command } => {
                self.own_commands.extend(command.iter().cloned());
                true
            }
            Performed::Refused | Performed::TooLate | Performed::Unknown => false,
        };
        let trips = &self.ledger.bulletin().breaker.trips;
        self.sent.push(Sent {
            at: now,
            incident: perform.incident,
            intent: perform.intent,
            effect: perform.effect,
            node: perform.target.node,
            landed,
            breaker_open: trips.iter().any(|trip| trip.why.is_storm() && now < trip.until),
        });
        answer
    }

    fn publish(&mut self, item: &Arc<OutboxItem>, now: Timestamp) -> Result<(), PortError> {
        self.published.push((now, Arc::clone(item)));
        Ok(())
    }

    fn mark_sent(&mut self, id: ReportId, _now: Timestamp) -> Result<(), PortError> {
        self.ledger.mark_sent(id);
        Ok(())
    }

    fn survey(&mut self, now: Timestamp) -> Result<Survey, PortError> {
        self.world.advance(now);
        let mut troubled = self.world.troubled(now);
        troubled.retain(|signal| !self.ledger.has_open(signal.node));
        let found = |signal: Signal| {
            let last = self.ledger.last(signal.node).cloned();
            Found { since: self.world.shown_since(signal.node), last, signal }
        };
        Ok(Survey {
            troubled: troubled.into_iter().map(found).collect(),
            overdue: self.ledger.overdue(now),
            fleet: self.world.fleet_size(),
            ghosts: self.world.ghosts(),
            waiting: self.ledger.shelf().to_vec(),
            gathered: self.ledger.gathered().to_vec(),
            digests: self.ledger.digests().to_vec(),
            policy_news: self.ledger.policy_news().to_vec(),
            around: self.ledger.around(),
        })
    }

    fn shelve(&mut self, shelve: &Shelve, now: Timestamp) -> Result<(), PortError> {
        self.ledger.shelve(shelve, now);
        Ok(())
    }

    fn post(&mut self, post: &Post, now: Timestamp) -> Result<Committed, PortError> {
        Ok(self.ledger.post(post, now))
    }

    fn publish_digest(&mut self, digest: &Arc<Digest>, now: Timestamp) -> Result<(), PortError> {
        self.digests.push((now, Arc::clone(digest)));
        Ok(())
    }

    fn mark_digest_sent(&mut self, id: DigestId, _now: Timestamp) -> Result<(), PortError> {
        self.ledger.mark_digest_sent(id);
        Ok(())
    }

    fn switch(&mut self, switch: Switch, now: Timestamp) -> Result<(), PortError> {
        self.ledger.switch(switch);
        self.switched.push((now, switch));
        Ok(())
    }
}
