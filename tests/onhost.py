#!/usr/bin/env python3
"""Probe and repairs on broken hosts: each a machine with a real systemd, booted by systemd-nspawn, on which they run as they ship.

What the probe prints there goes to `defib diagnose`, and a host is judged by its answer: the cause, whether a restart or a
reboot helps, and nothing above noise where nothing is wrong. A repair is judged by the answers before and after it. What is proven
by it stands in tests/onhost/proven.json, which a whole run must find as it is.

`tests/onhost.py [WORD …]` runs the hosts whose names hold one of the words, else all, with the command line that is built
in release; `probes` and `repairs` are words for all of a kind, and `--write` writes what is proven. Prints a line a host and ends
with `N passed, N failed`. `--plants` plays faults of the repair instead, each of which must be caught. Exit code: 0, 1 when a host failed, 77 when a tool is
missing, 78 when this machine cannot do it (no root, no namespaces, no mounts); the last line is the reason.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onhost import certificates, hands
from onhost.cases import CASES
from onhost.machine import Machine, Trouble, hierarchies, remove_group
from onhost.plants import PLANTS, planted, story
from onhost.remedies import expected
from onhost.repairs import REPAIRS

ROOT = Path(__file__).resolve().parent.parent
# The command line, as the stage `onhost` of scripts/test.py builds it.
DEFIB = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "release" / "defib"
sys.path.insert(0, str(ROOT / "infra"))
import documents  # noqa: E402

MISSING, CANNOT = 77, 78
NEST, OUTSIDE = "DEFIB_ONHOST_NEST", "DEFIB_ONHOST_OUTSIDE"
TOOLS = {"systemd-nspawn": "systemd-container", "curl": "curl", "ip": "iproute2", "nft": "nftables", "busybox": "busybox-static",
         "unshare": "util-linux", "nsenter": "util-linux"}
# Every way to read the script that a machine of today has.
SHELLS = ("sh", "bash --posix", "busybox ash")
PROBE_LIMIT_SECS, OUTPUT_MAX, FIRST_MAX, EVIDENCE_MAX = 60, 24_000, 2_400, 400
# Characters of the agents' last words.
BOX_MAX = 2_000
SEVERITIES = ("cause", "symptom", "noise")
# A repair mostly waits.
AT_ONCE, REPAIRS_AT_ONCE = 3, 4
PROVEN = ROOT / "tests" / "onhost" / "proven.json"
WRITE, PLANTED = "--write", "--plants"
# What the kernel of this very machine may have said that would be a finding.
TROUBLE = "[Oo]ut of memory|lockup|blocked for more than|I/O error|Oops|BUG:|[Rr]emounting filesystem|EXT4-fs error|XFS .*[Ss]hut|dropping packet|Hardware Error"


def diagnosed(output):
    """The answer of `defib diagnose` to what the probe printed."""
    done = subprocess.run([DEFIB, "diagnose", "--text", "-", "--json"], input=output, capture_output=True, text=True, check=False,
                          timeout=20)
    if done.returncode != 0:
        raise Trouble(f"defib diagnose: exit code {done.returncode}: {done.stderr.strip()[:200]}")
    return json.loads(done.stdout)


def misjudged(case, answer):
    """Where an answer is not what this host's is."""
    faults = []
    named = answer["cause"]
    if case.cause is None:
        # Where something could not be looked at, nobody can say that all is well.
        wanted = "unknown" if case.unsure else "healthy"
        loud = [one["signature"] for one in answer["findings"] if one["severity"] != "noise" and not one["over"]]
        faults += [f"findings above noise: {loud}"] if loud else []
    else:
        wanted = case.cause
    if named != wanted:
        faults.append(f"diagnosed as {named} instead of {wanted}")
    for what, allowed in expected(case).items():
        if answer[what] not in allowed:
            faults.append(f"{what} is {answer[what]}, and should be {' or '.join(allowed)}")
    return faults


