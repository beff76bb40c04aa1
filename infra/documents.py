#!/usr/bin/env python3
"""Puts the SSM documents of infra/documents/ into infra/template.yaml, or checks that they stand there.

A document's name ends with the first twelve digits of the SHA-256 of its content, so that a change makes a new document
and a command in flight keeps the old one. `--write` rewrites the template, `--check` only compares. Exit code: 0, 1 when
they differ, 2 for a usage error.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

import yaml

INFRA = Path(__file__).resolve().parent
SOURCES = INFRA / "documents"
TEMPLATE = INFRA / "template.yaml"
KINDS = ("Probe", "Repair")
BEGIN, END = "  # documents: begin", "  # documents: end"
# An SSM document may have 64 KB.
CONTENT_MAX_BYTES = 64 * 1024


class Block(str):
    """Text that stands in the template as a block."""


yaml.SafeDumper.add_representer(
    Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|"))


def whole(name):
    """A script as it was written: a file, or the parts of a folder in their order."""
    source = SOURCES / name
    parts = sorted(source.glob("*.sh")) if source.is_dir() else [source]
    return "".join(part.read_text(encoding="utf-8") for part in parts)


def script(name, lean=False):
    """A script as it stands in a document. A lean one comes without what only people read.

    The limit for a document counts every byte, and the probe's comments and indentation are a fourth of it. A lean script
    holds no text of several lines in which a comment sign or a leading space would mean something.
    """
    if not lean:
        return whole(name)
    first, *lines = whole(name).splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return "\n".join([first, *kept, ""])


def content(kind):
    """The document's content, with its scripts put in."""
    source = yaml.safe_load((SOURCES / f"{kind.lower()}.yaml").read_text(encoding="utf-8"))
    for step in source["mainSteps"]:
        lines = step["inputs"]["runCommand"]
        step["inputs"]["runCommand"] = [Block(script(line["file"], line.get("lean", False))) for line in lines]
    return source


def digest(document):
    compact = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if len(compact) > CONTENT_MAX_BYTES:
        raise SystemExit(f"a document of {len(compact)} bytes is more than Systems Manager takes")
    return hashlib.sha256(compact).hexdigest()[:12]


def resource(kind, document):
    """The resource in the template, two spaces deep."""
    body = {
        "Type": "AWS::SSM::Document",
        "Properties": {
            "Name": f"NAME-{kind}",
            "DocumentType": "Command",
            "DocumentFormat": "JSON",
            "TargetType": "/",
            # The name changes with the content, so the old document goes and a new one comes.
            "UpdateMethod": "Replace",
            "Content": document,
            "Tags": [{"Key": "defib:stack", "Value": "STACK"}],
        },
    }
    text = yaml.safe_dump({f"{kind}Document": body}, sort_keys=False, width=118, allow_unicode=True)
    text = text.replace(f"NAME-{kind}", f"!Sub Defib-{kind}-${{AWS::StackName}}-{digest(document)}")
    text = text.replace("Value: STACK", "Value: !Ref AWS::StackName")
    return "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())


def rewritten(template):
    """The template with the documents of the sources in it."""
    documents = {kind: content(kind) for kind in KINDS}
    before, rest = template.split(BEGIN + "\n", 1)
    _, after = rest.split(END + "\n", 1)
    block = "\n".join(resource(kind, document) for kind, document in documents.items())
    template = f"{before}{BEGIN}\n{block}{END}\n{after}"
    for kind, document in documents.items():
        # The role and the function know a document by its name, so that the template also works without it.
        template = re.sub(rf"(Defib-{kind}-\$\{{AWS::StackName\}}-)[0-9a-f]{{12}}", rf"\g<1>{digest(document)}", template)
    return template


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare, and change nothing")
    what.add_argument("--write", action="store_true", help="rewrite the template")
    arguments = parser.parse_args()
    template = TEMPLATE.read_text(encoding="utf-8")
    wanted = rewritten(template)
    if wanted == template:
        return 0
    if arguments.check:
        print("infra/template.yaml does not hold what infra/documents/ says: python3 infra/documents.py --write", file=sys.stderr)
        return 1
    TEMPLATE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
