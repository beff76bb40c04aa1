//! Where a line comes from, and when: the marks that the agents, the kernel, systemd and syslog put before a message.

use super::cut::cut;
use serde::{Deserialize, Serialize};

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The SSM agent or one of its workers.
    Ssm,
    /// The ECS agent or what starts it.
    Ecs,
    /// Docker or containerd.
    Docker,
    /// The kernel.
    Kernel,
    /// systemd.
    Systemd,
    /// cloud-init.
    CloudInit,
    /// The plugin on the client of a session.
    Plugin,
    /// Another program of which the name is known.
    Application,
    /// Not known.
    Unknown,
}

/// A moment, in seconds of one of the clocks that logs are stamped with. Only moments of one clock compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Moment {
    clock: Clock,
    secs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Clock {
    /// A date with its year.
    Calendar,
    /// Syslog's date, which leaves the year out.
    Year,
    /// Seconds since the kernel started.
    Uptime,
}

impl Moment {
    /// The seconds from another moment to this one; `None` where they do not compare or the order is wrong.
    #[must_use]
    pub(super) fn since(self, other: Self) -> Option<u64> {
        if self.clock == other.clock { self.secs.checked_sub(other.secs) } else { None }
    }

    /// At least so many seconds lie between another moment and this one, also where only one of them says its year: then the
    /// shorter way round the year counts, less what two time zones can differ.
    #[must_use]
    pub(super) fn at_least_since(self, other: Self) -> Option<u64> {
        const DAY: u64 = 86_400;
        const YEAR: u64 = 372 * DAY;
        const ZONES: u64 = 26 * 3_600;
        let of_year = |moment: Self| match moment.clock {
            // Months count from one there, and from zero here.
            Clock::Calendar => moment.secs.checked_sub(31 * DAY),
            Clock::Year => Some(moment.secs),
            Clock::Uptime => None,
        };
        if self.clock == other.clock {
            return self.since(other);
        }
        let between = (of_year(self)? % YEAR + YEAR - of_year(other)? % YEAR) % YEAR;
        if between < YEAR / 2 { between.checked_sub(ZONES) } else { None }
    }

    /// The seconds since the kernel started, if that is this moment's clock.
    #[must_use]
    pub(super) fn uptime(self) -> Option<u64> {
        match self.clock {
            Clock::Uptime => Some(self.secs),
            Clock::Calendar | Clock::Year => None,
        }
    }

    /// Which of three clocks it is.
    #[must_use]
    pub(super) fn clock(self) -> usize {
        match self.clock {
            Clock::Calendar => 0,
            Clock::Year => 1,
            Clock::Uptime => 2,
        }
    }
}

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Who wrote it, if the line says so.
    pub place: Option<Place>,
    /// When, if the line says so.
    pub at: Option<Moment>,
    /// Whether a name says who wrote it. The form alone is one that others use, too.
    pub sure: bool,
}

/// Nothing is said.
const NONE: Stamp = Stamp { place: None, at: None, sure: false };

/// Reads what stands before a message.
#[must_use]
pub(super) fn stamp(line: &str) -> Stamp {
    let bytes = line.as_bytes();
    match bytes.first() {
        Some(b'[') => kernel(line),
        Some(b'l') if line.starts_with("level=") => logfmt(line, Place::Ecs),
        Some(b't') if line.starts_with("time=\"") => logfmt(line, Place::Docker),
        Some(b'0'..=b'9') => dated(line),
        Some(b'E' | b'W' | b'I' | b'F' | b'D') if line.get(4..5) == Some("[") => short_level(line),
        Some(b'A'..=b'Z') => syslog(line),
        // Without a date before it, a name is only certain with its process id.
        Some(b'a'..=b'z') if line.split_once(':').is_some_and(|(name, _)| name.ends_with(']')) => named(line, None),
        Some(_) | None => NONE,
    }
}

/// `[  123.456789] message`, on consoles also before the words of other programs: `[   12.3] cloud-init[812]: ...`.
fn kernel(line: &str) -> Stamp {
    let Some((inside, message)) = line.get(1..).and_then(|rest| rest.split_once(']')) else { return NONE };
    let inside = inside.trim();
    if let Some(at) = inside.get(4..).and_then(dated_kernel) {
        return Stamp { place: Some(program(message.trim_start()).unwrap_or(Place::Kernel)), at: Some(at), sure: true };
    }
    let Some((secs, _)) = inside.split_once('.') else { return NONE };
    let Ok(secs) = secs.parse::<u64>() else { return NONE };
    let at = Some(Moment { clock: Clock::Uptime, secs });
    Stamp { place: Some(program(message.trim_start()).unwrap_or(Place::Kernel)), at, sure: true }
}

