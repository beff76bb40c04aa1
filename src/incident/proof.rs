//! What was seen that proves a remedy: the moments and numbers behind "it helped" (DESIGN.md §7).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Remedy;
use crate::node::ResourceName;
use crate::observe::{Observation, Probe, ProbeAnswer};

/// The proof that a remedy helped, as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "seen", rename_all_fields = "camelCase")]
pub enum Proof {
    /// A probe that was sent after the clean-up finds no full disk.
    DiskFree {
        /// When it was sent.
        asked_at: Timestamp,
    },
    /// The SSM agent pinged after its restart.
    SsmPinged {
        /// When.
        at: Timestamp,
        /// When the probe was sent that it answered; none where the host may not be asked any more.
        asked_at: Option<Timestamp>,
    },
    /// The ECS agent is connected and stays it.
    EcsConnected {
        /// Since when, as far as we looked.
        since: Timestamp,
    },
    /// The runtime answers, and the ECS agent is connected and stays it.
    RuntimeAnswers {
        /// Since when, as far as we looked.
        since: Timestamp,
    },
    /// The host booted after the reboot.
    Booted {
        /// When, by the host's own word.
        at: Timestamp,
        /// Its boot id is another one than before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_id: bool,
    },
    /// The host cannot be asked when it booted; its agents are connected again.
    BackAfterReboot {
        /// The SSM agent's last ping, where it came after the reboot.
        pinged_at: Option<Timestamp>,
    },
    /// EC2 launched the instance anew after the stop.
    Launched {
        /// `LaunchTime`.
        at: Timestamp,
    },
    /// The group is whole without the old instance.
    GroupWhole {
        /// Members in service …
        in_service: u32,
        /// … of so many that are wanted.
        desired: u32,
        /// A new container instance is connected, and the services have the tasks that they want.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        registered: bool,
    },
}

impl Proof {
    /// What an observation that proves a remedy shows.
    ///
    /// `acted_at`: when the remedy was sent; `stable_since`: the first of the looks that all showed it; `boot`: the host's boot id
    /// before it, where it was known. None where a fact is missing that a proof must have: then it was none.
    #[must_use]
    pub fn seen(
        remedy: Remedy,
        seen: &Observation,
        (acted_at, stable_since): (Timestamp, Timestamp),
        boot: Option<&ResourceName>,
    ) -> Option<Self> {
        let host = match seen.probe.known() {
            Some(Probe { sent_at, answer: ProbeAnswer::Answered { booted_at, boot, .. } }) if *sent_at > acted_at => {
                Some((*sent_at, *booted_at, boot.as_ref()))
            }
            Some(_) | None => None,
        };
        let pinged_at = seen.ssm.known().map(|ssm| ssm.last_ping).filter(|at| *at > acted_at);
        match remedy {
            Remedy::FreeDisk => host.map(|(asked_at, ..)| Self::DiskFree { asked_at }),
            Remedy::RestartSsmAgent => {
                pinged_at.map(|at| Self::SsmPinged { at, asked_at: host.map(|(asked_at, ..)| asked_at) })
            }
            Remedy::RestartEcsAgent => Some(Self::EcsConnected { since: stable_since }),
            Remedy::RestartRuntime => Some(Self::RuntimeAnswers { since: stable_since }),
            Remedy::Reboot => Some(match host {
                Some((_, at, now)) if boot.is_some() && now.is_some() && boot != now => {
                    Self::Booted { at, new_id: true }
                }
                // The clock counts only where the ids of both boots are not known; equal ones are the same boot.
                Some((_, at, now)) if at > acted_at && (boot.is_none() || now.is_none()) => {
                    Self::Booted { at, new_id: false }
                }
                Some(_) | None => Self::BackAfterReboot { pinged_at },
            }),
            Remedy::StopStart => seen.ec2.known().map(|ec2| Self::Launched { at: ec2.launched_at }),
            Remedy::Replace => seen.asg.known().map(|asg| Self::GroupWhole {
                in_service: asg.in_service,
                desired: asg.desired,
                registered: seen.successor.known().is_some_and(|next| next.registered && next.at_desired),
            }),
        }
    }

