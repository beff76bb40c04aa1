"""The repairs: which host, what is wrong with it, what the repair does about it, and what must be true afterwards."""

import time

from .cases import behaves, becomes, each, error, logs, overridden, restarts, shell, without
from .cases import ECS_LOG, SSM_LOG
from .daemons import SNAP, SSM, snapped
from .hands import ACTIONS, EVERY, ORDERS, Repair, at_once, main_pid, order, result

ECS, DOCKER = "ecs.service", "docker.service"
HIBERNATES = each(logs(SSM_LOG, 0, "TIME.0000 INFO [ssm-agent-worker] Entering SSM Agent hibernate - health ping failed"),
                  logs("/var/log/amazon/ssm/hibernate.log", 1, "TIME INFO Agent is in hibernate mode. Reducing logging."))
GROUP = "systemd, KillMode=control-group"
BARE = "systemd without systemd-run, KillMode=control-group"


def runs(unit):
    """Succeeds where the unit runs, with another process than the one that was noted by `noted`."""
    return (f'[ "$(systemctl show -p ActiveState --value {unit})" = active ] && '
            f'[ "$(systemctl show -p MainPID --value {unit})" != "$(cat /etc/stand-in/pid-of-{unit} 2>/dev/null)" ]')


def noted(*units):
    """Notes the process of each unit, for `runs` and `same`."""
    def note(machine):
        for unit in units:
            machine.write(f"/etc/stand-in/pid-of-{unit}", main_pid(machine, unit) + "\n")
        return {unit: main_pid(machine, unit) for unit in units}
    return note


def same(machine, kept, _):
    """The units run on with the processes that they had."""
    return [f"{unit} has another process" for unit, pid in kept.items() if main_pid(machine, unit) != pid]


def enabled(unit):
    def look(machine, *_):
        state = machine.call(f"systemctl is-enabled {unit}", check=False).stdout.strip()
        return [] if state == "enabled" else [f"{unit} is {state}"]
    return look


def strict(unit):
    """The count of starts goes back for ten minutes, so that only clearing it helps."""
    return lambda machine: machine.write(f"/etc/systemd/system/{unit}.d/limit.conf", "[Unit]\nStartLimitIntervalSec=600\n")


def five_rapid_restarts(unit):
    return each(shell(f"for i in 1 2 3 4 5 6 7 8; do systemctl restart {unit}; done; :"), becomes(unit, "start-limit-hit"))


def masked(unit):
    # The stand-in's unit lies where the mask goes, as a package's does not.
    return shell(f"systemctl stop {unit}; mv /etc/systemd/system/{unit} /usr/lib/systemd/system/{unit}; systemctl daemon-reload; "
                 f"systemctl mask --quiet {unit}")


def still_masked(unit):
    def look(machine, *_):
        state = machine.call(f"systemctl show -p LoadState,ActiveState --value {unit} | tr '\\n' ' '").stdout.split()
        return [] if state == ["masked", "inactive"] else [f"{unit} is {state}"]
    return look


# ---- Workers ----

IDLE = "systemd-run --quiet --unit=document-{n} /usr/bin/ssm-document-worker"
AT_WORK = "systemd-run --quiet --unit=document-{n} /usr/bin/ssm-document-worker /usr/lib/at-work.sh"
SESSION = "systemd-run --quiet --unit=session-1 /usr/bin/ssm-session-worker"


def workers(idle, at_work):
    """So many commands that do nothing, and so many that work in a process of their own."""
    def start(machine):
        machine.write("/usr/lib/at-work.sh", "while :; do i=$((i + 1)); [ $((i % 2000)) -ne 0 ] || sleep 0.1; done\n")
        machine.write("/usr/bin/ssm-session-worker", "#!/bin/sh\nwhile :; do sleep 600; done\n", mode=0o755)
        for n in range(idle):
            machine.call(IDLE.format(n=n))
        for n in range(idle, idle + at_work):
            machine.call(AT_WORK.format(n=n))
        machine.call(SESSION)
        machine.wait("the workers", f"[ $(cat /proc/[0-9]*/comm | grep -c ssm-document-wo) -ge {idle + at_work} ]")
    return start


