//! Promises about one effect at the moment it lands.

use jiff::Timestamp;

use super::{GRACE_SECS, Inspector, Landing, LastRemedy, Place, Spot, remedy_of};
use crate::effect::{Effect, IntentState, Weight};
use crate::incident::{AttemptResult, Incident, Remedy};
use crate::observe::{Check, Ec2, Fact, Health, Observation, Standing, Tags};
use crate::policy::Mode;
use crate::sim::ailment::Checks;
use crate::sim::fault::STALE_MAX_SECS;
use crate::time::secs_between;

/// A disruptive effect lands at most this long after the kill switch was thrown, in seconds.
const PAUSE_GRACE_SECS: i64 = 60;
/// The oldest look that a disruptive effect may rest on, in seconds.
const FRESH_SECS: i64 = 30;
/// How long EC2's status checks lag behind at most, in seconds.
const CHECK_LAG_SECS: i64 = 120;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

impl Inspector {
    pub(super) fn check_landing(&mut self, landing: &Landing<'_>) {
        let weight = landing.sent.effect.weight();
        self.lands_once(landing);
        self.only_while_it_is_pending(landing);
        if landing.sent.effect == Effect::Deregister {
            self.only_once_fenced(landing);
        }
        if weight == Weight::Restoring {
            return;
        }
        self.within_the_mode(landing);
        if weight == Weight::ReadOnly {
            return;
        }
        self.only_willing_nodes(landing);
        self.within_the_rails(landing);
        self.only_with_sight(landing);
        if matches!(weight, Weight::Guarding | Weight::Disruptive) {
            self.with_regard_to_others(landing);
            self.with_regard_to_tasks(landing);
            self.while_the_calendar_is_open(landing);
        }
        self.through_the_gates(landing);
        if weight == Weight::Disruptive {
            self.never_a_healthy_node(landing);
            self.never_while_paused(landing);
            self.within_budgets(landing);
            self.never_through_an_open_breaker(landing);
            self.never_against_a_shared_cause(landing);
        }
        if let Some(remedy) = remedy_of(landing.sent.effect) {
            self.in_order(landing, remedy);
            self.never_a_futile_remedy(landing, remedy);
        }
    }

    pub(super) fn breach(&mut self, promise: &'static str, landing: &Landing<'_>, text: impl FnOnce() -> String) {
        let sent = landing.sent;
        self.broken(promise, sent.at, Some(sent.node), || format!("{:?} landed {}", sent.effect, text()));
    }

    /// S5: each intent lands at most once.
    fn lands_once(&mut self, landing: &Landing<'_>) {
        let key = (landing.sent.incident, landing.sent.intent);
        if self.intents.contains(&key) {
            self.breach("S5", landing, || format!("twice for intent {} of {}", key.1, key.0));
        }
        self.intents.push(key);
    }

    /// S5: an effect is saved before it lands, and nobody gives it up or goes on before it can have landed.
    fn only_while_it_is_pending(&mut self, landing: &Landing<'_>) {
        let intent = landing.incident.and_then(|incident| incident.phase.intent());
        let pending =
            intent.is_some_and(|intent| intent.id == landing.sent.intent && intent.state == IntentState::Pending);
        if !pending {
            let id = landing.sent.intent;
            self.breach("S5", landing, || format!("though intent {id} was not saved, or given up"));
        }
    }

    /// S7: the registration goes only once the instance can do no more harm.
    fn only_once_fenced(&mut self, landing: &Landing<'_>) {
        if landing.truth.running {
            self.breach("S7", landing, || "while the instance still ran".to_owned());
        }
    }

    /// S10 and the mode's part of S3.
    fn within_the_mode(&mut self, landing: &Landing<'_>) {
        let (effect, mode) = (landing.sent.effect, landing.mode());
        let allowed = landing.allowed(|policy| match effect {
            Effect::Probe => policy.may_probe(policy.mode),
            _ => policy.mode >= effect.least_mode(),
        });
        if !allowed {
            let promise = if mode <= Mode::Observe { "S10" } else { "S3" };
            self.breach(promise, landing, || format!("in mode {mode}"));
        }
    }

