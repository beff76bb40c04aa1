//! What each cause means to a person, and what that person can do about it.
//!
//! The truth of these texts is that of `facts/host.md` and `facts/checks.md`. Where a reboot is futile, no step tells
//! anyone to try one. `INSTANCE_ID` and `REGION` stand for the node's own; a report fills them in.

use super::{Cause, Helps};

mod words;

/// The cause in two or three words: `disk full`.
#[must_use]
pub fn name(cause: Cause) -> &'static str {
    words::of(cause).name
}

/// The cause as a clause: `no IAM role is attached to the instance`.
#[must_use]
pub fn sentence(cause: Cause) -> &'static str {
    words::of(cause).sentence
}

/// What a person is asked to do, to stand after "Please ": `attach a role to the instance`.
#[must_use]
pub fn please(cause: Cause) -> &'static str {
    words::of(cause).please
}

/// Whether a reboot helps.
#[must_use]
pub fn reboot_helps(cause: Cause) -> Helps {
    match cause {
        Cause::SsmAgentStopped
        | Cause::SsmAgentHung
        | Cause::SsmAgentWorkersExhausted
        | Cause::SsmAgentUpdateStuck
        | Cause::RuntimeDockerHung
        | Cause::HostOutOfMemory
        | Cause::HostPidsExhausted
        | Cause::HostKernelHang
        | Cause::HostReadOnlyRoot => Helps::Yes,
        Cause::EcsAgentHung | Cause::EcsAgentCrashLoop | Cause::HostCpuSaturated | Cause::Unknown => Helps::Unknown,
        Cause::IdentityImdsUnreachable
        | Cause::IdentityNoInstanceProfile
        | Cause::IdentityAccessDenied
        | Cause::IdentityCredentialsExpired
        | Cause::IdentityRegistrationMismatch
        | Cause::IdentityDefaultHostManagement
        | Cause::NetworkDns
        | Cause::NetworkUnreachable
        | Cause::NetworkTls
        | Cause::NetworkProxy
        | Cause::ClockSkew
        | Cause::SsmAgentHibernating
        | Cause::SsmAgentWorkerCrash
        | Cause::SsmAgentMisconfigured
        | Cause::EcsAgentStopped
        | Cause::EcsAgentTerminalExit
        | Cause::EcsAgentDeregistered
        | Cause::EcsAgentStateCorrupt
        | Cause::EcsAgentClusterMismatch
        | Cause::EcsAgentClusterMissing
        | Cause::EcsAgentInstanceTypeChanged
        | Cause::EcsAgentImageMissing
        | Cause::EcsAgentCloudInitFailed
        | Cause::EcsAgentMisconfigured
        | Cause::RuntimeDockerDown
        | Cause::RuntimeDockerMisconfigured
        | Cause::RuntimeStorageCorrupt
        | Cause::HostDiskFull
        | Cause::HostInodesExhausted
        | Cause::HostOpenFilesExhausted
        | Cause::HostIoStalled
        | Cause::HostBootFailure
        | Cause::HostNetworkStack
        | Cause::PlatformHardware
        | Cause::CommandScriptTimeout
        | Cause::CommandRejected
        | Cause::ServiceUnavailable
        | Cause::SessionClientGaveUp
        | Cause::NoisePeriodicReconnect
        | Cause::Healthy => Helps::No,
    }
}

