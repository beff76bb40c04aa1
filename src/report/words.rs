//! Words for outcomes and remedies, and the two sentences that every report begins with.

use crate::diagnose::{Cause, please};
use crate::guard::{Refusal, StopRefusal, WorkloadRefusal, gates};
use crate::incident::{Ending, Incident, Outcome, Remedy};
use crate::observe::Platform;

use super::story::Story;
use super::{ReportKind, redact};

/// How loud a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Severity {
    /// The word in JSON and attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How loud a report is.
pub(super) fn severity(story: &Story<'_>) -> Severity {
    if story.closed_by().is_some() {
        return Severity::Info;
    }
    match story.outcome {
        Outcome::NeedsHuman => Severity::Critical,
        Outcome::Cycled | Outcome::Replaced | Outcome::Blocked | Outcome::Deferred | Outcome::DryRun => {
            Severity::Warning
        }
        Outcome::SelfHealed | Outcome::Fixed | Outcome::Gone | Outcome::NotOurs => Severity::Info,
    }
}

/// The outcome as a heading: `FIXED`.
pub(super) fn label(story: &Story<'_>) -> &'static str {
    match story.report.kind {
        ReportKind::NeedsApproval => return "NEEDS APPROVAL",
        ReportKind::Reminder => return "STILL NEEDS YOU",
        ReportKind::Ended | ReportKind::NeedsHuman => {}
    }
    if story.closed_by().is_some() {
        return "CLOSED";
    }
    match story.outcome {
        Outcome::SelfHealed => "SELF-HEALED",
        Outcome::Fixed => "FIXED",
        Outcome::Cycled => "CYCLED",
        Outcome::Replaced => "REPLACED",
        Outcome::NeedsHuman => "NEEDS YOU",
        Outcome::Blocked => "BLOCKED",
        Outcome::Deferred => "DEFERRED",
        Outcome::Gone => "GONE",
        Outcome::NotOurs => "NOT OURS",
        Outcome::DryRun => "DRY RUN",
    }
}

/// The outcome as a clause about the node, to stand after its heading and a colon.
pub(super) fn headline(story: &Story<'_>) -> String {
    let node = &story.node;
    let fault = story.fault;
    match story.report.kind {
        ReportKind::NeedsApproval => {
            let what = story.waiting_remedy().map_or("a remedy", with_article);
            return format!("{what} of {node} waits for your approval");
        }
        ReportKind::Reminder => {
            return format!("{node} has been broken for {} and rests until somebody comes", span(story.down_secs));
        }
        ReportKind::Ended | ReportKind::NeedsHuman => {}
    }
    let the_part = match fault.part_on(node) {
        part if part == *node => part,
        part => format!("the {part}"),
    };
    match story.incident.ending() {
        Some(Ending::SelfHealed) => format!("{the_part} {} by itself", fault.back()),
        Some(Ending::Helped { remedy }) => match remedy {
            Remedy::FreeDisk | Remedy::RestartSsmAgent | Remedy::RestartEcsAgent => {
                format!("{the_part} {}", fault.back())
            }
            Remedy::RestartRuntime => format!("docker on {node} was restarted; it is back and healthy"),
            Remedy::Reboot => format!("{node} was rebooted; it is back and healthy"),
            Remedy::StopStart => format!("{node} was stopped and started; it is back and healthy"),
            Remedy::Replace => format!("{node} was terminated; a new instance took its place"),
        },
        Some(Ending::CauseNotOurs) if story.incident.performed().next().is_none() => {
            format!("{node} is broken, and Defib cannot repair it")
        }
        Some(Ending::CauseNotOurs | Ending::LadderExhausted | Ending::Quarantined { .. } | Ending::TooLong) | None => {
            format!("{node} is still broken, and Defib has stopped trying")
        }
        Some(Ending::DoesNotStart) => format!("{node} was stopped by Defib and does not start"),
        Some(Ending::NotGivenBack) => format!("{node} is still {}, and Defib cannot give it back", story.held()),
        Some(Ending::Refused { refusal }) => match refusal {
            Refusal::NotOptedIn { .. } | Refusal::OptedOut { .. } | Refusal::ManagedElsewhere { .. } => {
                format!("{node} is in trouble, and Defib may not touch it")
            }
            _ => format!("{node} is broken, and a rail keeps Defib from going on"),
        },
        Some(Ending::WaitedTooLong { .. }) => format!("{node} is still broken; Defib waited for as long as it may"),
        Some(Ending::Gone) => format!("{node} is stopped or terminated, and not by Defib"),
        Some(Ending::SessionGaveUp) => {
            format!("a session to {node} ended because its client gave up; the node is healthy; nothing was touched")
        }
        Some(Ending::ScriptTimedOut) => {
            format!("the script took too long; the node {node} answers; nothing was touched")
        }
        Some(Ending::CommandRejected) => {
            format!("the command was rejected or cancelled before it reached {node}; nothing was touched")
        }
        Some(Ending::WouldHave { remedy: Some(remedy) }) => {
            format!("Defib would have {} {node}; nothing was touched", would(*remedy))
        }
        Some(Ending::WouldHave { remedy: None }) => {
            format!("{node} is broken in a way that only a person can repair; nothing was touched")
        }
        Some(Ending::ClosedBy { by, .. }) => format!("{} closed the incident of {node}", redact::name(by)),
    }
}

/// What the reader must do: one whole sentence.
pub(super) fn ask(story: &Story<'_>) -> String {
    if story.report.kind == ReportKind::NeedsApproval {
        return format!("Please approve it, or leave it: defib approve {}", story.incident.id);
    }
    let by_cause = || match story.cause {
        Some(Cause::Unknown | Cause::Healthy | Cause::NoisePeriodicReconnect) | None => {
            "Please look at it; the steps are below.".to_owned()
        }
        Some(cause) => format!("Please {}; the steps are below.", please(cause)),
    };
    match story.incident.ending() {
        Some(Ending::SelfHealed | Ending::ClosedBy { .. }) => "Nothing for you to do.".to_owned(),
        Some(Ending::Helped { remedy }) => match remedy {
            Remedy::FreeDisk => "Please find what filled the disk, or it will come back.".to_owned(),
            Remedy::RestartSsmAgent | Remedy::RestartEcsAgent => "Nothing for you to do.".to_owned(),
            Remedy::RestartRuntime | Remedy::Reboot | Remedy::StopStart => {
                format!("Please check the workload: {}.", story.moved())
            }
            Remedy::Replace => "Please check the workload; the old instance and its disks are gone.".to_owned(),
        },
        Some(Ending::DoesNotStart) => {
            "Please start it, or make room for it; Defib goes on trying. The steps are below.".to_owned()
        }
        Some(Ending::NotGivenBack) => "Please bring it back into service; the steps are below.".to_owned(),
        Some(Ending::Quarantined { .. }) => why_so_often(&story.node),
        Some(Ending::CauseNotOurs | Ending::LadderExhausted | Ending::TooLong | Ending::WouldHave { remedy: None })
        | None => by_cause(),
        Some(Ending::Refused { refusal } | Ending::WaitedTooLong { refusal }) => way_out(refusal, &story.node),
        Some(Ending::Gone) => "Nothing for you to do, unless it should be running.".to_owned(),
        Some(Ending::SessionGaveUp) => "Please start a new session; the old one cannot be resumed.".to_owned(),
        Some(Ending::ScriptTimedOut) => "Please look at the script, not at the node.".to_owned(),
        Some(Ending::CommandRejected) => "Please look at how the command was sent.".to_owned(),
        Some(Ending::WouldHave { remedy: Some(remedy) }) => {
            // Without a probe nothing is certain, so nobody is sent to reboot on our word alone.
            format!(
                "Please look at it, or raise the mode above observe: the next step would be {}.",
                with_article(*remedy)
            )
        }
    }
}

/// What a person can do about a node in quarantine.
fn why_so_often(node: &str) -> String {
    format!("Please find out why it breaks so often; then end its quarantine: defib clear {node}")
}

/// What a person can do about a refusal.
fn way_out(refusal: &Refusal, node: &str) -> String {
    match refusal {
        Refusal::Paused | Refusal::PauseUnreadable => {
            "Please repair it yourself, or let Defib work again: defib resume".to_owned()
        }
        Refusal::NotOptedIn { resource } => {
            format!("Please repair it yourself, or tag {resource} defib:managed=true.")
        }
        Refusal::OptedOut { resource } => {
            format!("Please repair it yourself, or remove defib:mode=off from {resource}.")
        }
        Refusal::ManagedElsewhere { by } => format!("Please leave it to {}, or repair it yourself.", by.as_str()),
        Refusal::Muted { .. } => format!("Please repair it yourself, or lift the mute: defib unmute {node}"),
        Refusal::LaunchGrace { .. } => "Nothing for you to do; Defib looks again after the launch grace.".to_owned(),
        Refusal::ModeTooLow { remedy, .. } => format!("Please {} yourself, or raise the mode.", by_hand(*remedy)),
        Refusal::CauseLimit { remedy, cause, .. } => {
            format!("Please {} yourself, or let the policy go further against {cause}.", by_hand(*remedy))
        }
        Refusal::Budget { .. } | Refusal::Rate { .. } => {
            "Please look why so many nodes need repair, or repair this one yourself.".to_owned()
        }
        Refusal::BreakerOpen { .. } | Refusal::Canary { .. } => {
            "Please look why so many nodes fail, or why the remedy does not help.".to_owned()
        }
        Refusal::SharedCause { factor, .. } => format!("Please look at {}.", redact::excerpt(&factor.to_string())),
        Refusal::ActiveIncidents { .. } => {
            "Please look why so many nodes fail; this one waits for its turn.".to_owned()
        }
        Refusal::Quarantined { .. } => why_so_often(node),
        Refusal::LiveSessions { .. } => "Please end the sessions on it, or repair it from one of them.".to_owned(),
        Refusal::OtherWork { .. } => "Please wait for the work on it to end, or repair it yourself.".to_owned(),
        Refusal::Approval { .. } => "Please repair it yourself; nobody approved the remedy in time.".to_owned(),
        Refusal::CannotSee { .. } => "Please check what Defib's role may read: defib doctor".to_owned(),
        Refusal::CallRefused { .. } => "Please look why AWS refuses the call, or repair it yourself.".to_owned(),
        Refusal::Cooldown { .. } => "Nothing for you to do; Defib looks again after the pause.".to_owned(),
        Refusal::Group { .. } => "Please look at its Auto Scaling group, or repair the node yourself.".to_owned(),
        Refusal::Stop { why: StopRefusal::VolumeKey } => {
            "Please name the volume's key in VolumeKeyArns, or replace the instance, or repair it by hand.".to_owned()
        }
        Refusal::Stop { .. } => "Please replace the instance, or repair it by hand.".to_owned(),
        Refusal::UnhealthyStop { .. } => {
            "Please look for what so many nodes of its group have in common, or repair this one yourself.".to_owned()
        }
        Refusal::CapacityFloor { .. } => {
            "Please bring its group back to its desired capacity, or repair this one yourself.".to_owned()
        }
        Refusal::ZoneFrozen { zone, .. } => format!("Please look what ails {zone}, or repair this node yourself."),
        Refusal::LastInZone { zone, .. } => {
            format!("Please repair another node of its group in {zone} first, or this one yourself.")
        }
        Refusal::Workload { why } => match why {
            WorkloadRefusal::Standalone { .. } | WorkloadRefusal::Protected { .. } => {
                "Please move or end these tasks, or repair the node yourself.".to_owned()
            }
            WorkloadRefusal::StillThere { .. } => {
                "Please end or move these tasks, or let the policy go on without them (workload.left: go-on)."
                    .to_owned()
            }
            WorkloadRefusal::ServiceMinimum { .. } => {
                "Please give its services room elsewhere in the cluster, or repair the node yourself.".to_owned()
            }
        },
        Refusal::CalendarClosed { .. } => {
            "Please repair it yourself, or wait until the change calendar opens.".to_owned()
        }
        Refusal::NoWay { .. } => "Please repair it by hand: Defib has no way to reach it.".to_owned(),
    }
}

/// Why nothing more was done, as a clause; a refusal's own text, unchanged but for what is not fit to be shown.
pub(super) fn because(ending: &Ending, incident: &Incident) -> Option<String> {
    Some(match ending {
        Ending::CauseNotOurs => "the cause is not one that Defib can remove".to_owned(),
        Ending::LadderExhausted if incident.performed().next().is_none() => {
            let barred = barred(incident);
            let barred = if barred.is_empty() { String::new() } else { format!(": {}", barred.join("; ")) };
            format!("no remedy can be carried out here{barred}")
        }
        Ending::LadderExhausted => "every remedy that the cause allows was tried".to_owned(),
        Ending::Quarantined { count } => {
            format!("{count} disruptive remedies in a day are the most that one node gets; it waits for a person")
        }
        Ending::TooLong => "the incident took longer than it may".to_owned(),
        Ending::DoesNotStart => "the instance was stopped by Defib and does not start".to_owned(),
        Ending::NotGivenBack => "what Defib had set aside could not be given back".to_owned(),
        Ending::Refused { refusal } | Ending::WaitedTooLong { refusal } => redact::excerpt(&refusal.to_string()),
        Ending::SelfHealed
        | Ending::Helped { .. }
        | Ending::Gone
        | Ending::SessionGaveUp
        | Ending::ScriptTimedOut
        | Ending::CommandRejected
        | Ending::WouldHave { .. }
        | Ending::ClosedBy { .. } => return None,
    })
}

/// What of a node's kind and place bars remedies.
fn barred(incident: &Incident) -> Vec<String> {
    if !incident.node.is_instance() {
        return vec!["outside EC2 there is only Run Command".to_owned()];
    }
    let place = &incident.place;
    let stop = gates::stop(place.stop).err().map(|refusal| refusal.to_string());
    let no_shell = (place.platform == Platform::Bottlerocket).then(|| "the host has no shell".to_owned());
    let no_group = place.group.is_none().then(|| "it is in no Auto Scaling group".to_owned());
    [no_shell, stop, no_group].into_iter().flatten().collect()
}

/// A remedy as a noun: `agent restart`.
pub(super) fn noun(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "disk clean-up",
        Remedy::RestartSsmAgent | Remedy::RestartEcsAgent => "agent restart",
        Remedy::RestartRuntime => "docker restart",
        Remedy::Reboot => "reboot",
        Remedy::StopStart => "stop/start",
        Remedy::Replace => "replacement",
    }
}

