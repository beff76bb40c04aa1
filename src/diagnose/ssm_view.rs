//! Systems Manager's own view of a node, as lines: S01 to S03 and S19, and S13, which it has no view of.

use jiff::Timestamp;

use super::CheckLine;
use super::identity::AgentVersion;
use crate::guard::Named;
use crate::observe::{
    Connection, Fact, Health, InstanceState, InvocationStatus, Observation, Ping, ProbeAnswer, Ssm, Standing,
};
use crate::time::{secs_between, spoken};

/// Before this version the agent has no diagnostics of its own, `ssm-cli get-diagnostics` (facts/host.md §2).
const DIAGNOSTICS_SINCE: AgentVersion = AgentVersion([3, 1, 501, 0]);

/// The agent's version, as `DescribeInstanceInformation` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentRelease {
    /// `AgentVersion`.
    pub version: AgentVersion,
    /// `IsLatestVersion`; none where it says nothing, as of Windows.
    pub latest: Option<bool>,
}

/// Systems Manager's view, check by check.
#[must_use]
pub fn lines(seen: &Observation, release: &Fact<AgentRelease>, now: Timestamp) -> Vec<CheckLine> {
    let mut lines = vec![connection(seen, now)];
    lines.extend(invocation(seen, now));
    lines.push(version(release));
    lines.push(CheckLine::unknown(
        "S13",
        "lost packets show only from the host, and only over minutes: there, for i in $(seq 30); do curl -so /dev/null -m 5 -w          '%{time_connect}\\n' https://ssm.REGION.amazonaws.com; done",
    ));
    lines.extend(sessions(seen));
    lines
}

/// S19: who is on it through Session Manager, and whose client is away. None where nobody is.
fn sessions(seen: &Observation) -> Option<CheckLine> {
    let id = "S19";
    let sessions = seen.sessions.known().filter(|sessions| sessions.live > 0)?;
    let many =
        if sessions.live == 1 { "1 live session".to_owned() } else { format!("{} live sessions", sessions.live) };
    let text = format!("{many}{}", Named(&sessions.who));
    Some(match sessions.left.first() {
        Some(left) => {
            let fix = "start a new session: one that its client gave up cannot be resumed; the node is not at fault";
            CheckLine::warn(id, format!("{text}; the client of {} is away", left.as_str()), fix)
        }
        None => CheckLine::ok(id, text),
    })
}

fn connection(seen: &Observation, now: Timestamp) -> CheckLine {
    let id = "S01";
    let ssm = match &seen.ssm {
        Fact::Known(ssm) => ssm,
        Fact::Unknown(blind) => {
            return CheckLine::unknown(id, format!("could not read Systems Manager's view: {}", blind.as_str()));
        }
        // Nodes that are stopped or terminated are not listed, registered or not.
        Fact::Absent if seen.ec2.known().is_some_and(|ec2| ec2.state != InstanceState::Running) => {
            return CheckLine::unknown(id, "not listed by Systems Manager, which lists no instance that stands still");
        }
        Fact::Absent => {
            let fix = "give it a role with AmazonSSMManagedInstanceCore and a way to ssm, and see that the agent runs";
            return CheckLine::warn(id, "not registered with Systems Manager", fix);
        }
    };
    let words = told(ssm, now);
    match Health::of(seen, now).ssm {
        Standing::Well => CheckLine::ok(id, words),
        Standing::Suspect => {
            CheckLine::warn(id, words, "wait for the next ping, or send it a command: an answer proves that it lives")
        }
        Standing::Ill => {
            let text = match seen.probe.known().map(|probe| &probe.answer) {
                Some(ProbeAnswer::Undelivered | ProbeAnswer::Pending) => format!("{words}; it took no probe"),
                Some(ProbeAnswer::Answered { .. }) | None => words,
            };
            CheckLine::fail(id, text, "see the other checks for the cause; without one, reboot it")
        }
        Standing::NotPresent | Standing::Unknown => CheckLine::unknown(id, words),
    }
}

fn told(ssm: &Ssm, now: Timestamp) -> String {
    let ping = match ssm.ping {
        Ping::Online => "Online",
        Ping::ConnectionLost => "ConnectionLost",
    };
    let connection = match &ssm.connection {
        Fact::Known(Connection::Connected) => "connected".to_owned(),
        Fact::Known(Connection::NotConnected) => "not connected".to_owned(),
        Fact::Absent => "its connection is not known".to_owned(),
        Fact::Unknown(blind) => format!("could not read its connection: {}", blind.as_str()),
    };
    format!("{ping}, last ping {} ago, {connection}", spoken(secs_between(ssm.last_ping, now)))
}

/// Why the command failed that the trouble began with.
fn invocation(seen: &Observation, now: Timestamp) -> Option<CheckLine> {
    let id = "S02";
    let invocation = match &seen.invocation {
        Fact::Known(invocation) => invocation,
        Fact::Absent => return None,
        Fact::Unknown(blind) => {
            return Some(CheckLine::unknown(id, format!("could not read the command's status: {}", blind.as_str())));
        }
    };
    let answers = Health::of(seen, now).ssm == Standing::Well;
    let command = &invocation.command;
    Some(match invocation.status {
        InvocationStatus::Success | InvocationStatus::Open => {
            CheckLine::ok(id, format!("the command {command} ended well or still runs"))
        }
        InvocationStatus::ExecutionTimedOut => {
            let text = format!("the command {command} ran longer than it may: the script, not the node");
            CheckLine::warn(id, text, "raise its executionTimeout, or mend the script")
        }
        InvocationStatus::Failed => {
            let text = format!("the command {command} failed on a node that answered: the script, not the node");
            CheckLine::warn(id, text, "read its output, and mend the script")
        }
        InvocationStatus::Rejected => {
            let text = format!("the command {command} was cancelled or refused: no fault of the node");
            CheckLine::warn(id, text, "read its StatusDetails")
        }
        InvocationStatus::DeliveryTimedOut | InvocationStatus::Undeliverable => {
            let text = format!("the command {command} was not delivered, which is no proof that it did not run");
            let fix = if answers { "look whether it ran, then send it again" } else { "see S01 for why it was not" };
            CheckLine::warn(id, text, fix)
        }
    })
}

