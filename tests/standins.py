"""The stand-ins of the end-to-end test: `defib fleet` for the account with its nodes, ministack for the services around the stack, and
what they have in common: counted checks, and waiting.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

try:
    import boto3
    from botocore.config import Config
except ImportError:
    boto3 = None

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
BINARIES = TARGET / "debug"
STACK, REGION, ACCOUNT = "defib", "us-east-1", "111122223333"
PLACE = {"account": ACCOUNT, "region": REGION, "parameters": {"/defib/policy": "{}"}}

counts = {"passed": 0, "failed": 0}
started = time.monotonic()


def say(text):
    print(f"       {time.monotonic() - started:5.0f} s  {text}", flush=True)


def check(name, holds, seen=""):
    """One check, one line; what was seen is told when it does not hold."""
    counts["passed" if holds else "failed"] += 1
    print(f"{'ok    ' if holds else 'FAILED'} {name}{'' if holds else f': {seen}'}", flush=True)
    return bool(holds)


def wait_for(what, probe, limit_secs, every=1.0):
    """The first true answer, or the last one when the time is up."""
    until = time.monotonic() + limit_secs
    answer = None
    while time.monotonic() < until:
        answer = probe()
        if answer:
            return answer
        time.sleep(every)
    say(f"gave up waiting for {what}")
    return answer


# --- The stand-ins --------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def call(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{url}: {error.read().decode(errors='replace')}") from error


class Process:
    """A server in a process group of its own, ended with the test."""

    def __init__(self, name, command, folder, environment):
        self.log = folder / f"{name}.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DEFIB_", "AWS_"))}
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                          env=kept | environment, start_new_session=True)

    def end(self):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGTERM)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)


class Fleet:
    """The account with its nodes."""

    def __init__(self, folder):
        world = folder / "world.json"
        world.write_text(json.dumps(PLACE))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process("fleet", [BINARIES / "defib", "fleet", "--listen", f"127.0.0.1:{self.port}", "--world", world],
                               folder, {})

    def ready(self):
        try:
            return call(f"{self.url}/_fleet/world")
        except OSError:
            return None

    def change(self, **world):
        return call(f"{self.url}/_fleet/world", world)

    def replace(self, **world):
        """Another world, whose faults may have begun in its past."""
        return call(f"{self.url}/_fleet/world?replace=1", PLACE | world)

    def truth(self, node):
        return next((one for one in call(f"{self.url}/_fleet/world")["instances"] if one["id"] == node), None)

    def landed(self, node):
        return [one["effect"] for one in call(f"{self.url}/_fleet/world")["landed"] if one["instance"] == node]

    def calls(self, node):
        """Calls that named the node. What the census asks for everybody names nobody."""
        counted = ("ssm", "ec2", "ecs", "autoscaling")
        return [one for one in call(f"{self.url}/_fleet/calls")["calls"] if one["nodes"] == [node] and one["service"] in counted]

    def strike(self, **rule):
        return call(f"{self.url}/_fleet/faults", rule)

    def events(self):
        return call(f"{self.url}/_fleet/events")["events"]


class Cloud:
    """ministack, with the stack in it."""

    def __init__(self, folder, fleet):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        nodes = {f"AWS_ENDPOINT_URL_{name}": fleet.url for name in ("SSM", "EC2", "ECS", "AUTO_SCALING", "IAM")}
        settings = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_PORT": "0", "GATEWAY_PORT": str(self.port), "AWS_ENDPOINT_URL": self.url,
                    "TMPDIR": str(folder)}
        self.process = Process("ministack", [Path(sys.prefix) / "bin" / "ministack"], folder, settings | nodes)
        self.clients, self.lock = {}, threading.Lock()

    def client(self, service):
        """A client is made by one thread at a time, and used by all of them."""
        with self.lock:
            if service not in self.clients:
                self.clients[service] = self.made(service)
            return self.clients[service]

    def made(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 3}, s3={"addressing_style": "path"}))

    def ready(self):
        try:
            return self.client("sts").get_caller_identity()
        except Exception:  # noqa: BLE001 - whatever it is, it does not answer yet
            return None

    def deploy(self):
        """The zip and the template, as an operator would."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket="defib-artifacts")
        bootstrap = self.folder / "bootstrap"
        shutil.copy(BINARIES / "bootstrap", bootstrap)
        subprocess.run(["strip", bootstrap], check=False)
        archive = self.folder / "defib.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            info = zipfile.ZipInfo("bootstrap")
            info.external_attr = 0o755 << 16
            packed.writestr(info, bootstrap.read_bytes())
        s3.upload_file(str(archive), "defib-artifacts", "defib-1.zip")
        template = subprocess.run([BINARIES / "defib", "template", "--without", "documents"], check=True,
                                  capture_output=True, text=True).stdout
        settings = {
            "Mode": "replace", "TableDeletionProtection": "true", "Email": "ops@example.com", "CodeBucket": "defib-artifacts",
            "CodeKey": "defib-1.zip", "Architecture": "x86_64", "PolicyParameterName": "/defib/policy", "LogLevel": "debug",
            "RestartHoldDownSecs": "60", "DisruptiveHoldDownSecs": "120", "LaunchGraceSecs": "60", "CooldownSecs": "60",
            "FunctionTimeoutSecs": "60",
        }
        s3.put_object(Bucket="defib-artifacts", Key="template.yaml", Body=template.encode())
        cloudformation = self.client("cloudformation")
        # Too large to be passed inline, here as on AWS.
        cloudformation.create_stack(
            StackName=STACK, TemplateURL=f"{self.url}/defib-artifacts/template.yaml", Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in settings.items()])

        def done():
            stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
            return stack if not stack["StackStatus"].endswith("IN_PROGRESS") else None

        stack = wait_for("the stack", done, 120)
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in (stack or {}).get("Outputs", [])}
        return stack

    def listen(self):
        """A queue that is subscribed to the topic."""
        sqs, sns = self.client("sqs"), self.client("sns")
        self.told = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.told, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=self.outputs["TopicArn"], Protocol="sqs", Endpoint=arn)

    def rules(self):
        return [rule for rule in self.client("events").list_rules()["Rules"] if rule.get("EventPattern")]

    def send(self, event):
        """An event as AWS sends it: into the queue, if one of the stack's rules matches it.

        Nobody but AWS may put events of the source `aws.…`, here as on AWS, so the test stands in for the bus and asks it which rules
        match."""
        text = json.dumps(event)
        ask = self.client("events").test_event_pattern
        if any(ask(EventPattern=rule["EventPattern"], Event=text)["Result"] for rule in self.rules()):
            self.enqueue(text)
            return True
        return False

    def enqueue(self, body):
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client("sqs").send_message(QueueUrl=self.outputs["IntakeQueueUrl"], MessageBody=text)

    def sweep(self):
        return self.enqueue({"sweep": {}})

    def table(self, pk):
        found = self.client("dynamodb").query(TableName=self.outputs["TableName"], ConsistentRead=True,
                                              KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}})
        return {item["sk"]["S"]: json.loads(item["body"]["S"]) for item in found["Items"]}

    def items(self):
        """Everything in the table."""
        items, ask = [], {"TableName": self.outputs["TableName"], "ConsistentRead": True}
        while True:
            page = self.client("dynamodb").scan(**ask)
            items += page["Items"]
            if not page.get("LastEvaluatedKey"):
                break
            ask["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return items

    def incidents(self, node):
        """Every incident of a node, the oldest first."""
        records = [json.loads(item["body"]["S"]) for item in self.items()
                   if item["sk"]["S"] == "record" and item["pk"]["S"].endswith(node)]
        return sorted(records, key=lambda record: record["id"])

    def evidence(self, node):
        """What was kept before something disruptive was done to a node."""
        return [json.loads(item["body"]["S"]) for item in self.items()
                if item["sk"]["S"].startswith("evidence#") and item["pk"]["S"].endswith(node)]

    def dead_letters(self):
        return int(self.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["DeadLetterQueueUrl"],
            AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]["ApproximateNumberOfMessages"])

    def bootstraps(self):
        """The function's processes: children of ministack that run the zip's binary."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
                group = os.getpgid(int(folder.name))
            except (OSError, ProcessLookupError):
                continue
            if command.endswith("/bootstrap") and str(self.folder) in command and group in (self.process.child.pid, int(folder.name)):
                found.append(int(folder.name))
        return found


class Ear(threading.Thread):
    """Reads what people are told, and carries the account's own events to EventBridge."""

    def __init__(self, cloud, fleet):
        super().__init__(daemon=True)
        self.cloud, self.fleet, self.messages, self.events, self.errors = cloud, fleet, [], [], []
        self.over = threading.Event()

    def run(self):
        sqs = self.cloud.client("sqs")
        while not self.over.is_set():
            try:
                for event in self.fleet.events():
                    self.events.append(event)
                    self.cloud.send(event)
                got = sqs.receive_message(QueueUrl=self.cloud.told, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                for message in got.get("Messages", []):
                    self.messages.append(json.loads(message["Body"]))
                    sqs.delete_message(QueueUrl=self.cloud.told, ReceiptHandle=message["ReceiptHandle"])
            except Exception as error:  # noqa: BLE001 - it must go on, and is told at the end
                self.errors.append(repr(error))
                time.sleep(1)

    def about(self, node):
        """Messages about a node, in order, in the form for machines."""
        told = []
        for message in list(self.messages):
            try:
                body = json.loads(message["Message"])
            except (KeyError, ValueError):
                continue
            if body.get("instanceId") == node:
                told.append(body | {"subject": message.get("Subject", "")})
        return told
