#!/usr/bin/env python3
"""End to end: the very bootstrap from the very template, on stand-ins.

ministack holds the stack (CloudFormation, SQS, SNS, DynamoDB, EventBridge, Step Functions, Lambda, S3); `defib fleet` is the account
with its nodes (SSM, EC2, ECS, Auto Scaling, IAM). Events that a rule of the stack matches go into its queue, messages come out of a queue
that is subscribed to the topic. The clock is the real one, shortened by settings only. ministack cannot hold AWS::SSM::Document inside a stack, so
the template is deployed without its documents; the fleet runs them by name.

Prints a line a check and ends with `N passed, N failed`. Exit code: 0, 1 when a check failed, 77 when a tool is missing.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from operators import doctor, fix, words
from standins import ACCOUNT, BINARIES, REGION, ROOT, Cloud, Ear, Fleet, boto3, call, check, counts, say, wait_for

try:
    from botocore.exceptions import ClientError
except ImportError:
    ClientError = OSError

BUILD = ["cargo", "build", "--locked", "--quiet", "--bins"]
LEDGER_TESTS = ["cargo", "test", "--locked", "--quiet", "--all-features", "--lib", "aws::ledger", "--", "--ignored", "--test-threads", "1"]
SKIPPED = 77
# AWS calls that one incident may cost, counted at the fleet's door (SSM, EC2, ECS, Auto Scaling). Apart are the census, which serves every
# node, the policy's parameter, and the diagnosis that is kept: what surrounds a silent node in its VPC, and its console. More kinds of incidents,
# with every call by name, in tests/incidents_on_the_fleet.rs.
# The clock is the real one here, so that a host that takes longer to come up costs a look or two more than there, where a reboot is held to 13.
CALLS_MAX = {"restart": 12, "reboot": 18, "flap": 4}
DIAGNOSIS = ("GetConsoleOutput",)


# --- Stories --------------------------------------------------------------------------------------------------------


NODES = {
    "restart": "i-0e2e00000000000a1", "reboot": "i-0e2e00000000000a2", "flap": "i-0e2e00000000000a3", "role": "i-0e2e00000000000a4",
    "twice": "i-0e2e00000000000a5", "killed": "i-0e2e00000000000a6", "lost": "i-0e2e00000000000a7", "newer": "i-0e2e00000000000a8",
    "asked": "i-0e2e00000000000a9",
}
IN_CLUSTER = ("restart", "flap", "twice", "killed", "lost")


def sample(name):
    return json.loads((ROOT / "events" / name).read_text())


def disconnected(node, ecs=None):
    """`agentConnected=false`, as ECS tells it of this node; without its place in ECS, in the sample's."""
    event = sample("ecs-agent-disconnected.json")
    event["account"], event["region"] = ACCOUNT, REGION
    event["detail"] |= {"ec2InstanceId": node, "agentConnected": False, "status": "ACTIVE"}
    if ecs:
        arn = ecs["container_instance"]
        event["resources"] = [arn]
        event["detail"] |= {"containerInstanceArn": arn,
                            "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{ecs['cluster']}"}
    return event


def machines(**ailing):
    """The fleet, with what has ailed some of it for a while."""
    opted_in = {"defib:managed": "true"}
    instances = [
        {"id": node, "name": name, "tags": opted_in, "zone": "abc"[index % 3], "age_secs": 86_400, "tasks": 2 if name in IN_CLUSTER else 0}
        | ({"cluster": "e2e"} if name in IN_CLUSTER else {})
        | ({"fault": ailing[name], "since_secs": 1_800} if name in ailing else {})
        for index, (name, node) in enumerate(NODES.items())
    ]
    # Others that are well, so that one ill node is not a third of the account, and what asks for all of a cluster names many.
    instances.append({"count": 10, "name": "neighbour", "tags": opted_in, "age_secs": 86_400, "cluster": "e2e"})
    return [*instances, {"count": 30, "name": "bystander", "tags": opted_in, "age_secs": 86_400}]


