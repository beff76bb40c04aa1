#!/usr/bin/env python3
"""Proves that README.md and docs/DUEL.md show what 2,000 seeds of the duel give.

Each has one block, with a head line and a table, that must be what `defib duel` prints, word for word:

    <!-- duel: begin -->   …   <!-- duel: end -->

Runs $CARGO_TARGET_DIR/release/defib, which `make duel` builds; that takes one to two minutes on two cores. Ends with
`N passed, N failed`; exit code 0, 1 if a check failed, 2 for a usage error. `--update` writes the blocks anew instead:
read the diff, it is a diff of behaviour, and the sentences around the tables may no longer be true.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "DUEL.md"]
BINARY = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "release" / "defib"
COMMAND_LIMIT_SECS = 1800
BLOCK = re.compile(r"(?P<head><!-- duel: begin -->\n)(?P<body>.*?)(?P<tail><!-- duel: end -->)", re.DOTALL)


def printed():
    """What the release binary prints to stdout, with its default seeds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEFIB_"))}
    environment.update(NO_COLOR="1")
    done = subprocess.run([BINARY, "duel"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=COMMAND_LIMIT_SECS, check=True)
    return done.stdout.decode("utf-8")


def main():
    parser = argparse.ArgumentParser(description="Proves that README.md and docs/DUEL.md show what the duel gives.")
    parser.add_argument("--update", action="store_true", help="write the blocks anew")
    arguments = parser.parse_args()
    if not BINARY.exists():
        print(f"there is no {BINARY}: run `make duel` first", file=sys.stderr)
        return 2
    try:
        given = printed()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"FAILED  defib duel: {error}\n0 passed, 1 failed")
        return 1
    passed = failed = 0
    for page in PAGES:
        text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT)
        blocks = BLOCK.findall(text)
        if len(blocks) != 1:
            print(f"FAILED  {name}: {len(blocks)} blocks between duel: begin and duel: end, expected one")
            failed += 1
        elif arguments.update:
            page.write_text(BLOCK.sub(lambda block: block["head"] + given + block["tail"], text), encoding="utf-8")
            passed += 1
        elif blocks[0][1] != given:
            print(f"FAILED  {name}: the duel gives something else; scripts/duel.py --update writes it anew")
            print("\n".join(difflib.unified_diff(blocks[0][1].splitlines(), given.splitlines(), str(name), "printed",
                                                 lineterm="", n=0)))
            failed += 1
        else:
            print(f"ok      {name}")
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
