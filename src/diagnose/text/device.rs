//! Which disk the kernel speaks of. A data volume that became read-only is not the root, and no reboot of the node mends it.

use super::super::{Cause, Helps};
use super::books::Sighting;
use super::cut::cut;
use super::signature::{Component, Signature, Weight};

/// Signatures of which the cause is the root's, and only where it is the root that the line names.
const OF_ROOT: [&str; 2] = ["kernel.remount-ro", "kernel.ext4-error"];
/// What `findmnt`, `mount`, `df` and the kernel's command line told of the root.
const ROOT: &str = "host.root-device";

/// Whether a signature in a line in lower case tells of a disk that is not the first one of the instance, where the root lies
/// (EC2: device names on Linux instances). A line without a name may mean the root.
pub(super) fn is_data(signature: &Signature, line: &str) -> bool {
    OF_ROOT.contains(&signature.id.as_str()) && of_kernel(line).is_some_and(|name| !is_first(name))
}

/// The same evidence, of a data volume.
pub(super) fn sighting(signature: &Signature, line: &str) -> Sighting {
    let id = format!("{}-data", signature.id);
    let sighting = Sighting::new(&id, Component::Kernel, Cause::HostIoStalled, Weight::Symptom, line);
    Sighting {
        meaning: "The file system of a data volume is damaged or read-only; the root is another one.".to_owned(),
        remedy: "Look at the volume's status; unmount it, repair it with fsck, or replace it.".to_owned(),
        ..sighting.or(&[Cause::HostReadOnlyRoot]).helped(Helps::No, Helps::No)
    }
}

/// Whether a line in lower case names a file that is read-only and lies beside the system's folders: the file system of an image, or a
/// volume that an application mounts. Such a one is often read-only by intent.
pub(super) fn is_of_application(line: &str) -> bool {
    const SYSTEM: [&str; 14] =
        ["var", "etc", "usr", "tmp", "run", "boot", "root", "home", "opt", "lib", "lib64", "bin", "sbin", "dev"];
    let mut files = line.split([' ', '\'', '"', '(']).filter_map(|word| word.strip_prefix('/')).peekable();
    let beside = |file: &str| file.split_once('/').is_some_and(|(folder, _)| !SYSTEM.contains(&folder));
    files.peek().is_some() && files.all(beside)
}

/// Remembers which device is mounted on `/`, where a line in lower case says so.
pub(super) fn root(line: &str) -> Option<Sighting> {
    let named = line.contains("/dev/") && (line.contains(" on / ") || line.ends_with(" /") || line.starts_with("/ "));
    if !named && !line.contains("root=/dev/") {
        return None;
    }
    let name = cut(line, "/dev/")?.1.split_whitespace().next()?;
    Some(Sighting::new(ROOT, Component::Host, Cause::Unknown, Weight::Noise, name))
}

/// A device that the text says is the root's is no data volume, whatever its name.
pub(super) fn combine(sightings: &mut Vec<Sighting>) {
    let root = sightings.iter().find(|sighting| sighting.id == ROOT).map(|sighting| sighting.evidence.clone());
    sightings.retain(|sighting| sighting.id != ROOT);
    let Some(root) = root else { return };
    for sighting in sightings.iter_mut() {
        let lower = sighting.evidence.to_ascii_lowercase();
        let is_root = of_kernel(&lower).is_some_and(|name| disk(&root) == disk(name));
        if is_root && sighting.id == "kernel.remount-ro-data" {
            sighting.cause = Cause::HostReadOnlyRoot;
            sighting.weight = Weight::Cause;
            sighting.also = vec![Cause::HostIoStalled];
            (sighting.reboot, sighting.restart) = (Some(Helps::Yes), None);
            "The kernel made the root read-only after an error.".clone_into(&mut sighting.meaning);
            "One reboot lets fsck run; if it happens again, replace the node.".clone_into(&mut sighting.remedy);
        }
    }
}