fn with_article(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "a disk clean-up",
        Remedy::RestartSsmAgent => "a restart of the SSM agent",
        Remedy::RestartEcsAgent => "a restart of the ECS agent",
        Remedy::RestartRuntime => "a restart of docker",
        Remedy::Reboot => "a reboot",
        Remedy::StopStart => "a stop and start",
        Remedy::Replace => "the replacement",
    }
}

/// A remedy as an order: `restart SSM agent`.
pub(super) fn imperative(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "free disk",
        Remedy::RestartSsmAgent => "restart SSM agent",
        Remedy::RestartEcsAgent => "restart ECS agent",
        Remedy::RestartRuntime => "restart docker and the ECS agent",
        Remedy::Reboot => "reboot",
        Remedy::StopStart => "stop and start",
        Remedy::Replace => "replace the instance",
    }
}

/// What a person would do by hand, to stand after "Please ".
fn by_hand(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "free disk space on it",
        Remedy::RestartSsmAgent => "restart its SSM agent",
        Remedy::RestartEcsAgent => "restart its ECS agent",
        Remedy::RestartRuntime => "restart docker on it",
        Remedy::Reboot => "reboot it",
        Remedy::StopStart => "stop and start it",
        Remedy::Replace => "replace it",
    }
}

/// What was or would have been done, without its object.
pub(super) fn past(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "freed disk space",
        Remedy::RestartSsmAgent => "restarted the SSM agent",
        Remedy::RestartEcsAgent => "restarted the ECS agent",
        Remedy::RestartRuntime => "restarted docker, then the ECS agent",
        Remedy::Reboot => "rebooted it",
        Remedy::StopStart => "stopped and started it",
        Remedy::Replace => "replaced it",
    }
}

