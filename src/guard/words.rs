//! What a refusal says to people: one sentence with its numbers.

use std::fmt;

use super::{GroupRefusal, NoWay, Refusal, Resource, Scope, Sight, StopRefusal};
use crate::node::ResourceName;
use crate::observe::Busy;
use crate::time::{moment, spoken};

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("an operator paused defib"),
            Self::PauseUnreadable => f.write_str("the pause switch could not be read, which counts as paused"),
            Self::NotOptedIn { resource } => write!(f, "{resource} does not carry the tag defib:managed=true"),
            Self::OptedOut { resource } => write!(f, "{resource} carries the tag defib:mode=off"),
            Self::ManagedElsewhere { by } => write!(f, "{} repairs this instance", by.as_str()),
            Self::Muted { until } => write!(f, "it is muted until {}", moment(*until)),
            Self::LaunchGrace { age_secs, grace_secs } => {
                write!(f, "it was launched {} ago, the launch grace is {}", spoken(*age_secs), spoken(*grace_secs))
            }
            Self::ModeTooLow { remedy, mode, lowered_by: None } => {
                write!(f, "mode {mode} allows {}, and {remedy} would be next", mode.allows())
            }
            Self::ModeTooLow { remedy, mode, lowered_by: Some(resource) } => {
                write!(
                    f,
                    "the tag defib:mode={mode} on {resource} allows {}, and {remedy} would be next",
                    mode.allows()
                )
            }
            Self::CauseLimit { cause, remedy, highest } => match highest {
                Some(highest) => {
                    write!(f, "the policy allows at most {highest} against {cause}, and {remedy} would be next")
                }
                None => write!(f, "the policy allows no remedy against {cause}, and {remedy} would be next"),
            },
            Self::Budget { scope, held, limit } => write!(f, "{held} in repair in {scope}, limit {limit}"),
            Self::Rate { scope, count, limit, window_secs, free_at } => {
                let remedies = if *count == 1 { "remedy" } else { "remedies" };
                let (window, then) = (spoken(*window_secs), moment(*free_at));
                write!(f, "{count} disruptive {remedies} in {window} on {scope}, limit {limit}; next at {then}")
            }
            Self::BreakerOpen { why, until } => write!(f, "the breaker is open until {}: {why}", moment(*until)),
            Self::Canary { node } => write!(f, "the breaker is half-open and {node} is its canary"),
            Self::SharedCause { factor, failing, members, outside, others } => write!(
                f,
                "{failing} of {members} nodes with {factor} failed together, and {outside} of {others} without it: \
                 what they share is the cause, and nothing done to one node removes it"
            ),
            Self::ActiveIncidents { active, limit } => {
                write!(f, "{active} incidents are being worked on, limit {limit}; it waits for its turn")
            }
            Self::Quarantined { since, count } => {
                let remedies = if *count == 1 { "remedy" } else { "remedies" };
                let since = moment(*since);
                write!(
                    f,
                    "{count} disruptive {remedies} in a day put it into quarantine at {since}, until a person clears it"
                )
            }
            Self::LiveSessions { count, who } => {
                let sessions = if *count == 1 { "session" } else { "sessions" };
                write!(f, "{count} live Session Manager {sessions} would be cut{}", Named(who))
            }
            Self::OtherWork { work } => f.write_str(worked_on(*work)),
            Self::Approval { remedy } => write!(f, "{remedy} needs the approval of a person"),
            Self::CannotSee { what, blind } => write!(f, "could not read {what}: {}", blind.as_str()),
            Self::CallRefused { effect } => write!(f, "AWS refused the call ({})", effect.past_tense()),
            Self::Cooldown { until } => {
                write!(f, "the attempt before was too short a time ago, wait until {}", moment(*until))
            }
            Self::Group { why } => write!(f, "{why}"),
            Self::Stop { why } => write!(f, "{why}"),
            Self::UnhealthyStop { group, unhealthy, size, limit } => {
                write!(f, "{unhealthy} of {size} nodes of {group} are unhealthy, limit {limit}")
            }
            Self::CapacityFloor { scope, of, stay, held, missing } => {
                write!(
                    f,
                    "capacity floor: {stay} of {of} nodes of {scope} must stay; {held} in repair, {missing} missing"
                )
            }
            Self::ZoneFrozen { zone, unhealthy, size, percent } => {
                write!(f, "{unhealthy} of {size} nodes in {zone} are unhealthy; from {percent} % on the zone is frozen")
            }
            Self::LastInZone { zone, members, unhealthy } => {
                write!(f, "it is the last that serves of {members} nodes of its group in {zone}; {unhealthy} unhealthy")
            }
            Self::Workload { why } => write!(f, "{why}"),
            Self::CalendarClosed { name, until: Some(until) } => {
                write!(f, "the change calendar {} is closed until {}", name.as_str(), moment(*until))
            }
            Self::CalendarClosed { name, until: None } => {
                write!(f, "the change calendar {} is closed", name.as_str())
            }
            Self::NoWay { remedy, why } => write!(f, "{remedy} needs {why}"),
        }
    }
}

