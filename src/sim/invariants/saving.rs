//! Promises about a record at the moment it is saved.

use jiff::Timestamp;

use super::ending::was_resting;
use super::{GRACE_SECS, Inspector};
use crate::effect::Effect;
use crate::event::SignalKind;
use crate::incident::{Ending, Incident, Outcome, Phase, Remedy};
use crate::sim::account::Account;
use crate::time::secs_between;

/// How the names of Defib's own documents begin.
const OWN_DOCUMENTS: &str = "Defib-";

impl Inspector {
    pub(super) fn check_saved(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        self.one_incident_a_node(saved, now);
        self.never_gone_by_our_own_hand(account, saved, now);
        self.not_too_many_at_once(account, now);
        self.follow_quarantine(saved);
        self.what_helped_was_seen_to_help(account, saved, now);
        if saved.version <= 1 {
            self.never_old_news(account, saved, now);
            self.opened.entry(saved.id).or_insert(saved.first_seen);
            self.never_of_our_own_making(account, saved, now);
            self.never_on_what_we_ended(account, saved, now);
            self.found_in_time(account, saved, now);
        }
    }

    /// S5: at most one open incident a node.
    fn one_incident_a_node(&mut self, saved: &Incident, now: Timestamp) {
        self.open.retain(|(_, id)| *id != saved.id);
        if !saved.is_closed() {
            self.open.push((saved.node, saved.id));
        }
        let open = self.open.iter().filter(|(node, _)| *node == saved.node).count();
        if open > 1 {
            self.broken("S5", now, Some(saved.node), || format!("{open} open incidents at once"));
        }
    }

    /// S15: what we stopped or terminated ourselves is not gone.
    fn never_gone_by_our_own_hand(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        let gone = matches!(&saved.phase, Phase::Closed { ending, .. } if ending.outcome() == Outcome::Gone);
        // What had come to rest was told, and nobody works on it any more.
        if !gone || was_resting(saved) {
            return;
        }
        let ours = account.sent.iter().rev().find(|sent| {
            let stops = matches!(sent.effect, Effect::Stop | Effect::Start | Effect::Terminate);
            sent.incident == saved.id && sent.landed && stops
        });
        let Some(truth) = account.world.truth(saved.node) else { return };
        let by_us = ours.is_some_and(|sent| match sent.effect {
            Effect::Terminate => true,
            // A person may have terminated what we stopped.
            Effect::Stop => truth.stopped,
            _ => false,
        });
        if by_us {
            self.broken("S15", now, Some(saved.node), || format!("{} ended as gone, by our own hand", saved.id));
        }
    }

    /// L3: nothing that starts the whole node anew is said to have helped while AWS has shown it as dead ever since before. (What is
    /// sent to one agent is proven by that agent; the other one may still be away.)
    fn what_helped_was_seen_to_help(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        let Phase::Closed { ending: Ending::Helped { remedy }, .. } = &saved.phase else { return };
        let acted_at = saved.attempts.last().and_then(|attempt| attempt.acted_at);
        let shown = account.world.shown_dead_since(saved.node);
        if let (Some(acted_at), Some(shown), Remedy::Reboot | Remedy::StopStart) = (acted_at, shown, remedy)
            && shown < acted_at
        {
            self.broken("L3", now, Some(saved.node), || format!("{remedy} is said to have helped, dead since {shown}"));
        }
    }

    /// S15: what our own termination leaves behind opens no incident.
    fn never_on_what_we_ended(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        // A person who asks for it anyway is answered, and sees what becomes of it.
        if saved.asked.is_some() {
            return;
        }
        let ours = account
            .sent
            .iter()
            .rev()
            .find(|sent| sent.node == saved.node && sent.landed && sent.effect == Effect::Terminate);
        if let Some(sent) = ours.filter(|sent| secs_between(sent.at, now) > GRACE_SECS) {
            let (before, at) = (sent.incident, sent.at);
            self.broken("S15", now, Some(saved.node), || {
                format!("{} opened, though {before} ended it at {at}", saved.id)
            });
        }
    }

    /// S4: our own commands and documents open no incident.
    fn never_of_our_own_making(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        for symptom in &saved.symptoms {
            if let SignalKind::CommandTrouble { command, document, .. } = &symptom.kind
                && (document.as_str().starts_with(OWN_DOCUMENTS) || account.own_commands.contains(command))
            {
                self.broken("S4", now, Some(saved.node), || format!("our own {document} opened {}", saved.id));
            }
        }
    }
}
