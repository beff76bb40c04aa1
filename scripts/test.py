#!/usr/bin/env python3
"""Runs everything that CI checks, stage by stage, and ends with one table.

A stage passes, fails, or is skipped with its reason; a missing tool is a skip, never a pass. With CI=true a tool that
crates.io, PyPI, Debian or npm offer may not be missing: the stage then fails. Each stage keeps its output in
$CARGO_TARGET_DIR/test-logs/STAGE.log. Progress goes to stderr, the table to stdout; the last line is the sum of all
tests, where a stage that cannot count its tests counts as one. Exit code: 0, 1 if a stage failed, 2 for a usage error.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from outcomes import Failed, Outcome, Skipped, outcome_of, print_table

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
LOGS = TARGET / "test-logs"
VENV = TARGET / "venv"
TOOLS = TARGET / "tools"
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")
TAIL_LINES = 40
# A stage that hangs must fail while somebody still waits for it; a cold build of everything takes a third of this.
COMMAND_LIMIT_SECS = 45 * 60
FETCH_LIMIT_SECS = 60
# By this exit code a Python test says that it lacks a tool; its last line is the reason.
SKIPPED = 77
# And by this one that the machine itself does not allow it.
CANNOT = 78

CARGO_DENY = "cargo-deny@0.20.2"
# What provided.al2023 has.
GLIBC_MAX = (2, 34)
SOAK_SEEDS = "0..100000"
# Each fuzz target, two at a time. The nightly run (make fuzz) takes ten minutes each.
FUZZ_SECS = 60 if IN_CI else 10
# What this change touches. The nightly run (make mutants) tries all of them.
MUTANTS_MINUTES, MUTANTS_SAMPLE = 4, 24
# The model must find so many planted bugs at least, or it was not asked.
MODEL_PLANTS_MIN = 10
# What the exploration of one node should take; more is only noted.
MODEL_BUDGET_SECS = 90
# The command line without the AWS SDK, built exactly as `make demo` builds it, so that it is built once.
CLI_BUILD = ["--release", "--no-default-features", "--features", "cli", "--bin", "defib"]
# The same with deliberate faults compiled in, which nothing that ships may have.
PLANTS_BUILD = ["--release", "--no-default-features", "--features", "cli,plants", "--bin", "defib"]
CLIPPY_SETS = [
    ["--no-default-features"],
    ["--no-default-features", "--features", "cli"],
    ["--no-default-features", "--features", "cli,plants"],
    ["--no-default-features", "--features", "lambda"],
    [],
]
# What may not be in the tree: (name, features, kinds of dependency, crates, prefixes of crates).
PURE_TREES = [
    ("the core", ["--no-default-features"], "normal",
     {"tokio", "async-std", "smol", "hyper", "chrono"}, ("aws-",)),
    ("command line and runtime without aws", ["--no-default-features", "--features", "cli,lambda"], "normal",
     set(), ("aws-",)),
    ("everything", ["--all-features"], "normal,build,dev",
     {"aws-lc-sys", "openssl-sys", "native-tls"}, ()),
]


def unavailable(reason):
    """A tool that a registry offers is missing: a skip for a person, a failure for CI."""
    return Failed(reason) if IN_CI else Skipped(reason)


class Log:
    """Runs the commands of one stage and keeps what they print."""

    def __init__(self, stage):
        self.path = LOGS / f"{stage}.log"
        self.path.write_bytes(b"")

    def write(self, text):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def run(self, command, limit_secs=COMMAND_LIMIT_SECS, **environment):
        """Runs one command; answers its exit code and its output (stdout and stderr together)."""
        self.write("$ " + " ".join(map(str, command)))
        start = self.path.stat().st_size
        with self.path.open("ab") as file:
            try:
                # A session of its own, so that a command that hangs is ended together with its children.
                child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file,
                                         stderr=subprocess.STDOUT, env=child_environment(environment),
                                         start_new_session=True)
            except OSError as error:
                self.write(f"could not start: {error}")
                return 127, str(error)
            try:
                code = child.wait(limit_secs)
            except subprocess.TimeoutExpired:
                end(child)
                self.write(f"ended after {limit_secs} seconds without finishing")
                code = 124
            except BaseException:
                end(child)
                raise
        with self.path.open("rb") as file:
            file.seek(start)
            return code, file.read().decode("utf-8", "replace")

    def must(self, command, what, **environment):
        """Runs a command whose failure is the stage's."""
        code, output = self.run(command, **environment)
        if code != 0:
            raise Failed(f"{what}: exit code {code}")
        return output

    def tail(self):
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]