def workers_left(idle, at_work):
    def look(machine, *_):
        running = machine.call("systemctl list-units --no-legend --plain --state=active 'document-*' 'session-*' | cut -d ' ' -f 1").stdout.split()
        wanted = {"session-1.service", *(f"document-{n}.service" for n in range(idle, idle + at_work))}
        return [] if set(running) == wanted else [f"running are {running} instead of {sorted(wanted)}"]
    return look


# ---- The command and its agent ----

def starts(machine):
    return len(machine.call("cat /etc/stand-in/starts").stdout.split())


def once_more_only(machine, kept, _):
    """Whatever was asked, the agent was restarted once, and stays."""
    time.sleep(15)
    now = starts(machine)
    return [] if now == kept["starts"] + 1 else [f"the agent started {now - kept['starts']} times"]


def noted_starts(machine):
    return noted(SSM)(machine) | {"starts": starts(machine)}


def taken_up_again(machine):
    """The agent is restarted by the command before it could report the command's result, and takes it up again."""
    order(machine, "restart-ssm-agent")
    first = result(machine)
    machine.call(f"mv {ORDERS}/one.sh.code {ORDERS}/one.sh.lost; rm {ORDERS}/one.sh.said")
    machine.wait("the agent did not restart", runs(SSM), 60)
    code, said = result(machine)
    if first[0] != 0 or "in 10 s" not in first[1]:
        return first
    return code, said


# ---- ECS and docker ----

def sick_docker(machine):
    """A daemon that takes no call until it is another process, and does not hear SIGTERM."""
    machine.write("/usr/local/bin/docker", """#!/bin/sh
pid=$(systemctl show -p MainPID --value docker.service)
[ "$pid" != 0 ] || exit 1
[ "$pid" != "$(cat /etc/stand-in/sick 2>/dev/null)" ] || exec sleep 600
case $1 in
inspect) echo '[ { "State": { "Status": "running", "ExitCode": 0, "OOMKilled": false } } ]' ;;
*) echo ok ;;
esac
""", mode=0o755)
    machine.call("systemctl show -p MainPID --value docker.service >/etc/stand-in/sick")


def hung_ecs(machine):
    """An agent that neither answers nor ends."""
    machine.behave("ecs", "deaf")
    machine.call(f"systemctl restart {ECS}")
    machine.call("sleep 0.5")
    machine.behave("ecs", "well")
    machine.door("hangs")


def new_door(machine, kept, said):
    """The door belongs to the agent's process: where that is another one, it is another door."""
    if main_pid(machine, ECS) == kept[ECS]:
        return ["the agent has the process that it had"]
    machine.close_doors()
    machine.door("registered")
    return [] if "its processes were killed" in said else ["it was not killed"]


def both_run(machine, *_):
    states = [machine.call(f"systemctl is-active {unit}", check=False).stdout.strip() for unit in (DOCKER, ECS)]
    return [] if states == ["active", "active"] else [f"docker and the agent are {states}"]


# ---- Disks ----

USERS = ("/var/log/app/current.log", "/srv/data.gz", "/var/lib/docker/volumes/database/_data/rows.1", "/var/lib/ecs/data/agent.db",
         "/home/somebody/backup-20260101", "/var/log/audit/audit.log.1", "/var/lib/amazon/ssm/Vault/Store/RegistrationKey")


def users_files(machine):
    for path in USERS:
        machine.write(path, f"what stands in {path}\n")
    machine.call("touch -d '9 days ago' " + " ".join(USERS))


def listed(machine):
    """All files of users with their sums, all images that docker was asked to drop, and what is free."""
    sums = machine.call("sha256sum " + " ".join(USERS)).stdout
    free = machine.call("df -Pk / | awk 'NR == 2 { print $4 }'; df -Pi /var/lib/amazon | awk 'NR == 2 { print $4 }'").stdout.split()
    return {"sums": sums, "kib": int(free[0]), "inodes": int(free[1])}


def fewer(kib=0, inodes=0):
    """So much more is free, and nobody's file is touched."""
    def look(machine, kept, said):
        now = listed(machine)
        faults = [] if now["sums"] == kept["sums"] else ["files of users were touched"]
        if now["kib"] - kept["kib"] < kib or now["inodes"] - kept["inodes"] < inodes:
            faults.append(f"free were {kept}, and now {now}")
        if kib and f"free on /: {kept['kib']} KiB" not in said:
            faults.append("the free space before is not told as it was")
        asked = machine.call("grep -h -e prune -e rm /etc/stand-in/asked-of-docker", check=False).stdout.splitlines()
        if kib and asked != ["image prune --force"]:
            faults.append(f"docker was asked for {asked}")
        return faults
    return look


