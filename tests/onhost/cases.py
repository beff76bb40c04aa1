"""The broken hosts: what is wrong with each, and the cause that `defib diagnose` must name (None: nothing is wrong)."""

import struct
from dataclasses import dataclass, field

from .daemons import SNAP, SSM, snapped

ECS_LOG, INIT_LOG, SSM_LOG = "/var/log/ecs/ecs-agent.log", "/var/log/ecs/ecs-init.log", "/var/log/amazon/ssm/amazon-ssm-agent.log"
DROP_IN = "/etc/systemd/system/{}.d/case.conf"


@dataclass
class Case:
    """One host. `prepare` works on its files before the boot, `inflict` on the running machine."""

    name: str
    cause: str | None
    inflict: object = None
    prepare: object = None
    # What is wrong with the stand-in of AWS.
    wrong: dict = field(default_factory=dict)
    # The ECS agent's door: `registered`, `hangs`, or none.
    door: str | None = "registered"
    # What the output must hold, and what it may not.
    says: tuple = ()
    never: tuple = ()
    # What the last words of the agents must hold, beside the findings.
    keeps: tuple = ()
    # Something cannot be looked at, so that nobody can say that all is well.
    unsure: bool = False
    # Whether a restart of the agent and a reboot help, where that differs from what holds for the cause (remedies.py).
    restart: tuple = ()
    reboot: tuple = ()
    # Not by busybox, which has its own of every tool.
    plain: bool = False
    # A process that no signal ends outlives the probe.
    leaves: bool = False

    @property
    def kernel(self):
        """Whether the kernel says something."""
        return getattr(self.inflict, "kernel", False)


def each(*steps):
    """Several steps as one."""
    def run(machine):
        for step in steps:
            step(machine)
    return run


def shell(command, limit_secs=30):
    return lambda machine: machine.call(command, limit_secs=limit_secs)


def behaves(name, mode):
    return lambda machine: machine.behave(name, mode)


def becomes(unit, wanted):
    return lambda machine: machine.state(unit, wanted)


def restarts(unit, mode, wanted):
    """A daemon that behaves like this from its next start on, which is now."""
    name = {SSM: "ssm", SNAP: "ssm", "ecs.service": "ecs", "docker.service": "dockerd"}[unit]
    return each(behaves(name, mode), shell(f"systemctl restart {unit} || :"), becomes(unit, wanted))


def overridden(unit, *lines):
    return lambda machine: machine.write(DROP_IN.format(unit), "[Service]\n" + "\n".join(lines) + "\n")


def logs(path, ago_secs, *lines):
    return lambda machine: machine.log(path, ago_secs, *lines)


def kernel(ago_secs, *lines):
    def say(machine):
        machine.kernel(ago_secs, *lines)
    say.kernel = True
    return say


def waits(task):
    return f"INFO: task {task} blocked for more than 122 seconds."


def covers(path, text):
    return lambda machine: machine.cover(path, text)


def ecs_ends(code, *lines):
    """The ECS agent writes this, ends with a code, and systemd leaves it."""
    return each(logs(ECS_LOG, 0, *lines), restarts("ecs.service", f"exit {code}", "ActiveState=failed"))


def error(text):
    return f'level=error time=UTC msg="{text}"'


def flood(machine):
    """The outage that wrote half a million equal lines after the one that matters."""
    machine.log(ECS_LOG, 0, error("Error: InactiveInstanceException: Container instance is deregistered"))
    machine.call(f"t=$(date -u +%FT%TZ); yes \"level=info time=$t msg=\\\"[DockerRuntimeHealthcheck] waiting for the next event\\\"\" | "
                 f"head -n 400000 >>{ECS_LOG}")


def without(*paths):
    """Files that this machine does not have."""
    def remove(machine):
        for path in paths:
            (machine.root / path.lstrip("/")).unlink()
    return remove


no_ecs = without(*(f"/etc/systemd/system{folder}/{unit}" for unit in ("ecs.service", "docker.service", "containerd.service")
                   for folder in ("", "/multi-user.target.wants")), "/etc/ecs/ecs.config", "/usr/local/bin/docker", "/usr/local/bin/ctr")


