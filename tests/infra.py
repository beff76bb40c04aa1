#!/usr/bin/env python3
"""The template and everything around it: static checks, its rules on every event, its permissions, its scripts.

Prints a line a check and ends with `N passed, N failed, N skipped`. A tool that is not there makes its check skipped,
with the reason; with CI=true one that the registries offer makes it fail. Exit code: 0, or 1 when a check failed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stack import documents, form, forwarding, gates, role
from stack.gates import INFRA, attempt, check
from stack.template import PATH, ROOT, TEMPLATE, Stack, stack


def check_package(folder):
    binary, zips = folder / "bootstrap", []
    binary.write_bytes(os.urandom(100_000))
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        os.utime(binary, (number * 1e9, number * 1e9))
        binary.chmod(0o600 if number else 0o755)
        out = folder / f"out-{number}"
        done = subprocess.run([INFRA / "package.sh", "--arch", "x86_64", "--out", out, binary], capture_output=True, text=True,
                              check=False, env=os.environ | {"TZ": zone})
        check(f"a package is made ({zone})", done.returncode == 0, done.stderr)
        zips.append(Path(done.stdout.strip()))
    check("two packages of one binary are the same bytes under the same name", zips[0].read_bytes() == zips[1].read_bytes()
          and zips[0].name == zips[1].name, zips)
    sums = subprocess.run(["sha256sum", "--check", "--quiet", *zips[0].parent.glob("*.sha256")], cwd=zips[0].parent, check=False)
    check("their checksums hold", sums.returncode == 0)
    shutil.unpack_archive(zips[0], folder / "unpacked")
    check("the binary comes out again", (folder / "unpacked" / "bootstrap").read_bytes() == binary.read_bytes())
    check("the template lies beside it", (zips[0].parent / "template.yaml").read_bytes() == PATH.read_bytes())
    done = subprocess.run([INFRA / "package.sh", "--arch", "mips", binary], capture_output=True, check=False)
    check("another processor is a usage error", done.returncode == 2)


def check_texts():
    declared = TEMPLATE["Parameters"]
    example = json.loads((INFRA / "parameters.example.json").read_text(encoding="utf-8"))
    names = [one["ParameterKey"] for one in example]
    check("parameters.example.json gives known parameters", set(names) <= set(declared) and len(set(names)) == len(names), names)
    broken = Stack(TEMPLATE, **{one["ParameterKey"]: one["ParameterValue"] for one in example}).broken_rules()
    check("and the template takes them", not broken, broken)
    done = subprocess.run([sys.executable, INFRA / "parameters.py", "--check"], capture_output=True, text=True, check=False)
    check("docs/DEPLOY.md and the Terraform module have every parameter as the template has it", done.returncode == 0, done.stderr)
    page = (ROOT / "docs" / "DEPLOY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z]\w+)` \|", page.split("## Parameters")[1], re.MULTILINE)
    check("the page has one row for each", rows == list(declared), set(rows) ^ set(declared))
    kept = [policy["Properties"]["PolicyName"] for name, policy in stack("replace").of_type("AWS::IAM::Policy").items()
            if name != "TimerPolicy"] + ["probe"]
    told = [name for name in kept if f"| `{name}` |" not in page]
    check("and explains each policy of the role", not told, told)
    sam = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    given = re.findall(r'^    "(\w+)=', sam, re.MULTILINE)
    check("samconfig.toml gives known parameters", set(given) <= set(declared) and {"CodeBucket", "CodeKey"} <= set(given), given)
    variables = (INFRA / "terraform" / "variables.tf").read_text(encoding="utf-8")
    given = re.findall(r"^    (\w+) += ", variables.split("locals {")[1], re.MULTILINE)
    check("the Terraform module hands every parameter over, the zip's key aside, which it knows",
          set(given) == set(declared) - {"CodeKey", "CodeVersion"}, set(given) ^ set(declared))


def main():
    for one in (*form.ALL, *forwarding.ALL, *role.ALL, *documents.ALL, check_texts):
        attempt(one)
    with tempfile.TemporaryDirectory(prefix="defib-infra-") as scratch:
        for one in (*documents.ON_HOSTS, check_package):
            attempt(one, Path(scratch))
    for one in gates.ALL:
        attempt(one)
    return gates.finish()


if __name__ == "__main__":
    sys.exit(main())
