#!/usr/bin/env python3
"""Fuzzes what reads text from outside: each target for a while, two at a time, from the samples of this repository.

    scripts/fuzz.py [--seconds N] [TARGET…]     all targets, or these
    scripts/fuzz.py --again FILE TARGET         one input once more: a crash, with its stack

Defib has no unsafe code, so the targets run without a sanitizer, and by this on the pinned stable toolchain: what counts is
a panic, an assertion of the target, an endless loop, or too much memory. What a target finds worth keeping stays in
$CARGO_TARGET_DIR/fuzz/corpus, so that each run goes on from the one before; a crash stays in .../fuzz/crashes.
Progress goes to stderr; the last line is the sum. Exit code: 0, 1 if a target crashed, 2 for a usage error, 77 without
cargo-fuzz or a C++ compiler.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import ROOT, TARGET, cargo_tool, lacking, say

VERSION = "0.13.2"
JOBS = 2
FUZZ = TARGET / "fuzz"
# One input may not take longer than this; the slowest sample takes a hundredth of it.
INPUT_SECS = 10
MEMORY_MB = 1024
# A run that does not end by itself is ended this many seconds after its time; it counts as a crash.
GRACE_SECS = 90

# Target: the longest input, and the samples that it starts from.
TARGETS = {
    "event": (16_384, ["events/*.json", "events/hostile/*"]),
    "policy": (4_096, ["infra/policy.example.yaml", "fuzz/seeds/policy/*"]),
    "record": (16_384, ["tests/frozen/*.json"]),
    "host_output": (4_096, ["fuzz/seeds/host_output/*"]),
    "operator": (8_192, ["fuzz/seeds/operator/*", "events/ssm-*.json"]),
}


def sources(target):
    """The sample files of a target."""
    return [path for pattern in TARGETS[target][1] for path in sorted(ROOT.glob(pattern)) if path.is_file()]


def seeds(target):
    """Copies the samples of a target to where libFuzzer reads them."""
    folder = FUZZ / "seeds" / target
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, path in enumerate(sources(target)):
        content = path.read_bytes()
        if len(content) <= TARGETS[target][0]:
            (folder / f"{number:03}-{path.name}").write_bytes(content)
    if not any(folder.iterdir()):
        raise SystemExit(f"there is no sample for {target}")
    return folder


def build():
    """Builds every target; answers the folder of the binaries."""
    if not (shutil.which("c++") or shutil.which("clang++") or os.environ.get("CXX")):
        lacking("fuzzing needs a C++ compiler: apt-get install g++")
    tool = cargo_tool("cargo-fuzz", VERSION)
    triple = re.search(r"^host: (\S+)$", subprocess.check_output(["rustc", "-vV"], text=True, cwd=ROOT), re.MULTILINE)[1]
    command = [tool, "fuzz", "build", "--sanitizer", "none", "--fuzz-dir", "fuzz", "--target", triple]
    say("building the fuzz targets")
    code = subprocess.run([*command, "--target-dir", str(FUZZ)], cwd=ROOT, check=False, stdout=sys.stderr).returncode
    if code != 0:
        raise SystemExit("the fuzz targets do not build")
    return FUZZ / triple / "release"


def libfuzzer(binaries, target, seconds):
    """The command that fuzzes one target."""
    corpus, crashes = FUZZ / "corpus" / target, FUZZ / "crashes" / target
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    dictionary = ROOT / "fuzz" / "dictionaries" / f"{target}.dict"
    options = [
        f"-max_total_time={seconds}", f"-timeout={INPUT_SECS}", f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={TARGETS[target][0]}", f"-artifact_prefix={crashes}/", "-print_final_stats=1",
    ]
    if dictionary.exists():
        options.append(f"-dict={dictionary}")
    return [str(binaries / target), *options, str(corpus), str(seeds(target))]


def fuzz(binaries, target, seconds):
    """Fuzzes one target; answers whether all went well, and a line about it."""
    log = FUZZ / f"{target}.log"
    with log.open("wb") as file:
        try:
            code = subprocess.run(libfuzzer(binaries, target, seconds), cwd=ROOT, stdin=subprocess.DEVNULL,
                                  stdout=file, stderr=subprocess.STDOUT, timeout=seconds + GRACE_SECS,
                                  check=False).returncode
        except subprocess.TimeoutExpired:
            return False, f"{target}: did not end {GRACE_SECS} seconds after its time; the log: {log}"
    text = log.read_text(encoding="utf-8", errors="replace")
    inputs = re.search(r"stat::number_of_executed_units:\s+(\d+)", text)
    covered = re.findall(r"\bcov: (\d+)", text)
    if code == 0 and inputs and int(inputs[1]) > len(sources(target)):
        return True, f"{target}: {int(inputs[1]):,} inputs, {covered[-1] if covered else '?'} edges covered"
    artifact = re.search(r"Test unit written to (\S+)", text)
    lines = [f"{target}: FAILED (exit code {code}); the log: {log}"]
    lines += [f"    {line}" for line in text.splitlines() if "panicked at" in line or "SUMMARY" in line][:4]
    after_panic = re.search(r"panicked at [^\n]*\n([^\n]*)", text)
    if after_panic:
        lines.append(f"    {after_panic[1][:400]}")
    if artifact:
        lines.append(f"    again: scripts/fuzz.py --again {artifact[1]} {target}")
    return False, "\n".join(lines)


def again(file, target):
    """Runs one input once, with the output of the target for all to see."""
    binaries = build()
    return subprocess.run([str(binaries / target), f"-timeout={INPUT_SECS}", str(Path(file).resolve())], cwd=ROOT,
                          env=os.environ | {"RUST_BACKTRACE": "1"}, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=600, help="how long each target is fuzzed (default: 600)")
    parser.add_argument("--again", metavar="FILE", help="run this input once more instead")
    arguments = parser.parse_args()
    unknown = [target for target in arguments.targets if target not in TARGETS]
    if unknown or arguments.seconds < 1:
        parser.error(f"no such target: {', '.join(unknown)}" if unknown else "--seconds is at least 1")
    if arguments.again:
        if len(arguments.targets) != 1:
            parser.error("--again takes one target")
        return 1 if again(arguments.again, arguments.targets[0]) else 0
    targets = arguments.targets or list(TARGETS)
    binaries = build()
    say(f"fuzzing {', '.join(targets)}: {arguments.seconds} s each, {JOBS} at a time")
    failed = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for well, line in pool.map(lambda target: fuzz(binaries, target, arguments.seconds), targets):
            failed += not well
            print(line, flush=True)
    print(f"{len(targets) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
