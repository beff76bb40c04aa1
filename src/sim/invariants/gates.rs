//! The rails of a group and of a stop, judged by what was true of the machine and its group when the effect landed.
//!
//! What AWS refuses by itself (a stop of a Spot instance, a Standby below the minimum) never lands, so nothing is judged there.

use super::{GRACE_SECS, Inspector, Landing};
use crate::effect::{Effect, Weight};
use crate::incident::{Event, Incident};
use crate::policy::{AddressRule, LeftRule};
use crate::time::secs_between;

/// A connected agent that has been back for less than this, in seconds, may have been away when the drain ended.
const BACK_SECS: i64 = 150;

impl Inspector {
    /// Every gate, of every effect that is no restoring one.
    pub(super) fn through_the_gates(&mut self, landing: &Landing<'_>) {
        match landing.sent.effect {
            Effect::Stop => self.never_stopped_in_vain(landing),
            Effect::Terminate => self.never_against_the_group(landing),
            Effect::Probe
            | Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime
            | Effect::Drain
            | Effect::Activate
            | Effect::EnterStandby
            | Effect::ExitStandby
            | Effect::Reboot
            | Effect::Start
            | Effect::Deregister => {}
        }
        self.never_on_what_a_drain_left(landing);
        self.never_on_what_a_drain_is_ending(landing);
    }

    /// What a stop would destroy, or what would not start again, is not stopped; a member of a group only in Standby.
    fn never_stopped_in_vain(&mut self, landing: &Landing<'_>) {
        let truth = landing.truth;
        let gates = truth.stop;
        for (stands, what) in [
            (gates.instance_store_data, "and erased the data on its instance store"),
            (gates.volume_key, "though nothing grants the key of its volume"),
            (gates.start_denied, "though it may not be started again"),
            (truth.in_service, "on a member that was in service, which its group replaces"),
        ] {
            if stands {
                self.breach("rail", landing, || what.to_owned());
            }
        }
        let alone = landing.account.world.stands_in(landing.sent.node).is_some_and(|place| place.group.is_none());
        let keeps = !landing.allowed(|policy| policy.address_change == AddressRule::Allow);
        if gates.public_address_changes && alone && keeps {
            self.breach("rail", landing, || "and changed a public address that the policy keeps".to_owned());
        }
    }

    /// A group that has not launched or terminated anything for so long that every look showed it is not asked to.
    fn never_against_the_group(&mut self, landing: &Landing<'_>) {
        if let Some(since) = landing.truth.suspended_since
            && secs_between(since, landing.sent.at) > GRACE_SECS
        {
            self.breach("rail", landing, || format!("though its group has been suspended since {since}"));
        }
    }

    /// A drain that was called empty was empty: nothing that it had told to stop was still at work.
    fn never_on_what_a_drain_is_ending(&mut self, landing: &Landing<'_>) {
        let ours = landing.incident.filter(|incident| incident.holds.draining);
        let Some((at, _)) = ours.and_then(drained).filter(|(_, left)| *left == 0) else { return };
        let truth = landing.truth;
        let Some((since, up_since)) = truth.stopping_since.zip(truth.ecs_up_since) else { return };
        let seen = secs_between(since, at) > GRACE_SECS && secs_between(up_since, at) > BACK_SECS;
        if seen && landing.sent.effect.weight() == Weight::Disruptive {
            self.breach("rail", landing, || format!("on tasks that have been stopping since {since}"));
        }
    }

    /// Where the policy gives back what a drain did not empty, nothing disruptive follows such a drain.
    fn never_on_what_a_drain_left(&mut self, landing: &Landing<'_>) {
        let goes_on = landing.allowed(|policy| policy.workload.left == LeftRule::GoOn);
        let ours = landing.incident.filter(|incident| incident.holds.draining);
        let Some((at, left)) = ours.and_then(drained).filter(|(_, left)| *left > 0) else { return };
        let Some(up_since) = landing.truth.ecs_up_since.filter(|_| !goes_on && landing.truth.tasks > 0) else { return };
        if secs_between(up_since, at) > BACK_SECS && landing.sent.effect.weight() == Weight::Disruptive {
            self.breach("rail", landing, || format!("though the drain had left {left} tasks"));
        }
    }
}

/// When the last drain of an incident ended, and with how many tasks left.
fn drained(incident: &Incident) -> Option<(jiff::Timestamp, u32)> {
    incident.history.iter().rev().find_map(|entry| match entry.event {
        Event::Drained { left } => Some((entry.at, left)),
        _ => None,
    })
}
