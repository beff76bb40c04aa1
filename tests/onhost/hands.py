"""Plays a repair: the host falls ill, Defib's probe says with what, the repair runs as it ships, and the probe is asked again.

A command reaches the host as the SSM agent brings it: the stand-in of the agent takes an order from a folder and lets a document
worker, its own child, run it. Whoever ends the agent with all its children ends the order, too, and an agent that starts takes up
each order that has no result yet.
"""

import subprocess
import time
from dataclasses import dataclass

from .machine import Machine, Trouble

ORDERS = "/var/lib/amazon/ssm/orders"
# How it behaves is read at its start, as by the other stand-ins; each start is counted.
AGENT = f"""#!/bin/sh
read -r mode code 2>/dev/null </etc/stand-in/ssm
echo $$ >>/etc/stand-in/starts
case $mode in
exit) sleep 0.2; exit "$code" ;;
deaf) trap '' TERM ;;
esac
/usr/bin/ssm-agent-worker &
while :; do
    for order in {ORDERS}/*.sh; do
        if [ -e "$order" ] && [ ! -e "$order.code" ] && [ ! -e "$order.taken-by-$$" ]; then
            : >"$order.taken-by-$$"
            /usr/bin/ssm-document-worker "$order" &
        fi
    done
    sleep 0.3
done
"""
WORKER = """#!/bin/sh
[ -n "$1" ] || while :; do sleep 600; done
sh "$1" >"$1.said" 2>&1
echo $? >"$1.part"
mv "$1.part" "$1.code"
"""
# What a repair may leave: in memory, and gone with the next boot.
MAY_LEAVE = {"/run/defib/lock", "/run/defib/ssm-agent-restart"}
EVERY = "every remedy"
ACTIONS = ("free-disk", "restart-ssm-agent", "restart-ecs-agent", "restart-runtime")


@dataclass
class Repair:
    """One host and one repair. `prepare` works on its files before the boot, `inflict` on the running machine."""

    name: str
    remedy: str
    # Causes by `defib diagnose`; none: the host is well.
    before: str | None
    after: str | None
    layout: str = "systemd"
    inflict: object = None
    prepare: object = None
    door: str | None = "registered"
    # The exit code of the repair, and what it must tell.
    code: int = 0
    says: tuple = ()
    # Whether the order comes through the agent; else by another way, for an agent that is down takes none.
    by_agent: bool = False
    # A shell command that succeeds once the repair has had its effect, and within how many seconds of its end that must be.
    settles: str = "true"
    settles_secs: int = 20
    # Looks at the machine afterwards, with what was there before; answers what is wrong.
    remember: object = None
    expects: object = None
    # Runs instead of one plain repair; answers exit code and output.
    runs: object = None

    def rows(self):
        """What is proven by this host, for the table of platforms."""
        outcome = "refused" if self.code in (10, 11, 12, 13, 14) else "healed" if self.after is None and self.before else "told"
        return [{"remedy": remedy, "layout": self.layout, "story": self.name, "before": self.before or "healthy",
                 "after": self.after or "healthy", "exit_code": self.code, "outcome": outcome}
                for remedy in (ACTIONS if self.remedy == EVERY else (self.remedy,))]


def install(machine, script):
    """Puts the repair onto a machine that has not booted, one file an action as the document makes it."""
    machine.write("/usr/bin/amazon-ssm-agent", AGENT, mode=0o755)
    machine.write("/usr/bin/ssm-document-worker", WORKER, mode=0o755)
    machine.write(f"{ORDERS}/.keep", "")
    for action in ACTIONS:
        machine.write(f"/usr/lib/defib-{action}.sh", script.replace("{{ Action }}", action))


def directly(machine, action, limit_secs=290):
    """Runs a repair by another way than the agent's."""
    done = machine.call(f"sh /usr/lib/defib-{action}.sh 2>&1", check=False, limit_secs=limit_secs)
    return done.returncode, done.stdout


