#!/usr/bin/env python3
"""Changes the code that decides, one small change at a time, and sees whether a test notices.

    scripts/mutants.py                   every mutant of plan, guard, policy and incident: three to five hours on two cores
    scripts/mutants.py --shard 0/10      a tenth of them
    scripts/mutants.py --change          those in lines that this change touches; as many as fit into --minutes

A mutant first meets the small tests beside the code; only one that survives them meets the thousands of random plans, the
scenarios, the seeds that once broke a promise, and the stored records. So a mutant that is caught costs one build and a second.

A change is what differs from the merge base with the main branch: origin/main, or main, or what $DEFIB_BASE names. On the
main branch itself it is the last ten commits of its first parents. When there are more mutants than --sample, a sample is
taken that the commit decides: the same for everyone who tries it again, another one for the next commit.

Survivors that no test can or should catch stand in docs/MUTANTS.md with their reasons; a row there that fits no mutant any
more fails the full run. Exit code: 0; 1 when fewer than 95 % of those tried were caught (one survivor is borne in any run
of fewer than twenty), or the tests fail without any mutant;
of a sample, whose figure is an estimate, 1 when so many survivors would come by chance less than once in a hundred runs if 95 %
of all were caught (more than two of four, more than four of twenty-four); 2 for a usage error; 77 without cargo-mutants, or when there was
time for none.
"""

import argparse
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools import ROOT, TARGET, cargo_tool, lacking, say

VERSION = "27.1.0"
LIST = ROOT / "docs" / "MUTANTS.md"
BUILD = TARGET / "mutants"
FIRST_PARENTS = 10
# Survivors at most, in percent of what was tried.
SURVIVORS_PERCENT = 5
# Never tried: the limits of reports take most of the time, and say nothing about who is rebooted.
NEVER = ["--skip", "report::tests::any_incident_keeps_the_limits"]
# Thousands of random plans take longer than all other small tests together.
SMALL = ["--lib", "--", "--skip", "plan::tests::rules", *NEVER]
LARGE = ["--lib", "--test", "scenarios", "--test", "seeds", "--test", "frozen", "--", *NEVER]


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def change():
    """The commit from which the change begins, and the diff since."""
    head = git("rev-parse", "HEAD")
    for name in (os.environ.get("DEFIB_BASE"), "origin/main", "main"):
        base = name and git("merge-base", "HEAD", name)
        if base and base != head:
            break
    else:
        line = (git("rev-list", "--first-parent", f"--max-count={FIRST_PARENTS + 1}", "HEAD") or head).splitlines()
        base = line[-1]
    return base, git("diff", base, "--", "src") or ""


def borne():
    """Rows of docs/MUTANTS.md: (file, the mutant's name without its line)."""
    rows = re.findall(r"^\| `([^`]+?\.rs): ((?:\\\||[^|])+)` \|", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    return [(file, name.replace("\\", "")) for file, name in rows]


def pattern(name, file=None):
    """An expression that fits exactly this mutant; with a file, on whatever line it stands."""
    place = re.escape(file) + r":\d+:\d+: " if file else ""
    return f"^{place}{re.escape(name)}$"


def planted(file):
    """The lines of a file that only a build with planted bugs compiles: no test of the product can tell a mutant there."""
    gated, depth, inside = set(), 0, False
    for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), 1):
        if not inside and line.strip() == '#[cfg(feature = "plants")]':
            inside, depth = True, 0
            continue
        if inside:
            gated.add(number)
            code = line.split("//")[0].rstrip()
            depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
            # A statement, an item or an arm ends here; an attribute or a signature does not.
            inside = depth > 0 or not code.endswith((";", "}", ","))
    return gated


def lines_of(places):
    """A diff that touches just these places, (file, first line, last line): cargo-mutants tries nothing outside of it."""
    wanted = {}
    for file, first, last in places:
        wanted.setdefault(file, set()).update(range(first, last + 1))
    diff = []
    for file, numbers in sorted(wanted.items()):
        text = (ROOT / file).read_text(encoding="utf-8").splitlines()
        diff += [f"diff --git a/{file} b/{file}", f"--- a/{file}", f"+++ b/{file}"]
        for added, number in enumerate(sorted(numbers)):
            diff += [f"@@ -{number - 1 - added},0 +{number},1 @@", f"+{text[number - 1]}"]
    return "\n".join(diff) + "\n"


