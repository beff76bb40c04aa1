//! How a node fares, judged from one observation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Blind, Check, Connection, EcsStatus, Fact, InstanceState, Observation, ProbeAnswer};
use crate::time::secs_between;

/// A ping older than this, in seconds, says that the SSM agent does not answer: agents ping every five minutes, so three
/// are missing. AWS documents no threshold of its own (facts/aws.md §3.2; inferred).
pub const PING_STALE_SECS: i64 = 900;

/// What a probe did not say holds for this many seconds after it was sent. A probe that is not delivered within its 60 s
/// proves the silence of those 60 s only, less the few that a delivery takes. The effect may be sent 20 s after the decision, and land
/// 25 s later still where its answer is lost; a node that recovered right after the silence must have been well for less than 90 s then
/// (S1): 60 + 90 - 20 - 25, less those few. With 120 s the model check lands one on a node that has been well for 95.
pub const PROBE_FRESH_SECS: i64 = 103;

/// What a probe said holds for this many seconds after it was sent: the host's state can change right after it.
pub const ANSWER_FRESH_SECS: i64 = 90;

/// Seconds after which a probe that nobody picked up counts as not delivered: more than its own delivery time-out of 60 s.
pub const PROBE_LOST_SECS: i64 = 90;

/// How one part of a node fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The node has no such part.
    NotPresent,
    /// It answers.
    Well,
    /// Signs of trouble that are not enough to cycle a node: they ask for a probe.
    Suspect,
    /// It does not answer.
    Ill,
    /// It could not be seen. Nothing follows from that.
    Unknown,
}

/// How a node fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Health {
    /// The SSM agent.
    pub ssm: Standing,
    /// The ECS container agent.
    pub ecs: Standing,
    /// The container runtime.
    pub runtime: Standing,
    /// EC2's status checks.
    pub platform: Standing,
}

impl Health {
    /// Judges an observation.
    #[must_use]
    pub fn of(seen: &Observation, now: Timestamp) -> Self {
        Self { ssm: ssm(seen, now), ecs: ecs(seen), runtime: runtime(seen), platform: platform(seen) }
    }

    /// The same, where somebody expects the SSM agent: a running node that Systems Manager does not know is then in doubt.
    #[must_use]
    pub fn expecting_ssm(self, expected: bool) -> Self {
        if expected && self.ssm == Standing::NotPresent { Self { ssm: Standing::Suspect, ..self } } else { self }
    }

    fn parts(self) -> [Standing; 4] {
        [self.ssm, self.ecs, self.runtime, self.platform]
    }

    /// Whether every part that the node has answers, and was seen to. A running machine without any agent is not well:
    /// somebody expected one, or nobody would have asked (a group's member that never registered).
    #[must_use]
    pub fn is_well(self) -> bool {
        self.parts().into_iter().all(|part| matches!(part, Standing::Well | Standing::NotPresent))
            && (self.ssm == Standing::Well || self.ecs == Standing::Well)
    }

    /// Whether some part certainly does not answer.
    #[must_use]
    pub fn is_ill(self) -> bool {
        self.parts().contains(&Standing::Ill)
    }

    /// Whether some part shows signs of trouble.
    #[must_use]
    pub fn is_suspect(self) -> bool {
        self.parts().contains(&Standing::Suspect)
    }

    /// Whether no agent of the node was ever registered.
    #[must_use]
    pub fn is_unregistered(self) -> bool {
        self.ssm == Standing::NotPresent && self.ecs == Standing::NotPresent
    }
}

