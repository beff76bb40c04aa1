"""The rules' patterns on every file of events/: what is forwarded, and what is not."""

import json
import re

from .gates import check
from .patterns import matches
from .template import ROOT, stack

# A rule forwards what the code then ignores: a status that AWS has not named yet must not be lost.
FORWARDED_ALTHOUGH_IGNORED = ("ecs-instance-registering.json",)


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


ALL = (check_events,)
