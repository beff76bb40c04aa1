#!/usr/bin/env python3
"""The template and everything around it: static checks, its rules on every event, its permissions, its scripts.

Prints a line a check and ends with `N passed, N failed, N skipped`. A tool that is not there makes its check skipped,
with the reason. Exit code: 0, or 1 when a check failed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stack import gates, permissions
from stack.gates import attempt, check
from stack.patterns import matches
from stack.scripts import Host, findings
from stack.template import PATH, ROOT, Stack, aliases, load, pattern_holds

INFRA = ROOT / "infra"
GIVEN = {"CodeBucket": "bucket", "CodeKey": "defib/a.zip", "Email": "ops@example.com"}
# An inline policy of a role; all of them together.
ROLE_POLICIES_MAX = 10_240
# A template that is uploaded.
TEMPLATE_MAX_BYTES = 1_000_000
# A function's environment.
ENVIRONMENT_MAX_BYTES = 4_096
# Variables that the template does not set: for trying Defib without AWS.
NOT_IN_THE_STACK = re.compile("DEFIB_ACCOUNT$|DEFIB_SIM_")
# A rule forwards what the code then ignores: a status that AWS has not named yet must not be lost.
FORWARDED_ALTHOUGH_IGNORED = ("ecs-instance-registering.json",)
ACCOUNT = "111122223333"
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0a1b2c3d4e5f60718"
NODE = f"arn:aws:ssm:us-east-1:{ACCOUNT}:managed-instance/mi-0a1b2c3d4e5f60718"
GROUP = f"arn:aws:autoscaling:us-east-1:{ACCOUNT}:autoScalingGroup:0d2a:autoScalingGroupName/prod"
CONTAINER_INSTANCE = f"arn:aws:ecs:us-east-1:{ACCOUNT}:container-instance/prod/0a1b"
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/prod"
OPTED_IN = {"aws:ResourceTag/defib:managed": "true"}
OPTED_OUT = OPTED_IN | {"aws:ResourceTag/defib:mode": "off"}

template = load()


def stack(mode="observe", **given):
    return Stack(template, Mode=mode, **GIVEN | given)


# --- The template ---------------------------------------------------------------------------------------------------


def check_form():
    text = PATH.read_text(encoding="utf-8")
    check("the template may be uploaded", len(text.encode()) <= TEMPLATE_MAX_BYTES, len(text))
    check("it has neither anchors nor aliases, which CloudFormation does not promise to read", not aliases(text), aliases(text))
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    told = {template["Metadata"]["Defib"]["Version"], template["Outputs"]["Version"]["Value"]}
    check("it names the version of the package", told == {version}, told)
    fixed = re.findall(r"arn:aws[:-]|amazonaws\.com(?!\.cn)", text)
    known = {f"{service}.amazonaws.com" for service in ("events", "lambda", "states", "cloudwatch", "ssm")}
    told = re.findall(r"[a-z]+\.amazonaws\.com", text)
    check("no ARN names a partition, and no host but service principals", "arn:aws" not in " ".join(fixed)
          and set(told) <= known, (fixed, told))
    names = [name for name, one in template["Resources"].items() if "RoleName" in one.get("Properties", {})]
    check("no role has a name", not names, names)


def check_parameters():
    declared = set(template["Parameters"])
    face = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in face["ParameterGroups"] for name in group["Parameters"]]
    check("every parameter stands in one labelled group", sorted(grouped) == sorted(declared), set(grouped) ^ declared)
    check("labels are those of parameters", set(face["ParameterLabels"]) <= declared, face["ParameterLabels"])
    dumb = [name for name, one in template["Parameters"].items() if len(one.get("Description", "")) < 20]
    check("every parameter is described", not dumb, dumb)
    for name, one in template["Parameters"].items():
        if "AllowedPattern" in one and "Default" in one:
            check(f"the default of {name} fits its own pattern", pattern_holds(one["AllowedPattern"], one["Default"]))
    needed = sorted(name for name, one in template["Parameters"].items() if "Default" not in one)
    check("only the code's place must be given", needed == ["CodeBucket", "CodeKey"], needed)


def check_environment():
    rows = re.findall(r"^\| `(DEFIB_\w+)` \| .*? \| (.*?) \| (.*?) \|$",
                      (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8"), re.MULTILINE)
    check("docs/CONFIGURATION.md has its table", len(rows) > 30, len(rows))
    variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    known = {name for name, _, _ in rows if not NOT_IN_THE_STACK.match(name)}
    # Set by the template, and in the code's table once the AWS edge is there.
    edge = {"DEFIB_TABLE", "DEFIB_TOPIC", "DEFIB_STATE_MACHINE", "DEFIB_POLICY_PARAMETER", "DEFIB_PROBE_DOCUMENT",
            "DEFIB_REPAIR_DOCUMENT"}
    check("the function gets every setting that the code knows", known <= set(variables), known - set(variables))
    check("and no other", set(variables) <= known | edge, set(variables) - known - edge)
    for name, default, allowed in rows:
        parameter = variables.get(name)
        if not isinstance(parameter, dict) or parameter.get("Ref") not in template["Parameters"]:
            continue
        declared = template["Parameters"][parameter["Ref"]]
        limits = re.fullmatch(r"a whole number from (\d+) to (\d+)", allowed)
        if limits:
            told = (str(declared["Default"]), declared["MinValue"], declared["MaxValue"])
            check(f"{parameter['Ref']} has the default and the limits of {name}",
                  told == (default.strip("`"), int(limits[1]), int(limits[2])), told)
        elif "AllowedValues" in declared:
            wanted = re.split(r", | or ", allowed)
            check(f"{parameter['Ref']} has the default and the values of {name}",
                  (declared["Default"], declared["AllowedValues"]) == (default.strip("`"), wanted), declared)
    size = sum(len(name) + len(str(value)) for name, value in
               stack().resources["Function"]["Properties"]["Environment"]["Variables"].items())
    check(f"the environment has room for long names ({size} bytes)", size + 1_000 < ENVIRONMENT_MAX_BYTES)


def check_rules_of_the_template():
    for given, word in (
        ({"Email": ""}, "Email or ExistingTopicArn"),
        ({"Mode": "cycle", "TableDeletionProtection": "false"}, "TableDeletionProtection"),
        ({"Mode": "replace", "TableDeletionProtection": "false"}, "TableDeletionProtection"),
        ({"PolicyParameterName": "/a/b", "PolicyDocument": "mode: restart"}, "not both"),
        ({"AllowProbes": "true", "Mode": "off"}, "AllowProbes"),
    ):
        broken = Stack(template, **GIVEN | given).broken_rules()
        check(f"{given} is refused in words", len(broken) == 1 and word in broken[0], broken)
    for given in ({}, {"Email": "", "ExistingTopicArn": "arn:aws:sns:us-east-1:111122223333:ops"}, {"Mode": "replace"},
                  {"AllowProbes": "true"}, {"PolicyParameterName": "/a/b"}):
        broken = Stack(template, **GIVEN | given).broken_rules()
        check(f"{given} is taken", not broken, broken)


def check_wiring():
    whole = stack("replace", StartSessionRule="true")
    for mode in ("off", *permissions.MODES):
        for given in ({}, {"ExistingTopicArn": "arn:aws:sns:us-east-1:111122223333:ops", "Email": ""},
                      {"PolicyParameterName": "/a/b"}, {"StartSessionRule": "true"}):
            text = json.dumps(stack(mode, **given).resources)
            absent = [name for name in template["Resources"] if name not in stack(mode, **given).resources
                      and re.search(rf"<{name}[.>]", text)]
            check(f"mode {mode} with {given or 'defaults'} refers to nothing that is not made", not absent, absent)
    senders = whole.resources["IntakeQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"]
    rules = whole.of_type("AWS::Events::Rule")
    check("the queue takes from this stack's rules, each by name",
          sorted(senders["aws:SourceArn"]) == sorted(f"<{name}.Arn>" for name in rules), senders)
    sent = {target["Arn"] for rule in rules.values() for target in rule["Properties"]["Targets"]}
    check("every rule sends to the queue", sent == {"<IntakeQueue.Arn>"}, sent)
    sweep = rules["SweepRule"]["Properties"]
    check("the schedule puts a sweep into the queue every five minutes", sweep["ScheduleExpression"] == "rate(5 minutes)"
          and json.loads(sweep["Targets"][0]["Input"]) == {"sweep": {}}, sweep)
    for limit in template["Parameters"]["FunctionTimeoutSecs"]["AllowedValues"]:
        queue = stack(FunctionTimeoutSecs=limit).resources["IntakeQueue"]["Properties"]
        check(f"a message is hidden for six times {limit} seconds", queue["VisibilityTimeout"] >= 6 * limit, queue)
    for wanted in template["Parameters"]["IntakeConcurrency"]["AllowedValues"]:
        mapping = stack(IntakeConcurrency=wanted).resources["IntakeMapping"]["Properties"]
        check(f"{wanted} batches at the same time, with partial failures", mapping["ScalingConfig"] == {"MaximumConcurrency": wanted}
              and mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], mapping)
    alarms = whole.of_type("AWS::CloudWatch::Alarm")
    astray = [name for name, one in alarms.items() if one["Properties"]["AlarmActions"] != ["<Topic>"]
              or not one["Properties"]["AlarmName"].startswith("defib-")]
    check(f"each of the {len(alarms)} alarms goes to the topic, under a name that the topic lets in", not astray, astray)
    shown = json.loads(whole.resources["Dashboard"]["Properties"]["DashboardBody"])
    listed = next(one for one in shown["widgets"] if one["type"] == "alarm")["properties"]["alarms"]
    check("the dashboard is JSON and shows every alarm", sorted(arn.rsplit(":", 1)[1] for arn in listed)
          == sorted(one["Properties"]["AlarmName"] for one in alarms.values()), listed)
    overlap = [(a["x"], a["y"], b["x"], b["y"]) for i, a in enumerate(shown["widgets"]) for b in shown["widgets"][i + 1:]
               if a["x"] < b["x"] + b["width"] and b["x"] < a["x"] + a["width"]
               and a["y"] < b["y"] + b["height"] and b["y"] < a["y"] + a["height"]]
    check("its widgets do not lie on each other", not overlap, overlap)


def check_timer():
    machine = json.loads(stack().resources["Timer"]["Properties"]["DefinitionString"])
    states = machine["States"]
    reached, todo = set(), [machine["StartAt"]]
    while todo:
        state = todo.pop()
        if state in reached:
            continue
        reached.add(state)
        one = states[state]
        todo += [one[key] for key in ("Next", "Default") if key in one]
        todo += [step["Next"] for step in one.get("Catch", []) + one.get("Choices", [])]
    check("every state of the timer is reached", reached == set(states), reached ^ set(states))
    check("an execution ends after 14 days at the latest", machine["TimeoutSeconds"] == 14 * 86_400)
    task = states["Pass"]
    retried = {name for one in task["Retry"] for name in one["ErrorEquals"]}
    check("the service's own errors are tried again", {"Transient", "Lambda.TooManyRequestsException"} <= retried, retried)
    last = task["Catch"][-1]
    check("whatever else fails waits a minute and goes on", last["ErrorEquals"] == ["States.ALL"]
          and states[last["Next"]] == {"Type": "Wait", "Seconds": 60, "Next": "Pass"}, last)
    check("the function's payload is the wake and nothing else", task["Parameters"]["Payload"] == {"wake.$": "$.wake"})


# --- The rules on the events -----------------------------------------------------------------------------------------


def check_events():
    rows = dict(re.findall(r"^\| (\S+\.json) \|.*?\| (trouble|recovered|gone|ignored|rejected) \|",
                           (ROOT / "events" / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    files = sorted((ROOT / "events").glob("*.json"))
    check("events/README.md knows every file", {file.name for file in files} <= set(rows), rows)
    patterns = {name: rule["Properties"]["EventPattern"] for name, rule in
                stack(StartSessionRule="true").of_type("AWS::Events::Rule").items() if "EventPattern" in rule["Properties"]}
    used = set()
    for file in files:
        event = json.loads(file.read_text(encoding="utf-8"))
        found = sorted(name for name, pattern in patterns.items() if matches(pattern, event))
        used |= set(found)
        verdict = rows[file.name]
        if verdict in ("trouble", "gone"):
            check(f"{file.name} ({verdict}) is forwarded by {', '.join(found) or 'nothing'}", len(found) == 1, found)
        else:
            wanted = ["EcsAgentRule"] if file.name in FORWARDED_ALTHOUGH_IGNORED else []
            check(f"{file.name} ({verdict}) is {'forwarded all the same' if wanted else 'not forwarded'}", found == wanted, found)
    check("every rule forwards some file", used == set(patterns), set(patterns) - used)
    read = 0
    for file in sorted((ROOT / "events" / "hostile").glob("*.json")):
        try:
            event = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            continue
        read += 1
        for pattern in patterns.values():
            matches(pattern, event)
    check(f"{read} hostile files that are JSON at all break no pattern", read > 20, read)

    timed_out = json.loads((ROOT / "events" / "ssm-invocation-timed-out.json").read_text(encoding="utf-8"))
    for status in ("TimedOut", "timed out", "TIMEDOUT", "Failed", "Undeliverable", "Delivery Timed Out", "deliverytimedout",
                   "ExecutionTimedOut", "Execution Timed Out"):
        event = timed_out | {"detail": timed_out["detail"] | {"status": status}}
        check(f"the status {status!r} is forwarded", matches(patterns["RunCommandRule"], event))
    for status in ("Success", "Cancelled", "Canceled", "Terminated", "InProgress", "Failed to fetch", ""):
        event = timed_out | {"detail": timed_out["detail"] | {"status": status}}
        check(f"the status {status!r} is not forwarded", not matches(patterns["RunCommandRule"], event))
    for kind in ("Probe", "Repair"):
        name = stack().resources["Function"]["Properties"]["Environment"]["Variables"][f"DEFIB_{kind.upper()}_DOCUMENT"]
        event = timed_out | {"detail": timed_out["detail"] | {"document-name": name}}
        check(f"our own {name} is not forwarded", not matches(patterns["RunCommandRule"], event))
    split = {"healthChecks": [{"type": "AGENT_CONNECTIVITY", "status": "OK"}, {"type": "DAEMON", "status": "IMPAIRED"}]}
    event = {"source": "aws.ecs", "detail-type": "ECS Container Instance Health Change", "detail": split}
    check("type and status of different checks do not add up", not matches(patterns["EcsHealthRule"], event))
    check("the text \"false\" is not false", not matches({"a": [False]}, {"a": "false"}) and not matches({"a": [1]}, {"a": True}))


# --- What the role may do --------------------------------------------------------------------------------------------


def check_actions():
    _, source = permissions.operations()
    known_extra = set(permissions.WITHOUT_A_CALL)
    for mode in permissions.MODES:
        for probes in (False, True) if mode == "observe" else (False,):
            made = stack(mode, AllowProbes=str(probes).lower(), VolumeKeyArns="arn:aws:kms:us-east-1:111122223333:key/a",
                         TopicKmsKeyArn="arn:aws:kms:us-east-1:111122223333:key/b")
            have, need = permissions.allowed_actions(made.statements()) - known_extra, permissions.needed(mode, probes)
            words = f"mode {mode}{' with probes' if probes else ''}"
            check(f"{words} allows the {len(need)} actions of {source}, no more and no fewer", have == need,
                  f"too many: {sorted(have - need)}, too few: {sorted(need - have)}")
            text = json.dumps([one["Properties"]["PolicyDocument"] for one in made.of_type("AWS::IAM::Policy").values()],
                              separators=(",", ":"))
            check(f"its inline policies fit into a role ({len(text)} characters)", len(text) < ROLE_POLICIES_MAX)
    off = permissions.allowed_actions(stack("off").statements())
    check("mode off has what observe has, and sends nothing", off == permissions.allowed_actions(stack("observe").statements()))
    # The comparison sees an action that is dropped, and one that is added.
    statements = stack("replace").statements()
    for dropped in ("ssm:SendCommand", "ec2:StartInstances", "ecs:DeregisterContainerInstance", "ec2:DescribeInstances"):
        fewer = [one | {"Action": [a for a in permissions.as_list(one["Action"]) if a != dropped]} for one in statements]
        check(f"a role without {dropped} would be noticed",
              permissions.allowed_actions(fewer) - known_extra != permissions.needed("replace"))
    more = [*statements, {"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*"}]
    check("a role with ec2:TerminateInstances would be noticed",
          permissions.allowed_actions(more) - known_extra != permissions.needed("replace"))


def document(made, kind):
    variables = made.resources["Function"]["Properties"]["Environment"]["Variables"]
    return f"arn:aws:ssm:us-east-1:{ACCOUNT}:document/{variables[f'DEFIB_{kind}_DOCUMENT']}"


def check_conditions():
    def may(made, action, *resources):
        return permissions.is_allowed(made.statements(), action, resources)

    observe, probes = stack("observe"), stack("observe", AllowProbes="true")
    restart, cycle, replace = stack("restart"), stack("cycle"), stack("replace")
    probe, repair = (document(observe, kind) for kind in ("PROBE", "REPAIR"))
    shell = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"
    send = "ssm:SendCommand"
    for name, wanted, made, action, *resources in (
        ("observe sends nothing", False, observe, send, (probe, {}), (INSTANCE, OPTED_IN)),
        ("observe with probes sends the probe to any node", True, probes, send, (probe, {}), (INSTANCE, {})),
        ("but not the repair", False, probes, send, (repair, {}), (INSTANCE, OPTED_IN)),
        ("and nothing to a node that was opted out", False, probes, send, (probe, {}), (INSTANCE, OPTED_OUT)),
        ("restart sends the repair to an instance that was opted in", True, restart, send, (repair, {}), (INSTANCE, OPTED_IN)),
        ("and to a managed node, by the key of Systems Manager", True, restart, send, (repair, {}),
         (NODE, {"ssm:resourceTag/defib:managed": "true"})),
        ("not to one that was not", False, restart, send, (repair, {}), (INSTANCE, {})),
        ("not to one with another value", False, restart, send, (repair, {}), (INSTANCE, {"aws:ResourceTag/defib:managed": "yes"})),
        ("not to one that was opted out, in any case", False, restart, send, (repair, {}),
         (INSTANCE, OPTED_IN | {"ssm:resourceTag/defib:mode": "OFF"})),
        ("never AWS-RunShellScript", False, replace, send, (shell, {}), (INSTANCE, OPTED_IN)),
        ("never a document of that name in another account", False, replace, send,
         (repair.replace(ACCOUNT, "999999999999"), {}), (INSTANCE, OPTED_IN)),
        ("restart does not reboot", False, restart, "ec2:RebootInstances", (INSTANCE, OPTED_IN)),
        ("cycle reboots an instance that was opted in", True, cycle, "ec2:RebootInstances", (INSTANCE, OPTED_IN)),
        ("not one that was not", False, cycle, "ec2:RebootInstances", (INSTANCE, {})),
        ("not one that was opted out", False, cycle, "ec2:StopInstances", (INSTANCE, OPTED_OUT)),
        ("not one that a provider manages", False, cycle, "ec2:StopInstances",
         (INSTANCE, OPTED_IN | {"ec2:ManagedResourceOperator": "ecs.amazonaws.com"})),
        ("nor starts that one", False, cycle, "ec2:StartInstances", (INSTANCE, {"ec2:ManagedResourceOperator": "x"})),
        ("cycle starts what it stopped, whatever the tags say by now", True, cycle, "ec2:StartInstances", (INSTANCE, OPTED_OUT)),
        ("and takes it out of Standby", True, cycle, "autoscaling:ExitStandby", (GROUP, OPTED_OUT)),
        ("Standby is entered where the group was opted in", True, cycle, "autoscaling:EnterStandby", (GROUP, OPTED_IN)),
        ("not where it was not", False, cycle, "autoscaling:EnterStandby", (GROUP, {})),
        ("not where it was opted out", False, cycle, "autoscaling:EnterStandby", (GROUP, OPTED_OUT)),
        ("cycle drains", True, cycle, "ecs:UpdateContainerInstancesState", (CONTAINER_INSTANCE, {"ecs:cluster": CLUSTER})),
        ("not where IAM cannot see the cluster", False, cycle, "ecs:UpdateContainerInstancesState", (CONTAINER_INSTANCE, {})),
        ("cycle does not terminate", False, cycle, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_IN)),
        ("replace does, through the group", True, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_IN)),
        ("not where the group was not opted in", False, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, {})),
        ("not where it was opted out", False, replace, "autoscaling:TerminateInstanceInAutoScalingGroup", (GROUP, OPTED_OUT)),
        ("and never past the group", False, replace, "ec2:TerminateInstances", (INSTANCE, OPTED_IN)),
        ("replace deregisters", True, replace, "ecs:DeregisterContainerInstance", (CLUSTER, {})),
        ("nothing of another account", False, replace, "ecs:DeregisterContainerInstance",
         (CLUSTER.replace(ACCOUNT, "999999999999"), {})),
        ("no mode writes another table", False, replace, "dynamodb:PutItem",
         (f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/other", {})),
        ("no mode passes a role", False, replace, "iam:PassRole", (f"arn:aws:iam::{ACCOUNT}:role/a", {})),
    ):
        check(f"IAM: {name}", may(made, action, *resources) is wanted)
    one = stack("replace", EcsClusterArns=CLUSTER)
    other = CLUSTER.replace("prod", "other")
    check("IAM: a stack for one cluster drains that one", may(one, "ecs:UpdateContainerInstancesState",
          (CONTAINER_INSTANCE, {"ecs:cluster": CLUSTER})) and not may(one, "ecs:UpdateContainerInstancesState",
          (CONTAINER_INSTANCE, {"ecs:cluster": other})) and not may(one, "ecs:DeregisterContainerInstance", (other, {})))
    key = "arn:aws:kms:us-east-1:111122223333:key/a"
    via = {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}
    keyed = stack("cycle", VolumeKeyArns=key)
    check("IAM: a grant on a volume's key is for EC2 alone",
          may(keyed, "kms:CreateGrant", (key, via | {"kms:GrantIsForAWSResource": "true"}))
          and not may(keyed, "kms:CreateGrant", (key, via))
          and not may(stack("restart", VolumeKeyArns=key), "kms:CreateGrant", (key, via | {"kms:GrantIsForAWSResource": "true"})))


# --- The documents ---------------------------------------------------------------------------------------------------


def check_documents():
    done = subprocess.run([sys.executable, INFRA / "documents.py", "--check"], capture_output=True, text=True, check=False)
    check("the template holds the documents of infra/documents/, under names with their hashes", done.returncode == 0, done.stderr)
    for name, wanted in (("ProbeDocument", set()), ("RepairDocument", {"{{ Action }}"})):
        content = template["Resources"][name]["Properties"]["Content"]
        scripts = "\n".join(line for step in content["mainSteps"] for line in step["inputs"]["runCommand"])
        check(f"{name} puts in {wanted or 'nothing'}", set(re.findall(r"\{\{.*?\}\}", scripts)) == wanted)
        check(f"{name} has the schema that it needs", content["schemaVersion"] == "2.2"
              and set(content.get("parameters", {})) == ({"Action"} if wanted else set()))
        bare = [step["name"] for step in content["mainSteps"] if "precondition" not in step or "timeoutSeconds" not in step["inputs"]]
        check(f"each step of {name} has its platform and its time limit", not bare, bare)
        codes = set(re.findall(r"\bexit (\d+)", scripts))
        check(f"{name} never asks the agent to reboot", codes <= {"0", "1"}, codes)
    allowed = template["Resources"]["RepairDocument"]["Properties"]["Content"]["parameters"]["Action"]["allowedValues"]
    check("the repair knows four words", allowed == ["free-disk", "restart-ssm-agent", "restart-ecs-agent", "restart-runtime"])
    for script in ("repair.sh", "repair.ps1"):
        text = (INFRA / "documents" / script).read_text(encoding="utf-8")
        told = [word for word in allowed if not re.search(rf"^\s*'?{word}'?(\)| \{{)", text, re.MULTILINE)]
        check(f"{script} knows them all", not told, told)


def check_without_documents():
    """What infra/README.md says of the template without its documents."""
    text = PATH.read_text(encoding="utf-8")
    before, rest = text.split("  # documents: begin\n")
    fewer = (before + rest.split("  # documents: end\n")[1]).replace("      - ProbeDocument\n      - RepairDocument\n", "", 1)
    less = load(fewer)
    left = sorted(set(template["Resources"]) - set(less["Resources"]))
    made = Stack(less, Mode="replace", **GIVEN)
    check("the template also works without its documents", left == ["ProbeDocument", "RepairDocument"]
          and not re.search(r"\b(Probe|Repair)Document\b(?!\w)", json.dumps(made.resources["Function"])), left)


def check_probe(folder):
    host = Host(folder / "well", units=["docker.service", "ecs.service", "amazon-ssm-agent.service"])
    code, lines = host.run("probe.sh")
    told = findings(lines)
    btime = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(encoding="utf-8"), re.MULTILINE)
    booted = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(btime[1])))
    check("the probe of a host without trouble says when it booted", code == 0 and None not in told and told
          and told[0]["check"] == "boot" and told[0]["booted_at"] == booted and len(told[0]["boot_id"]) == 36, lines)
    check("and changes nothing", not [call for call in host.calls() if call != "docker version"], host.calls())
    df = 'case "$1" in -Pi) used=99% ;; *) used=100% ;; esac\necho "Filesystem 1 2 3 Use% Mounted"\necho "/dev/a 1 1 0 $used /var"'
    state = {("ecs.service", "ActiveState"): "failed", ("ecs.service", "ExecMainStatus"): "5",
             ("amazon-ssm-agent.service", "ActiveState"): "inactive"}
    host = Host(folder / "ill", units=["docker.service", "ecs.service", "amazon-ssm-agent.service"], docker="hangs",
                properties=state, df=df)
    code, lines = host.run("probe.sh")
    told = findings(lines)
    codes = [(one or {}).get("check") for one in told]
    check("the probe of an ill one names each cause, in JSON", code == 0 and codes == [
        "boot", "host.disk-full", "host.inodes-exhausted", "runtime.docker-hung", "ecs-agent.terminal-exit",
        "ssm-agent.stopped"], lines)
    check("with its severity and its evidence", all(set(one) == {"check", "severity", "evidence"}
          and one["severity"] in ("cause", "symptom", "noise") and 0 < len(one["evidence"]) <= 400 for one in told[1:]), lines)
    nasty = {("docker.service", "ActiveState"): "'\"x\\\",\\\"y\\\" $(id) \\\\'", ("docker.service", "SubState"): "y" * 900}
    code, lines = Host(folder / "nasty", units=["docker.service"], properties=nasty).run("probe.sh")
    told = findings(lines)
    check("what a host prints cannot break out of the JSON", code == 0 and None not in told and len(told) == 2
          and len(told[1]["evidence"]) <= 400, lines)
    code, lines = Host(folder / "bare", systemctl=None, docker_=None).run("probe.sh")
    check("a host without systemd still says when it booted", code == 0 and findings(lines)[0]["check"] == "boot", lines)


def check_repair(folder):
    ssm, snap = "amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"
    number = iter(range(100))

    def repair(action, **host):
        made = Host(folder / f"repair-{next(number)}", **host)
        code, lines = made.run("repair.sh", action)
        # What goes on in a process of its own is noted a moment later.
        until = time.monotonic() + 5
        while "a process of its own" in "".join(lines) and not made.calls() and time.monotonic() < until:
            time.sleep(0.02)
        return code, [call for call in made.calls() if call != "docker version"], lines

    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"])
    check("the ECS agent is restarted without waiting, and docker is not touched", code == 0
          and calls == ["systemctl reset-failed ecs.service", "systemctl restart --no-block ecs.service"], (calls, lines))
    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "amazon-ecs.service"])
    check("on SUSE its unit has another name", code == 0 and "systemctl restart --no-block amazon-ecs.service" in calls, calls)
    for docker in ("fails", "hangs"):
        code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"], docker=docker)
        check(f"where docker {docker}, the ECS agent is left alone and the reason is told",
              (code, calls) == (1, []) and "docker does not answer" in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-ssm-agent", units=[ssm])
    check("the SSM agent is restarted by systemd ten seconds later", code == 0 and len(calls) == 1
          and calls[0].startswith("systemd-run ") and "--on-active=10" in calls[0] and f"systemctl start {ssm}" in calls[0], calls)
    check("with 30 s to stop, and killed then", f"timeout 30 systemctl stop {ssm} || systemctl kill --kill-who=main --signal=KILL {ssm}" in calls[0], calls)
    code, calls, lines = repair("restart-ssm-agent", units=[snap])
    check("the snap's unit is found", code == 0 and f"systemctl start {snap}" in calls[0], calls)
    for name, tools in (("without systemd-run", {"systemd_run": None}), ("where systemd-run fails", {"systemd-run": "exit 1"})):
        code, calls, lines = repair("restart-ssm-agent", units=[ssm], **tools)
        check(f"{name} a process of its own does it", code == 0 and len(calls) == 1
              and calls[0].startswith("setsid nohup /bin/sh -c sleep 10; "), (calls, lines))
    code, calls, lines = repair("restart-ssm-agent", units=[])
    check("without a unit nothing is done", (code, calls) == (1, []) and "nothing was done" in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-runtime", units=["docker.service", "containerd.service", "ecs.service"])
    check("the runtime is restarted, then the ECS agent is started by name", code == 0 and calls == [
        "systemctl stop docker.service", "systemctl reset-failed docker.service containerd.service",
        "systemctl restart containerd.service", "systemctl start docker.service", "systemctl reset-failed ecs.service",
        "systemctl start --no-block ecs.service"], calls)
    code, calls, lines = repair("restart-runtime", units=["docker.service", "ecs.service"], docker="hangs")
    check("a runtime that does not answer afterwards is told", code == 1 and "does not answer" in lines[-1], lines)
    for action in ("", "reboot", "free-disk; reboot", "$(reboot)", "../restart-ecs-agent"):
        if "'" not in action:
            code, calls, lines = repair(action, units=[ssm, "ecs.service", "docker.service"])
            check(f"{action!r} is no action", (code, calls) == (1, []) and "nothing was done" in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-ecs-agent", systemctl=None)
    check("without systemd nothing is done", (code, calls) == (1, []) and "no systemd" in lines[-1], lines)
    check_free_disk(folder)


def check_free_disk(folder):
    host = Host(folder / "disk", units=["docker.service"])
    old = [host.file("/var/log/messages-20260101"), host.file("/var/log/app/app.log.3"), host.file("/var/log/a.gz"),
           host.file("/var/lib/amazon/ssm/i-1/document/orchestration/old-command/awsrunShellScript/stdout")]
    kept = [host.file("/var/log/messages"), host.file("/var/log/fresh.gz"), host.file("/var/lib/other/data.gz"),
            host.file("/var/lib/amazon/ssm/i-1/document/orchestration/new-command/stdout"),
            host.file("/var/lib/amazon/ssm/Vault/Store/RegistrationKey")]
    long_ago = time.time() - 3 * 86_400
    for file in (*old, old[-1].parent, old[-1].parents[1], kept[0], kept[2], kept[4]):
        os.utime(file, (long_ago, long_ago))
    code, lines = host.run("repair.sh", "free-disk")
    check("a full disk loses rotated logs and old commands' output", code == 0 and not [file for file in old if file.exists()]
          and lines[-1].startswith("free on /: "), lines)
    check("and nothing else", all(file.exists() for file in kept), [file for file in kept if not file.exists()])
    asked = [call for call in host.calls() if "image" in call or "prune" in call]
    check("docker drops layers without an image, no image and no container", asked == ["docker image prune --force"], asked)


# --- Around it -------------------------------------------------------------------------------------------------------


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
    declared = template["Parameters"]
    example = json.loads((INFRA / "parameters.example.json").read_text(encoding="utf-8"))
    names = [one["ParameterKey"] for one in example]
    check("parameters.example.json gives known parameters", set(names) <= set(declared) and len(set(names)) == len(names), names)
    broken = Stack(template, **{one["ParameterKey"]: one["ParameterValue"] for one in example}).broken_rules()
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
    if gates.CI_LACKS_NOTHING:
        print("CI=true: what the registries offer may not be missing", flush=True)
    for one in (check_form, check_parameters, check_environment, check_rules_of_the_template, check_wiring, check_timer,
                check_events, check_actions, check_conditions, check_documents, check_without_documents):
        attempt(one)
    with tempfile.TemporaryDirectory(prefix="defib-infra-") as scratch:
        for one in (check_probe, check_repair, check_package):
            attempt(one, Path(scratch))
    attempt(check_texts)
    for one in gates.ALL:
        attempt(one)
    return gates.finish()


if __name__ == "__main__":
    sys.exit(main())