def child_environment(extra):
    # Without the flags of an outer make: its job server is not ours to pass on.
    kept = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return kept | {"CARGO_TARGET_DIR": str(TARGET), "CARGO_TERM_COLOR": "never", "GIT_TERMINAL_PROMPT": "0"} | extra


def commit():
    """What a violation names beside its seed, as the Makefile has it; empty without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def end(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def cargo(*arguments):
    return ["cargo", *arguments]


def each(log, commands):
    """Runs every command, even after a failure, and counts each as one test."""
    outcome = Outcome()
    for command in commands:
        code, _ = log.run(command)
        outcome.passed += code == 0
        outcome.failed += code != 0
    outcome.result = "failed" if outcome.failed else "passed"
    return outcome


def component(log, name):
    """Checks a component of the toolchain, which rustup installs from rust-toolchain.toml."""
    code, _ = log.run(cargo(name, "--version"))
    if code != 0:
        raise unavailable(f"cargo {name} does not start: rustup component add {'rustfmt' if name == 'fmt' else name}")


# --- Running tests ----------------------------------------------------------------------------------------------------


def run_tests(log, selection, empty):
    """Runs a selection of tests by nextest where it is installed, else by cargo's own runner."""
    # A failure says where it is; a trace behind it would push what it says out of the lines that are shown.
    environment = {"RUST_BACKTRACE": "0"}
    if shutil.which("cargo-nextest"):
        # `--no-tests=pass`: zero tests are judged below, in the same way for both runners.
        code, output = log.run(cargo("nextest", "run", "--locked", "--all-features", "--no-tests=pass", *selection),
                               **environment)
        summaries = [line for line in output.splitlines() if re.match(r"\s*Summary \[", line)]
    else:
        code, output = log.run(cargo("test", "--locked", "--all-features", "--no-fail-fast", *selection),
                               **environment)
        summaries = [line for line in output.splitlines() if line.startswith("test result:")]
    return outcome_of(code, summaries, empty)


# --- Tools ----------------------------------------------------------------------------------------------------------


def cargo_deny(log):
    """The path of cargo-deny, built into the target directory when the machine has none."""
    own = TOOLS / "bin" / "cargo-deny"
    found = str(own) if own.exists() else shutil.which("cargo-deny")
    if found:
        return found
    code, _ = log.run(cargo("install", CARGO_DENY, "--locked", "--root", str(TOOLS)),
                      CARGO_TARGET_DIR=str(TOOLS / "build"))
    if code != 0:
        raise unavailable(f"cargo-deny is missing and cargo install failed (exit code {code})")
    shutil.rmtree(TOOLS / "build", ignore_errors=True)
    return str(own)