/// `Nov 21 03:15:54 2026`, as `dmesg -T` writes it after the day of the week.
fn dated_kernel(text: &str) -> Option<Moment> {
    let Moment { secs, .. } = month_and_day(text)?;
    let year: u64 = text.get(16..20)?.parse().ok()?;
    Some(Moment { clock: Clock::Calendar, secs: secs + (year * 372 + 31) * 86_400 })
}

fn logfmt(line: &str, place: Place) -> Stamp {
    let time = cut(line, "time=").map(|(_, rest)| rest.trim_start_matches('"'));
    Stamp { place: Some(place), at: time.and_then(calendar), sure: false }
}

/// `ERRO[2021-09-30T09:24:56Z] message`, as dockerd prints on a terminal.
fn short_level(line: &str) -> Stamp {
    let known = ["ERRO[", "WARN[", "INFO[", "FATA[", "DEBU["].iter().any(|level| line.starts_with(level));
    let at = line.get(5..).and_then(calendar);
    Stamp { place: known.then_some(Place::Docker), at, sure: false }
}

/// `2006-01-02 15:04:05.0000 LEVEL message`, and the forms with a `T`.
fn dated(line: &str) -> Stamp {
    let Some(at) = calendar(line) else { return NONE };
    let rest = line.get(19..).unwrap_or_default();
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ".,:+Z".contains(c)).trim_start();
    let level = ["INFO", "WARN", "ERROR", "DEBUG", "TRACE", "CRITICAL"].iter().any(|level| rest.starts_with(level));
    let (between, fraction) = (line.as_bytes().get(10), line.as_bytes().get(19));
    let mut sure = false;
    let place = if (level && between == Some(&b'T')) || (fraction == Some(&b',') && !rest.starts_with("- ")) {
        // Java and Python write so, none of the agents does.
        sure = true;
        Some(Place::Application)
    } else if (level && rest.contains(" --- ["))
        || ["[emerg] ", "[alert] ", "[crit] ", "[error] ", "[warn] "].iter().any(|l| rest.starts_with(l))
    {
        // Spring and nginx.
        sure = true;
        Some(Place::Application)
    } else if level && between == Some(&b' ') {
        Some(if rest.contains("data-channel") && !rest.contains("ssm-session-worker") {
            Place::Plugin
        } else {
            Place::Ssm
        })
    } else if rest.starts_with("- ") && rest.contains(".py[") {
        sure = true;
        Some(Place::CloudInit)
    } else if rest.starts_with('[')
        && ["[INFO]", "[WARN]", "[ERROR]", "[CRITICAL]", "[DEBUG]"].iter().any(|l| rest.starts_with(l))
    {
        Some(Place::Ecs)
    } else {
        // `2026-11-21T03:15:54+0000 host program[1]: message`
        return named(rest.split_once(' ').map_or("", |(_, rest)| rest), Some(at));
    };
    Stamp { place, at: Some(at), sure }
}

/// `Nov 21 03:15:54 host program[123]: message`; the kernel's own may follow with `[123.4]`.
fn syslog(line: &str) -> Stamp {
    let Some(at) = month_and_day(line) else { return named(line, None) };
    let rest = line.get(15..).unwrap_or_default().trim_start();
    named(rest.split_once(' ').map_or("", |(_, rest)| rest), Some(at))
}

fn named(text: &str, at: Option<Moment>) -> Stamp {
    let place = program(text);
    Stamp { place, at, sure: place.is_some() }
}

fn month_and_day(line: &str) -> Option<Moment> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|month| line.starts_with(month))?;
    let day: u64 = line.get(4..6)?.trim().parse().ok()?;
    let days = u64::try_from(month).ok()? * 31 + day;
    Some(Moment { clock: Clock::Year, secs: days * 86_400 + time_of_day(line.get(7..15)?)? })
}

/// The program that `name[123]: message` or `name: message` names, if it is one that Defib knows or plainly another one.
fn program(text: &str) -> Option<Place> {
    let (name, _) = text.split_once(':')?;
    let bare = name.split('[').next().unwrap_or_default();
    // What APEI writes, `{1}[Hardware Error]: ...`, is no program's name.
    if bare.is_empty() || bare.len() > 48 || bare.contains(' ') || bare.starts_with('{') {
        return None;
    }
    Some(match bare {
        "kernel" => Place::Kernel,
        "systemd" | "init" | "systemctl" => Place::Systemd,
        "dockerd" | "containerd" | "docker" | "dockerd-current" | "runc" => Place::Docker,
        "cloud-init" | "ec2" | "user-data" => Place::CloudInit,
        "session-manager-plugin" => Place::Plugin,
        bare if bare.starts_with("amazon-ssm") || bare.starts_with("ssm-") || bare.ends_with("amazon-ssm-agent") => {
            Place::Ssm
        }
        bare if bare.starts_with("amazon-ecs") || bare.starts_with("ecs") || bare == "agent" => Place::Ecs,
        // Only with its process id is it certain that this is a program's name.
        _ if name.ends_with(']') && name.contains('[') => Place::Application,
        _ => return None,
    })
}