    /// S3: opted in, not opted out, not muted, and within the mode of its tags, as they have been for 90 s.
    fn only_willing_nodes(&mut self, landing: &Landing<'_>) {
        let (node, now, effect) = (landing.sent.node, landing.sent.at, landing.sent.effect);
        let settled: Vec<Tags> = self.settled_tags(node, now).copied().collect();
        if !settled.is_empty() {
            if settled.iter().all(|tags| !tags.managed) {
                self.breach("S3", landing, || "on a node that is not opted in".to_owned());
            }
            if settled.iter().all(|tags| tags.mode.is_some_and(|mode| mode < effect.least_mode())) {
                self.breach("S3", landing, || "beyond the mode of the node's tag".to_owned());
            }
            if settled.iter().all(|tags| tags.mute_until.is_some_and(|until| until > now)) {
                self.breach("S3", landing, || "on a node that a tag mutes".to_owned());
            }
        }
        if settled.is_empty() && !self.tags.contains_key(&node) {
            self.only_willing_newcomers(landing);
        }
        self.only_in_willing_places(landing);
        if let Some((since, until)) = self.mutes.get(&node).copied()
            && secs_between(since, now) >= GRACE_SECS
            && until > now
        {
            self.breach("S3", landing, || "on a node that an operator muted".to_owned());
        }
    }

    /// S3: the same of a node that its group launched meanwhile, by the world's own record of its tags.
    fn only_willing_newcomers(&mut self, landing: &Landing<'_>) {
        let (truth, now) = (landing.truth, landing.sent.at);
        let long = |since: Option<Timestamp>| since.is_some_and(|since| secs_between(since, now) >= GRACE_SECS);
        if long(truth.unmanaged_since) {
            self.breach("S3", landing, || "on a new node that is not opted in".to_owned());
        }
        if long(truth.opted_out_since) {
            self.breach("S3", landing, || "on a new node that is opted out".to_owned());
        }
        if truth.muted && long(truth.muted_since) {
            self.breach("S3", landing, || "on a new node that a tag mutes".to_owned());
        }
    }

    /// S3: the same of the tags on its cluster and its Auto Scaling group; what changes the group needs the group's own.
    fn only_in_willing_places(&mut self, landing: &Landing<'_>) {
        let (now, effect) = (landing.sent.at, landing.sent.effect);
        let Some(spot) = self.spot_of(landing.account, landing.sent.node) else { return };
        let scaling_group = spot.scaling_group.map(Place::ScalingGroup);
        let cluster = spot.group.map(Place::Cluster);
        for place in scaling_group.into_iter().chain(cluster) {
            let settled: Vec<Tags> = self.settled_place_tags(&place, now).copied().collect();
            if settled.is_empty() {
                continue;
            }
            let changes_it =
                matches!(place, Place::ScalingGroup(_)) && matches!(effect, Effect::EnterStandby | Effect::Terminate);
            if changes_it && settled.iter().all(|tags| !tags.managed) {
                self.breach("S3", landing, || format!("though {place:?} is not opted in"));
            }
            if settled.iter().all(|tags| tags.mode.is_some_and(|mode| mode < effect.least_mode())) {
                self.breach("S3", landing, || format!("beyond the mode of the tag on {place:?}"));
            }
            if settled.iter().all(|tags| tags.mute_until.is_some_and(|until| until > now)) {
                self.breach("S3", landing, || format!("though a tag on {place:?} mutes it"));
            }
        }
    }

    /// S1: never on a node that has been well for 90 s.
    fn never_a_healthy_node(&mut self, landing: &Landing<'_>) {
        let now = landing.sent.at;
        if let Some(since) = landing.truth.healthy_since
            && secs_between(since, now) >= GRACE_SECS
        {
            self.breach("S1", landing, || format!("on a node that had been well since {since}"));
        }
    }

