"""Counting, and the tools that read infra/: cfn-lint, checkov, cfn-guard, shellcheck, terraform."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .template import ROOT, Stack, load

sys.path.insert(0, str(ROOT / "scripts"))
from tools import IN_CI as CI_LACKS_NOTHING, cargo_tool  # noqa: E402

INFRA = ROOT / "infra"
TOOLS = Path(sys.executable).parent
CFN_GUARD = ("cfn-guard", "3.2.1")
LIMIT_SECS = 300
INIT_LIMIT_SECS = 60

passed = failed = skipped = 0


def check(name, holds, seen=""):
    """One check, one line; what was seen is told when it does not hold."""
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'ok     ' if holds else 'FAILED '} {name}{'' if holds else f': {seen}'}", flush=True)


def skip(name, reason):
    """A check that cannot run here, with its reason."""
    global skipped
    skipped += 1
    print(f"skipped {name}: {reason}", flush=True)


def lacking(name, reason):
    """A tool of a registry is missing: a skip for a person, a failure for CI."""
    if CI_LACKS_NOTHING:
        check(name, False, reason)
    else:
        skip(name, reason)


def attempt(checks, *arguments):
    """A group of checks that stumbles over what it reads is a failed check, and the others still run."""
    try:
        checks(*arguments)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OSError, subprocess.SubprocessError) as error:
        check(f"{checks.__name__} comes to its end", False, repr(error))


def finish():
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def run(*command, cwd=ROOT, limit_secs=LIMIT_SECS):
    """Runs a tool; answers its exit code and what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=limit_secs, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def check_cfn_lint():
    code, output = run(TOOLS / "cfn-lint", "--config-file", "infra/.cfnlintrc.yaml")
    check("cfn-lint finds nothing", code == 0 and not output.strip(), output)


def check_checkov():
    code, output = run(TOOLS / "checkov", "--config-file", "infra/.checkov.yaml")
    counts = re.search(r"Passed checks: (\d+), Failed checks: (\d+)", output)
    check("checkov finds nothing", code == 0 and counts and int(counts[1]) > 20 and counts[2] == "0", output)
    lines = (INFRA / ".checkov.yaml").read_text(encoding="utf-8").splitlines()
    bare = [line for line in lines if "CKV" in line and not re.search(r"- CKV\w+  # \w.{20,}", line)]
    check("each of its skips has a reason", not bare, bare)


def check_cfn_guard():
    try:
        guard = cargo_tool(*CFN_GUARD)
    except SystemExit:
        lacking("cfn-guard passes", "cfn-guard could not be installed")
        return
    rules = "infra/guard/defib.guard"
    code, output = run(guard, "validate", "--rules", rules, "--data", "infra/template.yaml", "--show-summary", "all")
    named = re.findall(r"^rule (\w+)", (ROOT / rules).read_text(encoding="utf-8"), re.MULTILINE)
    told = set(re.findall(r"defib\.guard/(\w+) +PASS", output))
    check(f"the template keeps our {len(named)} rules", code == 0 and told == set(named), output[-2_000:])
    code, output = run(guard, "test", "--rules-file", rules, "--test-data", "infra/guard/defib_tests.yaml")
    check("our rules catch what their tests say", code == 0 and "FAIL Rules" not in output, output[-2_000:])
    caught = set(re.findall(r"(\w+): FAIL", (INFRA / "guard" / "defib_tests.yaml").read_text(encoding="utf-8")))
    check("each rule has a case that it catches", caught == set(named), set(named) - caught)


def check_shellcheck():
    documents = INFRA / "documents"
    with tempfile.TemporaryDirectory(prefix="defib-scripts-") as scratch:
        # A script in parts is read as one, and by itself each part would lack what the others define.
        whole = []
        for folder in sorted(path for path in documents.iterdir() if path.is_dir()):
            whole.append(Path(scratch) / f"{folder.name}.sh")
            whole[-1].write_text("".join(part.read_text(encoding="utf-8") for part in sorted(folder.glob("*.sh"))), encoding="utf-8")
        scripts = [INFRA / "package.sh", *sorted(documents.glob("*.sh")), *whole]
        code, output = run(TOOLS / "shellcheck", "--enable=all", "--exclude=SC2249,SC2250,SC2310,SC2311,SC2312", *scripts)
    check(f"shellcheck finds nothing in {len(scripts)} scripts", code == 0 and whole, output)