def faults_of(case, code, output, errors, seconds, left):
    """What is wrong with an answer; nothing for a good one."""
    faults = []
    if code != 0:
        faults.append(f"exit code {code}")
    if errors.strip():
        faults.append(f"on stderr: {errors.strip()[:200]}")
    if seconds > PROBE_LIMIT_SECS:
        faults.append(f"{seconds:.0f} s")
    if left:
        faults.append(f"left behind: {left}")
    if len(output) > OUTPUT_MAX:
        faults.append(f"{len(output)} characters")
    try:
        boot, *rest = [json.loads(line) for line in output.splitlines()]
        found = [one for one in rest if one["check"] != "journal"]
        box = [one for one in rest if one["check"] == "journal"]
    except ValueError as error:
        return [*faults, f"not a JSON object a line: {error}: {output[:300]!r}"]
    if boot.get("check") != "boot" or len(boot.get("boot_id", "")) != 36:
        faults.append(f"the first line is {boot}")
    if any(len(one["evidence"]) > EVIDENCE_MAX for one in rest):
        faults.append("evidence of more than 400 characters")
    weights = [SEVERITIES.index(one["severity"]) for one in rest]
    if weights != sorted(weights) or rest != found + box:
        faults.append("the worst does not come first")
    if (long := sum(len(one["evidence"]) for one in box)) > BOX_MAX:
        faults.append(f"{long} characters of last words")
    if case.cause and json.dumps(case.cause) not in output[:FIRST_MAX]:
        faults.append(f"{case.cause} stands behind the first {FIRST_MAX} bytes")
    faults += misjudged(case, diagnosed(output))
    # Where the list of invocations cuts, the cause is the same.
    if case.cause and (short := diagnosed(output[:FIRST_MAX])["cause"]) != case.cause:
        faults.append(f"diagnosed as {short} by the first {FIRST_MAX} bytes")
    said, last = json.dumps(found), json.dumps(box)
    faults += [f"does not say {word!r}" for word in case.says if word not in said]
    faults += [f"does not keep {word!r}" for word in case.keeps if word not in last]
    return faults + ["shows a secret" for word in case.never if word in output]


def left_behind(machine, before):
    """The processes that the probe left. The watcher of busybox's `timeout` looks once a second whether it is needed."""
    until = time.monotonic() + 3
    while (left := machine.strangers() - before) and time.monotonic() < until:
        time.sleep(0.3)
    return left


def shells():
    """The shells that can be used. Busybox's asks the kernel itself, so the kernel must have nothing to tell."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace", check=False).stdout
    up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    told = re.findall(rf"^\[ *([0-9.]+)\].*(?:{TROUBLE})", said, re.MULTILINE)
    # An hour: what is younger than half of that while the hosts are played would be more than history.
    return SHELLS[:2] if any(up - float(at) < 3_600 for at in told) else SHELLS


def play(number, case, folder, keys, script, usable):
    """One host from its boot to its end; answers whether all was well, and its line."""
    seconds, output = 0.0, ""
    # A case in which the kernel speaks needs the stand-in of dmesg.
    usable = SHELLS[:2] if case.kernel or case.plain else usable
    shell = usable[number % len(usable)]
    try:
        machine = Machine(folder, f"{prefix()}{number}", keys, script, case.wrong)
        if case.prepare:
            case.prepare(machine)
        with machine:
            if case.door:
                machine.door(case.door)
            if case.inflict:
                case.inflict(machine)
            before, files = machine.strangers(), machine.files()
            code, output, errors, seconds = machine.probe(shell)
            left = [] if case.leaves else sorted(left_behind(machine, before)) + sorted(machine.files() - files)
        faults = faults_of(case, code, output, errors, seconds, left)
    except (Trouble, OSError, ValueError, subprocess.SubprocessError) as error:
        faults = [repr(error)]
    line = f"{'FAILED' if faults else 'ok    '} {case.name:<42} {case.cause or 'nothing above noise':<32} {seconds:5.1f} s  {shell}"
    if faults:
        line += "".join(f"\n         {fault}" for fault in faults) + "".join(f"\n         | {one}" for one in output.splitlines()[:12])
    return not faults, line


def play_repair(number, case, folder, keys, scripts):
    """One repair; answers whether all was well, and its line."""
    shell = SHELLS[number % 2]
    faults, seen, took = hands.play(f"{prefix()}r{number}", case, folder, keys, scripts, diagnosed, shell)
    became = f"{case.before or 'healthy'} -> {case.after or 'healthy'}"
    line = f"{'FAILED' if faults else 'ok    '} {case.remedy}: {case.name} ({case.layout}), {became}, exit {case.code} {took or 0.0:5.1f} s"
    if faults:
        line += "".join(f"\n         {fault}" for fault in faults) + "".join(f"\n         | {one}" for one in seen)
    return not faults, line


def prefix():
    """How the names of this run's machines begin: with the process outside, since every nest counts its own from 1."""
    return f"defib-host-{os.environ.get(OUTSIDE) or os.getpid()}-"


def chosen(cases, kind, words):
    words = [word for word in words if word not in (WRITE, PLANTED)]
    return [case for case in cases if not words or kind in words or any(word in case.name for word in words)]


def proven(repairs):
    """What the repairs prove, as text of proven.json: a row a line, so that a change shows."""
    rows = [row for case in repairs for row in case.rows()]
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"


def play_plant(number, plant, folder, keys, scripts):
    """A fault of the repair on the host that must catch it; answers whether it did, and its line."""
    case = story(plant, REPAIRS)
    ill = scripts | {"repair": planted(plant, scripts["repair"])}
    faults, _, took = hands.play(f"{prefix()}p{number}", case, folder, keys, ill, diagnosed)
    if took is None:
        return False, f"FAILED {plant.name}: the host came to no repair: {faults[0]}"
    line = f"{'ok    ' if faults else 'FAILED'} {plant.name} ({plant.remedy}) {took:5.1f} s"
    return bool(faults), line + f"\n         {faults[0] if faults else 'was not caught by: ' + plant.story}"


