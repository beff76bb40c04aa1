#!/usr/bin/env python3
"""Plants every deliberate fault and checks docs/PLANTS.md: each must be caught by the promise that the table names.

plants.py BINARY          plants each for a few times as many seeds as it took last, and fails when one is not caught
plants.py BINARY --write  plants each for up to 100,000 seeds and writes the table anew

BINARY is a `defib` built with the Cargo feature `plants`. Ends with `N passed, N failed`.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "PLANTS.md"
SEEDS_MAX = 100_000
# A change of the product moves every schedule, so a plant gets some times the seeds that it took, and these at least.
SEEDS_MIN, TIMES = 3_000, 5
HEAD = "| plant | what it breaks | caught by | seeds |\n|---|---|---|--:|\n"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.*?) \| (.*?) \| ([\d,]*).*\|$", re.MULTILINE)
# What the table says of a plant that no promise catches; the reason stands below the table.
SURVIVES = "nothing"


def plant(binary, name, seeds):
    """The promise that caught it and after how many seeds; none and the number of seeds when nothing did."""
    command = [binary, "soak", "--plant", name, "--seeds", f"0..{seeds}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    caught = re.search(rf"^{name}: caught by (\S+) after (\d+) seeds$", done.stdout, re.MULTILINE)
    if caught and done.returncode == 3:
        return caught[1], int(caught[2])
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return None, seeds


def planted():
    """The names and what each breaks, in the order of the source."""
    source = (ROOT / "src" / "plants.rs").read_text(encoding="utf-8")
    return re.findall(r'^    \w+, "([a-z0-9-]+)", "(.*)";$', source, re.MULTILINE)


def write(binary):
    rows = []
    for name, about in planted():
        promise, seeds = plant(binary, name, SEEDS_MAX)
        rows.append(f"| `{name}` | {about} | {promise or SURVIVES} | {seeds:,} |\n")
        print(rows[-1], end="", flush=True)
    text = PAGE.read_text(encoding="utf-8")
    first, last = text.index(HEAD), max(match.end() for match in ROW.finditer(text)) + 1 if ROW.search(text) else None
    rest = text[last:] if last else text[first + len(HEAD):]
    PAGE.write_text(text[:first] + HEAD + "".join(rows) + rest, encoding="utf-8")


def check(binary):
    table = {name: (promise, int(seeds.replace(",", ""))) for name, _, promise, seeds in
             ROW.findall(PAGE.read_text(encoding="utf-8"))}
    listed = subprocess.run([binary, "soak", "--list-plants"], stdout=subprocess.PIPE, text=True, check=True).stdout
    failed = [f"{name}: not in docs/PLANTS.md" for name in listed.split() if name not in table]
    failed += [f"{name}: in docs/PLANTS.md, and not in the build" for name in table if name not in listed.split()]
    passed = 0
    for name, (expected, took) in table.items():
        if expected == SURVIVES or name not in listed.split():
            continue
        promise, seeds = plant(binary, name, min(SEEDS_MAX, max(SEEDS_MIN, TIMES * took)))
        print(f"{name}: {promise or SURVIVES}, {seeds:,} seeds", flush=True)
        # Another promise may be the first to notice after a change; then the table wants writing anew.
        if promise != expected:
            failed.append(f"{name}: caught by {promise or SURVIVES} in {seeds:,} seeds, the table says {expected}")
        else:
            passed += 1
    print("\n".join(failed))
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", metavar="BINARY")
    parser.add_argument("--write", action="store_true", help="write the table anew")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.binary)
        return 0
    return check(arguments.binary)


if __name__ == "__main__":
    sys.exit(main())