/// The device in `EXT4-fs (nvme1n1):`, `EXT4-fs error (device dm-0)`, `Aborting journal on device nvme1n1p1-8`.
fn of_kernel(line: &str) -> Option<&str> {
    let named = ["(device ", "on device ", "device "].iter().find_map(|before| line.split_once(before));
    let (_, rest) = named.or_else(|| cut(line, "-fs (")).or_else(|| cut(line, "btrfs ("))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_/".contains(c)).unwrap_or(rest.len());
    let name = rest.get(..end)?.trim_start_matches("/dev/");
    // A journal bears the number of its inode.
    let name = if name.starts_with("dm-") { name } else { name.split('-').next().unwrap_or(name) };
    let known = ["nvme", "xvd", "sd", "vd", "dm-", "md", "loop", "nbd"].iter().any(|kind| name.starts_with(kind));
    known.then_some(name)
}

/// Whether it is the first disk, or a partition of it. No kernel on EC2 calls a disk `sdb`; machines elsewhere name theirs in any
/// order, and one with several partitions may hold the system.
fn is_first(name: &str) -> bool {
    let disk = disk(name);
    let partition: u32 = name.get(disk.len()..).and_then(|rest| rest.parse().ok()).unwrap_or_default();
    let elsewhere = (disk.starts_with("sd") || disk.starts_with("vd")) && partition > 1;
    elsewhere || matches!(disk, "nvme0n1" | "xvda" | "sda" | "vda")
}

/// The disk of a partition: `nvme1n1` of `nvme1n1p1`, `xvdf` of `xvdf1`.
fn disk(name: &str) -> &str {
    if name.starts_with("nvme") {
        return name.split_once('p').map_or(name, |(disk, _)| disk);
    }
    if ["xvd", "sd", "vd"].iter().any(|kind| name.starts_with(kind)) {
        return name.trim_end_matches(|c: char| c.is_ascii_digit());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_name_a_disk_in_several_ways() {
        for (line, name, first) in [
            ("ext4-fs (nvme1n1): remounting filesystem read-only", Some("nvme1n1"), false),
            ("ext4-fs (nvme0n1p1): remounting filesystem read-only", Some("nvme0n1p1"), true),
            ("ext4-fs error (device dm-3): ext4_find_entry:1455", Some("dm-3"), false),
            ("aborting journal on device xvdf1-8.", Some("xvdf1"), false),
            ("btrfs info (device xvda1): forced readonly", Some("xvda1"), true),
            ("btrfs error (device sda1: state ea) in x: forced readonly", Some("sda1"), true),
            ("ext4-fs (sdb1): remounting filesystem read-only", Some("sdb1"), false),
            ("ext4-fs (sdb7): remounting filesystem read-only", Some("sdb7"), true),
            ("remounting filesystem read-only", None, true),
        ] {
            assert_eq!(of_kernel(line), name, "{line}");
            assert_eq!(of_kernel(line).is_none_or(is_first), first, "{line}");
        }
    }

    #[test]
    fn a_read_only_file_beside_the_systems_folders_is_an_applications() {
        for line in [
            "oserror: [errno 30] read-only file system: '/app/cache/tmp0c1d'",
            "error: erofs: read-only file system, open '/srv/shop/upload.tmp'",
            "touch: cannot touch '/data/x': read-only file system",
        ] {
            assert!(is_of_application(line), "{line}");
        }
        for line in [
            "oserror: [errno 30] read-only file system: '/var/cache/dnf'",
            "touch: cannot touch '/x': read-only file system",
            "touch: cannot touch 'x': read-only file system",
            "cp: /app/a: cannot copy to /etc/a: read-only file system",
            "mkdir /: read-only file system",
        ] {
            assert!(!is_of_application(line), "{line}");
        }
    }

    #[test]
    fn what_is_mounted_on_the_root_is_remembered() {
        let name = |line: &str| root(line).map(|sighting| sighting.evidence);
        assert_eq!(name("/dev/nvme1n1p1 on / type ext4 (ro,relatime)").as_deref(), Some("nvme1n1p1"));
        assert_eq!(name("/dev/xvdf1 8376300 1 2 30% /").as_deref(), Some("xvdf1"));
        assert_eq!(name("/ /dev/nvme1n1p1 ext4 ro,relatime").as_deref(), Some("nvme1n1p1"));
        assert_eq!(name("kernel command line: root=/dev/nvme1n1p1 ro").as_deref(), Some("nvme1n1p1"));
        assert_eq!(name("/dev/nvme1n1 on /data type ext4 (ro)"), None);
    }
}
