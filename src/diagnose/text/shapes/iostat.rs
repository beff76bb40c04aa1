//! `iostat -x`: disks that are busy all the time and let each request wait for seconds.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::signature::{Component, Weight};

/// From this share of the time on a disk has no time left, in percent.
const BUSY_PERCENT: f64 = 95.0;
/// A volume that keeps its promise answers within some tens of milliseconds. One that lets requests wait for so long stands still.
const WAIT_MS: f64 = 1_000.0;

/// Reads the table of disks.
#[derive(Debug, Default)]
pub(super) struct Disks {
    /// The names of its columns, while rows may follow.
    columns: Vec<String>,
}

impl Disks {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        if line.starts_with("Device") && line.contains("%util") {
            self.columns = line.split_whitespace().map(str::to_owned).collect();
            return;
        }
        if self.columns.is_empty() {
            return;
        }
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.len() != self.columns.len() {
            self.columns.clear();
            return;
        }
        // In some languages a comma stands for the point.
        let number = |cell: &str| cell.replace(',', ".").parse::<f64>().ok();
        let of = |name: &str| {
            let at = self.columns.iter().position(|column| column == name)?;
            cells.get(at).and_then(|cell| number(cell))
        };
        let waits = ["await", "r_await", "w_await", "f_await"].iter().filter_map(|name| of(name)).fold(0.0, f64::max);
        if of("%util").is_some_and(|busy| busy >= BUSY_PERCENT) && waits >= WAIT_MS {
            let name = cells.first().copied().unwrap_or_default();
            let text = format!("the disk {name} is busy all the time, and a request waits {waits:.0} ms: {line}");
            let sighting =
                Sighting::new("host.disk-waits", Component::Host, Cause::HostIoStalled, Weight::Cause, &text);
            books.note(sighting.helped(Helps::No, Helps::No), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::read;
    use super::*;

    fn cause(row: &str) -> Cause {
        let head = "Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util\n";
        read(None, format!("{head}{row}\n").as_bytes()).cause
    }

    #[test]
    fn a_disk_that_is_busy_and_answers_is_no_stalled_one() {
        assert_eq!(cause("nvme0n1 0.00 102.00 0.00 812.00 0.00 4811.20 492.1 100.00"), Cause::HostIoStalled);
        assert_eq!(cause("nvme0n1 0,00 102,00 0,00 812,00 0,00 4811,20 492,1 100,00"), Cause::HostIoStalled);
        assert_eq!(cause("nvme0n1 900.00 102.00 90000.00 812.00 4.10 11.20 9.1 100.00"), Cause::Unknown);
        assert_eq!(cause("nvme0n1 0.00 0.02 0.00 8.00 0.00 4811.20 0.1 1.00"), Cause::Unknown);
        assert_eq!(cause("a line of something else"), Cause::Unknown);
    }
}