/// Whether a restart of the agent helps.
#[must_use]
pub fn restart_agent_helps(cause: Cause) -> Helps {
    match cause {
        Cause::IdentityCredentialsExpired
        | Cause::SsmAgentStopped
        | Cause::SsmAgentHung
        | Cause::EcsAgentStopped
        | Cause::EcsAgentHung => Helps::Yes,
        Cause::IdentityNoInstanceProfile
        | Cause::IdentityAccessDenied
        | Cause::IdentityDefaultHostManagement
        | Cause::NetworkDns
        | Cause::NetworkUnreachable
        | Cause::NetworkTls
        | Cause::NetworkProxy
        | Cause::ClockSkew
        | Cause::SsmAgentHibernating
        | Cause::SsmAgentWorkersExhausted
        | Cause::SsmAgentMisconfigured
        | Cause::EcsAgentTerminalExit
        | Cause::HostDiskFull => Helps::AfterFix,
        Cause::Unknown => Helps::Unknown,
        Cause::IdentityImdsUnreachable
        | Cause::IdentityRegistrationMismatch
        | Cause::SsmAgentWorkerCrash
        | Cause::SsmAgentUpdateStuck
        | Cause::EcsAgentCrashLoop
        | Cause::EcsAgentDeregistered
        | Cause::EcsAgentStateCorrupt
        | Cause::EcsAgentClusterMismatch
        | Cause::EcsAgentClusterMissing
        | Cause::EcsAgentInstanceTypeChanged
        | Cause::EcsAgentImageMissing
        | Cause::EcsAgentCloudInitFailed
        | Cause::EcsAgentMisconfigured
        | Cause::RuntimeDockerDown
        | Cause::RuntimeDockerHung
        | Cause::RuntimeDockerMisconfigured
        | Cause::RuntimeStorageCorrupt
        | Cause::HostInodesExhausted
        | Cause::HostOutOfMemory
        | Cause::HostPidsExhausted
        | Cause::HostOpenFilesExhausted
        | Cause::HostKernelHang
        | Cause::HostReadOnlyRoot
        | Cause::HostIoStalled
        | Cause::HostCpuSaturated
        | Cause::HostBootFailure
        | Cause::HostNetworkStack
        | Cause::PlatformHardware
        | Cause::CommandScriptTimeout
        | Cause::CommandRejected
        | Cause::ServiceUnavailable
        | Cause::SessionClientGaveUp
        | Cause::NoisePeriodicReconnect
        | Cause::Healthy => Helps::No,
    }
}

/// The agent's own back-off after a repaired identity or network: up to an hour (facts/host.md §1).
const SSM_COMES_BACK: &str = "The agent comes back by itself within 60 min; to speed it up, restart it on the host";
const RESTART_SSM: &str = "sudo systemctl restart amazon-ssm-agent  (Ubuntu: sudo snap restart amazon-ssm-agent)";
const RESTART_ECS: &str = "sudo systemctl restart ecs  (tasks keep running)";
const OTHER_DOOR: &str = "Reach the host by SSH or the EC2 serial console; Session Manager may not work";
const REPLACE_NODE: &str = "Replace the node: drain it, then terminate it through its Auto Scaling group";

