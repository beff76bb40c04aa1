//! Where one boot ends and the next begins. What only an earlier boot shows is history once the last one has come up.

use super::super::Cause;
use super::books::Sighting;
use super::cut::cut;
use super::place::Moment;
use super::signature::Component;

/// The kernel's clock is back at the start when it says so little, in seconds, ...
const EARLY_SECS: u64 = 30;
/// ... and said so much more before.
const FALL_SECS: u64 = 60;
/// Times of several sources differ by less than this, in seconds.
const SLACK_SECS: u64 = 120;
/// Lines between a heading and what it stands above.
const HEADING_LINES: u64 = 2;

/// How far a boot has come. Each marks its own boot, and a later one of an earlier step another boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Step {
    /// Nothing was said of how it began.
    #[default]
    Unknown,
    /// The journal's own border.
    Border,
    /// Firmware or boot loader.
    Loader,
    /// The kernel's first words.
    Kernel,
    /// Its command line and its map of memory.
    CommandLine,
    /// The first stage of cloud-init.
    CloudInit,
    /// systemd has started everything.
    Started,
}

/// What a text tells of boots.
#[derive(Debug, Default)]
pub(super) struct Boots {
    /// The line with which the last boot begins; 0 where none is known.
    began: u64,
    /// The last line that shows a system that has come up; 0 where none does.
    up: u64,
    up_at: Option<Moment>,
    /// The last line in which an agent is started; 0 where none is.
    serves: u64,
    step: Step,
    /// The most that the kernel's clock said in this boot, in seconds.
    uptime: u64,
    /// The first moment of each clock in this boot.
    first: [Option<Moment>; 3],
    /// The kernel of this boot only writes down why the last one died.
    dumps: bool,
    /// The last line of a boot that got no further, before one that came up.
    died: u64,
    /// The last line that looks like the heading of another part of a collection.
    heading: u64,
}

impl Boots {
    /// Looks at when a line was written, and whether another part of a collection begins with it.
    pub(super) fn line(&mut self, number: u64, line: &str, at: Option<Moment>) {
        if ["$ ", "# ", "==", "--- ", "###", ">>>"].iter().any(|mark| line.starts_with(mark)) {
            self.heading = number;
        }
        let Some(at) = at else { return };
        if let Some(secs) = at.uptime() {
            if secs < EARLY_SECS && self.uptime > secs + FALL_SECS {
                self.begin(number, Step::Unknown);
            }
            self.uptime = self.uptime.max(secs);
        }
        if let Some(first) = self.first.get_mut(at.clock()) {
            first.get_or_insert(at);
        }
    }

    /// A line, in lower case, has words with which boots begin.
    pub(super) fn maybe_begins(&mut self, number: u64, line: &str, at: Option<Moment>) {
        let Some((step, up_secs)) = step(line) else { return };
        let begins = match step {
            Step::Border => true,
            Step::Loader | Step::Kernel | Step::CommandLine => step <= self.step || self.step == Step::Unknown,
            // These come late in a boot, which may have begun before the text.
            Step::Unknown | Step::CloudInit | Step::Started => false,
        };
        let before = up_secs.is_some_and(|secs| {
            let since = at.and_then(|at| at.since((*self.first.get(at.clock())?)?));
            self.uptime > secs + FALL_SECS || since.is_some_and(|since| since > secs + SLACK_SECS)
        });
        if begins || before {
            self.begin(number, step);
        }
        self.step = self.step.max(step);
        self.dumps |= line.contains("elfcorehdr=");
    }

    fn begin(&mut self, number: u64, step: Step) {
        // What stands under a heading of its own need not be later than what stands before.
        let of_its_own = self.heading > 0 && number.saturating_sub(self.heading) <= HEADING_LINES;
        let (began, up, serves) = if of_its_own { (self.began, self.up, self.serves) } else { (number, 0, 0) };
        *self = Self { began, up, serves, step, heading: self.heading, ..Self::default() };
    }

    /// A line shows a system that has come up.
    pub(super) fn is_up(&mut self, number: u64, at: Option<Moment>) {
        self.up = number;
        self.up_at = at;
    }

    /// A line shows a system that starts its services.
    pub(super) fn serves(&mut self, number: u64) {
        self.serves = number;
    }

    /// Takes note of the last words of a boot that gets no further: a kernel that panicked, or a system that waits for a person.
    /// Where a system comes up after them, that is another boot, whatever else the text says.
    pub(super) fn died(&mut self, seen: &Sighting) {
        let last_words = ["kernel.panic", "kernel.panic-hardware", "kernel.panic-boot", "boot.emergency"];
        let in_order = self.heading <= seen.last_line && !self.up_at.is_some_and(|up| before(up, seen.last_at));
        if last_words.contains(&seen.id.as_str()) && self.up > seen.last_line && in_order {
            self.died = self.died.max(seen.last_line);
        }
    }