fn ssm(seen: &Observation, now: Timestamp) -> Standing {
    let ssm = match &seen.ssm {
        Fact::Known(ssm) => ssm,
        Fact::Absent => return Standing::NotPresent,
        #[cfg(feature = "plants")]
        Fact::Unknown(_) if crate::plants::on(crate::plants::Plant::UnknownIsDead) => return Standing::Ill,
        // Nobody asked, because nobody doubted it: a look that `only_ecs` is about.
        Fact::Unknown(Blind::NotRead) => return Standing::NotPresent,
        Fact::Unknown(_) => return Standing::Unknown,
    };
    let connection = ssm.connection.known().copied();
    planted!(UnknownIsDead => if connection.is_none() { return Standing::Ill; });
    // A fresh probe outranks every status: it was answered, or it was not.
    if let Some(probe) = seen.probe.known() {
        let age = secs_between(probe.sent_at, now);
        let fresh = age <= PROBE_FRESH_SECS;
        #[cfg(feature = "plants")]
        let fresh = fresh || crate::plants::on(crate::plants::Plant::TrustOldProbe);
        let lost = match &probe.answer {
            ProbeAnswer::Answered { .. } if age <= ANSWER_FRESH_SECS => return Standing::Well,
            ProbeAnswer::Answered { .. } => false,
            ProbeAnswer::Undelivered => true,
            // Counted to the look: whoever weighs it minutes later does not know what came in between.
            ProbeAnswer::Pending => secs_between(probe.sent_at, seen.at.min(now)) > PROBE_LOST_SECS,
        };
        match connection {
            // Not connected; or connected, and yet takes no command: its workers are exhausted, or it hangs. An older probe
            // says nothing about now: the agent may have been back, and be in a short reconnect.
            Some(Connection::NotConnected | Connection::Connected) if lost && fresh => return Standing::Ill,
            Some(Connection::Connected | Connection::NotConnected) | None => {}
        }
    }
    match connection {
        Some(Connection::Connected) if ssm.answers(now) => Standing::Well,
        // `notconnected`, or connected with a stale ping: a probe decides.
        Some(Connection::Connected | Connection::NotConnected) => Standing::Suspect,
        // Nobody asked, because the host is asked next: until then its last ping decides.
        None if ssm.connection == Fact::Unknown(Blind::NotRead) && ssm.answers(now) => Standing::Well,
        None if ssm.connection == Fact::Unknown(Blind::NotRead) => Standing::Suspect,
        None => Standing::Unknown,
    }
}

fn ecs(seen: &Observation) -> Standing {
    match &seen.ecs {
        Fact::Known(ecs) if ecs.connected && ecs.status != EcsStatus::Inactive => Standing::Well,
        Fact::Known(_) => Standing::Ill,
        Fact::Absent => Standing::NotPresent,
        #[cfg(feature = "plants")]
        Fact::Unknown(_) if crate::plants::on(crate::plants::Plant::UnknownIsDead) => Standing::Ill,
        Fact::Unknown(_) => Standing::Unknown,
    }
}

fn runtime(seen: &Observation) -> Standing {
    match &seen.ecs {
        Fact::Known(ecs) => match ecs.runtime_check {
            Check::Ok => Standing::Well,
            Check::Impaired => Standing::Ill,
            // Not decided after every boot, and not reported by old agents: says nothing either way.
            Check::Undecided => Standing::NotPresent,
        },
        Fact::Absent => Standing::NotPresent,
        Fact::Unknown(_) => Standing::Unknown,
    }
}

