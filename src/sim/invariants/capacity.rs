//! S11: how much of a group stays, counted from what landed and from the machines themselves.

use super::{Inspector, Landing};
use crate::effect::{Effect, Weight};
use crate::incident::{AttemptResult, Incident};
use crate::sim::account::Account;

impl Inspector {
    /// S11: nine tenths of a group stay, all but one in groups under ten. What has been missing for other reasons for so long
    /// that every look showed it counts as out.
    pub(super) fn above_the_floor(&mut self, landing: &Landing<'_>) {
        let world = &landing.account.world;
        let node = landing.sent.node;
        let Some(capacity) = world.capacity(node) else { return };
        let others = landing.account.ledger.open().filter(|other| other.id != landing.sent.incident);
        let out =
            others.filter(|other| world.shares_capacity(node, other.node) && taken_out(landing.account, other)).count();
        let out = u32::try_from(out).unwrap_or(u32::MAX).saturating_add(1);
        let missing = capacity.of.saturating_sub(capacity.existing);
        let most = if capacity.of < 10 { 1 } else { capacity.of / 10 };
        if out.saturating_add(missing) > most {
            let of = capacity.of;
            self.breach("S11", landing, || {
                format!("as number {out} out of {of}, with {missing} missing, at most {most}")
            });
        }
    }
}

/// Whether the node of an incident is out for repair by our hand, and still there: one that is gone is missing instead.
fn taken_out(account: &Account, incident: &Incident) -> bool {
    let Some(truth) = account.world.truth(incident.node).filter(|truth| truth.exists) else { return false };
    let landed = || account.sent.iter().rev().filter(|sent| sent.incident == incident.id && sent.landed);
    let last = |take: Effect, back: Effect| {
        landed().find(|sent| sent.effect == take || sent.effect == back).is_some_and(|sent| sent.effect == take)
    };
    let repairing = incident.attempts.last().is_some_and(|attempt| {
        attempt.result == AttemptResult::Running
            && landed().any(|sent| sent.effect.weight() == Weight::Disruptive && sent.at >= attempt.at)
    });
    repairing
        || truth.draining && last(Effect::Drain, Effect::Activate)
        || truth.standby && last(Effect::EnterStandby, Effect::ExitStandby)
        || truth.stopped && last(Effect::Stop, Effect::Start)
}
