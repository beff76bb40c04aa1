"""What the scripts that need a cargo subcommand have in common: the target directory, and the tool at a fixed version."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
TOOLS = TARGET / "tools"
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")
# By this exit code a script says that it lacks a tool; its last line is the reason.
SKIPPED = 77


def say(text):
    print(text, file=sys.stderr, flush=True)


def lacking(reason):
    """Ends the script: it cannot run here, and the last line says why."""
    print(reason, flush=True)
    sys.exit(SKIPPED)


def cargo_tool(name, version):
    """The path of a cargo subcommand at this version, built into the target directory when it is not there yet."""
    own, stamp = TOOLS / "bin" / name, TOOLS / f"{name}.version"
    if own.exists() and stamp.exists() and stamp.read_text() == version:
        return str(own)
    if not shutil.which("cargo"):
        lacking("cargo is not on the PATH: install Rust by rustup (https://rustup.rs)")
    say(f"installing {name} {version} into {TOOLS}; once, a few minutes")
    install = ["cargo", "install", f"{name}@{version}", "--locked", "--force", "--quiet", "--root", str(TOOLS)]
    build = TOOLS / f"build-{name}"
    code = subprocess.run(install, cwd=ROOT, env=os.environ | {"CARGO_TARGET_DIR": str(build)}, check=False).returncode
    shutil.rmtree(build, ignore_errors=True)
    if code != 0:
        lacking(f"{name} {version} is missing and cargo install failed (exit code {code})")
    stamp.write_text(version)
    return str(own)