def elsewhere(machine):
    """A machine whose clock on the wall shows another time than UTC."""
    local = machine.root / "etc/localtime"
    local.unlink(missing_ok=True)
    # Half a day from UTC, as in the file format of tzfile(5), version 1: one type, no transitions.
    local.write_bytes(b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", -39_600, 0, 0) + b"SST\0")


def stuck(machine):
    """`df` waits for a disk that is gone. No signal ends such a process, so here its time limit does not, either."""
    machine.write("/usr/local/bin/timeout", """#!/bin/sh
case "$*" in *' df '*) exec setsid sleep 100 ;; esac
exec /usr/bin/timeout "$@"
""", mode=0o755)


SECRETS = ("hunter2hunter2", "AKIAIOSFODNN7EXAMPLE", "c2VjcmV0LW9mLXRoZS1yZWdpc3RyeQ", "stand-in-secret-of-the-role", "ASIASTANDIN")
DENIED = ("TIME.0000 WARN EC2RoleProvider Failed to connect to Systems Manager with instance profile role credentials. Err: "
          "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/node/i-0 is not authorized to perform: "
          "ssm:UpdateInstanceInformation password=hunter2hunter2 key AKIAIOSFODNN7EXAMPLE https://user:hunter2hunter2@proxy.example/")
OOM = "Out of memory: Killed process 4711 (amazon-ssm-agen) total-vm:1000kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0"
CONTAINER_OOM = "Memory cgroup out of memory: Killed process 4712 (java) total-vm:9000kB, anon-rss:8000kB, file-rss:0kB, UID:1000"
PROXY = "http://10.99.0.80:3128"

CASES = (
    # --- Nothing is wrong ---
    Case("healthy", None, never=SECRETS),
    Case("a secret in every log", None, each(
        logs(SSM_LOG, 1, "TIME.0000 INFO [ssm-agent-worker] about to use password=hunter2hunter2 and AKIAIOSFODNN7EXAMPLE",
             "-----BEGIN RSA PRIVATE KEY-----", "c2VjcmV0LW9mLXRoZS1yZWdpc3RyeQ", "-----END RSA PRIVATE KEY-----",
             *["TIME.0000 INFO [HealthCheck] health ping number " + str(n) for n in range(1, 600)],
             "TIME.0000 INFO [MessageService] the last line of the agent"),
        logs(ECS_LOG, 1, 'level=info time=UTC msg="pulling" auth="Basic aHVudGVyMmh1bnRlcjI=" url=https://user:hunter2hunter2@registry.example/v2/'),
        lambda machine: machine.write("/usr/bin/dockerd", "#!/bin/sh\necho 'level=info msg=\"API listen\" token: hunter2hunter2' >&2\n"
                                      "while :; do sleep 600 & wait $!; done\n", mode=0o755),
        shell("systemctl restart docker"), becomes("ecs.service", "ActiveState=active")),
        keeps=("ssm: ", "the last line of the agent", "599 times: ", "about to use password=[removed]", "ecs: ", "https://[removed]@registry.example",
               "units: ", "API listen", "Started docker.service"),
        never=(*SECRETS, "aHVudGVyMmh1bnRlcjI=", "PRIVATE KEY")),
    Case("healthy, the agent as a snap", None, prepare=snapped),
    Case("a container met its memory limit", None, kernel(60, CONTAINER_OOM)),
    Case("old trouble in every log", None, each(
        logs(SSM_LOG, 10_800, DENIED, "TIME.0000 ERROR dial tcp: lookup ssm.eu-central-1.amazonaws.com: no such host"),
        logs(ECS_LOG, 10_800, error("InactiveInstanceException"), error("Data mismatch; saved cluster 'a' does not match configured cluster 'b'")))),
    Case("trouble that the agents got over", None, each(
        logs(ECS_LOG, 1, error("AccessDeniedException"), error("AccessDeniedException"), 'level=info time=UTC msg="Registered container instance with cluster!"'))),
    Case("a task's role is refused", None, logs(ECS_LOG, 1, *[error(
        f"Error pulling image: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/task/{n} is not authorized to perform: ecr:GetAuthorizationToken")
        for n in range(9)], *[error("ExpiredTokenException: the security token included in the request is expired")] * 3)),
    Case("no ECS and no docker", None, prepare=no_ecs, door=None),
    Case("a role by Default Host Management", None, lambda machine: machine.write("/var/lib/amazon/ssm/credentials", "[default]\n"),
         prepare=no_ecs, door=None, wrong={"role": "absent"}),
    Case("a hybrid node, which has no metadata service", None, lambda machine: machine.write(
        "/var/lib/amazon/ssm/Vault/Store/RegistrationKey", '{"instanceID":"mi-0123456789abcdef0","region":"eu-central-1"}'),
        prepare=no_ecs, door=None, wrong={"blocked": ["metadata"]}),
    Case("behind a proxy that works", None, prepare=overridden(SSM, f"Environment=https_proxy={PROXY} http_proxy={PROXY} no_proxy=169.254.169.254"),
         wrong={"blocked": ["endpoints"], "proxy_works": True}),
    Case("an image that is meant to be read-only", None, each(lambda machine: machine.write(
        "/etc/fstab", "/dev/root / ext4 defaults,ro 0 1\n"), shell("mount -o remount,ro,bind /"))),
    Case("no default route, and a route to all that is needed", None, shell(
        "ip route add 10.99.0.0/24 via 10.0.0.1 && ip route add 169.254.169.254/32 via 10.0.0.1 && ip route del default")),
    Case("a firewall that lets 443 out", None, shell(
        "nft add table inet t && nft add chain inet t out '{ type filter hook output priority 0; policy drop; }' && "
        "nft add rule inet t out oif lo accept && nft add rule inet t out udp dport 53 accept && nft add rule inet t out tcp dport '{ 80, 443 }' accept && "
        "nft add rule inet t out ct state established accept")),
    Case("no curl", None, prepare=without("/usr/bin/curl"), says=("unknown: curl is missing",), unsure=True),
    Case("no timeout", None, prepare=without("/usr/bin/timeout"), says=("unknown: ",), plain=True, unsure=True),
    Case("systemd does not answer", None, lambda machine: machine.write("/usr/local/bin/systemctl", "#!/bin/sh\nexec sleep 100\n", mode=0o755),
         says=("unknown: systemd does not answer",), plain=True, unsure=True),
    # --- The SSM agent ---
    Case("unit dead", "ssm-agent.stopped", each(shell(f"systemctl stop {SSM}"), becomes(SSM, "inactive"))),
    Case("unit disabled and dead", "ssm-agent.stopped", shell(f"systemctl disable --quiet --now {SSM}"), says=("disabled",),
         reboot=("no",)),
    Case("unit masked", "ssm-agent.stopped", shell(f"systemctl stop {SSM}; rm /etc/systemd/system/{SSM}; systemctl mask --quiet {SSM}; systemctl daemon-reload"), says=("masked",),
         restart=("no", "after-fix"), reboot=("no",)),
    Case("the snap's unit dead", "ssm-agent.stopped", shell(f"systemctl stop {SNAP}"), prepare=snapped),
    Case("agent exit 194", "ssm-agent.stopped", restarts(SSM, "exit 194", "ActiveState=failed"), says=("194",)),
    Case("agent ended, systemd waits", "ssm-agent.stopped", restarts(SSM, "exit 1", "auto-restart")),
    Case("start limit hit", "ssm-agent.stopped", each(
        shell(f"for i in 1 2 3 4 5 6 7 8; do systemctl restart {SSM}; done; :"), becomes(SSM, "failed")), says=("start-limit-hit",)),
    Case("agent crash loop", "ssm-agent.worker-crash", each(
        shell(f"systemctl daemon-reload; systemctl restart {SSM}"), lambda machine: machine.wait(
            "three restarts", f"[ $(systemctl show -p NRestarts --value {SSM}) -ge 3 ] && systemctl show -p SubState {SSM} | grep -q auto-restart")),
        prepare=each(overridden(SSM, "RestartSec=2", "StartLimitBurst=100"), behaves("ssm", "exit 2"))),
    Case("agent hung, ignores SIGTERM", "ssm-agent.hung", each(
        restarts(SSM, "deaf", "ActiveState=active"), shell("sleep 0.5; systemctl stop --no-block " + SSM + "; sleep 11"))),
    Case("agent stopped by a signal", "ssm-agent.hung", shell(f"kill -STOP $(systemctl show -p MainPID --value {SSM})")),
    Case("agent stays in the kernel", "ssm-agent.hung", restarts(SSM, "kernel 600", "ActiveState=active"), says=("state D",),
         restart=("unknown", "no"), reboot=("unknown", "yes")),
    # At no three moments a second apart.
    Case("agent waits for its disk for a moment", None, restarts(SSM, "kernel 0.75", "ActiveState=active"), never=("state D",)),
    Case("worker pool full", "ssm-agent.workers-exhausted", shell(
        "for i in 1 2 3 4 5; do systemd-run --quiet --unit=document-$i /usr/bin/ssm-document-worker; done; sleep 0.3")),
    Case("agent hibernates", "ssm-agent.hibernating", each(
        logs(SSM_LOG, 0, "TIME.0000 INFO [ssm-agent-worker] Entering SSM Agent hibernate - health ping failed"),
        logs("/var/log/amazon/ssm/hibernate.log", 1, "TIME INFO Agent is in hibernate mode. Reducing logging."))),
    Case("agent hibernates, and says why", "identity.access-denied", logs(
        SSM_LOG, 0, "TIME.0000 INFO [ssm-agent-worker] Entering SSM Agent hibernate - AccessDeniedException: not allowed"), says=("ssm-agent.hibernating",)),
    Case("agent hibernated, and is back", None, logs(
        SSM_LOG, 0, "TIME.0000 INFO [ssm-agent-worker] Entering SSM Agent hibernate - AccessDeniedException: not allowed",
        "TIME.0000 INFO [ssm-agent-worker] Agent is no longer hibernating")),
    Case("program of the agent missing", "ssm-agent.misconfigured", each(
        shell(f"rm /usr/bin/amazon-ssm-agent; systemctl restart {SSM}; :"), becomes(SSM, "auto-restart"))),
    # --- The ECS agent ---
    Case("exit 5 without a word", "ecs-agent.terminal-exit", ecs_ends(5), door=None),
    Case("exit 0", "ecs-agent.stopped", restarts("ecs.service", "exit 0", "ActiveState=inactive"), door=None),
    Case("deregistered", "ecs-agent.deregistered", logs(ECS_LOG, 0, error("InactiveInstanceException: Container instance is deregistered"))),
    Case("deregistered, then 400,000 equal lines", "ecs-agent.deregistered", flood),
    Case("cluster mismatch", "ecs-agent.cluster-mismatch", ecs_ends(5, error("Data mismatch; saved cluster 'old' does not match configured cluster 'new'. Perhaps you want to delete the configured checkpoint file?"), error("Unable to initialize new task engine")), door=None),
    Case("instance type changed", "ecs-agent.instance-type-changed", ecs_ends(5, error("The current instance type does not match the registered instance type. Please revert the instance type change")), door=None),
    Case("cluster gone", "ecs-agent.cluster-missing", ecs_ends(5, error("ClusterNotFoundException: Cluster not found.")), door=None),
    Case("saved state broken", "ecs-agent.state-corrupt", ecs_ends(5, error("Error loading previously saved state: invalid database")), door=None),
    Case("pause image missing", "ecs-agent.image-missing", ecs_ends(5, error("Failed to load pause container: open /images/amazon-ecs-pause.tar: no such file or directory")), door=None),
    Case("cloud-init failed", "ecs-agent.cloud-init-failed", each(
        lambda machine: machine.write("/etc/stand-in/cloud-init", "status: error\ndetail: scripts-user failed\n"), ecs_ends(5)), door=None),
    Case("agent container ends again and again", "ecs-agent.crash-loop", logs(
        INIT_LOG, 0, *[f'level=error time=UTC msg="ECS Agent failed to start, retrying in {n}s"' for n in (1, 2, 4, 8)]), door=None),
    Case("agent hung", "ecs-agent.hung", door="hangs"),
    # --- Docker ---
    Case("docker hung", "runtime.docker-hung", behaves("docker", "hangs")),
    Case("docker hung, its client ignores SIGTERM", "runtime.docker-hung", behaves("docker", "deaf")),
    Case("docker down", "runtime.docker-down", each(shell("systemctl stop docker"), becomes("docker.service", "inactive")), door=None),
    Case("docker broken on disk", "runtime.storage-corrupt", each(
        lambda machine: machine.write("/usr/bin/dockerd", "#!/bin/sh\necho 'error creating overlay mount: returned error: readlink /var/lib/docker/overlay2/abc: invalid argument' >&2\nwhile :; do sleep 600 & wait $!; done\n", mode=0o755),
        shell("systemctl restart docker"))),
    Case("containerd down", "runtime.docker-down", shell("systemctl stop containerd")),
    Case("containerd hung", "runtime.docker-hung", lambda machine: machine.write("/usr/local/bin/ctr", "#!/bin/sh\nexec sleep 100\n", mode=0o755)),
    Case("docker's socket gone", "runtime.docker-down", behaves("docker", "gone")),
    Case("docker gave up starting", "runtime.docker-down", restarts("docker.service", "exit 1", "ActiveState=failed"), door=None),
    Case("daemon.json broken", "runtime.docker-misconfigured", each(
        lambda machine: machine.write("/usr/bin/dockerd", "#!/bin/sh\necho 'unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid character' >&2\nexit 1\n", mode=0o755),
        shell("systemctl restart docker; :"), becomes("docker.service", "ActiveState=failed")), door=None),
    # --- The host ---
    Case("disk full", "host.disk-full", shell("dd if=/dev/zero of=/var/lib/docker/layer bs=1M 2>/dev/null; :")),
    Case("inodes full", "host.inodes-exhausted", shell(
        "mount -t tmpfs -o size=16m,nr_inodes=200 tmpfs /var/lib/amazon; mkdir /var/lib/amazon/ssm; for i in $(seq 220); do touch /var/lib/amazon/ssm/$i; done 2>/dev/null; :")),
    Case("a disk that is gone, and docker down", "runtime.docker-down", each(shell("systemctl stop docker"), becomes("docker.service", "inactive")),
         prepare=stuck, door=None, plain=True, leaves=True),
    Case("read-only root", "host.read-only-root", shell("mount -o remount,ro,bind /")),
    Case("out of memory", "host.out-of-memory", kernel(120, OOM)),
    Case("soft lockup", "host.kernel-hang", kernel(60, "watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [kworker/0:1:4711]")),
    Case("tasks of one application wait", "host.kernel-hang", kernel(60, *[waits(f"java:{pid}") for pid in (4711, 4712, 4713)]),
         says=("java:4713",), reboot=("no", "unknown")),
    Case("tasks of two programs wait", "host.kernel-hang", kernel(60, waits("java:4711"), waits("nginx:4800"))),
    Case("a task of the runtime waits", "host.kernel-hang", kernel(60, waits("dockerd:811"))),
    Case("a task of the file system waits", "host.kernel-hang", kernel(60, waits("jbd2/nvme0n1p1-8:1123"))),
    Case("disk errors", "host.io-stalled", kernel(60, "blk_update_request: I/O error, dev nvme1n1, sector 1234 op 0x0:(READ)", "Buffer I/O error on dev nvme1n1, logical block 9, async page read")),
    Case("no more pids", "host.pids-exhausted", each(covers("/proc/loadavg", "9.00 9.00 9.00 2/32700 32768\n"), covers("/proc/sys/kernel/pid_max", "32768\n"))),
    Case("no more open files", "host.open-files-exhausted", covers("/proc/sys/fs/file-nr", "9800\t0\t10000\n")),
    Case("connection tracking full", "host.network-stack", covers("/proc/sys/net/netfilter/nf_conntrack_count", "65535\n")),
    Case("default route lost", "host.network-stack", shell("ip route del default")),
    Case("a local firewall drops 443", "host.network-stack", shell(
        "nft add table inet t && nft add chain inet t out '{ type filter hook output priority 0; policy accept; }' && nft add rule inet t out tcp dport 443 drop")),
    Case("hardware error", "platform.hardware", kernel(30, "{1}[Hardware Error]: event severity: fatal")),
    # --- The network, names, the clock ---
    Case("no answer from the name server", "network.dns", wrong={"names_silent": True}),
    Case("no name server", "network.dns", lambda machine: machine.write("/etc/resolv.conf", "")),
    Case("443 blocked", "network.unreachable", wrong={"blocked": ["endpoints"]}),
    Case("443 refused", "network.unreachable", wrong={"endpoints_refuse": True}),
    Case("a certificate of a stranger", "network.tls", wrong={"certificate": "stranger"}, says=("Stranger",)),
    Case("proxy without no_proxy", "network.proxy", prepare=each(overridden(SSM, f"Environment=http_proxy={PROXY}"), behaves("ssm", "alone")),
        says=("169.254.169.254",)),
    Case("proxy that lets nobody through", "network.proxy", prepare=overridden(
        SSM, f"Environment=https_proxy={PROXY} no_proxy=169.254.169.254")),
    Case("proxy of the ECS agent without NO_PROXY", "network.proxy", lambda machine: machine.write(
        "/etc/ecs/ecs.config", "ECS_CLUSTER=blue\nHTTP_PROXY=user:hunter2hunter2@10.99.0.80:3128\n"), never=SECRETS),
    Case("clock three minutes ahead", "clock.skew", wrong={"ahead_secs": -190}),
    Case("clock an hour behind", "clock.skew", wrong={"ahead_secs": 3_600}),
    Case("clock so wrong that certificates fail", "clock.skew", wrong={"ahead_secs": 172_800, "certificate": "future"}),
    Case("clock wrong and every way out blocked", "network.unreachable", wrong={"ahead_secs": 3_600, "blocked": ["endpoints"]}, says=("clock.skew", "metadata service")),
    # --- Identity ---
    Case("metadata blocked", "identity.imds-unreachable", wrong={"blocked": ["metadata"]}),
    Case("metadata turned off", "identity.imds-unreachable", wrong={"metadata_off": True}),
    Case("no role", "identity.no-instance-profile", wrong={"role": "absent"}),
    Case("role that EC2 may not assume", "identity.access-denied", wrong={"role": "AssumeRoleUnauthorizedAccess"}),
    Case("credentials expired", "identity.credentials-expired", wrong={"role": "expired"}, never=SECRETS, restart=("no",)),
    Case("role without permission, in another zone of time", "identity.access-denied", logs(SSM_LOG, 0, DENIED), prepare=each(
        behaves("ssm", "alone"), elsewhere)),
    Case("role without permission for ECS", "identity.access-denied", logs(ECS_LOG, 0, *[error(
        "Unable to register as a container instance with ECS: AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/node/i-0 is not authorized to perform: ecs:RegisterContainerInstance")] * 3), door=None),
    Case("role without permission", "identity.access-denied", logs(SSM_LOG, 0, DENIED), prepare=behaves("ssm", "alone"), never=SECRETS),
    Case("image of a registered machine", "identity.registration-mismatch", lambda machine: machine.write(
        "/var/lib/amazon/ssm/Vault/Store/EC2RegistrationKey", '{"instanceID":"i-0aaaaaaaaaaaaaaaa","privateKey":"hunter2hunter2"}'), never=SECRETS),
)
