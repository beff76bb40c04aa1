//! Memory, processors, connection tracking: `free`, `/proc/meminfo`, `top`, `iostat`, `sysctl`.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::cut::cut;
use super::super::signature::{Component, Weight};
use super::leading_number;

/// Less than this share of memory available: the next allocation may kill something.
const LITTLE_MEMORY_PERCENT: f64 = 4.0;

/// Reads figures of the host as a whole.
#[derive(Debug, Default)]
pub(super) struct Load {
    free_columns: Vec<String>,
    total: Option<f64>,
    available: Option<f64>,
    processors: bool,
    tracked: Option<f64>,
    trackable: Option<f64>,
    showed: bool,
    /// The columns of `vmstat`.
    vmstat: Vec<String>,
    /// Whose pressure the next lines tell.
    pressure: Option<Pressure>,
}

/// What all tasks may wait for, as `/proc/pressure` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    Cpu,
    Disks,
    Memory,
}

impl Load {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("Mem:") {
            self.free_row(rest);
        } else if trimmed.starts_with("total ") && trimmed.contains("used") && trimmed.contains("free") {
            self.free_columns = trimmed.split_whitespace().map(str::to_owned).collect();
        } else if let Some(rest) = trimmed.strip_prefix("MemTotal:") {
            self.total = leading_number(rest.trim());
        } else if let Some(rest) = trimmed.strip_prefix("MemAvailable:") {
            self.available = leading_number(rest.trim());
        } else if let Some((rest, of)) = cut(trimmed, "avail Mem").and_then(|_| trimmed.rsplit_once("used.")) {
            let _ = rest;
            self.available = leading_number(of.trim());
        } else if trimmed.contains("iB Mem :") {
            self.total = trimmed.split_once(':').and_then(|(_, rest)| leading_number(rest.trim()));
        } else if trimmed.starts_with("%Cpu") || trimmed.starts_with("Cpu(s)") {
            self.showed = true;
            busy(figure(trimmed, "id"), figure(trimmed, "wa"), figure(trimmed, "st"), line, books);
        } else if trimmed.starts_with("avg-cpu:") {
            self.processors = true;
        } else if self.processors {
            self.processors = trimmed.is_empty();
            let figures: Vec<f64> = trimmed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            if let [.., waiting, stolen, idle] = figures.as_slice() {
                self.showed = true;
                busy(Some(*idle), Some(*waiting), Some(*stolen), line, books);
            }
        } else if trimmed.starts_with("r ") && trimmed.contains(" swpd ") {
            self.vmstat = trimmed.split_whitespace().map(str::to_owned).collect();
        } else if let Some(row) = self.vmstat_row(trimmed) {
            let column = |name: &str| self.vmstat.iter().position(|column| column == name);
            let at = |name: &str| column(name).and_then(|at| row.get(at).copied());
            self.showed = true;
            busy(at("id"), at("wa"), at("st"), line, books);
        } else if trimmed.contains("nf_conntrack_count") || trimmed.contains("nf_conntrack_max") {
            self.tracking(trimmed);
        } else if trimmed.contains("load average:") {
            loaded(trimmed, books);
        } else if let Some((_, file)) = cut(trimmed, "/proc/pressure/") {
            self.pressure = match file.split(|c: char| !c.is_ascii_alphabetic()).next() {
                Some("cpu") => Some(Pressure::Cpu),
                Some("io") => Some(Pressure::Disks),
                Some("memory") => Some(Pressure::Memory),
                Some(_) | None => None,
            };
        } else if let Some(pressure) = self.pressure
            && let Some(share) = cut(trimmed, " avg60=").and_then(|(_, rest)| leading_number(rest))
        {
            self.showed = true;
            pressed(pressure, trimmed.starts_with("full "), share, trimmed, books);
        }
    }

    /// The figures of a row of `vmstat`.
    fn vmstat_row(&self, line: &str) -> Option<Vec<f64>> {
        if self.vmstat.is_empty() || !line.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let row: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        row.filter(|row| row.len() == self.vmstat.len())
    }

    fn free_row(&mut self, rest: &str) {
        let figures: Vec<f64> = rest.split_whitespace().filter_map(leading_number).collect();
        let column = |name: &str| self.free_columns.iter().position(|column| column == name);
        self.total = column("total").and_then(|at| figures.get(at).copied());
        self.available = column("available").and_then(|at| figures.get(at).copied());
    }

    fn tracking(&mut self, line: &str) {
        let figure = line.rsplit(['=', ':', ' ']).find_map(|word| word.trim().parse::<f64>().ok());
        if line.contains("nf_conntrack_count") {
            self.tracked = figure;
        } else {
            self.trackable = figure;
        }
    }

    pub(super) fn finish(&mut self, books: &mut Books) {
        if let (Some(total), Some(available)) = (self.total, self.available) {
            self.showed = true;
            let percent = available * 100.0 / total.max(1.0);
            if percent < LITTLE_MEMORY_PERCENT {
                let text = format!("{percent:.1} % of the memory are available ({available} of {total})");
                let sighting =
                    Sighting::new("host.memory-low", Component::Host, Cause::HostOutOfMemory, Weight::Cause, &text);
                books.note(sighting.helped(Helps::Unknown, Helps::No), None);
                return;
            }
        }
        if let (Some(tracked), Some(trackable)) = (self.tracked, self.trackable)
            && tracked >= trackable * 0.95
        {
            let text = format!("connection tracking holds {tracked} of {trackable}");
            books.note(
                Sighting::new("host.conntrack-full", Component::Host, Cause::HostNetworkStack, Weight::Cause, &text),
                None,
            );
        } else if self.showed {
            let sighting = Sighting::new(
                "host.figures",
                Component::Host,
                Cause::Healthy,
                Weight::Noise,
                "memory and processors have room",
            );
            books.note(sighting, None);
        }
    }
}