fn worked_on(work: Busy) -> &'static str {
    match work {
        Busy::Idle => "nobody works on it",
        Busy::Patching => "it is being patched",
        Busy::Automation => "an Automation runs on it",
        Busy::Command => "somebody's command runs on it",
        Busy::Deployment => "a deployment or instance refresh of its group runs",
    }
}

impl fmt::Display for GroupRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended => f.write_str("Launch or Terminate is suspended in its Auto Scaling group"),
            Self::Refreshing => f.write_str("an instance refresh of its Auto Scaling group runs"),
            Self::BelowMinimum { desired, min } => {
                write!(f, "Standby would lower the group from {desired} below its minimum of {min}")
            }
            Self::NotInService => f.write_str("it is not in service in its Auto Scaling group"),
        }
    }
}

/// Sessions by their ids, in brackets; nothing where none is known.
pub(crate) struct Named<'a>(pub(crate) &'a [ResourceName]);

/// Ids that a sentence holds.
const NAMED_MAX: usize = 3;

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return Ok(()) };
        write!(f, " ({}", first.as_str())?;
        for id in rest.iter().take(NAMED_MAX - 1) {
            write!(f, ", {}", id.as_str())?;
        }
        let more = self.0.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for StopRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstanceStoreRoot => "its root device is an instance store, so it cannot be stopped",
            Self::InstanceStoreData => "a stop would erase the data on its instance store",
            Self::Spot => "it is a Spot instance, which cannot be stopped and started",
            Self::StopProtected => "stop protection (DisableApiStop) is on",
            Self::VolumeKey => {
                "a volume is encrypted under a KMS key that the stack does not name (VolumeKeyArns), so it might not start again"
            }
            Self::StopDenied => "AWS would not let Defib stop it (DryRun)",
            Self::StartDenied => "AWS would not let Defib start it again (DryRun)",
            Self::PublicAddress => "a stop would change its public address, which is not an Elastic IP",
        })
    }
}

/// What is needed, and missing.
impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SsmSilent => "Run Command, and the SSM agent does not answer",
            Self::NotEc2 => "the EC2 API, and this is not an EC2 instance",
            Self::NoGroup => "an Auto Scaling group, and it is in none",
            Self::NoShell => "a shell on the host, and it has none",
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "the node",
            Self::Group => "its Auto Scaling group",
            Self::Cluster => "its cluster",
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Group(group) => write!(f, "group {group}"),
            Self::ScalingGroup(group) => write!(f, "Auto Scaling group {group}"),
            Self::Zone(zone) => write!(f, "{zone}"),
            Self::Account => f.write_str("the account"),
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec2 => "the instance's state from EC2",
            Self::Ssm => "the node's state from Systems Manager",
            Self::Ecs => "the container instance from ECS",
            Self::Group => "the Auto Scaling group",
            Self::Factors => "what the node shares with others",
            Self::Identity => "the instance's role",
            Self::Network => "the network path",
            Self::Console => "the console output",
            Self::Sessions => "the live sessions",
            Self::OtherWork => "whether other work runs on the node",
            Self::Workload => "the tasks on the node",
            Self::Calendar => "the change calendar",
            Self::Invocation => "the Run Command invocation",
            Self::Probe => "the probe's answer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sessions_are_named_and_the_others_counted() {
        let told = |ids: &[&str]| Named(&ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).to_string();
        assert_eq!(told(&[]), "");
        assert_eq!(told(&["a"]), " (a)");
        assert_eq!(told(&["a", "b", "c"]), " (a, b, c)");
        assert_eq!(told(&["a", "b", "c", "d", "e"]), " (a, b, c and 2 more)");
    }
}