/// Steps that an operator can follow, in order.
#[must_use]
#[allow(clippy::too_many_lines, reason = "one table, one row a cause; splitting it would hide a missing row")]
pub fn advice(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::IdentityImdsUnreachable => &[
            "aws ec2 modify-instance-metadata-options --instance-id INSTANCE_ID --http-endpoint enabled",
            "If an agent runs in a container, add: --http-put-response-hop-limit 2",
            "On the host, look for a firewall rule or proxy that catches 169.254.169.254",
            "The SSM agent tries again every 90 s by itself",
        ],
        Cause::IdentityNoInstanceProfile => &[
            "aws ec2 associate-iam-instance-profile --instance-id INSTANCE_ID --iam-instance-profile Name=PROFILE",
            "The role needs AmazonSSMManagedInstanceCore; for ECS also AmazonEC2ContainerServiceforEC2Role",
            SSM_COMES_BACK,
            RESTART_SSM,
        ],
        Cause::IdentityAccessDenied => &[
            "Attach AmazonSSMManagedInstanceCore (ECS: AmazonEC2ContainerServiceforEC2Role) to the role",
            "Look for a deny in permission boundaries, SCPs and the VPC endpoints' policies",
            SSM_COMES_BACK,
            RESTART_SSM,
        ],
        Cause::IdentityCredentialsExpired => &[
            "Check that the role still exists and was not deleted and created again under the same name",
            "Look for stale keys in /root/.aws/credentials and in the agent's environment",
            RESTART_SSM,
        ],
        Cause::IdentityRegistrationMismatch => &[
            "Last resort, for the agent loses its local state: sudo systemctl stop amazon-ssm-agent",
            "EC2 (i-...): sudo mv /var/lib/amazon/ssm/Vault /var/lib/amazon/ssm/Vault.old",
            "EC2: sudo systemctl start amazon-ssm-agent; it takes the identity of its instance",
            "Hybrid only (mi-...): aws ssm create-activation --iam-role ROLE --region REGION",
            "Hybrid only: sudo amazon-ssm-agent -register -code CODE -id ID -region REGION -y, then start it",
            "Do not bake a registered agent into an image",
        ],
        Cause::IdentityDefaultHostManagement => &[
            "aws ssm get-service-setting --setting-id /ssm/managed-instance/default-ec2-instance-management-role",
            "Check that its role exists and trusts ssm.amazonaws.com, or attach an instance profile instead",
            "By itself the agent may wait up to 22 h before it tries again, so restart it on the host",
            RESTART_SSM,
        ],
        Cause::NetworkDns => &[
            "Check enableDnsSupport and enableDnsHostnames of the VPC, and its DHCP options",
            "Check that private DNS is on for the interface endpoints",
            "On the host: getent hosts ssm.REGION.amazonaws.com; cat /etc/resolv.conf",
            SSM_COMES_BACK,
        ],
        Cause::NetworkUnreachable => &[
            "Security group of the instance: allow 443 out; network ACL: 443 out and 1024-65535 in",
            "Route: the subnet needs a NAT or internet gateway, or interface endpoints in the VPC",
            "Endpoints for SSM: ssm, ssmmessages, ec2messages; for ECS: ecs, ecs-agent, ecs-telemetry",
            "Security group of the endpoints: allow 443 in from the instance",
            SSM_COMES_BACK,
        ],
        Cause::NetworkTls => &[
            "Exempt *.amazonaws.com from TLS inspection, or install the inspector's CA on the host",
            "On the host: curl -v https://ssm.REGION.amazonaws.com shows the certificate",
            "Update the CA bundle: sudo update-ca-trust  (Debian: sudo update-ca-certificates)",
            SSM_COMES_BACK,
        ],
        Cause::NetworkProxy => &[
            "sudo systemctl edit amazon-ssm-agent, and check http_proxy, https_proxy and no_proxy",
            "no_proxy must hold 169.254.169.254",
            "For ECS: the same settings in /etc/ecs/ecs.config and in docker's unit",
            RESTART_SSM,
        ],
        Cause::ClockSkew => &[
            OTHER_DOOR,
            "sudo chronyc makestep  (Windows: w32tm /resync /force)",
            "Let chrony use the Amazon Time Sync Service: server 169.254.169.123 prefer iburst",
            RESTART_SSM,
        ],
        Cause::SsmAgentStopped => &[
            OTHER_DOOR,
            "sudo systemctl unmask amazon-ssm-agent; sudo systemctl enable --now amazon-ssm-agent",
            "If the unit does not exist, install the agent: package amazon-ssm-agent",
        ],
        Cause::SsmAgentHung => &[
            OTHER_DOOR,
            "sudo systemctl kill --kill-whom=main -s KILL amazon-ssm-agent",
            RESTART_SSM,
            "If nobody can reach the host: aws ec2 reboot-instances --instance-ids INSTANCE_ID",
        ],
        Cause::SsmAgentHibernating => &[
            "Read why in amazon-ssm-agent.log: 'Entering SSM Agent hibernate - ...'",
            "Repair that: most often the role or the way to the endpoints",
            SSM_COMES_BACK,
            RESTART_SSM,
        ],
        Cause::SsmAgentWorkerCrash => &[
            OTHER_DOOR,
            "sudo journalctl -u amazon-ssm-agent -n 100, and journalctl -k for 'Killed process'",
            "Reinstall or update the package amazon-ssm-agent",
        ],
        Cause::SsmAgentWorkersExhausted => &[
            "aws ssm list-command-invocations --instance-id INSTANCE_ID --filters key=Status,value=InProgress",
            "aws ssm cancel-command --command-id COMMAND_ID for those that are stuck",
            "On the host, end what is left of them: pgrep -af ssm-document-worker",
            RESTART_SSM,
        ],
        Cause::SsmAgentUpdateStuck => &[
            OTHER_DOOR,
            "If no updater runs (pgrep -f amazon-ssm-updater): sudo rm /var/lib/amazon/ssm/update.lock",
            "An update needs 100 MB of free disk space",
            RESTART_SSM,
        ],
        Cause::SsmAgentMisconfigured => &[
            OTHER_DOOR,
            "Check /etc/amazon/ssm/amazon-ssm-agent.json and seelog.xml; without them the defaults apply",
            "Move a broken vault aside: /var/lib/amazon/ssm/Vault (a hybrid node must register again)",
            RESTART_SSM,
        ],
        Cause::EcsAgentStopped => &[
            "sudo systemctl unmask ecs; sudo systemctl enable ecs; sudo systemctl start --no-block ecs",
            "If it ends at once, read the end of /var/log/ecs/ecs-init.log",
        ],
        Cause::EcsAgentHung => &[
            "Check docker first: timeout 10 docker info",
            RESTART_ECS,
            "If it hangs again, look for a second agent that holds /var/lib/ecs/data/agent.db",
        ],
        Cause::EcsAgentCrashLoop => &[
            "Read the last line with level=critical in /var/log/ecs/ecs-agent.log",
            "Repair what it names; the agent starts again by itself within 15 s",
        ],
        Cause::EcsAgentTerminalExit => &[
            "Read the lines before the exit in /var/log/ecs/ecs-agent.log; they name the cause",
            "After the repair: sudo systemctl reset-failed ecs; sudo systemctl start --no-block ecs",
        ],
        Cause::EcsAgentDeregistered => &[
            REPLACE_NODE,
            "Or register it as a new container instance, once no task runs on it:",
            "sudo systemctl stop ecs; sudo mv /var/lib/ecs/data/agent.db /var/lib/ecs/data/agent.db.old",
            "sudo systemctl start --no-block ecs",
        ],
        Cause::EcsAgentStateCorrupt => &[
            REPLACE_NODE,
            "Or set the state aside, once no task runs on it: the node gets a new container instance ARN",
            "sudo systemctl stop ecs; sudo mv /var/lib/ecs/data/agent.db /var/lib/ecs/data/agent.db.old",
            "sudo systemctl start --no-block ecs",
        ],
        Cause::EcsAgentClusterMismatch => &[
            "Set ECS_CLUSTER in /etc/ecs/ecs.config back to the cluster that it registered with",
            "sudo systemctl reset-failed ecs; sudo systemctl start --no-block ecs",
            "If the new cluster is right, replace the node instead",
        ],
        Cause::EcsAgentClusterMissing => &[
            "aws ecs describe-clusters --clusters CLUSTER --region REGION",
            "Create the cluster, or correct ECS_CLUSTER in /etc/ecs/ecs.config and the launch template",
        ],
        Cause::EcsAgentInstanceTypeChanged => &["Change the instance type back to the registered one", REPLACE_NODE],
        Cause::EcsAgentImageMissing => &[
            "Free disk space first if /var/lib/docker is full",
            "sudo /usr/libexec/amazon-ecs-init reload-cache; sudo systemctl start --no-block ecs",
            "Do not run docker image prune -a on container instances",
        ],
        Cause::EcsAgentCloudInitFailed => &[
            "Read why: cloud-init status --long, /var/log/cloud-init-output.log",
            "Correct the launch template's user data, or the next node fails the same way",
            REPLACE_NODE,
        ],
        Cause::EcsAgentMisconfigured => &[
            "Check /etc/ecs/ecs.config; ECS_INSTANCE_ATTRIBUTES must be valid JSON",
            "sudo systemctl reset-failed ecs; sudo systemctl start --no-block ecs",
        ],
        Cause::RuntimeDockerDown => &[
            "sudo journalctl -u docker -u containerd -n 50 tells why it ended",
            "sudo systemctl reset-failed docker ecs; sudo systemctl restart docker",
            "sudo systemctl start --no-block ecs  (it does not follow a stopped docker by itself)",
        ],
        Cause::RuntimeDockerHung => &[
            "Drain the node: without live-restore a restart of docker ends every container",
            "sudo timeout 120 systemctl restart docker; sudo systemctl start --no-block ecs",
            "If docker hangs in state D: aws ec2 reboot-instances --instance-ids INSTANCE_ID",
        ],
        Cause::RuntimeDockerMisconfigured => &[
            "Check /etc/docker/daemon.json, and journalctl -u docker -n 50 for the complaint",
            "sudo systemctl reset-failed docker; sudo systemctl restart docker",
            "sudo systemctl start --no-block ecs",
        ],
        Cause::RuntimeStorageCorrupt => {
            &[REPLACE_NODE, "Save what you need first: the containers' layers on it cannot be trusted"]
        }
        Cause::HostDiskFull => &[
            OTHER_DOOR,
            "Find what fills it: df -h; sudo du -xh / | sort -h | tail -20",
            "sudo journalctl --vacuum-size=200M; sudo docker image prune -f",
            "Or grow the volume: aws ec2 modify-volume --volume-id VOLUME_ID --size GIB",
            RESTART_SSM,
        ],
        Cause::HostInodesExhausted => &[
            OTHER_DOOR,
            "Find them: df -i; sudo du --inodes -x / | sort -n | tail -20",
            "Often: old folders in /var/lib/amazon/ssm/i-*/document/orchestration",
            "Then restart the agent that died of it",
        ],
        Cause::HostOutOfMemory => &[
            "Find the victim and the hog: sudo journalctl -k | grep -i 'killed process'",
            "Limit or resize the workload; on ECS raise ECS_RESERVED_MEMORY to 256 or more",
            "If the host does not answer: aws ec2 reboot-instances --instance-ids INSTANCE_ID",
        ],
        Cause::HostPidsExhausted => &[
            "If a shell still starts: ps -eLf | awk '{print $1}' | sort | uniq -c | sort -n | tail",
            "Otherwise: aws ec2 reboot-instances --instance-ids INSTANCE_ID",
            "Give the workload a pids limit",
        ],
        Cause::HostOpenFilesExhausted => &[
            "cat /proc/sys/fs/file-nr; sudo lsof -n | awk '{print $1}' | sort | uniq -c | sort -n | tail",
            "Restart the process that leaks them; raise LimitNOFILE of its unit",
            "Then restart the agent that died of it",
        ],
        Cause::HostKernelHang => &[
            "aws ec2 get-console-output --instance-id INSTANCE_ID --latest --output text",
            "aws ec2 reboot-instances --instance-ids INSTANCE_ID",
            "If it comes back: update the kernel, or replace the node",
        ],
        Cause::HostReadOnlyRoot => &[
            "sudo dmesg | grep -iE 'ext4|xfs|i/o error' tells why",
            "One reboot lets fsck run: aws ec2 reboot-instances --instance-ids INSTANCE_ID",
            "If it is read-only again, replace the node or restore its volume from a snapshot",
        ],
        Cause::HostIoStalled => &[
            "aws ec2 describe-volume-status, and VolumeStalledIOCheck in CloudWatch",
            "Take a snapshot while that is still possible",
            REPLACE_NODE,
        ],
        Cause::HostCpuSaturated => &[
            "Look at CPUUtilization and, on burstable types, CPUCreditBalance in CloudWatch",
            "Limit or move the workload, or choose a larger instance type",
        ],
        Cause::HostBootFailure => &[
            "aws ec2 get-console-output --instance-id INSTANCE_ID --latest --output text",
            "Use the EC2 serial console, or attach the root volume to a helper instance",
            "Often: a bad line in /etc/fstab; add nofail to mounts that may be missing",
        ],
        Cause::HostNetworkStack => &[
            OTHER_DOOR,
            "ip route show default; ip -br link; sudo iptables -S OUTPUT",
            "sudo sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
        ],
        Cause::PlatformHardware => &[
            "aws ec2 stop-instances --instance-ids INSTANCE_ID (an Auto Scaling member: Standby first)",
            "aws ec2 start-instances --instance-ids INSTANCE_ID, which moves it to other hardware",
            "An instance-store root cannot be stopped: replace the node",
        ],
        Cause::CommandScriptTimeout => &[
            "Read how far it came in the command's output",
            "Raise executionTimeout (default 3600 s) or make the script quicker",
        ],
        Cause::CommandRejected => {
            &["Check the sender's permission, the document's platform and the command's targets and rate"]
        }
        Cause::ServiceUnavailable => &["Look at the AWS Health Dashboard; the agents connect again by themselves"],
        Cause::SessionClientGaveUp => &[
            "End the old plugin process: it may keep its local port open and carry nothing",
            "aws ssm start-session --target INSTANCE_ID",
        ],
        Cause::NoisePeriodicReconnect => &["Nothing to do: agents reconnect several times an hour"],
        Cause::Healthy => &["Nothing to do"],
        Cause::Unknown => &[
            "aws ec2 get-console-output --instance-id INSTANCE_ID --latest --output text",
            OTHER_DOOR,
            "sudo journalctl -p err -n 100; systemctl status amazon-ssm-agent ecs docker",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_can_be_explained_and_acted_upon() {
        for &cause in Cause::ALL {
            assert!(!sentence(cause).is_empty() && !please(cause).is_empty() && !advice(cause).is_empty(), "{cause}");
            assert!(name(cause).len() <= 24, "{cause}: too long for a subject");
            for text in advice(cause).iter().chain([&name(cause), &sentence(cause), &please(cause)]) {
                assert!(text.is_ascii() && text.len() <= 100, "{cause}: {text}");
                assert!(!text.ends_with('.'), "{cause}: {text}");
            }
        }
    }

    #[test]
    fn where_a_reboot_is_futile_nobody_is_told_to_reboot() {
        for &cause in Cause::ALL.iter().filter(|&&cause| reboot_helps(cause) == Helps::No) {
            for text in advice(cause).iter().chain([&please(cause)]) {
                assert!(!text.to_lowercase().contains("reboot"), "{cause}: {text}");
            }
        }
    }

    #[test]
    fn a_futile_restart_of_the_agent_is_not_advised_alone() {
        for &cause in Cause::ALL.iter().filter(|&&cause| restart_agent_helps(cause) == Helps::No) {
            assert!(!advice(cause)[0].contains("restart amazon-ssm-agent"), "{cause}");
        }
    }
}