/// The figure before a name: `97.3 us, 0.0 id`, also `0.0%id`.
fn figure(line: &str, name: &str) -> Option<f64> {
    line.split([',', ':']).find_map(|part| {
        let part = part.trim();
        let value = part.strip_suffix(name)?.trim_end_matches(['%', ' ']);
        value.rsplit(' ').next()?.parse().ok()
    })
}

fn busy(idle: Option<f64>, waiting: Option<f64>, stolen: Option<f64>, line: &str, books: &mut Books) {
    let (Some(idle), waiting, stolen) = (idle, waiting.unwrap_or(0.0), stolen.unwrap_or(0.0)) else { return };
    if waiting >= 50.0 {
        let text = format!("the processors wait for disks {waiting} % of the time: {line}");
        books.note(Sighting::new("host.io-wait", Component::Host, Cause::HostIoStalled, Weight::Cause, &text), None);
    } else if idle <= 4.0 && waiting < 30.0 {
        let text =
            format!("the processors are idle {idle} % of the time, {stolen} % are taken by the hypervisor: {line}");
        let sighting =
            Sighting::new("host.processors-busy", Component::Host, Cause::HostCpuSaturated, Weight::Cause, &text);
        books.note(sighting.helped(Helps::Unknown, Helps::No), None);
    }
}

/// Shares of a minute in which some or all tasks waited. The limits are those of the probe (docs/DIAGNOSIS.md, H07 and H05).
fn pressed(pressure: Pressure, full: bool, share: f64, line: &str, books: &mut Books) {
    let (id, cause, least) = match (pressure, full) {
        (Pressure::Disks, true) => ("host.pressure-disks", Cause::HostIoStalled, 60.0),
        (Pressure::Memory, true) => ("host.pressure-memory", Cause::HostOutOfMemory, 40.0),
        (Pressure::Cpu, false) => ("host.pressure-cpu", Cause::HostCpuSaturated, 80.0),
        (Pressure::Disks | Pressure::Memory, false) | (Pressure::Cpu, true) => return,
    };
    if share >= least {
        let text = format!("tasks waited {share} % of a minute: {line}");
        let sighting = Sighting::new(id, Component::Host, cause, Weight::Cause, &text);
        let reboot = if cause == Cause::HostIoStalled { Helps::No } else { Helps::Unknown };
        books.note(sighting.helped(reboot, Helps::No), None);
    }
}

/// A load as high as this is high on any machine that has trouble with it; how many processors there are is not known here.
fn loaded(line: &str, books: &mut Books) {
    let Some((_, figures)) = cut(line, "load average:") else { return };
    let figures: Vec<f64> = figures.split(',').filter_map(|word| word.trim().parse().ok()).collect();
    if let [_, five, ..] = figures.as_slice()
        && *five >= 40.0
    {
        let text = format!("the load was {five} over five minutes: {line}");
        let sighting =
            Sighting::new("host.load-high", Component::Host, Cause::HostCpuSaturated, Weight::Symptom, &text);
        books.note(sighting.or(&[Cause::HostIoStalled]).helped(Helps::Unknown, Helps::No), None);
    }
}