def patterns(cloud):
    """Every event of `events/`, tried on every rule of the stack: what is trouble or gone reaches the queue."""
    events = cloud.client("events")
    rules = cloud.rules()
    check("the stack has its rules", len(rules) >= 4, [rule["Name"] for rule in rules])
    files = sorted((ROOT / "events").glob("*.json"))
    verdicts = subprocess.run([BINARIES / "defib", "event", "--json", "--account", "111122223333", "--region", "us-east-1", *files],
                              capture_output=True, text=True, check=False).stdout
    wrong, matched = [], 0
    check("every file of events/ has a verdict", len(verdicts.splitlines()) == len(files) > 20, verdicts[:500])
    for line in verdicts.splitlines():
        verdict = json.loads(line)
        text = Path(verdict["file"]).read_text()
        hits = [rule["Name"] for rule in rules
                if events.test_event_pattern(EventPattern=rule["EventPattern"], Event=text)["Result"]]
        matched += bool(hits)
        # CloudTrail's rule is an add-on, off unless a parameter turns it on.
        wanted = verdict["verdict"] in ("trouble", "gone") and "cloudtrail" not in verdict["file"]
        if wanted and not hits:
            wrong.append(Path(verdict["file"]).name)
    check(f"patterns: every event that matters is matched by a rule ({matched} of {len(files)} files match one)", not wrong, wrong)


def outcomes(ear, node):
    return [message["outcome"] for message in ear.about(node)]


def closed(cloud, node):
    """The last incident of a node, once it is closed or rests."""
    records = cloud.incidents(node)
    return records[-1] if records and records[-1]["phase"]["name"] in ("closed", "resting") else None


def told_calls(fleet, story, limit):
    """The calls that one incident cost, each printed, so that the next cut is easy to see."""
    # The command that a story begins with is somebody's, and not one of Defib's calls.
    calls = [one for one in fleet.calls(NODES[story]) if one["operation"] not in DIAGNOSIS and "AWS-RunShellScript" not in one["asked"]]
    listed = " ".join(f"{one['service']}:{one['operation']}" for one in calls)
    say(f"{story}: {len(calls)} calls: {listed}")
    check(f"{story}: at most {limit} AWS calls", len(calls) <= limit, len(calls))


def play(cloud, fleet):
    # All is well at first, so that the first sweep finds nothing long dead.
    fleet.replace(instances=machines())
    stack = cloud.deploy()
    if not check("the stack is complete (without its documents)", stack and stack["StackStatus"] == "CREATE_COMPLETE",
                 stack and (stack["StackStatus"], stack.get("StackStatusReason"))):
        return
    # Six times the function's limit is long to wait for a message that fails; nothing else is changed.
    cloud.client("sqs").set_queue_attributes(QueueUrl=cloud.outputs["IntakeQueueUrl"], Attributes={"VisibilityTimeout": "15"})
    cloud.listen()
    patterns(cloud)
    ear = Ear(cloud, fleet)
    ear.start()
    cloud.sweep()
    baseline = wait_for("the first sweep", lambda: cloud.table("account").get("bulletin", {}).get("baseline"), 60)
    check("the first sweep is a baseline, and finds nothing dead", baseline and baseline["nodes"] == [], baseline)
    junk(cloud)
    newer(cloud)
    begin(cloud, fleet)
    # All at once; the one that kills the function comes alone.
    together = [threading.Thread(target=tell, args=(story, cloud, fleet, ear)) for story in (flap, restart, twice, role, lost, reboot, asked)]
    for one in together:
        one.start()
    for one in together:
        one.join()
    tell(killed, cloud, fleet, ear)
    letters(cloud)
    tell(operators, cloud, fleet, ear)
    ear.over.set()
    ear.join(10)
    check("every event of the account was carried", not ear.errors, ear.errors[:3])
    cycled = {name: fleet.landed(node) for name, node in NODES.items() if name in ("flap", "role", "newer")}
    check("nobody who must not be touched was touched", not any(cycled.values()), cycled)
    others = [one["id"] for one in call(f"{fleet.url}/_fleet/world")["instances"] if one["id"] not in NODES.values()]
    check("no bystander was touched", not any(fleet.landed(node) for node in others))


def tell(story, cloud, fleet, ear):
    """A story that stumbles over what it reads is a failed check, and the others still run."""
    try:
        story(cloud, fleet, ear)
    except (KeyError, IndexError, TypeError, ValueError, OSError, ClientError) as error:
        check(f"{story.__name__} comes to its end", False, repr(error))


def junk(cloud):
    """Malformed messages are acknowledged, and never seen again."""
    for body in ("{ not json", "[]", json.dumps({"source": "aws.ssm"}), json.dumps(sample("ssm-invocation-success.json"))):
        cloud.enqueue(body)


def newer(cloud):
    """An item whose port keeps failing: a newer version's record is left alone, and the message goes to the DLQ."""
    node = NODES["newer"]
    name = f"inc-20261101T000000Z-{node}"
    put = cloud.client("dynamodb").put_item
    for pk, sk, body in ((f"node#{node}", "cell", {"open": name}), (f"incident#{name}", "record", {"schema": 99})):
        put(TableName=cloud.outputs["TableName"],
            Item={"pk": {"S": pk}, "sk": {"S": sk}, "rev": {"N": "1"}, "body": {"S": json.dumps(body)}})
    cloud.enqueue(disconnected(node))


