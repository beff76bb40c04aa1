#!/usr/bin/env python3
"""Proves that the README shows what the commands really print.

Marked excerpts of the tour, which must stand in the output of `defib simulate` word for word and in one piece:

    <!-- demo: begin from="A sick fleet" to="=> fixed" -->   (a fenced block)   <!-- demo: end -->

And every `$ defib …` line of a ```console block, which is run from the root of the repository; below it stands what it
prints to stdout. There `[..]` stands for any text within a line, and a line of `...` for any lines. Links of the README
and of the pages in docs/, targets of make, and the tests, judges and files that docs/SAFETY.md names are looked up, too.

Runs $CARGO_TARGET_DIR/release/defib, which `make demo` builds. Ends with `N passed, N failed`; exit code 0, 1 if a check
failed, 2 for a usage error. `--update` writes the blocks anew instead: read the diff, it is a diff of behaviour.
"""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BINARY = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "release" / "defib"
COMMAND_LIMIT_SECS = 300

EXCERPT = re.compile(
    r'(?P<head><!-- demo: begin from="(?P<first>[^"]+)" to="(?P<last>[^"]+)" -->\n```\w*\n)'
    r"(?P<body>.*?)(?P<tail>```\n<!-- demo: end -->)",
    re.DOTALL,
)
CONSOLE = re.compile(r"(?P<head>```console\n)(?P<body>.*?)(?P<tail>```)", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
# Words of docs/SAFETY.md that look like names of tests.
NOT_TESTS = {"unsafe_code", "restart-ssm-agent", "restart-ecs-agent"}
# A test, judge or scenario; a file.
NAME = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+)+|[a-z0-9]+(?:-[a-z0-9]+){2,})`")
FILE = re.compile(r"`([\w/-]+\.(?:rs|txt|py|md|ya?ml|toml))`")
# The sections of docs/SAFETY.md that list promises.
PROMISES = ("Safety", "Liveness, after the faults have stopped")
# Exit codes that are results: fine, findings, refused by a rail, needs a human.
FINE = (0, 3, 4, 5)


class Bad(Exception):
    """A check failed; the text says how."""


def run(arguments):
    """What the release binary prints to stdout."""
    # The tour's own seed and place: nothing of whoever runs this may change what is printed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEFIB_"))}
    environment.update(NO_COLOR="1", COLUMNS="100")
    try:
        done = subprocess.run([BINARY, *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=COMMAND_LIMIT_SECS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Bad(f"could not be run: {error}") from None
    if done.returncode not in FINE:
        raise Bad(f"exit code {done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")


def extract(output, first, last):
    """From the first line that contains one text to the next that contains another, both included."""
    lines = output.splitlines(keepends=True)
    begin = next((at for at, line in enumerate(lines) if first in line), None)
    if begin is None:
        raise Bad(f'no line of the tour contains "{first}"')
    end = next((at for at in range(begin, len(lines)) if last in lines[at]), None)
    if end is None:
        raise Bad(f'no line after "{first}" contains "{last}"')
    return "".join(lines[begin:end + 1])


def matches(expected, given):
    """Whether lines fit a pattern of lines with `[..]` and `...` in it."""
    parts = []
    for line in expected.splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(map(re.escape, line.split("[..]"))) + "\n")
    return re.fullmatch("".join(parts), given if given.endswith("\n") or not given else given + "\n") is not None


def difference(expected, given):
    lines = difflib.unified_diff(expected.splitlines(), given.splitlines(), "README.md", "printed", lineterm="", n=1)
    return "\n".join(list(lines)[:40])


def commands(body):
    """Splits a console block into command lines and what stands below each."""
    found = []
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), []))
        elif found:
            found[-1][1].append(line)
        else:
            raise Bad("a console block begins with a line that is no command")
    return [(command, "".join(lines)) for command, lines in found]


def printed(command):
    words = shlex.split(command)
    if not words or words[0] != "defib":
        raise Bad("only commands of defib can be checked; show others in another kind of block")
    return run(words[1:])


def check_excerpt(tour, match):
    body = match["body"]
    if not body.strip():
        raise Bad("the block is empty")
    whole = f"\n{tour()}"
    if f"\n{body}" not in whole:
        raise Bad("not in the tour's output word for word\n" + difference(body, extract(tour(), match["first"], match["last"])))


def check_command(command, expected):
    given = printed(command)
    if not matches(expected, given):
        raise Bad("prints something else\n" + difference(expected, given))


def check_link(page, target):
    if not (page.parent / target).exists():
        raise Bad("there is no such file")


def known_names():
    """Every test, every judge of the simulation, every script and every fuzz target."""
    sources = [path.read_text(encoding="utf-8") for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.rs")]
    known = set(re.findall(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)", "\n".join(sources)))
    judges = [ROOT / "src" / "sim" / "invariants.rs", *(ROOT / "src" / "sim" / "invariants").glob("*.rs")]
    known |= set(re.findall(r"\bfn (\w+)", "\n".join(path.read_text(encoding="utf-8") for path in judges)))
    for scripts in ("tests/scenarios/*.txt", "tests/storms/*.txt", "fuzz/targets/*.rs"):
        known |= {path.stem for path in ROOT.glob(scripts)}
    return known


def check_names(page):
    """Every test, judge, scenario and file that the page names is there."""
    text = page.read_text(encoding="utf-8")
    missing = sorted(set(NAME.findall(text)) - known_names() - NOT_TESTS)
    files = sorted({name for name in FILE.findall(text) if not any((at / name).exists() for at in (ROOT, ROOT / "src"))})
    if missing or files:
        raise Bad("these are not there: " + ", ".join(missing + files))


def check_rows(page):
    """Every promise has a row that names a test or a judge; every rail has one that names its file, too."""
    sections = dict(re.findall(r"^##+ ([^\n]*)\n(.*?)(?=^##|\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    known, bad, seen = known_names(), [], set()
    for title in PROMISES:
        for number, row in re.findall(r"^\| \*\*([SL]\d+)\*\* \|(.*)", sections.get(title, ""), re.MULTILINE):
            seen.add(number)
            if not known & set(NAME.findall(row)):
                bad.append(f"{number} names no test")
    wanted = [f"S{n}" for n in range(1, 16)] + [f"L{n}" for n in range(1, 7)]
    bad += [f"{number} has no row" for number in wanted if number not in seen]
    rails = re.findall(r"^\| (?!rail \|)([^|]*) \|(.*)", sections.get("Rails", ""), re.MULTILINE)
    if not rails:
        bad.append("there is no table of rails")
    for rail, row in rails:
        if not known & set(NAME.findall(row)) or not FILE.search(row):
            bad.append(f"the rail \"{rail}\" names no test or no file")
    if bad:
        raise Bad("; ".join(bad))


def check_target(name):
    if not re.search(rf"^{re.escape(name)}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
        raise Bad("the Makefile has no such target")


def checks(text, tour):
    """Every check: what it is about, and the function that does it."""
    for match in EXCERPT.finditer(text):
        yield f'tour from "{match["first"]}" to "{match["last"]}"', lambda match=match: check_excerpt(tour, match)
    for match in CONSOLE.finditer(text):
        for command, expected in commands(match["body"]):
            yield f"$ {command}", lambda command=command, expected=expected: check_command(command, expected)
    for page in [README, *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in sorted(set(LINK.findall(page.read_text(encoding="utf-8")))):
            name = f"{page.relative_to(ROOT)} links to {target}"
            yield name, lambda page=page, target=target: check_link(page, target)
    safety = ROOT / "docs" / "SAFETY.md"
    yield "names in docs/SAFETY.md", lambda: check_names(safety)
    yield "rows of docs/SAFETY.md", lambda: check_rows(safety)
    for name in sorted(set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE))):
        yield f"make {name}", lambda name=name: check_target(name)


def updated(text, tour):
    """The README with every block as it is printed now; wildcards stay where they still fit."""

    def excerpt(match):
        return match["head"] + extract(tour(), match["first"], match["last"]) + match["tail"]

    def console(match):
        blocks = []
        for command, expected in commands(match["body"]):
            # What a soak must print is a promise; it is kept, not written anew.
            if not command.startswith("defib soak"):
                given = printed(command)
                expected = expected if matches(expected, given) else given
            blocks.append(f"$ {command}\n{expected}")
        return match["head"] + "".join(blocks) + match["tail"]

    return CONSOLE.sub(console, EXCERPT.sub(excerpt, text))


def main():
    parser = argparse.ArgumentParser(description="Proves that the README shows what the commands really print.")
    parser.add_argument("--update", action="store_true", help="write the blocks anew")
    arguments = parser.parse_args()
    if not BINARY.exists():
        print(f"there is no {BINARY}: run `make demo` first", file=sys.stderr)
        return 2
    text = README.read_text(encoding="utf-8")
    cache = []

    def tour():
        if not cache:
            cache.append(run(["simulate"]))
        return cache[0]

    if arguments.update:
        try:
            README.write_text(updated(text, tour), encoding="utf-8")
        except Bad as bad:
            print(f"not updated: {bad}", file=sys.stderr)
            return 1
        return 0
    passed = failed = 0
    markers = text.count("<!-- demo: begin")
    if markers == 0 or markers != len(EXCERPT.findall(text)):
        print("FAILED  markers: a `demo: begin` without its from, to, fenced block or end")
        failed += 1
    for name, check in checks(text, tour):
        try:
            check()
        except Bad as bad:
            print(f"FAILED  {name}: {bad}")
            failed += 1
        else:
            print(f"ok      {name}")
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