    /// S1 and S8: only sent after a fresh look that saw the deciding facts, and saw them bad.
    fn only_with_sight(&mut self, landing: &Landing<'_>) {
        let Some(seen) = landing.seen else {
            return self.breach("S8", landing, || "without any look in its pass".to_owned());
        };
        if let Some(blindness) = blindness(seen, landing.sent.effect) {
            self.breach("S8", landing, || blindness.to_owned());
        }
        let age = secs_between(seen.at, landing.sent_at);
        if age > FRESH_SECS && landing.sent.effect.weight() == Weight::Disruptive {
            self.breach("S1", landing, || format!("on the strength of a look that was {age}s old"));
        }
    }

    /// S6: what was committed before the kill switch lands within 60 s or never.
    fn never_while_paused(&mut self, landing: &Landing<'_>) {
        if let Some(since) = self.paused_since
            && secs_between(since, landing.sent.at) > PAUSE_GRACE_SECS
        {
            self.breach("S6", landing, || format!("while paused since {since}"));
        }
        if landing.dark {
            self.breach("S6", landing, || "though its pass could not read the kill switch".to_owned());
        }
    }

    /// S2: at once, and in an hour and a day, counted from what landed.
    fn within_budgets(&mut self, landing: &Landing<'_>) {
        let node = landing.sent.node;
        let own = self.spot_of(landing.account, node);
        let (mut account, mut group, mut zone) = (1_u32, 1_u32, 1_u32);
        for other in landing.account.ledger.open() {
            if other.id == landing.sent.incident || !disrupted(other) {
                continue;
            }
            account += 1;
            let spot = self.spot_of(landing.account, other.node);
            group += u32::from(shares(own.as_ref(), spot.as_ref(), |spot| spot.group.as_ref()));
            zone += u32::from(shares(own.as_ref(), spot.as_ref(), |spot| spot.zone.as_ref()));
        }
        let size = |pick: fn(&Spot, &Spot) -> bool| {
            own.as_ref().map_or(0, |own| self.spots.values().filter(|spot| pick(own, spot)).count())
        };
        let group_size = size(|own, spot| own.group.is_some() && own.group == spot.group);
        let zone_size = size(|own, spot| own.zone == spot.zone);
        let limit =
            |size: usize| landing.most(|policy| policy.budgets.at_once(u32::try_from(size).unwrap_or(u32::MAX)));
        for (what, count, most) in [
            ("in the account", account, landing.most(|policy| policy.budgets.account_at_once)),
            ("in its group", group, limit(group_size)),
            ("in its zone", zone, limit(zone_size)),
        ] {
            if count > most {
                self.breach("S2", landing, || format!("as number {count} at once {what}, limit {most}"));
            }
        }
        // A remedy counts from the moment at which the ledger let it, not from when it was thought of.
        let Some(granted_at) = self.granted.get(&landing.sent.incident).copied() else {
            return self.breach("S2", landing, || "without a permit from the ledger".to_owned());
        };
        let entry = (granted_at, node, landing.sent.incident);
        if self.counted.contains(&entry) {
            return;
        }
        self.counted.push(entry);
        for (what, window, most, own_only) in [
            ("on the node within an hour", HOUR, landing.most(|policy| policy.budgets.node_an_hour), true),
            ("on the node within a day", DAY, landing.most(|policy| policy.budgets.node_a_day), true),
            ("in the account within an hour", HOUR, landing.most(|policy| policy.budgets.account_an_hour), false),
            ("in the account within a day", DAY, landing.most(|policy| policy.budgets.account_a_day), false),
        ] {
            let inside = |at: Timestamp| at <= granted_at && secs_between(at, granted_at) < window;
            let count =
                self.counted.iter().filter(|(at, other, _)| inside(*at) && (!own_only || *other == node)).count();
            if u32::try_from(count).unwrap_or(u32::MAX) > most {
                self.breach("S2", landing, || format!("as number {count} {what}, limit {most}"));
            }
        }
    }