fn would(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::FreeDisk => "freed disk space on",
        Remedy::RestartSsmAgent => "restarted the SSM agent on",
        Remedy::RestartEcsAgent => "restarted the ECS agent on",
        Remedy::RestartRuntime => "restarted docker on",
        Remedy::Reboot => "rebooted",
        Remedy::StopStart => "stopped and started",
        Remedy::Replace => "replaced",
    }
}

/// What helped, and by which command.
pub(super) fn fixed_by(remedy: Remedy, platform: Platform) -> String {
    let (ssm, ecs) = match platform {
        Platform::Linux | Platform::Bottlerocket => ("systemctl restart amazon-ssm-agent", "systemctl restart ecs"),
        Platform::Snap => ("snap restart amazon-ssm-agent", "systemctl restart ecs"),
        Platform::Windows => ("Restart-Service AmazonSSMAgent", "Restart-Service AmazonECS"),
    };
    match remedy {
        Remedy::FreeDisk => "freeing disk space (journal, rotated logs, unused images)".to_owned(),
        Remedy::RestartSsmAgent => format!("restarting the agent ({ssm})"),
        Remedy::RestartEcsAgent => format!("restarting the agent ({ecs})"),
        Remedy::RestartRuntime => format!("restarting docker, then the agent ({ecs})"),
        Remedy::Reboot => "a reboot".to_owned(),
        Remedy::StopStart => "stop/start (the instance moved to new hardware)".to_owned(),
        Remedy::Replace => "replacement through the Auto Scaling group".to_owned(),
    }
}

/// A span with its units apart: `42 s`, `6 min 41 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(secs: i64) -> String {
    let secs = secs.max(0);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {small_unit}"),
    };
    match secs {
        0..=59 => format!("{secs} s"),
        60..=3_599 => pair(secs / 60, "min", secs % 60, "s"),
        3_600..=86_399 => pair(secs / 3_600, "h", secs % 3_600 / 60, "min"),
        _ => pair(secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
    }
}

/// Percent as a share of one: `0.95`.
pub(super) fn share(percent: u8) -> String {
    let percent = percent.min(100);
    format!("{}.{:02}", percent / 100, percent % 100)
}
