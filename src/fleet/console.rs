//! The console of an instance: a boot, and what its fault left there.

use std::fmt::Write;

use super::Fleet;
use crate::sim::ailment::Ailment;
use crate::sim::machine::Machine;

impl Fleet {
    /// The console output, with what the fault of the moment writes there.
    pub(super) fn console(&self, machine: &Machine) -> String {
        let host = self.computer_name(machine);
        let mut text = String::from(
            "[    0.000000] Linux version 6.1.112-124.190.amzn2023.aarch64 (mockbuild@ip-10-0-0-1)\r\n\
             [    0.000000] Command line: BOOT_IMAGE=(hd0,gpt1)/boot/vmlinuz root=UUID=0 ro console=ttyS0,115200n8\r\n\
             [    2.018442] systemd[1]: Detected virtualization amazon.\r\n\
             [    6.731201] cloud-init[1712]: Cloud-init v. 22.2.2 finished\r\n",
        );
        let _ = writeln!(text, "\r\nAmazon Linux 2023\r\nKernel 6.1.112 on an aarch64 (-)\r\n\r\n{host} login: \r");
        let Some(ill) = &machine.illness else { return text };
        let uptime = self.world.now.saturating_sub(machine.booted_at);
        for finding in ill.console.iter() {
            let _ = writeln!(text, "[{uptime:5}.104219] {}\r", finding.evidence);
        }
        if let Some(line) = without_a_trace(ill.ailment) {
            let _ = writeln!(text, "[{uptime:5}.271883] {line}\r");
        }
        text
    }
}

/// Of faults around the node, whose evidence is elsewhere, the agent's own words on the console. A role without permissions
/// and a blocked route cannot be read by any call that this door answers, and agents do log there on many images.
const WORDS: [(Ailment, &str); 5] = [
    (
        Ailment::IdentityAccessDenied,
        "amazon-ssm-agent: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/node-role is not authorized \
         to perform: ssm:UpdateInstanceInformation",
    ),
    (Ailment::IdentityNoInstanceProfile, NO_ROLE),
    (Ailment::IdentityDefaultHostManagement, NO_ROLE),
    (
        Ailment::IdentityImdsUnreachable,
        "amazon-ssm-agent: failed to fetch instance id from IMDS: EC2MetadataError: failed to make request, status code: 403",
    ),
    (
        Ailment::NetworkUnreachable,
        "amazon-ssm-agent: RequestError: send request failed: dial tcp 52.46.141.158:443: i/o timeout",
    ),
];
const NO_ROLE: &str =
    "amazon-ssm-agent: EC2RoleProvider Failed to connect to Systems Manager with instance profile role credentials";

fn without_a_trace(ailment: Ailment) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == ailment).map(|(_, words)| *words)
}