/// The first 19 characters as a date and a time.
fn calendar(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') && bytes.get(4) != Some(&b'/') {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let days = number(0..4)? * 372 + number(5..7)? * 31 + number(8..10)?;
    Some(Moment { clock: Clock::Calendar, secs: days * 86_400 + time_of_day(text.get(11..19)?)? })
}

fn time_of_day(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let marks = text.get(2..3) == Some(":") && text.get(5..6) == Some(":");
    if marks { Some(number(0..2)? * 3_600 + number(3..5)? * 60 + number(6..8)?) } else { None }
}

/// Where texts of a kind come from, as far as the kind says so.
#[must_use]
pub(super) fn of_kind(kind: &str) -> Place {
    let kind = kind.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if has(&["plugin"]) {
        Place::Plugin
    } else if has(&["ecs-agent", "ecs-init", "ecs agent"]) {
        Place::Ecs
    } else if has(&["ssm-agent", "ssm log", "ssm agent", "errors.log", "hibernate", "updater"]) {
        Place::Ssm
    } else if has(&["console", "dmesg", "kern"]) {
        Place::Unknown
    } else if has(&["cloud-init"]) {
        Place::CloudInit
    } else if has(&["dockerd", "containerd"]) {
        Place::Docker
    } else if has(&["docker logs", "docker-logs", "container log", "kubelet", "nginx", "app log", "application"]) {
        Place::Application
    } else {
        Place::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line_says_who_wrote_it() {
        for (line, place) in [
            ("2026-11-21 03:10:51.3125 INFO [Registrar] Starting registrar module", Some(Place::Ssm)),
            ("2020-10-19 22:56:49 INFO Entering SSM Agent hibernate - x", Some(Place::Ssm)),
            ("2026-03-28 03:13:48 ERROR Closing wss://x/v1/data-channel/a", Some(Place::Plugin)),
            ("level=info time=2026-11-21T03:10:53Z msg=\"Loading configuration\"", Some(Place::Ecs)),
            ("2017-01-30T22:57:20Z [ERROR] Could not load", Some(Place::Ecs)),
            ("time=\"2024-06-25T19:36:40+08:00\" level=info msg=\"x\"", Some(Place::Docker)),
            ("ERRO[2021-09-30T09:24:56.9Z] failed to mount overlay", Some(Place::Docker)),
            ("[  246.752196] INFO: task x:1 blocked", Some(Place::Kernel)),
            ("[Wed Feb 19 06:41:03 2026] Out of memory", Some(Place::Kernel)),
            ("[   14.501] cloud-init[812]: failed", Some(Place::CloudInit)),
            ("Nov 21 03:15:54 ip-10-0-1-23 amazon-ecs-agent[3842]: level=info", Some(Place::Ecs)),
            ("Jun  8 10:48:13 compute4 kernel: [1694413.6] nf_conntrack: full", Some(Place::Kernel)),
            ("Nov 21 03:15:54 host systemd[1]: Stopped ecs.service", Some(Place::Systemd)),
            ("Nov 21 03:15:54 host myapp[7]: dial tcp: i/o timeout", Some(Place::Application)),
            ("2021-02-04 10:00:00,123 - util.py[WARNING]: Failed", Some(Place::CloudInit)),
            ("2026-07-23T10:00:00.114Z ERROR c.e.OrderController - x", Some(Place::Application)),
            ("2026-09-10 08:00:00,114 [worker-3] ERROR payments.client - x", Some(Place::Application)),
            ("Kernel panic - not syncing: x", None),
            ("caused by: Post: dial tcp", None),
            ("", None),
        ] {
            assert_eq!(stamp(line).place, place, "{line}");
        }
    }

    #[test]
    fn moments_of_one_clock_compare() {
        let at = |line: &str| stamp(line).at.unwrap();
        let first = at("2026-11-21 03:10:51.3 INFO x");
        assert_eq!(at("level=info time=2026-11-21T03:11:51Z msg=x").since(first), Some(60));
        assert_eq!(first.since(at("level=info time=2026-11-21T03:11:51Z msg=x")), None);
        assert_eq!(at("[  246.7] x").since(first), None);
        assert_eq!(first.since(at("[Sat Nov 21 03:10:00 2026] x")), Some(51));
        assert_eq!(first.at_least_since(at("Nov 21 01:10:00 h a[1]: x")), None, "a time zone may be all of it");
        assert_eq!(first.at_least_since(at("Nov 11 03:10:51 h a[1]: x")), Some(10 * 86_400 - 26 * 3_600));
        assert_eq!(at("Nov 11 03:10:51 h a[1]: x").at_least_since(first), None);
        assert_eq!(at("Nov 21 03:11:00 h a[1]: x").since(at("Nov 21 03:10:00 h a[1]: x")), Some(60));
    }
}