def begin(cloud, fleet):
    """Everything falls ill; ECS tells of its part by itself, and somebody's command finds out about the silent SSM agent."""
    fleet.replace(instances=machines(reboot="ssm-agent.hung", asked="ssm-agent.hung", role="identity.no-instance-profile"))
    fleet.change(faults=[
        {"instance": NODES["restart"], "fault": "ecs-agent.hung"},
        {"instance": NODES["twice"], "fault": "ecs-agent.hung"},
        {"instance": NODES["lost"], "fault": "ecs-agent.hung"},
        {"instance": NODES["flap"], "fault": "ecs-agent.hung"},
    ])
    ssm = boto3.client("ssm", endpoint_url=fleet.url, region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="test")
    for name in ("reboot", "role"):
        ssm.send_command(InstanceIds=[NODES[name]], DocumentName="AWS-RunShellScript", TimeoutSeconds=30,
                         Parameters={"commands": ["uptime"], "executionTimeout": ["30"]})


def flap(cloud, fleet, ear):
    """A short disconnect closes silently."""
    wait_for("the flap's incident", lambda: cloud.incidents(NODES["flap"]), 180)
    fleet.change(faults=[{"instance": NODES["flap"], "fault": None}])
    record = wait_for("the flap's end", lambda: closed(cloud, NODES["flap"]), 240)
    check("flap: it healed by itself, and nobody was told", record and ending(record) == "self-healed" and not ear.about(NODES["flap"]), record and record["phase"])
    told_calls(fleet, "flap", CALLS_MAX["flap"])


def restart(cloud, fleet, ear):
    """An ECS agent that hangs is restarted, and proven to be back."""
    told = wait_for("the restart's report", lambda: outcomes(ear, NODES["restart"]), 420)
    check("restart: fixed, told once", told == ["fixed"], told)
    check("restart: the agent was restarted and nothing else", fleet.landed(NODES["restart"]).count("restart-ecs-agent") == 1
          and "reboot" not in fleet.landed(NODES["restart"]), fleet.landed(NODES["restart"]))
    check("restart: the node is well", fleet.truth(NODES["restart"])["well"])
    told_calls(fleet, "restart", CALLS_MAX["restart"])


def twice(cloud, fleet, ear):
    """The same event five times is one incident."""
    event = disconnected(NODES["twice"], fleet.truth(NODES["twice"])["ecs"])
    for _ in range(5):
        cloud.send(event)
    told = wait_for("the report", lambda: outcomes(ear, NODES["twice"]), 420)
    records = cloud.incidents(NODES["twice"])
    check("twice: five equal events are one incident and one report", told == ["fixed"] and len(records) == 1, (told, len(records)))


def role(cloud, fleet, ear):
    """A missing role is told, and never rebooted."""
    told = wait_for("the report", lambda: ear.about(NODES["role"]), 600)
    check("role: a person is asked", [one["outcome"] for one in told or []] in (["needs-human"], ["blocked"]), told)
    seen = [finding.get("code") for finding in (told or [{}])[0].get("findings", [])]
    check("role: the message names the missing role", "identity.no-instance-profile" in seen, seen)
    check("role: it was never rebooted", not {"reboot", "stop", "terminate"} & set(fleet.landed(NODES["role"])))


def reboot(cloud, fleet, ear):
    """A silent SSM agent on a node without another agent is cured by one reboot, and that is proven."""
    told = wait_for("the reboot's report", lambda: outcomes(ear, NODES["reboot"]), 900)
    check("reboot: cycled, told once", told == ["cycled"], told)
    check("reboot: once", fleet.landed(NODES["reboot"]).count("reboot") == 1, fleet.landed(NODES["reboot"]))
    check("reboot: the node is well", fleet.truth(NODES["reboot"])["well"])
    kept = cloud.evidence(NODES["reboot"])
    whole = len(kept) == 1 and kept[0]["before"] == "reboot" and "Linux" in (kept[0]["console"] or "")
    check("reboot: its console was kept before", whole, kept)
    told_calls(fleet, "reboot", CALLS_MAX["reboot"])


