"""Whether a restart of the agent and a reboot help against a cause, as facts/host.md and facts/checks.md have it.

An independent list beside the product's own: where several answers stand, the facts leave it open, and none of them would
make a person do something futile. A case may know better than its cause.
"""

NO, AFTER, YES, OPEN = "no", "after-fix", "yes", "unknown"
# A restart makes the agent forget its back-off once the cause is gone, and does nothing before.
ONCE_REPAIRED = ((NO, AFTER), (NO,))
FUTILE = ((NO,), (NO,))

# cause: (restart of the agent, reboot)
HELPS = {
    "identity.imds-unreachable": ONCE_REPAIRED,
    "identity.no-instance-profile": ONCE_REPAIRED,
    "identity.access-denied": ONCE_REPAIRED,
    "identity.credentials-expired": ((NO, AFTER, YES), (NO,)),
    "identity.registration-mismatch": FUTILE,
    "network.dns": ONCE_REPAIRED,
    "network.unreachable": ONCE_REPAIRED,
    "network.tls": ONCE_REPAIRED,
    "network.proxy": ONCE_REPAIRED,
    "clock.skew": ONCE_REPAIRED,
    "ssm-agent.stopped": ((YES,), (YES, OPEN)),
    "ssm-agent.hung": ((YES,), (YES,)),
    "ssm-agent.workers-exhausted": ((YES, AFTER), (YES,)),
    "ssm-agent.hibernating": ((AFTER,), (NO,)),
    "ssm-agent.worker-crash": FUTILE,
    "ssm-agent.misconfigured": ONCE_REPAIRED,
    "ecs-agent.stopped": ((YES, AFTER), (NO,)),
    "ecs-agent.hung": ((YES,), (NO, OPEN)),
    "ecs-agent.crash-loop": ((NO,), (NO, OPEN)),
    "ecs-agent.terminal-exit": ONCE_REPAIRED,
    "ecs-agent.deregistered": FUTILE,
    "ecs-agent.state-corrupt": FUTILE,
    "ecs-agent.cluster-mismatch": FUTILE,
    "ecs-agent.cluster-missing": FUTILE,
    "ecs-agent.instance-type-changed": FUTILE,
    "ecs-agent.image-missing": FUTILE,
    "ecs-agent.cloud-init-failed": FUTILE,
    # Docker is what has to be restarted; the agent follows.
    "runtime.docker-down": ((NO,), (NO, OPEN)),
    "runtime.docker-hung": ((NO,), (YES,)),
    "runtime.docker-misconfigured": FUTILE,
    "runtime.storage-corrupt": FUTILE,
    "host.disk-full": ONCE_REPAIRED,
    "host.inodes-exhausted": ONCE_REPAIRED,
    "host.out-of-memory": ((NO, AFTER), (YES,)),
    "host.pids-exhausted": ((NO,), (YES,)),
    "host.open-files-exhausted": ((NO, AFTER), (NO, OPEN)),
    "host.kernel-hang": ((NO,), (YES,)),
    "host.read-only-root": ((NO,), (YES, OPEN)),
    "host.io-stalled": FUTILE,
    "host.network-stack": ((NO, AFTER), (NO, OPEN)),
    "platform.hardware": FUTILE,
}
NOTHING_TO_DO = FUTILE
UNSURE = ((NO, OPEN), (NO, OPEN))


def expected(case):
    """What the answer's fields on remedies may be for this host."""
    if case.cause is None:
        restart, reboot = UNSURE if case.unsure else NOTHING_TO_DO
    else:
        restart, reboot = HELPS[case.cause]
    return {"restart_agent_helps": case.restart or restart, "reboot_helps": case.reboot or reboot}