def python_tools(log):
    """The Python of the virtual environment, which holds exactly the hash-pinned list."""
    requirements = ROOT / "tests" / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python, stamp = VENV / "bin" / "python", VENV / "installed.sha256"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    code, _ = log.run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if code != 0:
        raise unavailable("python3 -m venv does not work: apt-get install python3-venv")
    install = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    code, output = log.run([*install, "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)])
    if "DO NOT MATCH THE HASHES" in output:
        raise Failed("a Python package does not match its hash in tests/requirements.txt")
    if code != 0:
        raise unavailable(f"pip could not install tests/requirements.txt (exit code {code})")
    stamp.write_text(wanted)
    return str(python)


def cli_binary(log):
    log.must(cargo("build", "--locked", "--quiet", *CLI_BUILD), "the build of the command line")
    return str(TARGET / "release" / "defib")


# --- Stages ---------------------------------------------------------------------------------------------------------


def stage_format(log):
    """cargo fmt --check"""
    component(log, "fmt")
    log.must(cargo("fmt", "--check", "--", "--color=never"), "cargo fmt --check")
    fuzz = cargo("fmt", "--manifest-path", "fuzz/Cargo.toml", "--check", "--", "--color=never", "--config-path", ".")
    log.must(fuzz, "cargo fmt --check of the fuzz targets")
    return Outcome()


def stage_pure_core(log):
    """the core knows neither the SDK nor a runtime nor a clock"""
    outcome, found = Outcome(), []
    for name, features, kinds, crates, prefixes in PURE_TREES:
        listing = cargo("tree", "--locked", "--target", "all", "--prefix", "none", "--format", "{p}")
        tree = log.must([*listing, "-e", kinds, *features], "cargo tree")
        names = {line.split()[0] for line in tree.splitlines() if line.strip()}
        if "defib" not in names:
            raise Failed("cargo tree did not name defib itself")
        bad = sorted(crate for crate in names if crate in crates or (prefixes and crate.startswith(prefixes)))
        outcome.passed += not bad
        outcome.failed += bool(bad)
        if bad:
            found.append(f"{name} depends on {', '.join(bad)}")
    log.write("\n".join(found))
    outcome.result, outcome.note = ("failed", "; ".join(found)) if found else ("passed", "")
    return outcome


def stage_deny(log):
    """cargo-deny: bans, licences, sources"""
    tool = cargo_deny(log)
    what = ("bans", "licenses", "sources")
    product = [[tool, "--locked", "--all-features", "check", one] for one in what]
    # The fuzz targets are a package of their own, and held to the same list.
    fuzz = [tool, "--manifest-path", "fuzz/Cargo.toml", "--locked", "--config", "deny.toml", "check"]
    return each(log, product + [[*fuzz, one] for one in what])


def stage_advisories(log):
    """cargo-deny: known vulnerabilities, where the database can be had"""
    tool = cargo_deny(log)
    # The database is a git repository, not a package of a registry, so CI may skip it where that host is out of reach.
    code, _ = log.run([tool, "--locked", "fetch", "db"], limit_secs=FETCH_LIMIT_SECS)
    if code != 0:
        raise Skipped("the advisory database could not be fetched")
    return each(log, [[tool, "--locked", "--offline", "--all-features", "check", "--disable-fetch", "advisories"]])


def stage_lints(log):
    """clippy without warnings, for each set of features"""
    component(log, "clippy")
    return each(log, [cargo("clippy", "--locked", "--all-targets", *features, "--", "-D", "warnings")
                      for features in CLIPPY_SETS])


def stage_unit(log):
    """the small tests beside the code"""
    return run_tests(log, ["--lib"], Failed("no unit tests ran"))


def stage_integration(log):
    """scenarios, properties and every other tests/*.rs"""
    if not any((ROOT / "tests").glob("*.rs")):
        raise Skipped("there are no tests/*.rs yet")
    outcome = run_tests(log, ["--test", "*"], Failed("no integration tests ran"))
    if not (ROOT.parent / "shared" / "corpus").is_dir():
        # Its excerpts are not part of this repository, and the two tests that read them pass without having seen any.
        outcome.passed, outcome.skipped = outcome.passed - 2, outcome.skipped + 2
        outcome.note = "the corpus of real evidence and events is not here"
    return outcome


def stage_doc_tests(log):
    """the examples in doc comments"""
    code, output = log.run(cargo("test", "--locked", "--all-features", "--doc"))
    summaries = [line for line in output.splitlines() if line.startswith("test result:")]
    return outcome_of(code, summaries, Skipped("there are no examples in doc comments"))


def stage_docs(log):
    """cargo doc without warnings"""
    log.must(cargo("doc", "--locked", "--no-deps", "--all-features"), "cargo doc", RUSTDOCFLAGS="-D warnings")
    return Outcome()


def stage_soak(log):
    """a short simulation over many seeds"""
    binary = cli_binary(log)
    code, output = log.run([binary, "soak", "--seeds", SOAK_SEEDS], DEFIB_COMMIT=commit())
    lines = [line for line in output.splitlines() if line.startswith("{")]
    try:
        totals = json.loads(lines[-1])
        seeds, violations, seconds = int(totals["seeds"]), int(totals["violations"]), float(totals["seconds"])
    except (IndexError, KeyError, TypeError, ValueError):
        raise Failed(f"soak ended with exit code {code} and without its summary line") from None
    if code != 0 or violations != 0:
        raise Failed(f"{violations} violations in {seeds} seeds, exit code {code}")
    first, last = map(int, SOAK_SEEDS.split(".."))
    if seeds != last - first:
        raise Failed(f"soak ran {seeds} seeds instead of {last - first}")
    return Outcome(note=f"{seeds} seeds, {seeds / max(seconds, 0.001):.0f} schedules per second")


def stage_storm(log):
    """ten thousand nodes fail in a minute: the scripts of tests/storms, too long for an unoptimized build"""
    binary, outcome = cli_binary(log), Outcome()
    for scenario in sorted((ROOT / "tests" / "storms").glob("*.txt")):
        code, output = log.run([binary, "--no-color", "simulate", "--scenario", str(scenario)])
        # The table of numbers comes first; the messages that follow are those of the digests in it.
        told = output.split("\n" + "-" * 100)[0].strip()
        expected = scenario.with_suffix(".out").read_text(encoding="utf-8").strip()
        good = code in (0, 5) and told == expected
        outcome.passed += good
        outcome.failed += not good
        if not good:
            log.write(f"{scenario.name} differs from its .out")
    if not outcome.counted:
        raise Failed("there are no scripts in tests/storms")
    outcome.result = "failed" if outcome.failed else "passed"
    return outcome


def stage_plants(log):
    """every deliberate fault of docs/PLANTS.md is caught by its promise"""
    shipped = log.must([cli_binary(log), "soak", "--list-plants"], "soak --list-plants")
    if shipped.strip():
        raise Failed("a build without the feature `plants` lists planted bugs")
    log.must(cargo("build", "--locked", "--quiet", *PLANTS_BUILD), "the build with planted bugs")
    code, output = log.run([sys.executable, "scripts/plants.py", str(TARGET / "release" / "defib")])
    summaries = re.findall(r"^\d+ passed, \d+ failed.*$", output, re.MULTILINE)[-1:]
    return outcome_of(code, summaries, Failed("no bug was planted"))


def stage_duel(log):
    """the README's table is what 2,000 sick fleets give"""
    cli_binary(log)
    return script(log, "scripts/duel.py")


def stage_fuzz(log):
    """each fuzz target for a minute in CI, for ten seconds elsewhere"""
    outcome, output = own_script(log, "scripts/fuzz.py", "--seconds", str(FUZZ_SECS))
    inputs = sum(int(n.replace(",", "")) for n in re.findall(r"^\w+: ([\d,]+) inputs", output, re.MULTILINE))
    outcome.note = outcome.note or f"{inputs} inputs in {FUZZ_SECS} seconds a target"
    return outcome


def stage_mutants(log):
    """mutants of what this change touches in plan, guard, policy and incident"""
    limits = ["--minutes", str(MUTANTS_MINUTES), "--sample", str(MUTANTS_SAMPLE)]
    outcome, output = own_script(log, "scripts/mutants.py", "--change", *limits)
    said = re.findall(r"^\d+ of \d+ caught.*$|^no mutant to try.*$", output, re.MULTILINE)
    # One survivor in a small sample is borne: it is counted as skipped, and named in the log.
    if outcome.result == "passed" and outcome.failed:
        outcome.failed, outcome.skipped = 0, outcome.failed
    outcome.note = outcome.note or (said[-1] if said else "")
    return outcome


def stage_model(log):
    """every order of what can happen around one node, and planted bugs that this finds"""
    test = cargo("test", "--locked", "--release", "--no-default-features", "--test", "model")
    chosen = ["--", "--ignored", "--exact", "--nocapture"]
    # Explored is the engine as it ships: without the feature `plants`.
    code, output = log.run([*test, *chosen, "one_node_is_exhausted"])
    whole = re.search(r"model one node: (\d+) states, .*, ([\d.]+) s$", output, re.MULTILINE)
    if code != 0 or not whole:
        raise Failed(f"the model of one node: exit code {code}")
    code, output = log.run([*test, "--features", "plants", *chosen, "planted_bugs_are_found"])
    plants = re.findall(r"plant (\S+): \S+ after \d+ states", output)
    if code != 0 or len(plants) < MODEL_PLANTS_MIN:
        raise Failed(f"{len(plants)} planted bugs were found, exit code {code}")
    note = f"exhausted: {int(whole[1]):,} states in {float(whole[2]):.0f} s"
    # The budget is of the machine that a person waits at; a slower one is no broken promise.
    if float(whole[2]) > MODEL_BUDGET_SECS:
        note += f" (over the {MODEL_BUDGET_SECS} s budget)"
    note += f"; {len(plants)} planted bugs found"
    return Outcome(passed=1 + len(plants), note=note)


def stage_paths(log):
    """the way to each service in 100,000 generated VPCs, judged at once and walked packet by packet"""
    # Built like the model, whose library it shares.
    test = cargo("test", "--locked", "--release", "--no-default-features", "--test", "packet_walk")
    code, output = log.run([*test, "--", "--ignored", "--nocapture"])
    walked = re.search(r"packet walk: (\d+) VPCs, (.*), 0 disagreements", output)
    if code != 0 or not walked:
        raise Failed(f"the packet walk: exit code {code}")
    return Outcome(note=f"{int(walked[1]):,} VPCs: {walked[2]}, 0 disagreements")


def stage_demo(log):
    """make demo, the tour that a newcomer sees first"""
    if not log.must(["make", "--no-print-directory", "demo"], "make demo").strip():
        raise Failed("make demo printed nothing")
    return Outcome()


def stage_flood(log):
    """a diagnosis of 100 MB of log, in its time and its memory"""
    outcome, output = own_script(log, "tests/flood.py", cli_binary(log))
    said = re.findall(r"^100 MB in .*$", output, re.MULTILINE)
    outcome.note = outcome.note or (said[-1] if said else "")
    return outcome


def stage_fleet(log):
    """the simulated account's door beside moto: the same calls, the same shapes and error codes"""
    cli_binary(log)
    return script(log, "tests/fleet_moto.py")


def stage_lambda(log):
    """the bootstrap under the Lambda runtime interface emulator"""
    return script(log, "tests/rie.py")


def stage_infra(log):
    """the template: linters, rules on every event, permissions against the code, scripts of the documents"""
    outcome = script(log, "tests/infra.py")
    outcome.note = outcome.note or "PowerShell: syntax-checked only"
    return outcome


def stage_onhost(log):
    """probe, diagnosis and repair of broken hosts, each with a real systemd in systemd-nspawn"""
    cli_binary(log)
    code, output = log.run([python_tools(log), "tests/onhost.py"])
    reason = (output.strip().splitlines() or ["tests/onhost.py cannot run here"])[-1]
    if code == SKIPPED:
        raise unavailable(reason)
    # No registry can help a machine that may not make another one.
    if code == CANNOT:
        raise Skipped(reason)
    summaries = re.findall(r"^\d+ passed, \d+ failed$", output, re.MULTILINE)[-1:]
    outcome = outcome_of(code, summaries, Failed("no host was booted"))
    slowest = max(map(float, re.findall(r" ([\d.]+) s  \S", output)), default=0)
    outcome.note = outcome.note or f"the slowest probe took {slowest:.0f} s; Windows: syntax-checked only"
    # The table of hosts is worth reading by itself.
    say("\n" + "\n".join(line for line in output.splitlines() if re.match(r"(ok|FAILED) ", line)))
    return outcome


def stage_linkage(log):
    """the bootstrap asks for nothing that Amazon Linux 2023 lacks: glibc of 2.34"""
    binary = TARGET / "debug" / "bootstrap"
    log.must(cargo("build", "--locked", "--quiet", "--bins"), "the build of the bootstrap")
    if not shutil.which("readelf"):
        raise unavailable("readelf is missing: apt-get install binutils")
    needed = log.must(["readelf", "--version-info", "--wide", str(binary)], "readelf")
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"\bGLIBC_(\d+(?:\.\d+)+)", needed)}
    if not versions:
        raise Failed("the bootstrap names no version of glibc: it is no Linux binary")
    highest = max(versions)
    text = ".".join(map(str, highest))
    if highest > GLIBC_MAX:
        raise Failed(f"the bootstrap needs GLIBC_{text}")
    return Outcome(note=f"the highest is GLIBC_{text}")