def order(machine, action, name="one"):
    """Puts an order before the agent, as a file that is whole from the beginning."""
    machine.call(f"cp /usr/lib/defib-{action}.sh {ORDERS}/{name}.part && mv {ORDERS}/{name}.part {ORDERS}/{name}.sh")


def result(machine, name="one", limit_secs=120):
    """The exit code and the output of an order, once the agent's worker has put them down."""
    machine.wait("the result of the command", f"[ -e {ORDERS}/{name}.sh.code ]", limit_secs)
    code = machine.call(f"cat {ORDERS}/{name}.sh.code").stdout.strip()
    return int(code), machine.call(f"cat {ORDERS}/{name}.sh.said").stdout


def through_the_agent(machine, action):
    order(machine, action)
    return result(machine)


def at_once(action, times=2):
    """The same repair several times at the same moment: one of them does it, the others are turned away."""
    def run(machine):
        command = machine.enter(f"sh /usr/lib/defib-{action}.sh 2>&1")
        running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(times)]
        ended = [(child.communicate(timeout=120)[0], child.returncode) for child in running]
        codes = sorted(code for _, code in ended)
        said = "".join(output for output, _ in ended)
        # One that comes a moment later finds the restart under way, and there is nothing for it to do either.
        if codes[0] != 0 or not set(codes) <= {0, 14} or said.count("restarts ") != 1:
            raise Trouble(f"{times} at once ended with {codes}: {said}")
        return 0, said
    return run


def main_pid(machine, unit):
    return machine.call(f"systemctl show -p MainPID --value {unit}").stdout.strip()


def diagnosis(machine, shell, diagnosed):
    code, output, errors, _ = machine.probe(shell)
    if code != 0 or errors.strip():
        raise Trouble(f"the probe ended with {code}: {errors.strip()[:200]}")
    return diagnosed(output)["cause"], output


def play(name, case, folder, keys, scripts, diagnosed, shell="sh"):
    """One host from its boot to its end; answers what is wrong, and what was seen."""
    faults, seen, took, began = [], [], 0.0, None
    try:
        machine = Machine(folder, name, keys, scripts["probe"])
        install(machine, scripts["repair"])
        if case.prepare:
            case.prepare(machine)
        with machine:
            if case.door:
                machine.door(case.door)
            if case.inflict:
                case.inflict(machine)
            before, output = diagnosis(machine, shell, diagnosed)
            if before != (case.before or "healthy"):
                faults.append(f"diagnosed as {before} instead of {case.before or 'healthy'} before the repair")
                seen += output.splitlines()[:8]
            kept = case.remember(machine) if case.remember else None
            files = machine.files()
            began = time.monotonic()
            run = case.runs or (lambda m: (through_the_agent if case.by_agent else directly)(m, case.remedy))
            code, said = run(machine)
            seen += [f"{case.remedy}: {line}" for line in said.splitlines()]
            if code != case.code:
                faults.append(f"exit code {code} instead of {case.code}")
            faults += [f"does not say {word!r}" for word in case.says if word not in said]
            machine.wait(f"the repair had no effect: {case.settles}", case.settles, case.settles_secs)
            took = time.monotonic() - began
            if case.expects:
                faults += case.expects(machine, kept, said)
            after, output = diagnosis(machine, shell, diagnosed)
            if after != (case.after or "healthy"):
                faults.append(f"diagnosed as {after} instead of {case.after or 'healthy'} after the repair")
                seen += output.splitlines()[:8]
            machine.wait("a unit of the repair is left", "! systemctl list-units --all --no-legend 'defib-*' | grep -q .", 100)
            if left := machine.files() - files - MAY_LEAVE:
                faults.append(f"left behind: {sorted(left)}")
    except (Trouble, OSError, ValueError, subprocess.SubprocessError) as error:
        faults.append(repr(error))
        if began is None:
            # It came to no repair, so nothing is said of one.
            took = None
    return faults, seen, took