    /// Whether what was seen is history: it was seen before the last boot only, and that one came up.
    pub(super) fn ended(&self, seen: &Sighting) -> bool {
        // A table of what is there now stands in no order with a log.
        let of_log = seen.last_at.is_some()
            || matches!(
                seen.component,
                Component::Kernel | Component::Boot | Component::Systemd | Component::CloudInit
            );
        if self.dumps || !of_log {
            return false;
        }
        // What lies in the kernel's memory alone does not outlive it; for the rest the system must have come up.
        let volatile = matches!(
            seen.cause,
            Cause::HostOutOfMemory | Cause::HostPidsExhausted | Cause::HostKernelHang | Cause::HostCpuSaturated
        );
        let came = if volatile { self.up.max(self.serves) } else { self.up };
        let in_order = !self.first.iter().flatten().any(|&first| before(first, seen.last_at));
        let rebooted = in_order && seen.last_line < self.began && came > self.began;
        rebooted || seen.last_line <= self.died
    }
}

/// Whether a moment lies before another one by the same clock, if that runs on over boots.
fn before(at: Moment, other: Option<Moment>) -> bool {
    at.uptime().is_none() && other.and_then(|other| other.since(at)).is_some_and(|secs| secs > 0)
}

/// What a line in lower case says of a boot, and for how many seconds that boot runs, if it says so.
fn step(line: &str) -> Option<(Step, Option<u64>)> {
    if line.starts_with("-- boot ") || line.starts_with("-- reboot --") {
        return Some((Step::Border, None));
    }
    if line.contains("running 'init-local'") {
        let secs = cut(line, ". up ").and_then(|(_, rest)| leading_secs(rest));
        return Some((Step::CloudInit, secs));
    }
    // A person's own manager says the same of itself, without a kernel.
    if line.contains("systemd[1]: startup finished in") && line.contains("(kernel)") {
        let total = line.rsplit_once("= ").map(|(_, total)| total);
        let secs = total.filter(|total| !total.contains("min")).and_then(leading_secs);
        return Some((Step::Started, secs));
    }
    let after_head = cut(line, " kernel: ").map(|(_, message)| message);
    let message = after_head.unwrap_or(line);
    let stamped = message.strip_prefix('[').and_then(|rest| cut(rest, "] "));
    let (at, message) = stamped.map_or((None, message), |(at, message)| (Some(at.trim()), message));
    let starts = |words: &[&str]| words.iter().any(|word| message.starts_with(word));
    if starts(&["linux version "]) {
        // `/proc/version` says the same at any time, without a stamp.
        let at_zero = at.map_or(after_head.is_some(), |at| at.starts_with("0.") || at.contains(' '));
        return at_zero.then_some((Step::Kernel, None));
    }
    if starts(&["command line: ", "kernel command line: ", "bios-provided physical ram map"]) {
        return Some((Step::CommandLine, None));
    }
    let loader =
        ["gnu grub version", "grub loading", "booting `", "seabios (version", "bdsdxe: starting", "xen minimal os"];
    (starts(&loader) || line.contains("reboot: restarting system")).then_some((Step::Loader, None))
}

fn leading_secs(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_a_boot_itself_are_a_step_of_it() {
        for (line, is) in [
            ("-- boot 0a1b --", Some(Step::Border)),
            ("[ 0.000000] linux version 6.1.112 (x) #1 smp", Some(Step::Kernel)),
            ("nov 21 03:15:54 h kernel: linux version 6.1.112 (x)", Some(Step::Kernel)),
            ("nov 21 03:15:54 h kernel: [ 0.000000] linux version 6.1.112 (x)", Some(Step::Kernel)),
            ("linux version 6.1.112 (x) #1 smp", None),
            ("[ 812.1] app: linux version 6.1", None),
            ("[ 0.000000] command line: boot_image=(hd0,gpt1)/boot/vmlinuz", Some(Step::CommandLine)),
            ("the command line: x", None),
            ("gnu grub version 2.06", Some(Step::Loader)),
            ("systemd[812]: startup finished in 50ms.", None),
            ("h systemd[1]: startup finished in 1.2s (kernel) + 3.4s (userspace) = 12.5s.", Some(Step::Started)),
        ] {
            assert_eq!(step(line).map(|(step, _)| step), is, "{line}");
        }
        assert_eq!(
            step("cloud-init v. 22.2.2 running 'init-local' at x. up 8.10 seconds."),
            Some((Step::CloudInit, Some(8)))
        );
    }
}
