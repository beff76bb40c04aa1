"""The template by itself: its parameters, the function's environment, its Rules, how its parts hang together, the timer."""

import json
import re

from . import permissions
from .gates import check
from .template import GIVEN, PATH, ROOT, TEMPLATE, Stack, aliases, pattern_holds, stack

# A template that is uploaded.
TEMPLATE_MAX_BYTES = 1_000_000
# A function's environment.
ENVIRONMENT_MAX_BYTES = 4_096
# Variables that the template does not set: for trying Defib without AWS.
NOT_IN_THE_STACK = re.compile("DEFIB_ACCOUNT$|DEFIB_SIM_")


def check_form():
    text = PATH.read_text(encoding="utf-8")
    check("the template may be uploaded", len(text.encode()) <= TEMPLATE_MAX_BYTES, len(text))
    check("it has neither anchors nor aliases, which CloudFormation does not promise to read", not aliases(text), aliases(text))
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    told = {TEMPLATE["Metadata"]["Defib"]["Version"], TEMPLATE["Outputs"]["Version"]["Value"]}
    check("it names the version of the package", told == {version}, told)
    fixed = re.findall(r"arn:aws[:-]|amazonaws\.com(?!\.cn)", text)
    known = {f"{service}.amazonaws.com" for service in ("events", "lambda", "states", "cloudwatch", "ssm")}
    told = re.findall(r"[a-z]+\.amazonaws\.com", text)
    check("no ARN names a partition, and no host but service principals", "arn:aws" not in " ".join(fixed)
          and set(told) <= known, (fixed, told))
    names = [name for name, one in TEMPLATE["Resources"].items() if "RoleName" in one.get("Properties", {})]
    check("no role has a name", not names, names)


def check_parameters():
    declared = set(TEMPLATE["Parameters"])
    face = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in face["ParameterGroups"] for name in group["Parameters"]]
    check("every parameter stands in one labelled group", sorted(grouped) == sorted(declared), set(grouped) ^ declared)
    check("labels are those of parameters", set(face["ParameterLabels"]) <= declared, face["ParameterLabels"])
    dumb = [name for name, one in TEMPLATE["Parameters"].items() if len(one.get("Description", "")) < 20]
    check("every parameter is described", not dumb, dumb)
    for name, one in TEMPLATE["Parameters"].items():
        if "AllowedPattern" in one and "Default" in one:
            check(f"the default of {name} fits its own pattern", pattern_holds(one["AllowedPattern"], one["Default"]))
    needed = sorted(name for name, one in TEMPLATE["Parameters"].items() if "Default" not in one)
    check("only the code's place must be given", needed == ["CodeBucket", "CodeKey"], needed)


def check_environment():
    rows = re.findall(r"^\| `(DEFIB_\w+)` \| .*? \| (.*?) \| (.*?) \|$",
                      (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8"), re.MULTILINE)
    check("docs/CONFIGURATION.md has its table", len(rows) > 30, len(rows))
    variables = TEMPLATE["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    known = {name for name, _, _ in rows if not NOT_IN_THE_STACK.match(name)}
    check("the function gets every setting that the code knows", known <= set(variables), known - set(variables))
    check("and no other", set(variables) <= known, set(variables) - known)
    for name, default, allowed in rows:
        parameter = variables.get(name)
        if not isinstance(parameter, dict) or parameter.get("Ref") not in TEMPLATE["Parameters"]:
            continue
        declared = TEMPLATE["Parameters"][parameter["Ref"]]
        limits = re.fullmatch(r"a whole number from (\d+) to (\d+)", allowed)
        if limits and "AllowedValues" in declared:
            # The stack allows some of what the code takes.
            low, high = int(limits[1]), int(limits[2])
            check(f"{parameter['Ref']} has the default of {name}, and values that it takes",
                  str(declared["Default"]) == default.strip("`") and all(low <= value <= high for value in declared["AllowedValues"]), declared)
        elif limits:
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
        broken = Stack(TEMPLATE, **GIVEN | given).broken_rules()
        check(f"{given} is refused in words", len(broken) == 1 and word in broken[0], broken)
    for given in ({}, {"Email": "", "ExistingTopicArn": "arn:aws:sns:us-east-1:111122223333:ops"}, {"Mode": "replace"},
                  {"AllowProbes": "true"}, {"PolicyParameterName": "/a/b"}):
        broken = Stack(TEMPLATE, **GIVEN | given).broken_rules()
        check(f"{given} is taken", not broken, broken)


def check_wiring():
    whole = stack("replace", StartSessionRule="true")
    for mode in ("off", *permissions.MODES):
        for given in ({}, {"ExistingTopicArn": "arn:aws:sns:us-east-1:111122223333:ops", "Email": ""},
                      {"PolicyParameterName": "/a/b"}, {"StartSessionRule": "true"}):
            text = json.dumps(stack(mode, **given).resources)
            absent = [name for name in TEMPLATE["Resources"] if name not in stack(mode, **given).resources
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
    for limit in TEMPLATE["Parameters"]["FunctionTimeoutSecs"]["AllowedValues"]:
        queue = stack(FunctionTimeoutSecs=limit).resources["IntakeQueue"]["Properties"]
        check(f"a message is hidden for six times {limit} seconds", queue["VisibilityTimeout"] >= 6 * limit, queue)
    for wanted in TEMPLATE["Parameters"]["IntakeConcurrency"]["AllowedValues"]:
        mapping = stack(IntakeConcurrency=wanted).resources["IntakeMapping"]["Properties"]
        check(f"{wanted} events at the same time, each in an invocation of its own, with partial failures",
              mapping["ScalingConfig"] == {"MaximumConcurrency": wanted} and mapping["BatchSize"] == 1
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


ALL = (check_form, check_parameters, check_environment, check_rules_of_the_template, check_wiring, check_timer)
