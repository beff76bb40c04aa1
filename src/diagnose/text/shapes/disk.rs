//! `df` of blocks and of inodes, and the options that file systems are mounted with.

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::signature::{Component, Weight};

/// From here on nothing can be written any more: root's reserve is gone as well.
const FULL_PERCENT: f64 = 98.0;
/// From here on somebody should look.
const NEARLY_PERCENT: f64 = 93.0;

/// Which table the rows belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blocks,
    Inodes,
}

/// Reads `df`.
#[derive(Debug, Default)]
pub(super) struct Disk {
    table: Option<Kind>,
    rows: u32,
    full: bool,
    /// A table of inodes was shown, and none of its rows is full.
    inodes_fine: Option<bool>,
}

impl Disk {
    pub(super) fn line(&mut self, line: &str, books: &mut Books) {
        mounted(line, books);
        if line.contains("Filesystem") && line.contains('%') || line.contains("Filesystem") && line.contains("Capacity")
        {
            let inodes = line.contains("IUse") || line.contains("Inodes") || line.contains("IFree");
            self.table = Some(if inodes { Kind::Inodes } else { Kind::Blocks });
            return;
        }
        if self.table.is_none() && self.rows == 0 {
            self.table = headless(line);
        }
        if self.table.is_some() {
            self.row(line, books);
        }
    }

    fn row(&mut self, line: &str, books: &mut Books) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.iter().rposition(|word| word.ends_with('%') && word.len() <= 5) else {
            // A long device name stands on a line of its own.
            if words.len() != 1 {
                self.table = None;
            }
            return;
        };
        let (Some(percent), Some(mount)) =
            (words.get(at).and_then(|word| super::leading_number(word)), words.get(at + 1))
        else {
            return;
        };
        if at < 3 {
            return;
        }
        let device = words.first().copied().unwrap_or_default();
        if never_matters(device, mount) {
            return;
        }
        self.rows += 1;
        let (id, cause, what) = match self.table {
            Some(Kind::Inodes) => ("host.df-inodes", Cause::HostInodesExhausted, "of its inodes"),
            Some(Kind::Blocks) | None => ("host.df-blocks", Cause::HostDiskFull, "of its space"),
        };
        if self.table == Some(Kind::Inodes) {
            self.inodes_fine = Some(self.inodes_fine.unwrap_or(true) && percent < FULL_PERCENT);
        }
        if percent >= NEARLY_PERCENT {
            let full = percent >= FULL_PERCENT;
            self.full |= full;
            let weight = if full { Weight::Cause } else { Weight::Symptom };
            let text = format!("{mount} has used {percent} % {what}: {line}");
            let restart = if cause == Cause::HostDiskFull && full { Helps::AfterFix } else { Helps::No };
            let id = if full { id.to_owned() } else { format!("{id}-nearly") };
            books.note(Sighting::new(&id, Component::Host, cause, weight, &text).helped(Helps::No, restart), None);
        }
    }

    pub(super) fn finish(&mut self, books: &mut Books) {
        if self.rows > 0 && !self.full {
            let text = format!("{} file systems have room", self.rows);
            books.note(Sighting::new("host.df-fine", Component::Host, Cause::Healthy, Weight::Noise, &text), None);
        }
        if self.inodes_fine == Some(true) {
            let text = "the tables of inodes have room";
            let id = "host.df-inodes-fine";
            books.note(Sighting::new(id, Component::Host, Cause::Healthy, Weight::Noise, text), None);
        }
    }
}

/// Which table a row belongs to that stands there without its head: `/dev/xvda1 524288 524288 0 100% /`.
fn headless(line: &str) -> Option<Kind> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [device, total, used, free, percent, mount] = words.as_slice() else { return None };
    let percent = percent.strip_suffix('%').is_some_and(|figure| figure.parse::<u8>().is_ok());
    if !percent || !mount.starts_with('/') || device.starts_with('-') {
        return None;
    }
    let figures: Vec<u64> = [total, used, free].iter().filter_map(|word| word.parse().ok()).collect();
    // Inodes are exactly used or free; of blocks some are kept back.
    match figures.as_slice() {
        [total, used, free] if used.checked_add(*free) == Some(*total) => Some(Kind::Inodes),
        _ if total.starts_with(|c: char| c.is_ascii_digit()) => Some(Kind::Blocks),
        _ => None,
    }
}

/// Images that are full by nature, and what is no disk.
fn never_matters(device: &str, mount: &str) -> bool {
    device.starts_with("/dev/loop")
        || matches!(device, "squashfs" | "udev" | "devtmpfs" | "efivarfs" | "iso9660" | "none")
        || ["/snap/", "/sys/", "/dev/", "/proc/", "/boot/efi", "/run/user/", "/media/", "/mnt/cdrom"]
            .iter()
            .any(|place| mount.starts_with(place))
}

/// A line of `findmnt`, `mount` or `/proc/mounts` that shows the root read-only.
fn mounted(line: &str, books: &mut Books) {
    if !(line.starts_with("/ ") || line.contains(" / ") || line.contains(" on / ")) {
        return;
    }
    let read_only = line
        .split(|c: char| c.is_whitespace() || c == '(' || c == ')')
        .any(|word| word == "ro" || word.starts_with("ro,"));
    let image = ["squashfs", "erofs", "iso9660", "root=", "BOOT_IMAGE"].iter().any(|word| line.contains(word));
    if read_only && !image && !line.contains("command line") && !line.contains("erity") {
        let text = format!("the root file system is mounted read-only: {line}");
        let sighting =
            Sighting::new("host.root-read-only", Component::Host, Cause::HostReadOnlyRoot, Weight::Cause, &text);
        books.note(sighting.helped(Helps::Unknown, Helps::No), None);
    }
}
