#!/usr/bin/env python3
"""Writes what repeats the template's parameters, or checks that it is as the template has it.

These are infra/terraform/variables.tf and the table in docs/DEPLOY.md. `--write` rewrites them, `--check` only compares.
Exit code: 0, 1 when they differ, 2 for a usage error.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

INFRA = Path(__file__).resolve().parent
TEMPLATE = INFRA / "template.yaml"
DEPLOY = INFRA.parent / "docs" / "DEPLOY.md"
VARIABLES = INFRA / "terraform" / "variables.tf"
BEGIN, END = "<!-- parameters: begin -->", "<!-- parameters: end -->"
# The module uploads the zip itself, and knows what it uploaded.
BY_THE_MODULE = ("CodeKey", "CodeVersion")


class Loader(yaml.SafeLoader):
    """Reads the template without working out its functions; parameters hold none."""


Loader.add_multi_constructor("!", lambda loader, tag, node: None)


def parameters():
    return yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=Loader)["Parameters"]


def default_of(declared):
    """A default as the table shows it."""
    if "Default" not in declared:
        return "must be given"
    return f"`{declared['Default']}`" if declared["Default"] != "" else "empty"


def allowed_by(declared):
    """What a parameter may hold, as the table shows it."""
    if "AllowedValues" in declared:
        return ", ".join(map(str, declared["AllowedValues"]))
    if "MinValue" in declared:
        return f"{declared['MinValue']} to {declared['MaxValue']}"
    return declared.get("ConstraintDescription", "a list with commas" if declared["Type"] == "CommaDelimitedList" else "text").rstrip(".")


def table(declared):
    rows = ["| parameter | what it is | default | allowed |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {one['Description'].strip()} | {default_of(one)} | {allowed_by(one)} |" for name, one in declared.items()]
    return "\n".join(rows)


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def variable(name, declared):
    """A variable of the Terraform module: its block, and the expression that gives the parameter."""
    own, lines, value = snake(name), [], f"var.{snake(name)}"
    kind, default, test = "string", declared.get("Default"), None
    if declared.get("AllowedValues") == ["true", "false"]:
        kind, default = "bool", declared["Default"]
        value = f"tostring({value})"
    elif declared["Type"] == "CommaDelimitedList":
        kind, default = "list(string)", "[]"
        test, value = f"alltrue([for arn in var.{own} : startswith(arn, \"arn:\")])", f'join(",", {value})'
    elif declared["Type"] == "Number":
        kind, value = "number", f"tostring({value})"
        if "AllowedValues" in declared:
            test = f"contains({json.dumps(declared['AllowedValues'])}, var.{own})"
        else:
            test = f"var.{own} >= {declared['MinValue']} && var.{own} <= {declared['MaxValue']}"
    else:
        default = None if default is None else json.dumps(default)
        if "AllowedValues" in declared:
            test = f"contains({json.dumps(declared['AllowedValues'])}, var.{own})"
        elif "AllowedPattern" in declared:
            test = f"can(regex({json.dumps(declared['AllowedPattern'])}, var.{own}))"
    lines += [f'variable "{own}" {{', f"  description = {json.dumps(declared['Description'].strip())}", f"  type        = {kind}"]
    if default is not None:
        lines.append(f"  default     = {default}")
    if kind != "string" or default is not None:
        lines.append("  nullable    = false")
    if test:
        allowed = "ARNs" if kind == "list(string)" else allowed_by(declared)
        lines += ["", "  validation {", f"    condition     = {test}",
                  f"    error_message = {json.dumps(f'{own}: {allowed}.')}", "  }"]
    return "\n".join([*lines, "}"]), value


def variables(declared):
    blocks, values = [], {}
    for name, one in declared.items():
        if name in BY_THE_MODULE:
            continue
        block, values[name] = variable(name, one)
        blocks.append(block)
    width = max(map(len, values))
    given = "\n".join(f"    {name:<{width}} = {value}" for name, value in values.items())
    head = "# Written by infra/parameters.py from the parameters of infra/template.yaml."
    return f"{head}\n\n" + "\n\n".join(blocks) + f"\n\nlocals {{\n  parameters = {{\n{given}\n  }}\n}}\n"


def wanted():
    """Each file with the text that it should have."""
    declared, page = parameters(), DEPLOY.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return {DEPLOY: f"{before}{BEGIN}\n{table(declared)}\n{END}{after}", VARIABLES: variables(declared)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare, and change nothing")
    what.add_argument("--write", action="store_true", help="rewrite them")
    arguments = parser.parse_args()
    stale = {path: text for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text}
    if arguments.write:
        for path, text in stale.items():
            path.write_text(text, encoding="utf-8")
    elif stale:
        print(f"not as the template has it: {', '.join(path.name for path in stale)}: python3 infra/parameters.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
