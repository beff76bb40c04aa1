#!/usr/bin/env python3
"""`defib diagnose` on 100 MB of log: at most ten seconds, and at most 64 MB of memory.

    tests/flood.py BINARY

Every seventh line is a sample of some signature, so that much is looked at closely. Ends with `N passed, N failed`.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BYTES = 100_000_000
SECONDS_MAX = 10.0
RSS_MAX_MB = 64


def samples():
    files = sorted((ROOT / "src" / "diagnose" / "text" / "signatures").glob("*.json"))
    entries = [entry for file in files for entry in json.loads(file.read_text(encoding="utf-8"))]
    return [line for entry in entries for sample in entry["samples"] for line in sample.splitlines()]


def write(path):
    """The log; the same one each time."""
    chance, known, written, number = random.Random(5), samples(), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < BYTES:
            number += 1
            line = chance.choice(known) if number % 7 == 0 else (
                f"level=info time=2026-11-20T08:{number // 60 % 60:02}:{number % 60:02}Z msg=\"Sending state change\" "
                f"module=task_manager.go n={number}")
            written += file.write(line + "\n")


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="defib-flood-") as scratch:
        log = Path(scratch) / "ecs-agent.log"
        write(log)
        began = time.monotonic()
        done = subprocess.run([binary, "diagnose", "--text", str(log)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              check=False, env={"PATH": os.environ.get("PATH", "")})
        seconds = time.monotonic() - began
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    checks = [
        ("it is answered", done.returncode == 0 and bool(json.loads(done.stdout or "{}").get("cause"))),
        (f"{seconds:.1f} s, at most {SECONDS_MAX:.0f}", seconds <= SECONDS_MAX),
        (f"{megabytes:.1f} MB, at most {RSS_MAX_MB}", megabytes <= RSS_MAX_MB),
    ]
    for text, good in checks:
        print(f"{'ok    ' if good else 'FAILED'} {text}")
    failed = sum(not good for _, good in checks)
    print(f"100 MB in {seconds:.1f} s and {megabytes:.1f} MB")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