fn platform(seen: &Observation) -> Standing {
    match &seen.ec2 {
        Fact::Known(ec2) => match (ec2.state, ec2.system_check, ec2.instance_check) {
            (InstanceState::Running, Check::Impaired, _) | (InstanceState::Running, _, Check::Impaired) => {
                Standing::Ill
            }
            (InstanceState::Running, _, _) => Standing::Well,
            _ => Standing::Suspect,
        },
        // A managed node has no EC2 side.
        Fact::Absent => Standing::NotPresent,
        Fact::Unknown(_) => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Probe;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::time::after;

    fn of(seen: &Seen) -> Health {
        Health::of(seen, noon())
    }

    fn probed(seen: Seen, age: i64, answer: ProbeAnswer) -> Seen {
        seen.with(|seen| seen.probe = Fact::Known(Probe { sent_at: after(noon(), -age), answer }))
    }

    fn answered() -> ProbeAnswer {
        ProbeAnswer::Answered { booted_at: after(noon(), -9_000), boot: None, findings: std::sync::Arc::from([]) }
    }

    #[test]
    fn a_node_whose_every_part_answers_is_well() {
        let health = of(&seen(noon()).in_cluster());
        assert!(health.is_well() && !health.is_ill() && !health.is_suspect());
        assert_eq!(health.parts(), [Standing::Well; 4]);
    }

    #[test]
    fn a_part_that_is_not_there_is_neither_well_nor_ill() {
        let health = of(&seen(noon()));
        assert_eq!((health.ecs, health.runtime, health.is_well()), (Standing::NotPresent, Standing::NotPresent, true));
        let nothing = seen(noon()).hybrid().with(|seen| seen.ssm = Fact::Absent);
        assert!(!of(&nothing).is_well(), "nobody was seen to answer");
    }

    #[test]
    fn an_old_ping_or_a_lost_connection_is_only_a_sign() {
        let pinged = |secs: i64| seen(noon()).with_ssm(|ssm| ssm.last_ping = after(noon(), -secs));
        assert_eq!(of(&pinged(PING_STALE_SECS)).ssm, Standing::Well);
        assert_eq!(of(&pinged(PING_STALE_SECS + 1)).ssm, Standing::Suspect);
        let doubtful = of(&seen(noon()).ssm_doubtful());
        assert!(doubtful.is_suspect() && !doubtful.is_ill() && !doubtful.is_well());
    }

    #[test]
    fn a_fresh_answer_outranks_every_status() {
        let fresh = probed(seen(noon()).ssm_doubtful(), ANSWER_FRESH_SECS, answered());
        assert_eq!(of(&fresh).ssm, Standing::Well);
        let old = probed(seen(noon()).ssm_doubtful(), ANSWER_FRESH_SECS + 1, answered());
        assert_eq!(of(&old).ssm, Standing::Suspect);
    }

    #[test]
    fn silence_is_proven_by_a_lost_probe_and_a_lost_connection() {
        let doubtful = || seen(noon()).ssm_doubtful();
        assert_eq!(of(&probed(doubtful(), 60, ProbeAnswer::Undelivered)).ssm, Standing::Ill);
        assert_eq!(of(&probed(doubtful(), PROBE_LOST_SECS, ProbeAnswer::Pending)).ssm, Standing::Suspect);
        assert_eq!(of(&probed(doubtful(), PROBE_LOST_SECS + 1, ProbeAnswer::Pending)).ssm, Standing::Ill);
    }

    #[test]
    fn a_probe_that_was_on_its_way_is_not_lost_because_its_look_is_weighed_late() {
        let seen = probed(seen(noon()).ssm_doubtful(), 5, ProbeAnswer::Pending);
        let late = after(noon(), PROBE_LOST_SECS);
        assert_eq!(Health::of(&seen, late).ssm, Standing::Suspect);
    }

    #[test]
    fn a_connected_agent_that_takes_no_command_is_ill_while_the_probe_is_fresh() {
        assert_eq!(of(&probed(seen(noon()), 100, ProbeAnswer::Undelivered)).ssm, Standing::Ill);
        assert_eq!(of(&probed(seen(noon()), 151, ProbeAnswer::Undelivered)).ssm, Standing::Well);
    }

    #[test]
    fn what_could_not_be_seen_is_unknown_and_neither_well_nor_ill() {
        let why = Blind::Throttled;
        let blind = seen(noon()).with(|seen| {
            (seen.ec2, seen.ssm, seen.ecs) = (Fact::Unknown(why), Fact::Unknown(why), Fact::Unknown(why));
        });
        let health = of(&blind);
        assert_eq!(health.parts(), [Standing::Unknown; 4]);
        assert!(!health.is_well() && !health.is_ill() && !health.is_suspect());
        let unconnected = seen(noon()).with_ssm(|ssm| ssm.connection = Fact::Unknown(why));
        assert_eq!(of(&unconnected).ssm, Standing::Unknown);
    }

    #[test]
    fn an_agent_that_nobody_doubted_and_nobody_asked_for_stands_in_no_way() {
        let unasked = |seen: Seen| seen.with(|seen| seen.ssm = Fact::Unknown(Blind::NotRead));
        assert!(of(&unasked(seen(noon()).in_cluster())).is_well());
        assert!(of(&unasked(seen(noon()).ecs_lost())).is_ill());
        assert!(!of(&unasked(seen(noon()))).is_well(), "nobody was seen to answer");
    }

    #[test]
    fn ecs_its_runtime_and_the_platform_speak_for_themselves() {
        assert_eq!(of(&seen(noon()).ecs_lost()).ecs, Standing::Ill);
        assert_eq!(of(&seen(noon()).with_ecs(|ecs| ecs.status = EcsStatus::Inactive)).ecs, Standing::Ill);
        assert_eq!(of(&seen(noon()).docker_hung()).runtime, Standing::Ill);
        assert_eq!(
            of(&seen(noon()).with_ecs(|ecs| ecs.runtime_check = Check::Undecided)).runtime,
            Standing::NotPresent
        );
        assert_eq!(of(&seen(noon()).hardware_failing()).platform, Standing::Ill);
        assert_eq!(of(&seen(noon()).with_ec2(|ec2| ec2.instance_check = Check::Impaired)).platform, Standing::Ill);
        assert_eq!(of(&seen(noon()).hardware_failing().state(InstanceState::Stopped)).platform, Standing::Suspect);
    }
}