NOTING_DOCKER = """#!/bin/sh
echo "$*" >>/etc/stand-in/asked-of-docker
case $1 in
inspect) echo '[ { "State": { "Status": "running", "ExitCode": 0, "OOMKilled": false } } ]' ;;
*) echo ok ;;
esac
"""
SPARABLE = """mkdir -p /var/log/app /var/log/ecs
for n in 1 2 3 4 5; do head -c 4M /dev/zero >/var/log/app/app.log.$n; done
head -c 4M /dev/zero >/var/log/ecs/ecs-agent.log.2026-01-01-15
head -c 4M /dev/zero >/var/log/messages-20260101
touch -d '3 days ago' /var/log/app/app.log.? /var/log/ecs/ecs-agent.log.2026-01-01-15 /var/log/messages-20260101"""
FILL = "head -c 300M /dev/zero >/srv/rest 2>/dev/null; :"
COMMANDS = "/var/lib/amazon/ssm/i-0123456789abcdef0/document"
FULL_OF_COMMANDS = f"""mount -t tmpfs -o size=16m,nr_inodes=2000 tmpfs /var/lib/amazon
mkdir -p {COMMANDS}/orchestration {COMMANDS}/state/current /var/lib/amazon/ssm/Vault/Store
echo key >/var/lib/amazon/ssm/Vault/Store/RegistrationKey
echo state >{COMMANDS}/state/current/runs-now
cd {COMMANDS}/orchestration
mkdir runs-now began-now; echo output >runs-now/stdout; echo output >began-now/stdout
n=0; while mkdir old-$n 2>/dev/null && echo output >old-$n/stdout; do n=$((n + 1)); done 2>/dev/null
touch -d '3 days ago' /var/lib/amazon/ssm/Vault/Store/RegistrationKey runs-now old-*"""


def running_commands_stay(machine, kept, said):
    left = machine.call(f"ls {COMMANDS}/orchestration").stdout.split()
    return fewer(inodes=1_500)(machine, kept, said) + ([] if left == ["began-now", "runs-now"] else [f"left are {left[:9]}"])


# ---- Bottlerocket ----

def from_the_control_container(machine):
    """All four repairs in a container that has a shell and `apiclient`, and nothing of the host's systemd."""
    machine.write("/usr/local/bin/apiclient", "#!/bin/sh\nexit 0\n", mode=0o755)
    said, codes = "", set()
    for action in ACTIONS:
        inside = f"unshare --mount sh -c 'mount -t tmpfs tmpfs /run && exec sh /usr/lib/defib-{action}.sh' 2>&1"
        done = machine.call(inside, check=False)
        said, codes = said + done.stdout, codes | {done.returncode}
    if said.count("this is Bottlerocket") != len(ACTIONS):
        return 1, said
    return max(codes), said