fn version(release: &Fact<AgentRelease>) -> CheckLine {
    let id = "S03";
    let update = "run AWS-UpdateSSMAgent";
    match release {
        Fact::Unknown(blind) => {
            CheckLine::unknown(id, format!("could not read the agent's version: {}", blind.as_str()))
        }
        Fact::Absent => CheckLine::unknown(id, "the agent's version is not known: it is not registered"),
        Fact::Known(AgentRelease { version, .. }) if *version < DIAGNOSTICS_SINCE => {
            CheckLine::warn(id, format!("the SSM agent {version} is old; it has no diagnostics of its own"), update)
        }
        Fact::Known(AgentRelease { version, latest: Some(false) }) => {
            CheckLine::warn(id, format!("the SSM agent {version} is not the latest"), update)
        }
        Fact::Known(AgentRelease { version, latest: Some(true) | None }) => {
            CheckLine::ok(id, format!("the SSM agent is version {version}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Blind;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::time::after;

    fn latest() -> Fact<AgentRelease> {
        Fact::Known(AgentRelease { version: "3.3.40.0".parse().unwrap(), latest: Some(true) })
    }

    fn line(seen: &Seen, id: &str) -> String {
        let lines = lines(seen, &latest(), noon());
        lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn who_is_on_it_is_named_and_a_client_that_is_away_is_no_fault_of_the_node() {
        assert_eq!(line(&seen(noon()), "S19"), "", "nobody is");
        let with = |left: usize| {
            let who: [crate::node::ResourceName; 2] = ["ann-0a1b".parse().unwrap(), "bob-0c2d".parse().unwrap()];
            let left = who.iter().take(left).cloned().collect();
            let sessions = crate::observe::Sessions { live: 2, who: who.into_iter().collect(), left };
            line(&seen(noon()).with(|seen| seen.sessions = Fact::Known(sessions)), "S19")
        };
        assert_eq!(with(0), "OK      S19 2 live sessions (ann-0a1b, bob-0c2d)");
        assert!(
            with(1).starts_with("WARN    S19 2 live sessions (ann-0a1b, bob-0c2d); the client of ann-0a1b is away")
        );
        assert!(with(1).contains("start a new session"));
    }

    #[test]
    fn online_alone_is_no_proof() {
        assert_eq!(line(&seen(noon()), "S01"), "OK      S01 Online, last ping 30s ago, connected");
        let stale = seen(noon()).with_ssm(|ssm| ssm.last_ping = after(noon(), -1_000));
        assert!(line(&stale, "S01").starts_with("WARN    S01 Online, last ping 16m40s ago, connected"));
        let gone = seen(noon()).with_ssm(|ssm| ssm.connection = Fact::Known(Connection::NotConnected));
        assert!(line(&gone, "S01").starts_with("WARN    S01 Online, last ping 30s ago, not connected"));
        assert!(line(&seen(noon()).ssm_silent(), "S01").contains("it took no probe"));
        let blind = seen(noon()).with_ssm(|ssm| ssm.connection = Fact::Unknown(Blind::Throttled));
        assert!(line(&blind, "S01").starts_with("UNKNOWN"));
    }

    #[test]
    fn an_instance_that_stands_still_is_not_called_unregistered() {
        let missing = || seen(noon()).with(|seen| seen.ssm = Fact::Absent);
        assert!(line(&missing(), "S01").starts_with("WARN    S01 not registered"));
        assert!(line(&missing().state(InstanceState::Stopped), "S01").starts_with("UNKNOWN"));
        let unread = seen(noon()).with(|seen| seen.ssm = Fact::Unknown(Blind::Denied));
        assert_eq!(line(&unread, "S01"), "UNKNOWN S01 could not read Systems Manager's view: access denied");
    }

    #[test]
    fn a_script_that_took_too_long_is_no_fault_of_the_node() {
        assert_eq!(line(&seen(noon()), "S02"), "", "there was no command");
        let of = |status| line(&seen(noon()).invocation(status), "S02");
        assert!(of(InvocationStatus::ExecutionTimedOut).contains("the script, not the node"));
        assert!(of(InvocationStatus::Undeliverable).contains("no proof that it did not run"));
        assert!(of(InvocationStatus::Rejected).contains("no fault of the node"));
        assert!(of(InvocationStatus::Success).starts_with("OK"));
    }

    #[test]
    fn an_old_agent_is_told_of() {
        let of = |release: Fact<AgentRelease>| version(&release).to_string();
        let release = |version: &str, latest| Fact::Known(AgentRelease { version: version.parse().unwrap(), latest });
        assert!(of(release("3.1.500.9", Some(true))).starts_with("WARN"));
        assert!(of(release("3.2.0.0", Some(false))).contains("is not the latest"));
        assert!(of(release("3.2.0.0", None)).starts_with("OK"));
        assert!(of(Fact::Unknown(Blind::Denied)).starts_with("UNKNOWN"));
    }
}