def stage_e2e(log):
    """the bootstrap from the template, on ministack and the simulated account's HTTP door"""
    return script(log, "tests/e2e.py")


def stage_readme(log):
    """the README shows what the commands really print"""
    if (ROOT / "scripts" / "readme.py").exists():
        cli_binary(log)
    return script(log, "scripts/readme.py")


def script(log, path):
    """Runs a Python test that may end with `N passed, N failed`; one without counts is judged by its exit code."""
    if not (ROOT / path).exists():
        raise Skipped(f"there is no {path} yet")
    code, output = log.run([python_tools(log), path])
    if code == SKIPPED:
        raise unavailable((output.strip().splitlines() or [f"{path} cannot run here"])[-1])
    summaries = re.findall(r"^\d+ passed, \d+ failed.*$", output, re.MULTILINE)[-1:]
    if not summaries and code == 0:
        return Outcome()
    return outcome_of(code, summaries, Failed(f"{path} ran no tests"))


def own_script(log, path, *arguments):
    """Runs a script that judges itself by its exit code and ends with `N passed, N failed`; answers its output, too."""
    code, output = log.run([sys.executable, path, *arguments])
    if code == SKIPPED:
        raise unavailable((output.strip().splitlines() or [f"{path} cannot run here"])[-1])
    sums = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    passed, failed = map(int, sums[-1]) if sums else (0, 0)
    if code == 0 and not sums:
        raise Failed(f"{path} ended without its sum")
    note = "" if code == 0 or failed else f"exit code {code}"
    return Outcome("failed" if code else "passed", passed=passed, failed=failed, note=note), output