REPAIRS = (
    # --- The slow ones first, for they mostly wait ---
    Repair("agent hung, ignores SIGTERM", "restart-ssm-agent", "ssm-agent.hung", None, inflict=each(
        restarts(SSM, "deaf", "ActiveState=active"), behaves("ssm", "well"), shell(f"sleep 0.5; systemctl stop --no-block {SSM}; sleep 11")),
        by_agent=True, remember=noted(SSM), settles=runs(SSM), settles_secs=50),
    Repair("docker hung, and the daemon ignores SIGTERM", "restart-runtime", "runtime.docker-hung", None, inflict=each(
        restarts(DOCKER, "deaf", "ActiveState=active"), behaves("dockerd", "well"), shell(f"sleep 0.5; systemctl start {ECS}"), sick_docker),
        remember=noted(DOCKER, ECS), settles=runs(DOCKER), expects=both_run, says=("its processes were killed", "docker answers", "ecs.service after: active")),
    Repair("agent hung, and ignores SIGTERM", "restart-ecs-agent", "ecs-agent.hung", None, inflict=hung_ecs, door=None,
           remember=noted(ECS, DOCKER), settles=runs(ECS), expects=new_door, says=("did not stop in 30 s", "its tasks keep running")),
    Repair("all places taken by commands that are stuck, but one", "restart-ssm-agent", "ssm-agent.workers-exhausted", None,
           inflict=workers(5, 1), remember=noted(SSM), settles=runs(SSM), settles_secs=30, expects=workers_left(5, 1), says=("what they had started goes on",)),
    Repair("all places taken by commands at work", "restart-ssm-agent", "ssm-agent.workers-exhausted", "ssm-agent.workers-exhausted",
           inflict=workers(0, 5), remember=noted(SSM), settles=runs(SSM), settles_secs=30, expects=workers_left(0, 5), says=("all of them are at work",)),
    # --- The SSM agent ---
    Repair("the command's result survives its agent's restart", "restart-ssm-agent", "ssm-agent.hibernating", None, inflict=HIBERNATES,
           by_agent=True, remember=noted_starts, settles=runs(SSM), expects=once_more_only, says=("in 10 s",), layout="systemd, KillMode=process"),
    Repair("the command's result survives its agent's restart", "restart-ssm-agent", "ssm-agent.hibernating", None, inflict=HIBERNATES,
           prepare=overridden(SSM, "KillMode=control-group"), by_agent=True, remember=noted_starts, settles=runs(SSM), expects=once_more_only, says=("in 10 s",), layout=GROUP),
    Repair("the command's result survives its agent's restart", "restart-ssm-agent", "ssm-agent.hibernating", None, inflict=HIBERNATES,
           prepare=each(overridden(SSM, "KillMode=control-group"), without("/usr/bin/systemd-run")), by_agent=True, remember=noted_starts,
           settles=runs(SSM), expects=once_more_only, says=("a process of its own", "in 10 s"), layout=BARE),
    Repair("the agent takes the command up again after its restart", "restart-ssm-agent", "ssm-agent.hibernating", None, inflict=HIBERNATES,
           remember=noted_starts, runs=taken_up_again, settles=runs(SSM), expects=once_more_only, says=("it is not restarted again",)),
    Repair("three repairs at once", "restart-ssm-agent", "ssm-agent.hibernating", None, inflict=HIBERNATES,
           remember=noted_starts, runs=at_once("restart-ssm-agent", 3), settles=runs(SSM), expects=once_more_only),
    Repair("five rapid restarts", "restart-ssm-agent", "ssm-agent.stopped", None, prepare=strict(SSM), inflict=five_rapid_restarts(SSM),
           settles=runs(SSM), says=("start-limit-hit", "its count is cleared")),
    Repair("agent exit 194", "restart-ssm-agent", "ssm-agent.stopped", None, inflict=each(restarts(SSM, "exit 194", "ActiveState=failed"), behaves("ssm", "well")),
           settles=runs(SSM), says=("exit code 194",)),
    Repair("agent ended, systemd waits 90 s", "restart-ssm-agent", "ssm-agent.stopped", None,
           inflict=each(restarts(SSM, "exit 1", "auto-restart"), behaves("ssm", "well")), settles=runs(SSM)),
    Repair("unit disabled and dead", "restart-ssm-agent", "ssm-agent.stopped", None, inflict=shell(f"systemctl disable --quiet --now {SSM}"),
           settles=runs(SSM), expects=enabled(SSM), says=("was disabled",)),
    Repair("unit masked", "restart-ssm-agent", "ssm-agent.stopped", "ssm-agent.stopped", inflict=masked(SSM), code=12, expects=still_masked(SSM),
           says=("masked", "systemctl unmask")),
    Repair("agent stopped by a signal", "restart-ssm-agent", "ssm-agent.hung", None, prepare=snapped, inflict=shell(f"kill -STOP $(systemctl show -p MainPID --value {SNAP})"),
           remember=noted(SNAP), settles=runs(SNAP), layout="snap"),
    Repair("unit disabled and dead", "restart-ssm-agent", "ssm-agent.stopped", None, prepare=snapped, inflict=shell(f"systemctl disable --quiet --now {SNAP}"),
           settles=runs(SNAP), expects=enabled(SNAP), layout="snap"),
    # --- The ECS agent ---
    Repair("exit 0", "restart-ecs-agent", "ecs-agent.stopped", None, inflict=each(restarts(ECS, "exit 0", "ActiveState=inactive"), behaves("ecs", "well")),
           remember=noted(DOCKER), settles=runs(ECS), expects=same, by_agent=True),
    Repair("exit 5, and what caused it is repaired", "restart-ecs-agent", "ecs-agent.terminal-exit", None,
           inflict=each(restarts(ECS, "exit 5", "ActiveState=failed"), behaves("ecs", "well")), settles=runs(ECS)),
    Repair("exit 5 again", "restart-ecs-agent", "ecs-agent.terminal-exit", "ecs-agent.terminal-exit", inflict=restarts(ECS, "exit 5", "ActiveState=failed"),
           door=None, code=16, says=("exit code 5 again", "no restart helps"), remember=noted(DOCKER), expects=same),
    Repair("exit 5 with a cause in its log, again", "restart-ecs-agent", "ecs-agent.cluster-mismatch", "ecs-agent.cluster-mismatch", inflict=each(
        logs(ECS_LOG, 0, error("Data mismatch; saved cluster 'old' does not match configured cluster 'new'.")), restarts(ECS, "exit 5", "ActiveState=failed")),
        door=None, code=16, says=("no restart helps",)),
    Repair("stop docker; start docker, and ecs stays inactive", "restart-ecs-agent", "ecs-agent.stopped", None,
           inflict=each(shell("systemctl stop docker; systemctl start docker"), becomes(ECS, "inactive")), remember=noted(DOCKER), settles=runs(ECS), expects=same),
    Repair("five rapid restarts", "restart-ecs-agent", "ecs-agent.stopped", None, prepare=strict(ECS), inflict=five_rapid_restarts(ECS), settles=runs(ECS), says=("start-limit-hit",)),
    Repair("unit disabled and dead", "restart-ecs-agent", "ecs-agent.stopped", None, inflict=shell(f"systemctl disable --quiet --now {ECS}"),
           settles=runs(ECS), expects=enabled(ECS)),
    Repair("unit masked", "restart-ecs-agent", "ecs-agent.stopped", "ecs-agent.stopped", inflict=masked(ECS), code=12, expects=still_masked(ECS), says=("masked",)),
    Repair("docker does not answer", "restart-ecs-agent", "runtime.docker-hung", "runtime.docker-hung", inflict=behaves("docker", "hangs"), code=13,
           remember=noted(DOCKER, ECS), expects=same, says=("docker does not answer",)),
    # --- Docker ---
    Repair("docker gave up starting", "restart-runtime", "runtime.docker-down", None, inflict=each(restarts(DOCKER, "exit 1", "ActiveState=failed"), behaves("dockerd", "well")),
           settles=runs(DOCKER), expects=both_run, says=("ecs.service after: active",)),
    Repair("docker stopped, and ecs with it", "restart-runtime", "runtime.docker-down", None, inflict=each(shell("systemctl stop docker"), becomes(ECS, "inactive")),
           settles=runs(DOCKER), expects=both_run, by_agent=True),
    Repair("docker does not start", "restart-runtime", "runtime.docker-down", "runtime.docker-down",
           inflict=restarts(DOCKER, "exit 1", "ActiveState=failed"), door=None, code=1, says=("docker",)),
    Repair("unit masked", "restart-runtime", "runtime.docker-down", "runtime.docker-down", inflict=masked(DOCKER), door=None, code=12,
           expects=still_masked(DOCKER), says=("masked",)),
    # --- Disks ---
    Repair("disk full of what can be spared", "free-disk", "host.disk-full", None, inflict=each(
        lambda machine: machine.write("/usr/local/bin/docker", NOTING_DOCKER, mode=0o755), users_files, shell(SPARABLE), shell(FILL)),
        remember=listed, expects=fewer(kib=24_000), says=("logs rotated more than 24 h ago: ", "image layers without a name: 0 KiB")),
    Repair("disk full of somebody's data", "free-disk", "host.disk-full", "host.disk-full", inflict=each(users_files, shell(FILL)),
           remember=listed, expects=fewer(), code=15, says=("still full: /",)),
    Repair("inodes full of old commands' output", "free-disk", "host.inodes-exhausted", None, inflict=each(users_files, shell(FULL_OF_COMMANDS)),
           remember=listed, expects=running_commands_stay, says=("output of commands that began more than 24 h ago: ",)),
    # --- No shell on the host ---
    Repair("all four repairs, in the control container", EVERY, None, None, remember=noted(SSM, ECS, DOCKER), runs=from_the_control_container,
           code=10, expects=same, layout="Bottlerocket"),
)
