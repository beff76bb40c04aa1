//! L3: what a permitted remedy can cure gets cured, unless a rail or L1 ends it first.
//!
//! Asked of every node that is still ill when everything has come to rest, by what is true of it. Whatever excuses Defib is named
//! here, with its reason; what has no excuse is a broken promise.

use jiff::Timestamp;

use super::Inspector;
use crate::diagnose::{Family, diagnose};
use crate::effect::Effect;
use crate::guard::{Refusal, Resource, gates, mode};
use crate::incident::{AttemptResult, Ending, Event, Incident, Phase, Remedy, Then};
use crate::node::NodeId;
use crate::observe::{Health, Look, Observation, Standing};
use crate::plan::ladder;
use crate::policy::Mode;
use crate::sim::account::Account;
use crate::sim::ailment::{Ailment, SsmFace};
use crate::time::secs_between;

/// An ending this soon after the fault may still tell of the one before, in seconds.
const NEW_FAULT_SECS: i64 = 600;
/// An examination this long that began in the calm had nothing in its way, in seconds.
const EXAMINATION_SECS: i64 = 30 * 60;
/// A change of mode or tags is noticed so soon after the end of an incident, in seconds: an hour, two sweeps, and the look.
const NOTICED_SECS: i64 = 3_600 + 900;
/// A day.
const DAY_SECS: i64 = 24 * 3_600;

/// Why a node may stay ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// It is being treated still; that it ends is L1's.
    UnderWay,
    /// No incident has ended since the fault began; that it is found is L6's.
    NotFound,
    /// The fault came while the incident was ending.
    JustNow,
    /// Nothing is to be seen of it from outside: the agents answer, and nobody asks a host that answers.
    Hidden,
    /// A rail refused for good, or for longer than an incident may wait, or the mode only tells.
    Rail,
    /// A rate, or the day's quarantine.
    Quarantine,
    /// It took as long as it may: L1.
    Time,
    /// What was taken could not be given back; S14 asks for a person.
    Taken,
    /// A person closed it.
    Person,
    /// The instance was gone, or on its way.
    Gone,
    /// Every curing remedy that could be carried out was tried since the fault began.
    Tried,
    /// No curing remedy may be tried: the ladder has been climbed past it, or it is beyond the mode, or nothing can carry it out.
    OutOfReach,
    /// Something went wrong with the looks while it was decided.
    Blinded,
}