# Cheap ones first, then the checks, then what is built with all features together: so little is built twice.
STAGES = {
    "format": stage_format,
    "pure-core": stage_pure_core,
    "deny": stage_deny,
    "advisories": stage_advisories,
    "lints": stage_lints,
    "unit": stage_unit,
    "integration": stage_integration,
    "doc-tests": stage_doc_tests,
    "docs": stage_docs,
    "soak": stage_soak,
    "storm": stage_storm,
    "plants": stage_plants,
    "duel": stage_duel,
    "fuzz": stage_fuzz,
    "mutants": stage_mutants,
    "model": stage_model,
    "paths": stage_paths,
    "demo": stage_demo,
    "flood": stage_flood,
    "fleet": stage_fleet,
    "lambda": stage_lambda,
    "linkage": stage_linkage,
    "e2e": stage_e2e,
    "infra": stage_infra,
    "onhost": stage_onhost,
    "readme": stage_readme,
}


# --- The run --------------------------------------------------------------------------------------------------------


def say(text, newline=True):
    print(text, end="\n" if newline else "", file=sys.stderr, flush=True)


def run_stage(name):
    log, started = Log(name), time.monotonic()
    try:
        outcome = STAGES[name](log)
    except Skipped as reason:
        outcome = Outcome("skipped", note=str(reason))
    except Failed as reason:
        outcome = Outcome("failed", note=str(reason))
    except OSError as error:
        log.write(f"the stage itself failed: {error}")
        outcome = Outcome("failed", note=str(error))
    outcome.seconds = time.monotonic() - started
    say(f"{outcome.result} ({outcome.seconds:.1f} s){': ' + outcome.note if outcome.note else ''}")
    if outcome.result == "failed":
        for line in log.tail():
            say(f"    {line}")
        say(f"    the whole log: {log.path}")
    return outcome


def chosen_stages(parser, text):
    if text is None:
        return list(STAGES)
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in STAGES]
    if unknown or not wanted:
        parser.error(f"no such stage: {', '.join(unknown) or repr(text)}; there are {', '.join(STAGES)}")
    return [name for name in STAGES if name in wanted]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="STAGE[,STAGE]", help="run only these stages, in their usual order")
    parser.add_argument("--list", action="store_true", help="print the stages and what they check, and run nothing")
    arguments = parser.parse_args()
    if arguments.list:
        for name, stage in STAGES.items():
            print(f"{name:<12} {stage.__doc__}")
        return 0
    names = chosen_stages(parser, arguments.only)
    if not shutil.which("cargo"):
        say("cargo is not on the PATH: install Rust by rustup (https://rustup.rs)")
        return 1
    LOGS.mkdir(parents=True, exist_ok=True)
    # A polite end takes the running command along, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    outcomes = {}
    for number, name in enumerate(names, 1):
        say(f"[{number:>2}/{len(names)}] {name} … ", newline=False)
        outcomes[name] = run_stage(name)
    print_table(outcomes)
    passed, failed, skipped = (sum(column) for column in zip(*(o.totals() for o in outcomes.values())))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