class Mutants:
    """cargo-mutants, with what every call has in common."""

    def __init__(self, extra):
        self.tool = cargo_tool("cargo-mutants", VERSION)
        self.rows = borne()
        self.excluded = [f"--exclude-re={pattern(name, file)}" for file, name in self.rows]
        self.extra = extra
        self.places = {}

    def listed(self, with_borne=False):
        """The names of the mutants that would be tried."""
        command = [self.tool, "mutants", "--list", "--json", *([] if with_borne else self.excluded), *self.extra]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"cargo mutants --list: {done.stderr.strip()}")
        found = json.loads(done.stdout or "[]")
        gated = {file: planted(file) for file in {mutant["file"] for mutant in found}}
        for mutant in found:
            self.places[mutant["name"]] = (mutant["file"], mutant["span"]["start"]["line"], mutant["span"]["end"]["line"])
        return [mutant["name"] for mutant in found if mutant["span"]["start"]["line"] not in gated[mutant["file"]]]

    def run(self, names, tests, deadline, baseline, features=()):
        """Tries mutants; answers (caught, missed) names, and whether there was time for all of them."""
        out = Path(tempfile.mkdtemp(prefix="out-", dir=BUILD))
        command = [self.tool, "mutants", "--no-shuffle", "--output", str(out), "--jobs", "1", "--colors", "never"]
        command += ["--baseline", "run" if baseline else "skip"] + ([] if baseline else ["--timeout", "120"])
        # A mutant that leaves a field out is tried whatever `--re` says (27.1.0), but not outside of a diff.
        diff = out / "chosen.diff"
        diff.write_text(lines_of(self.places[name] for name in names), encoding="utf-8")
        command += [f"--features={feature}" for feature in features]
        command += ["--in-diff", str(diff), *(f"--re={pattern(name)}" for name in names), "--", *tests]
        environment = os.environ | {"CARGO_TARGET_DIR": str(BUILD), "PROPTEST_FAILURE_PERSISTENCE": "off"}
        # An interrupt makes it end its own children, which it puts into groups of their own; a run in the background
        # would else ignore it.
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sys.stderr,
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        try:
            code = child.wait(None if deadline is None else max(deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(30)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        # 0: all caught; 2: some missed; 3: some timed out. Everything else is no judgement.
        if code not in (None, 0, 2, 3):
            raise SystemExit(f"cargo mutants ended with exit code {code}; without a mutant the tests must pass")
        told = {}
        for file in ("caught", "timeout", "missed", "unviable"):
            path = out / "mutants.out" / f"{file}.txt"
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            # One that leaves a field out of a chosen line is not among ours either.
            told[file] = [name for name in lines if name in names]
        shutil.rmtree(out, ignore_errors=True)
        return told["caught"] + told["timeout"], told["missed"], told["unviable"], code is not None


def clean():
    """Removes what builds of this package left; what they depend on is kept, warm."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for folder in ("deps", "incremental", ".fingerprint"):
        for path in (BUILD / "mutants" / folder).glob("*"):
            if re.match(r"(lib)?(defib|bootstrap|scenarios|seeds|frozen)-", path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in BUILD.glob("out-*"):
        shutil.rmtree(path, ignore_errors=True)


def sample(names, most):
    """The same names for the same commit."""
    head = git("rev-parse", "HEAD") or ""
    chosen = sorted(names, key=lambda name: hashlib.sha256(f"{head} {name}".encode()).digest())
    return chosen[:most]


def borne_in(tried):
    """How many survivors of a sample may be chance, with one mistaken alarm in a hundred runs."""
    rate, below = SURVIVORS_PERCENT / 100, 0.0
    for count in range(tried + 1):
        below += math.comb(tried, count) * rate**count * (1 - rate) ** (tried - count)
        if below >= 0.99:
            return count
    return tried


def judge(mutants, names, of, deadline):
    """Tries the mutants by the small tests, the survivors by the large ones, and prints the sum."""
    if not names:
        print("no mutant to try: nothing in plan, guard, policy or incident changed")
        print("1 passed, 0 failed", flush=True)
        return 0
    caught, missed, unviable, whole = mutants.run(names, SMALL, deadline, baseline=True)
    if missed and whole:
        more, missed, _, finished = mutants.run(missed, LARGE, deadline, baseline=False, features=["cli"])
        caught += more
        whole = whole and finished
    elif missed:
        say(f"there was no time to try {len(missed)} survivors by the scenarios")
        missed = []
    tried = len(caught) + len(missed)
    for name in missed:
        print(f"survived: {name}")
    short = "" if whole else "; the time was up"
    if tried == 0 and not whole:
        lacking("no mutant was judged within the time: this machine is slow or busy")
    print(f"{len(caught)} of {tried} caught; {len(unviable)} do not build; {of} in all, {len(names)} chosen{short}")
    print(f"{len(caught)} passed, {len(missed)} failed", flush=True)
    most = max(tried * SURVIVORS_PERCENT // 100, 1) if len(names) == of and whole else borne_in(tried)
    return 1 if len(missed) > most else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--change", action="store_true", help="only the lines of this change")
    parser.add_argument("--minutes", type=float, help="end after this time, whatever is left")
    parser.add_argument("--sample", type=int, help="at most so many mutants")
    parser.add_argument("--shard", metavar="K/N", help="only a part of the mutants: 0/10 is the first tenth")
    parser.add_argument("--re", metavar="EXPRESSION", help="only mutants whose names match")
    parser.add_argument("--list", action="store_true", help="print what would be tried, and try nothing")
    arguments = parser.parse_args()
    if arguments.shard and not re.fullmatch(r"\d+/[1-9]\d*", arguments.shard):
        parser.error("--shard takes K/N")
    extra = ["--re", arguments.re] if arguments.re else []
    with tempfile.NamedTemporaryFile("w", suffix=".diff") as diff:
        if arguments.change:
            base, text = change()
            diff.write(text + "\n")
            diff.flush()
            extra += ["--in-diff", diff.name]
            say(f"the change begins at {base}")
        mutants = Mutants(extra)
        names = mutants.listed() if not arguments.change or text else []
        if not extra:
            every = mutants.listed(with_borne=True)
            idle = [f"{file}: {name}" for file, name in mutants.rows
                    if not any(re.match(pattern(name, file), mutant) for mutant in every)]
            if idle:
                print("\n".join(f"docs/MUTANTS.md names what is no mutant any more: {row}" for row in idle))
                return 1
    of = len(names)
    if arguments.shard:
        part, parts = map(int, arguments.shard.split("/"))
        names = names[part::parts]
    if arguments.sample:
        names = sample(names, arguments.sample)
    if arguments.list:
        print("\n".join(names))
        return 0
    deadline = None if arguments.minutes is None else time.monotonic() + arguments.minutes * 60
    clean()
    say(f"{len(names)} of {of} mutants")
    try:
        return judge(mutants, names, of, deadline)
    finally:
        clean()


if __name__ == "__main__":
    # A polite end takes cargo-mutants along, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