    /// The remedy that it proves.
    #[must_use]
    pub fn remedy(self) -> Remedy {
        match self {
            Self::DiskFree { .. } => Remedy::FreeDisk,
            Self::SsmPinged { .. } => Remedy::RestartSsmAgent,
            Self::EcsConnected { .. } => Remedy::RestartEcsAgent,
            Self::RuntimeAnswers { .. } => Remedy::RestartRuntime,
            Self::Booted { .. } | Self::BackAfterReboot { .. } => Remedy::Reboot,
            Self::Launched { .. } => Remedy::StopStart,
            Self::GroupWhole { .. } => Remedy::Replace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::samples::{noon, seen};
    use crate::observe::{Fact, Successor};
    use crate::time::after;

    /// What proves a remedy that was sent at noon, where the host answers a question of `sent` seconds later.
    fn proof(remedy: Remedy, before: Option<&str>, (sent, booted, now): (i64, i64, Option<&str>)) -> Option<Proof> {
        let name = |id: &str| id.parse::<ResourceName>().unwrap();
        let answer = ProbeAnswer::Answered {
            booted_at: after(noon(), booted),
            boot: now.map(name),
            findings: Vec::new().into(),
        };
        let probe = Probe { sent_at: after(noon(), sent), answer };
        let seen = seen(after(noon(), 300)).with(|seen| seen.probe = Fact::Known(probe));
        Proof::seen(remedy, &seen, (noon(), noon()), before.map(name).as_ref())
    }

    #[test]
    fn a_boot_is_proven_by_its_id_and_by_the_clock_only_where_an_id_is_not_known() {
        let reboot = |before, answer| proof(Remedy::Reboot, before, answer).unwrap();
        let booted = |secs, new_id| Proof::Booted { at: after(noon(), secs), new_id };
        assert_eq!(reboot(Some("a"), (60, 40, Some("b"))), booted(40, true));
        assert_eq!(reboot(Some("a"), (60, -900, Some("b"))), booted(-900, true), "its clock is wrong");
        for (before, now) in [(None, Some("b")), (Some("a"), None), (None, None)] {
            assert_eq!(reboot(before, (60, 1, now)), booted(1, false));
            assert!(matches!(reboot(before, (60, 0, now)), Proof::BackAfterReboot { .. }), "{before:?} {now:?}");
        }
        assert!(matches!(reboot(Some("a"), (60, 40, Some("a"))), Proof::BackAfterReboot { .. }), "the same boot");
        assert!(matches!(reboot(Some("a"), (0, 40, Some("b"))), Proof::BackAfterReboot { .. }), "asked before");
    }

    #[test]
    fn a_disk_is_free_where_the_host_says_so_afterwards() {
        assert_eq!(
            proof(Remedy::FreeDisk, None, (1, -900, None)),
            Some(Proof::DiskFree { asked_at: after(noon(), 1) })
        );
        assert_eq!(proof(Remedy::FreeDisk, None, (0, -900, None)), None);
    }

    #[test]
    fn a_ping_of_the_moment_of_the_restart_proves_nothing() {
        let pinged = |secs| {
            let seen = seen(after(noon(), 300)).with_ssm(|ssm| ssm.last_ping = after(noon(), secs));
            Proof::seen(Remedy::RestartSsmAgent, &seen, (noon(), noon()), None)
        };
        assert_eq!(pinged(0), None);
        assert!(matches!(pinged(1), Some(Proof::SsmPinged { at, .. }) if at == after(noon(), 1)));
    }

    #[test]
    fn a_successor_is_registered_once_it_is_and_its_services_have_their_tasks() {
        let registered = |registered, at_desired| {
            let next = Successor { registered, at_desired };
            let seen = seen(noon()).in_group().with(|seen| seen.successor = Fact::Known(next));
            match Proof::seen(Remedy::Replace, &seen, (noon(), noon()), None) {
                Some(Proof::GroupWhole { registered, .. }) => registered,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            [(true, true), (true, false), (false, true)].map(|(known, ready)| registered(known, ready)),
            [true, false, false]
        );
    }
}