def check_powershell():
    """The grammar tells a good file from a broken one; no Windows runs them, so they are syntax-checked only."""
    try:
        import tree_sitter_powershell
        from tree_sitter import Language, Parser
    except ImportError as error:
        lacking("the PowerShell scripts are good syntax", repr(error))
        return
    sys.path.insert(0, str(INFRA))
    import documents
    parser = Parser(Language(tree_sitter_powershell.language()))

    def good(text):
        return not parser.parse(text.encode()).root_node.has_error

    scripts = sorted(path.name for path in documents.SOURCES.glob("*.ps1"))
    broken = [name for name in scripts for lean in (False, True) if not good(documents.script(name, lean))]
    check(f"{len(scripts)} PowerShell scripts are good syntax (syntax-checked only)", len(scripts) == 2 and not broken, broken)
    # A file that is cut short anywhere near its end, or lacks a brace, is found out.
    text = documents.script("probe.ps1")
    check("and a broken one would be found out", not good(text[:text.rindex("}")]) and not good(text.replace("{", "", 1)))


def check_terraform():
    terraform = shutil.which("terraform")
    if not terraform:
        skip("terraform fmt", "terraform is not installed, and no registry of ours offers it")
        return
    code, output = run(terraform, "fmt", "-check", "-diff", "-recursive", "infra/terraform")
    check("terraform fmt changes nothing", code == 0, output)
    with tempfile.TemporaryDirectory(prefix="defib-terraform-") as scratch:
        module = Path(shutil.copytree(INFRA, Path(scratch) / "infra")) / "terraform"
        try:
            code, output = run(terraform, "init", "-backend=false", "-input=false", "-no-color", cwd=module,
                               limit_secs=INIT_LIMIT_SECS)
        except subprocess.TimeoutExpired:
            code, output = 1, "could not connect"
        if code != 0 and re.search(r"could not connect|failed to query|failed to retrieve", output, re.IGNORECASE):
            skip("terraform validate", "the AWS provider cannot be had here")
            return
        check("terraform init takes the module", code == 0, output)
        code, output = run(terraform, "validate", "-no-color", cwd=module)
        check("terraform validate finds nothing", code == 0, output)


def check_terraform_variables():
    """The module's variables alone need no provider: they are planned for real."""
    terraform = shutil.which("terraform")
    if not terraform:
        skip("the Terraform variables", "terraform is not installed, and no registry of ours offers it")
        return
    with tempfile.TemporaryDirectory(prefix="defib-terraform-") as scratch:
        folder = Path(scratch)
        shutil.copy(INFRA / "terraform" / "variables.tf", folder)
        (folder / "outputs.tf").write_text('output "parameters" {\n  value = local.parameters\n}\n', encoding="utf-8")
        code, output = run(terraform, "init", "-input=false", "-no-color", cwd=folder, limit_secs=INIT_LIMIT_SECS)
        check("the Terraform variables stand by themselves", code == 0, output)

        def plan(*settings):
            chosen = [word for setting in ("code_bucket=artifacts", *settings) for word in ("-var", setting)]
            return run(terraform, "plan", "-input=false", "-no-color", "-out", "plan", *chosen, cwd=folder)

        for bad in ("mode=bogus", "account_at_once=101", "email=nobody", "function_timeout_secs=45", "code_bucket=A",
                    'ecs_cluster_arns=["prod"]', "policy_parameter_name=relative", "allow_probes=maybe"):
            code, output = plan(bad)
            check(f"Terraform refuses {bad} and names it", code != 0 and bad.split("=")[0] in output, output[-500:])
        code, output = plan('volume_key_arns=["arn:aws:kms:us-east-1:111122223333:key/a","arn:aws:kms:us-east-1:111122223333:key/b"]')
        check("Terraform takes the defaults", code == 0, output[-500:])
        code, output = run(terraform, "show", "-json", "plan", cwd=folder)
        planned = json.loads(output[output.index("{"):])["planned_values"]["outputs"]["parameters"]["value"]
        made = Stack(load(), CodeKey="a.zip", **planned)
        plain = Stack(load(), CodeKey="a.zip", CodeBucket="artifacts")
        keys = made.parameters.pop("VolumeKeyArns")
        check("and hands over what the template has by itself", made.parameters == {name: value for name, value
              in plain.parameters.items() if name != "VolumeKeyArns"} and len(keys) == 2, made.parameters)


ALL = (check_cfn_lint, check_checkov, check_cfn_guard, check_shellcheck, check_powershell, check_terraform,
       check_terraform_variables)