def lost(cloud, fleet, ear):
    """An execution of the timer dies; the sweep starts the next one."""
    states = cloud.client("stepfunctions")
    machine = cloud.outputs["StateMachineArn"]

    def executions(status=None):
        ask = {"stateMachineArn": machine} | ({"statusFilter": status} if status else {})
        return [one for one in states.list_executions(**ask)["executions"] if NODES["lost"] in one["name"]]

    running = wait_for("the timer", lambda: executions("RUNNING"), 120)
    if running:
        states.stop_execution(executionArn=running[0]["executionArn"], error="e2e", cause="a test ends it")
    first = running and running[0]["name"]
    check("lost: the timer runs under the incident's name", first and first.endswith("-1"), first)

    def second():
        cloud.sweep()
        return [one["name"] for one in executions() if one["name"].endswith("-2")]

    again = wait_for("the next generation", second, 300, every=30)
    check("lost: the sweep starts an execution of another name", again == [f"{first[:-2]}-2"] if first else False, again)
    told = wait_for("the report", lambda: outcomes(ear, NODES["lost"]), 420)
    check("lost: the incident comes to its end all the same", told == ["fixed"], told)


def killed(cloud, fleet, ear):
    """The function is killed between intent and effect: the effect lands at most once for each intent."""
    node = NODES["killed"]
    fleet.strike(operation="SendCommand", node=node, fault="hang", count=1)
    fleet.change(faults=[{"instance": node, "fault": "ecs-agent.hung"}])

    def hanging():
        return [one for one in fleet.calls(node) if one["operation"] == "SendCommand"]

    hung, ended = wait_for("the send that hangs", hanging, 240, every=0.2), []
    for pid in cloud.bootstraps() if hung else []:
        os.kill(pid, signal.SIGKILL)
        ended.append(pid)
    check("killed: the function died in the middle of a send", hung and ended, (hung, ended))
    told = wait_for("the report", lambda: outcomes(ear, node), 900)
    check("killed: the incident is finished by those who come after", told == ["fixed"], told)
    record = cloud.incidents(node)[-1]
    landed = fleet.landed(node)
    check("killed: no intent landed twice", landed.count("restart-ecs-agent") <= len(record["attempts"]), (landed, record["attempts"]))
    open_entries = cloud.table("open")
    check("killed: nothing is left open", node not in open_entries, open_entries.get(node))


def asked(cloud, fleet, ear):
    """A person asks for a repair at the command line."""
    fix(cloud, fleet, ear, NODES["asked"])


def operators(cloud, fleet, _ear):
    """The other words of the command line, once all else is over."""
    doctor(cloud, fleet, cloud.dead_letters())
    words(cloud, fleet, NODES["role"], NODES["role"])


def letters(cloud):
    """What keeps failing ends in the DLQ, and nothing else does."""
    count = wait_for("the dead letter", cloud.dead_letters, 240)
    check("newer: the message is in the DLQ after five tries, and no other", count == 1, count)
    queue = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.outputs["IntakeQueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"])
    check("the queue is drained, and nothing in it is on its way", set(queue["Attributes"].values()) == {"0"}, queue["Attributes"])


def ending(record):
    """Why a closed record ended."""
    return record["phase"]["ending"]["why"]


def ledger(cloud):
    """The ledger in a table decides what the one in memory decides: the Rust tests that need a table."""
    name = "ledger-test"
    cloud.client("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")])
    settings = {"DEFIB_TEST_DYNAMODB": cloud.url, "DEFIB_TEST_TABLE": name}
    ran = subprocess.run(LEDGER_TESTS, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
    counted = re.search(r"test result: ok\. (\d+) passed", ran.stdout)
    check(f"the ledger in a table: {counted[1] if counted else 'no'} tests", ran.returncode == 0 and counted and int(counted[1]) >= 3,
          (ran.stdout + ran.stderr)[:3_000])


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if boto3 is None or not (Path(sys.prefix) / "bin" / "ministack").exists():
        print("boto3 or ministack is not there: they come with tests/requirements.txt")
        return SKIPPED
    if subprocess.run(BUILD, cwd=ROOT, check=False).returncode != 0:
        print("defib could not be built\n0 passed, 1 failed")
        return 1
    with tempfile.TemporaryDirectory(prefix="defib-e2e-") as scratch:
        folder = Path(scratch)
        processes = []
        try:
            fleet = Fleet(folder)
            processes.append(fleet.process)
            cloud = Cloud(folder, fleet)
            processes.append(cloud.process)
            up = wait_for("the fleet", fleet.ready, 30, 0.2) and wait_for("ministack", cloud.ready, 60, 0.5)
            if check("the stand-ins answer", up):
                ledger(cloud)
                play(cloud, fleet)
        finally:
            keep = os.environ.get("DEFIB_E2E_KEEP")
            for process in reversed(processes):
                process.end()
                if keep:
                    shutil.copy(process.log, keep)
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