def play_plants(scratch, words):
    keys = certificates.make(Path(scratch) / "keys")
    scripts = {"probe": documents.script("probe", lean=True), "repair": documents.script("repair.sh", lean=True)}
    plants, good = chosen(PLANTS, "plants", words), 0
    with ThreadPoolExecutor(REPAIRS_AT_ONCE) as pool:
        for well, line in pool.map(lambda pair: play_plant(*pair, Path(scratch), keys, scripts), enumerate(plants)):
            print(line, flush=True)
            good += well
    print(f"{good} passed, {len(plants) - good} failed", flush=True)
    return 0 if good == len(plants) else 1


def play_all(scratch, words):
    probes, repairs = chosen(CASES, "probes", words), chosen(REPAIRS, "repairs", words)
    keys = certificates.make(Path(scratch) / "keys")
    scripts = {"probe": documents.script("probe", lean=True), "repair": documents.script("repair.sh", lean=True)}
    usable, started, good, healed = shells(), time.monotonic(), 0, []
    with ThreadPoolExecutor(AT_ONCE) as some, ThreadPoolExecutor(REPAIRS_AT_ONCE) as others:
        of_repairs = [others.submit(play_repair, *pair, Path(scratch), keys, scripts) for pair in enumerate(repairs)]
        of_probes = [some.submit(play, *pair, Path(scratch), keys, scripts["probe"], usable) for pair in enumerate(probes)]
        for played in (*of_probes, *of_repairs):
            well, line = played.result()
            print(line, flush=True)
            good += well
        healed = [case for case, played in zip(repairs, of_repairs) if played.result()[0]]
    count = len(probes) + len(repairs)
    print(f"{len(probes)} hosts and {len(repairs)} repairs in {time.monotonic() - started:.0f} s")
    # Only what was played and went well is proven.
    if len(repairs) == len(REPAIRS):
        count += 1
        if WRITE in words:
            PROVEN.write_text(proven(healed), encoding="utf-8")
        told = PROVEN.exists() and PROVEN.read_text(encoding="utf-8") == proven(healed)
        good += told
        print(f"{'ok    ' if told else 'FAILED'} {PROVEN.name} holds what was proven" + ("" if told else ": python3 tests/onhost.py --write"))
    print(f"{good} passed, {count - good} failed", flush=True)
    return 0 if good == count else 1


def leave(code, reason):
    print(reason)
    return code


def main():
    words = sys.argv[1:]
    if os.environ.get(NEST):
        return (play_plants if PLANTED in words else play_all)(os.environ[NEST], words)
    if sys.platform != "linux" or os.geteuid() != 0:
        return leave(CANNOT, "booting a machine needs Linux and root")
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        return leave(MISSING, f"tools are missing: apt-get install {' '.join(missing)}")
    if not DEFIB.exists():
        return leave(MISSING, f"{DEFIB} is missing: cargo build --release --no-default-features --features cli --bin defib")
    # All that is started and mounted is inside; with the first process in there, the kernel ends the rest.
    nest = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
    with tempfile.TemporaryDirectory(prefix="defib-onhost-") as scratch:
        trial = (f"set -e; cd {scratch}; mkdir trial; mount -t tmpfs tmpfs trial; mkdir trial/upper trial/work trial/all; "
                 "mount -t overlay overlay -o lowerdir=/usr,upperdir=trial/upper,workdir=trial/work trial/all; "
                 "unshare --net ip link add try0 type veth peer name try1; "
                 + "".join(f"mkdir {tree}/{prefix()}trial; rmdir {tree}/{prefix()}trial; " for tree in hierarchies()))
        done = subprocess.run([*nest, "sh", "-c", trial], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return leave(CANNOT, f"this machine allows no namespaces, mounts or cables: {done.stderr.strip()[-200:]}")
        # The shell is the first process in there, so that somebody takes note of orphans that end.
        own_run = "mount -t tmpfs tmpfs /run"
        keeper = ["sh", "-c", own_run + ' && { "$@" & wait $!; }', "keeper"]
        # A polite end, such as that of a time limit, is told as Ctrl-C is.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        child = subprocess.Popen([*nest, *keeper, sys.executable, __file__, *words], env=os.environ | {NEST: scratch, OUTSIDE: str(os.getpid())})
        try:
            return child.wait()
        finally:
            child.kill()
            child.wait()
            # Of a run that was interrupted, the control groups are all that is left.
            for tree in hierarchies():
                for own in tree.glob(f"{prefix()}*"):
                    remove_group(own)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
