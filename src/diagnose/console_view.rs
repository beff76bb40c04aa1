//! What can be seen of a machine without its agents, as lines: the console (E05, E06), and what lies beside it and is not read (E07, E08).

use super::{Cause, CheckLine, Finding, Severity, please, sentence};
use crate::observe::{Fact, Findings};

/// The console, check by check; `well`: the node's agents answer, so that the console is history.
#[must_use]
pub fn lines(console: &Fact<Findings>, well: bool) -> Vec<CheckLine> {
    let findings = match console {
        Fact::Known(findings) => findings,
        // A managed node has none.
        Fact::Absent => return Vec::new(),
        Fact::Unknown(blind) => {
            let text = format!("could not read the console output: {}", blind.as_str());
            let unread = |id| CheckLine::unknown(id, text.clone());
            return [unread("E05"), unread("E06")].into_iter().chain(beside()).collect();
        }
    };
    let (system, other): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(|finding| of_system(finding.cause));
    let nothing = "the console shows no panic, no damaged file system and no emergency mode";
    let mut lines = vec![line("E05", &system, nothing, well)];
    lines.push(line("E06", &other, "the console shows no full disk, no firewall and no agent that fails", well));
    lines.extend(beside());
    lines
}

/// What EC2 shows of a screen, and `CloudWatch` of a machine's limits. Neither is a fact that a line could judge.
fn beside() -> [CheckLine; 2] {
    [
        CheckLine::unknown(
            "E07",
            "what the screen shows is a picture, for people: aws ec2 get-console-screenshot --instance-id INSTANCE_ID",
        ),
        CheckLine::unknown(
            "E08",
            "CPU credits and limits of volumes are not read; CloudWatch has them: CPUCreditBalance, EBSIOBalance%, EBSByteBalance%, \
             VolumeIOPSExceededCheck",
        ),
    ]
}

/// Whether it is the system itself that a finding tells of (facts/checks.md E05), or something that runs in it.
fn of_system(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::HostKernelHang
            | Cause::HostBootFailure
            | Cause::HostReadOnlyRoot
            | Cause::HostIoStalled
            | Cause::HostOutOfMemory
            | Cause::PlatformHardware
    )
}

fn line(id: &'static str, findings: &[&Finding], nothing: &str, well: bool) -> CheckLine {
    let worst = findings.iter().filter(|finding| finding.severity > Severity::Noise);
    // The first of the worst: findings come in the order of what explains what.
    let Some(worst) = worst.rev().max_by_key(|finding| finding.severity) else { return CheckLine::ok(id, nothing) };
    let text = format!("the console says that {}: {}", sentence(worst.cause), worst.evidence);
    let fix = format!("{}; the whole output: aws ec2 get-console-output --latest", please(worst.cause));
    match worst.severity {
        _ if well => CheckLine::warn(id, format!("{text}; the node answers, so this may be history"), fix),
        Severity::Cause => CheckLine::fail(id, text, fix),
        Severity::Symptom | Severity::Noise => CheckLine::warn(id, text, fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Channel, Mark};
    use crate::observe::Blind;

    fn says(said: &[(Cause, Severity)]) -> Fact<Findings> {
        let finding = |&(cause, severity): &(Cause, Severity)| Finding {
            cause,
            severity,
            channel: Channel::Console,
            evidence: "what it printed".into(),
        };
        Fact::Known(said.iter().map(finding).collect())
    }

    fn marks(console: &Fact<Findings>, well: bool) -> Vec<(&'static str, Mark)> {
        let lines = lines(console, well);
        assert!(lines.iter().all(|line| line.verdict != Mark::Fail || line.fix.is_some()));
        lines.iter().map(|line| (line.id, line.verdict)).collect()
    }

    #[test]
    fn a_panic_and_a_full_disk_have_lines_of_their_own() {
        use Mark::{Fail, Ok, Unknown, Warn};
        let unread = [("E07", Unknown), ("E08", Unknown)];
        let of = |said: &[(Cause, Severity)], well| marks(&says(said), well)[..2].to_vec();
        assert_eq!(marks(&says(&[]), false), [[("E05", Ok), ("E06", Ok)], unread].concat());
        let panic = [(Cause::HostKernelHang, Severity::Cause)];
        assert_eq!(of(&panic, false), [("E05", Fail), ("E06", Ok)]);
        assert_eq!(of(&panic, true), [("E05", Warn), ("E06", Ok)], "the node answers");
        let full = [(Cause::HostDiskFull, Severity::Cause), (Cause::HostBootFailure, Severity::Symptom)];
        assert_eq!(of(&full, false), [("E05", Warn), ("E06", Fail)]);
        let noise = [(Cause::HostKernelHang, Severity::Noise), (Cause::SsmAgentStopped, Severity::Noise)];
        assert_eq!(of(&noise, false), [("E05", Ok), ("E06", Ok)]);
    }

    #[test]
    fn the_worst_is_told_and_of_equals_the_first() {
        let first = says(&[
            (Cause::HostIoStalled, Severity::Symptom),
            (Cause::HostBootFailure, Severity::Cause),
            (Cause::HostKernelHang, Severity::Cause),
        ]);
        let told = lines(&first, false)[0].to_string();
        assert!(told.contains(sentence(Cause::HostBootFailure)) && told.contains("what it printed"), "{told}");
    }

    #[test]
    fn a_console_that_was_not_read_is_unknown_and_a_managed_node_has_none() {
        let unread = marks(&Fact::Unknown(Blind::Denied), false);
        assert_eq!(unread.len(), 4);
        assert!(unread.iter().all(|(_, mark)| *mark == Mark::Unknown));
        assert_eq!(marks(&Fact::Absent, false), []);
    }
}