impl Inspector {
    /// Remembers when an end was decided, where something has to be given back first.
    pub(super) fn follow_decision(&mut self, saved: &Incident) {
        match &saved.phase {
            Phase::Draining { intent, then: Then::End(_), .. } | Phase::Standby { intent, then: Then::End(_), .. } => {
                self.decided.entry(saved.id).or_insert(intent.committed_at);
            }
            // It has come to its end.
            Phase::Resting { .. } | Phase::Closed { .. } => {}
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Parked { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => {
                self.decided.remove(&saved.id);
            }
        }
    }

    /// L3, once everything has come to rest.
    pub fn check_cures(&mut self, account: &mut Account, calm_since: Timestamp, now: Timestamp) {
        #[cfg(feature = "plants")]
        let _judging = crate::plants::Planted::new(None);
        let nodes: Vec<NodeId> = account.world.nodes().collect();
        for node in nodes {
            let Some(truth) = account.world.truth(node).filter(|truth| truth.running) else { continue };
            let (Some(ailment), Some(since)) = (truth.ailment, truth.ailment_since) else { continue };
            if ailment.is_harmless() || ailment.profile().cures.is_empty() || since >= calm_since {
                continue;
            }
            let seen = account.world.observe(node, &Look::closely(), now);
            let last = account.ledger.incidents().filter(|incident| incident.node == node).last();
            let ill = Ill { ailment, since, prepared: truth.prepared, seen: &seen, calm_since, now };
            if self.excuse(account, last.map(AsRef::as_ref), &ill).is_none() {
                let told = last.and_then(|incident| incident.ending()).map(|ending| format!("{ending:?}"));
                let id = last.map(|incident| incident.id.to_string()).unwrap_or_default();
                let cause = ailment.cause();
                self.broken("L3", now, Some(node), || {
                    format!("ill with {cause} since {since}, which {:?} cures, and {id} ended as {told:?}", cures(&ill))
                });
            }
        }
    }

    /// Why it may stay ill, if there is a reason.
    fn excuse(&self, account: &Account, last: Option<&Incident>, ill: &Ill<'_>) -> Option<Excuse> {
        let Some(incident) = last else { return Some(Excuse::NotFound) };
        let (ending, at) = match &incident.phase {
            Phase::Closed { ending, at } => (ending, *at),
            Phase::Resting { why, since, .. } => (why, *since),
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Parked { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => return Some(Excuse::UnderWay),
        };
        if at <= ill.since {
            return Some(Excuse::NotFound);
        }
        match ending {
            Ending::Refused { refusal: Refusal::Quarantined { .. } } | Ending::Quarantined { .. } => {
                Self::cycled_before(account, incident.node, at).then_some(Excuse::Quarantine)
            }
            Ending::WouldHave { .. } => self.forbidden((account, at), ill, |mode| mode <= Mode::Observe),
            Ending::Refused { refusal: Refusal::ModeTooLow { mode: before, .. } } => {
                self.forbidden((account, at), ill, |mode| mode <= *before)
            }
            Ending::Refused {
                refusal: Refusal::NotOptedIn { resource: Resource::Instance } | Refusal::OptedOut { .. },
            } => self.forbidden((account, at), ill, |mode| mode <= Mode::Observe),
            Ending::Refused { refusal: Refusal::NotOptedIn { .. } } => {
                self.forbidden((account, at), ill, |mode| mode <= Mode::Cycle)
            }
            // A stop that is left out excuses nothing else.
            Ending::Refused { refusal: Refusal::Stop { .. } } => self.tried(incident, at, ill),
            Ending::Refused { .. } | Ending::WaitedTooLong { .. } => Some(Excuse::Rail),
            Ending::DoesNotStart | Ending::NotGivenBack => Some(Excuse::Taken),
            // Given back in the end, while a person was asked already.
            Ending::LadderExhausted if was_taken(incident) => Some(Excuse::Taken),
            Ending::ClosedBy { .. } => Some(Excuse::Person),
            Ending::Gone => Some(Excuse::Gone),
            // Whoever says that it is well was shown nothing else; what AWS shows is L6's.
            Ending::SelfHealed
            | Ending::Helped { .. }
            | Ending::ScriptTimedOut
            | Ending::SessionGaveUp
            | Ending::CommandRejected => Some(Excuse::Hidden),
            Ending::TooLong => self.time(incident, at, ill),
            Ending::CauseNotOurs | Ending::LadderExhausted => self.tried(incident, at, ill),
        }
    }

    /// Whether anything disruptive was sent to a node within a day: without, no quarantine is due, whatever its limit.
    fn cycled_before(account: &Account, node: NodeId, at: Timestamp) -> bool {
        let day = |sent: Timestamp| sent <= at && secs_between(sent, at) < DAY_SECS;
        let of_node = account.ledger.incidents().filter(|incident| incident.node == node);
        of_node
            .flat_map(|incident| incident.attempts.iter())
            .any(|attempt| attempt.remedy.is_disruptive() && attempt.acted_at.is_some_and(day))
    }

    /// Whether the mode that people mean forbids it still. What they changed is noticed within the hour.
    fn forbidden(
        &self,
        (account, at): (&Account, Timestamp),
        ill: &Ill<'_>,
        forbids: impl Fn(Mode) -> bool,
    ) -> Option<Excuse> {
        // No sweep lists it, and its event came while the mode was another one; or sweeps leave it, as it was dead before the
        // first of them.
        let baseline = account.ledger.bulletin().is_baseline(ill.seen.node);
        if baseline || account.world.shown_dead_since(ill.seen.node).is_none() {
            return Some(Excuse::Hidden);
        }
        let node = ill.seen.node;
        let muted = [account.ledger.muted_until(node), account.world.muted_until(node)].into_iter().flatten().max();
        let free_since = at.max(ill.calm_since).max(muted.unwrap_or(at));
        if secs_between(free_since, ill.now) < NOTICED_SECS {
            return Some(Excuse::JustNow);
        }
        let policy = self.policy_of(ill.seen);
        // What was told waits for no place, so it is looked at where there is always one.
        let places = usize::try_from(policy.budgets.watched_incidents).unwrap_or(usize::MAX);
        if places < account.world.nodes().count() {
            return Some(Excuse::Rail);
        }
        let mode = mode::allowed(ill.seen, &policy);
        forbids(mode).then_some(Excuse::Rail)
    }

    /// The incident's own limit; or an examination that came to no certain end, which needs a reason.
    fn time(&self, incident: &Incident, at: Timestamp, ill: &Ill<'_>) -> Option<Excuse> {
        let took = secs_between(incident.first_seen, at) - incident.parked_secs;
        if took > self.stack().incident_max_secs || incident.asked.is_some() {
            return Some(Excuse::Time);
        }
        if secs_between(ill.calm_since, at) < EXAMINATION_SECS {
            return Some(Excuse::Blinded);
        }
        // S1: what answers is not cycled, whatever its host says of itself.
        let health = Health::of(ill.seen, ill.now);
        if health.ssm == Standing::Well && !health.is_ill() {
            return Some(Excuse::Hidden);
        }
        // An agent that comes and goes is never silent for long enough to be certain.
        let flaky = ill.ailment.profile().ssm == SsmFace::Flaky;
        let policy = self.policy_of(ill.seen);
        (flaky || !policy.may_probe(mode::reach(ill.seen, &policy).mode)).then_some(Excuse::OutOfReach)
    }

    /// An end that says that nothing more can be done: honest only if what cures was tried, or cannot be.
    fn tried(&self, incident: &Incident, at: Timestamp, ill: &Ill<'_>) -> Option<Excuse> {
        let decided = self.decided.get(&incident.id).copied().unwrap_or(at);
        if secs_between(ill.since, decided) < NEW_FAULT_SECS {
            return Some(Excuse::JustNow);
        }
        let over = |result| matches!(result, AttemptResult::Helped | AttemptResult::Failed);
        let cures = cures(ill);
        let was_tried = incident.attempts.iter().any(|attempt| {
            cures.contains(&attempt.remedy)
                && over(attempt.result)
                && attempt.acted_at.is_some_and(|acted| acted >= ill.since)
        });
        if was_tried {
            return Some(Excuse::Tried);
        }
        let health = Health::of(ill.seen, ill.now);
        let reach = mode::reach(ill.seen, &self.policy_of(ill.seen)).mode;
        // A host that answers can be asked, and so its fault can be known; of a silent one only what is seen from outside.
        // An agent that comes and goes is asked in vain.
        let flaky = ill.ailment.profile().ssm == SsmFace::Flaky;
        let known = if health.ssm == Standing::Well && !flaky {
            ill.ailment.cause()
        } else {
            diagnose(ill.seen, health, ill.now).cause
        };
        let rungs = ladder::rungs(known, health);
        let open = |remedy: Remedy| {
            // S7: the ladder is only climbed, and what was tried against the fault before has had its tries.
            let spent = incident.attempts.iter().any(|attempt| over(attempt.result) && attempt.remedy >= remedy);
            let concerned = match remedy {
                Remedy::RestartSsmAgent => ill.ailment.cause().family() == Family::SsmAgent,
                Remedy::RestartEcsAgent | Remedy::RestartRuntime => health.ecs == Standing::Ill,
                Remedy::FreeDisk | Remedy::Reboot | Remedy::StopStart | Remedy::Replace => true,
            };
            // A person asked for a later rung than this one, and it cannot be carried out here.
            let skipped = incident.asked.as_ref().and_then(|asked| asked.remedy).is_some_and(|asked| asked > remedy);
            // An agent that comes and goes may have been away just when the host should have been sent something.
            let away = flaky && Effect::of(remedy).needs_ssm();
            !spent
                && !skipped
                && !away
                && concerned
                && mode::least_mode(remedy) <= reach
                && gates::way(ill.seen, health, remedy).is_ok()
                && gates::address(ill.seen, &self.policy_of(ill.seen), remedy).is_ok()
                && rungs.contains(&remedy)
        };
        if cures.into_iter().any(open) { None } else { Some(Excuse::OutOfReach) }
    }
}

/// A node that is still ill.
struct Ill<'a> {
    ailment: Ailment,
    since: Timestamp,
    /// What the fault needs first has been done.
    prepared: bool,
    /// As AWS shows it now.
    seen: &'a Observation,
    calm_since: Timestamp,
    now: Timestamp,
}

/// Whether a person was asked because of what could not be given back.
fn was_taken(incident: &Incident) -> bool {
    incident
        .history
        .iter()
        .any(|entry| matches!(entry.event, Event::Closed(Ending::NotGivenBack | Ending::DoesNotStart)))
}

/// What would cure it now, or bring it nearer to a cure.
fn cures(ill: &Ill<'_>) -> Vec<Remedy> {
    let profile = ill.ailment.profile();
    match profile.first.filter(|_| !ill.prepared) {
        Some(first) => vec![first, Remedy::Replace],
        None => profile.cures.to_vec(),
    }
}