    /// S7 and S5: up the ladder, one verified step after the other, a cooldown apart.
    fn in_order(&mut self, landing: &Landing<'_>, remedy: Remedy) {
        let Some(incident) = landing.incident else { return };
        let unverified = incident
            .attempts
            .iter()
            .rev()
            .skip(1)
            .any(|attempt| attempt.result == AttemptResult::Running && attempt.acted_at.is_some());
        if unverified {
            self.breach("S7", landing, || "past a remedy that was not verified".to_owned());
        }
        let acted_at = incident
            .attempts
            .iter()
            .rev()
            .find(|attempt| attempt.remedy == remedy)
            .and_then(|attempt| attempt.acted_at)
            .unwrap_or(landing.sent.at);
        let cause = incident.diagnosis.as_ref().map(|diagnosis| diagnosis.cause);
        let asked = incident.asked.is_some();
        let this = LastRemedy { incident: incident.id, remedy, cause, acted_at };
        if let Some(last) = self.remedies.insert(landing.sent.node, this)
            && last.acted_at != acted_at
        {
            if last.incident == incident.id && remedy < last.remedy && cause == last.cause && !asked {
                self.breach("S7", landing, || format!("after {}", last.remedy));
            }
            let apart = secs_between(last.acted_at, acted_at);
            let least = landing.least(|policy| policy.cooldown_secs);
            if apart < least {
                self.breach("S5", landing, || format!("{apart}s after the attempt before, cooldown {least}s"));
            }
        }
    }

    /// S7: never a remedy that the true cause forbids, once it has been the cause for 90 s.
    fn never_a_futile_remedy(&mut self, landing: &Landing<'_>, remedy: Remedy) {
        let truth = landing.truth;
        let (Some(ailment), Some(since)) = (truth.ailment, truth.ailment_since) else { return };
        // Nothing is wrong with the node: S1 forbids what disrupts it; a needless restart of an agent breaks no promise.
        if ailment.is_harmless() && !remedy.is_disruptive() {
            return;
        }
        // A status check tells of a fault for two minutes after its end, and a look at it may be old on top of that: AWS's own
        // lag is not ours to bound. It counts to when the effect was sent: one that AWS takes later was right then.
        let failing = |ec2: &Ec2| [ec2.system_check, ec2.instance_check, ec2.volumes_check].contains(&Check::Impaired);
        // And so it does at a fault's beginning, which is all there is to see of an impaired volume.
        let only_by_check = ailment.profile().checks == Checks::Volumes;
        let by_check = only_by_check || landing.seen.and_then(|seen| seen.ec2.known()).is_some_and(failing);
        let (grace, until) =
            if by_check { (CHECK_LAG_SECS + FRESH_SECS, landing.sent_at) } else { (GRACE_SECS, landing.sent.at) };
        let grace = grace + if landing.stale { STALE_MAX_SECS } else { 0 };
        if secs_between(since, until) >= grace && truth.forbids(remedy) {
            let cause = landing.incident.and_then(|incident| incident.diagnosis.as_ref()).map(|found| found.cause);
            self.breach("S7", landing, || format!("against {}, diagnosed as {cause:?}", ailment.cause()));
        }
    }
}

/// Whether a disruptive remedy has been sent in an incident and is not over, or the node is still kept from its work by it.
pub(super) fn disrupted(incident: &Incident) -> bool {
    let holds = incident.holds;
    if holds.standby || holds.stopped {
        return true;
    }
    incident.attempts.last().is_some_and(|attempt| {
        attempt.remedy.is_disruptive() && attempt.result == AttemptResult::Running && attempt.acted_at.is_some()
    })
}

/// Whether two nodes share a place that both have.
fn shares<T: PartialEq>(one: Option<&Spot>, other: Option<&Spot>, pick: impl Fn(&Spot) -> Option<&T>) -> bool {
    match (one.and_then(&pick), other.and_then(&pick)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Why a look was not enough for an effect.
fn blindness(seen: &Observation, effect: Effect) -> Option<&'static str> {
    if matches!(seen.ec2, Fact::Unknown(_)) {
        return Some("though EC2 could not be read");
    }
    let health = Health::of(seen, seen.at);
    match effect.weight() {
        Weight::ReadOnly | Weight::Restoring => None,
        Weight::Gentle if health.ssm == Standing::Unknown && health.ecs == Standing::Unknown => {
            Some("though neither agent could be seen")
        }
        Weight::Gentle => None,
        Weight::Guarding | Weight::Disruptive if !health.is_ill() => Some("though nothing was seen to be ill"),
        Weight::Guarding | Weight::Disruptive => None,
    }
}
