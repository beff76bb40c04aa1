#!/usr/bin/env python3
"""The bootstrap under Lambda's own runtime interface emulator, on the embedded account.

Builds the bootstrap, starts the emulator of the aws-sam-cli wheel on free ports of 127.0.0.1, invokes it over HTTP and
reads what the function logs. Prints a line a check and ends with `N passed, N failed`. Exit code: 0, 1 when a check
failed, 77 when the emulator is not there.
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
BOOTSTRAP = TARGET / "debug" / "bootstrap"
# The same build of the SDK as every other test: a second one would cost ten minutes.
BUILD = ["cargo", "build", "--locked", "--quiet", "--bins"]
SKIPPED = 77
WAKES_MAX = 60
INVOKE_LIMIT_SECS = 30
SECRET = "hunter2"
DISRUPTIVE = {"restart-runtime", "reboot", "stop", "terminate", "drain", "enter-standby"}

passed = failed = 0


def check(name, holds, seen=""):
    """One check, one line; what was seen is told when it does not hold."""
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'ok    ' if holds else 'FAILED'} {name}{'' if holds else f': {seen}'}", flush=True)


def attempt(checks, *arguments):
    """A group of checks that stumbles over what it reads is a failed check, and the others still run."""
    try:
        checks(*arguments)
    except (KeyError, IndexError, TypeError, ValueError, OSError, subprocess.SubprocessError) as error:
        check(f"{checks.__name__} comes to its end", False, repr(error))


# --- The emulator ---------------------------------------------------------------------------------------------------


def emulator():
    """The emulator's binary for this machine; none when the wheel is not installed."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    found = Path(sys.prefix).glob(f"lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    return next(found, None)


def free_ports():
    """Two ports that nobody listens on; both are held until both are known."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def environment(**settings):
    """Nothing of ours but what a test sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEFIB_", "AWS_"))}
    return kept | settings


class Function:
    """The bootstrap under the emulator, in a process group of its own."""

    def __init__(self, rie, folder, name, **settings):
        self.log_path, self.errors_path = folder / f"{name}.out", folder / f"{name}.err"
        # The emulator mixes its own lines into what the function prints; so the function prints into files.
        self.entry = folder / f"{name}.sh"
        self.entry.write_text(f'#!/bin/sh\nexec "{BOOTSTRAP}" >>"{self.log_path}" 2>>"{self.errors_path}"\n')
        self.entry.chmod(0o755)
        self.rie, self.settings, self.process, self.url = rie, {"DEFIB_ACCOUNT": "sim"} | settings, None, None

    def __enter__(self):
        for _ in range(3):
            if self.start():
                return self
            self.stop()
        raise RuntimeError("the emulator does not listen")

    def start(self):
        invoke, api = free_ports()
        self.url = f"http://127.0.0.1:{invoke}/2015-03-31/functions/function/invocations"
        with self.log_path.with_suffix(".rie").open("ab") as log:
            self.process = subprocess.Popen(
                [self.rie, "--runtime-interface-emulator-address", f"127.0.0.1:{invoke}",
                 "--runtime-api-address", f"127.0.0.1:{api}", self.entry],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment(**self.settings),
                start_new_session=True)
        until = time.monotonic() + 10
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", invoke), timeout=1).close()
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def stop(self):
        # The emulator and the function share a process group that nobody else is in.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def __exit__(self, *_):
        self.stop()

    def raw(self, body):
        """Invokes with these bytes; answers the answer's text."""
        request = urllib.request.Request(self.url, data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=INVOKE_LIMIT_SECS) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def __call__(self, payload):
        return json.loads(self.raw(json.dumps(payload).encode()))

    def lines(self):
        """What the function printed."""
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def log(self):
        """The same, as objects; a line that is no object comes as None."""
        found = []
        for line in self.lines():
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            found.append(value if isinstance(value, dict) else None)
        return found

    def performed(self, node):
        """The effects that the account took on a node, in order."""
        return [line["effect"] for line in self.log()
                if line and line.get("node.id") == node and line.get("effect") and line.get("result") == "done"]

    def operator(self, action, **request):
        return self({"operator": {"action": action, "by": "rie"} | request})

    def drive(self, incident):
        """Wakes an incident until it is over; answers the last answer and the number of wakes."""
        for wakes in range(1, WAKES_MAX + 1):
            answer = self({"wake": {"incident_id": incident}})
            if answer.get("done") is not False:
                return answer, wakes
        return answer, WAKES_MAX

    def outcome(self, incident):
        """How the log says that an incident was closed."""
        return next((line["outcome"] for line in self.log()
                     if line and line.get("incident.id") == incident and "outcome" in line
                     and line["message"].startswith("closed")), None)


# --- Payloads -------------------------------------------------------------------------------------------------------


def event(name, node=None, **changes):
    """An event of the corpus, about another node when one is given."""
    text = (ROOT / "events" / f"{name}.json").read_text()
    value = json.loads(text.replace("i-0a1b2c3d4e5f60718", node) if node else text)
    detail = changes.pop("detail", {})
    value |= changes
    value["detail"] |= detail
    return value


def batch(*bodies):
    return {"Records": [
        {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": body if isinstance(body, str) else json.dumps(body)}
        for number, body in enumerate(bodies)]}


def node(number):
    return f"i-{number:017x}"


# --- Checks ---------------------------------------------------------------------------------------------------------


def check_settings():
    """A process that cannot start says so, on one line of JSON, and ends."""
    for name, settings, told in (
        ("a bad mode", {"DEFIB_ACCOUNT": "sim", "DEFIB_MODE": "everything"}, ("DEFIB_MODE", "everything", "observe")),
        ("a bad number", {"DEFIB_ACCOUNT": "sim", "DEFIB_COOLDOWN_SECS": "5m"}, ("DEFIB_COOLDOWN_SECS", "5m", "60")),
        ("another account", {"DEFIB_ACCOUNT": "prod"}, ("DEFIB_ACCOUNT", "prod", "sim")),
        ("no account", {}, ("DEFIB_HOME_ACCOUNT", "twelve-digit")),
        ("no table", {"DEFIB_HOME_ACCOUNT": "111122223333", "DEFIB_HOME_REGION": "us-east-1"}, ("DEFIB_TABLE", "table")),
        ("an unknown fault", {"DEFIB_ACCOUNT": "sim", "DEFIB_SIM_FAULT": "host.on-fire"}, ("DEFIB_SIM_FAULT", "host.on-fire")),
    ):
        done = subprocess.run([BOOTSTRAP], env=environment(**settings), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=10, check=False)
        lines = done.stdout.splitlines()
        line = json.loads(lines[0]) if len(lines) == 1 else {}
        right = done.returncode == 1 and line.get("level") == "ERROR" and all(word in line["message"] for word in told)
        check(f"{name} ends the process with exit code 1 and a clear error", right, (done.returncode, lines))


def check_batch(function):
    poison = "this is not JSON, and its parameters are " + SECRET
    foreign = event("ssm-invocation-timed-out", node(0xf0), account="999999999999",
                    detail={"parameters": {"commands": ["export PASSWORD=" + SECRET]}})
    unknown = event("ssm-maintenance-window", detail={"parameters": "{\"commands\":[\"" + SECRET + "\"]}"})
    good = event("ssm-invocation-timed-out", node(0xf1), detail={"parameters": {"commands": [SECRET]}})
    answer = function(batch(good, poison, foreign, unknown, event("ecs-agent-disconnected", node(0xf2)), {"sweep": {}}))
    check("a batch with a poison message, a foreign account and an unknown kind has no failures",
          answer == {"batchItemFailures": []}, answer)
    warnings = [line for line in function.log() if line and line.get("level") == "WARN" and "raw" in line]
    reasons = [line["reason"] for line in warnings]
    check("each of the three is one warning", reasons == ["not-json", "foreign-account", "other-event"], reasons)
    check("each warning keeps its message", all(line["raw"] for line in warnings)
          and "999999999999" in warnings[1]["raw"] and "(left out)" in warnings[1]["raw"], warnings)
    opened = [line["node.id"] for line in function.log() if line and line["message"].startswith("opened")]
    check("the good events of the batch opened incidents", {node(0xf1), node(0xf2)} <= set(opened), opened)
    check("nothing was opened for the foreign account", node(0xf0) not in opened, opened)
    counted = [line for line in function.log() if line and line.get("received") == 6]
    check("the batch is counted", len(counted) == 1 and (counted[0]["dropped"], counted[0]["failed"]) == (3, 0), counted)
    check("an empty batch is answered", function(batch()) == {"batchItemFailures": []})


def check_healing(function):
    ill = event("ecs-health-impaired-agent", node(0xa1))
    answer = function(ill)
    check("an event answers verdict, incident_id and wake_at",
          answer.get("verdict") == "trouble" and answer.get("incident_id", "").endswith(node(0xa1))
          and answer.get("wake_at", "").endswith("Z"), answer)
    incident = answer.get("incident_id")
    again = function(ill)
    check("the same event once more answers the same incident", again.get("incident_id") == incident, again)
    first = function({"wake": {"incident_id": incident}})
    check("a wake answers done and wake_at", first.get("done") is False and "wake_at" in first, first)
    last, wakes = function.drive(incident)
    check(f"a hung ECS agent comes to its end in at most {WAKES_MAX} wakes ({wakes + 1})", last == {"done": True}, last)
    check("it is fixed", function.outcome(incident) == "fixed", function.outcome(incident))
    performed = function.performed(node(0xa1))
    check("by a restart of the ECS agent and nothing stronger",
          "restart-ecs-agent" in performed and not DISRUPTIVE & set(performed), performed)
    reports = [line for line in function.log() if line and line.get("incident.id") == incident and "report.id" in line]
    check("people are told once, with a subject", len(reports) == 1 and node(0xa1) in reports[0]["subject"], reports)
    check("a wake after the end says so", function({"wake": {"incident_id": incident}}) == {"done": True})

    silent = function(event("ssm-invocation-timed-out", node(0xa2)))
    last, wakes = function.drive(silent.get("incident_id"))
    outcome = function.outcome(silent.get("incident_id"))
    check(f"a silent SSM agent comes to its end ({wakes} wakes, {outcome})",
          last == {"done": True} and outcome in ("fixed", "cycled", "replaced"), (last, outcome))


def check_missing_role(function):
    answer = function(event("ssm-invocation-timed-out", node(0xb1)))
    incident, seen = answer.get("incident_id"), []
    for _ in range(12):
        seen.append(function({"wake": {"incident_id": incident}}))
        function({"sweep": {}})
    performed = function.performed(node(0xb1))
    check("a node without a role is an incident", incident is not None, answer)
    check("it never gets a reboot, nor anything else that stops its work", not DISRUPTIVE & set(performed), performed)
    reports = [line for line in function.log() if line and line.get("incident.id") == incident and "report.id" in line]
    check("a person is told that it needs one", bool(reports) and reports[0]["outcome"] == "needs-human", reports)
    check("and told once", len(reports) == 1, len(reports))
    for _ in range(60):
        function({"wake": {"incident_id": incident}})
    reports = [line["report.kind"] for line in function.log() if line and line.get("incident.id") == incident
               and "report.id" in line]
    check("a reminder follows once a day, not with every wake", 2 <= len(reports) <= 4
          and set(reports[1:]) == {"reminder"}, reports)
    check("and still nothing that stops its work", not DISRUPTIVE & set(function.performed(node(0xb1))))


def check_flap(function):
    answer = function(event("ecs-agent-disconnected", node(0xc1)))
    incident = answer.get("incident_id")
    if incident:
        last, _ = function.drive(incident)
        check("a connection that only flapped heals itself", last == {"done": True}
              and function.outcome(incident) == "self-healed", (last, function.outcome(incident)))
    else:
        check("a connection that only flapped is no incident", answer.get("verdict") == "trouble"
              and "well" in answer.get("reason", ""), answer)
    check("a healthy node is not touched", not function.performed(node(0xc1)), function.performed(node(0xc1)))
    reports = [line for line in function.log() if line and "report.id" in line]
    check("nobody is mailed about it", not reports, reports)


def check_sweep(function):
    answer = function({"sweep": {}})
    check("a sweep answers its counts", answer.get("swept") is True
          and all(isinstance(answer.get(count), int) for count in ("opened", "woken", "ignored", "failed")), answer)


def check_operator(function):
    check("pause", function.operator("pause") == {"ok": True})
    incident = function(event("ecs-health-impaired-agent", node(0xd1))).get("incident_id")
    for _ in range(4):
        function({"wake": {"incident_id": incident}})
    check("while paused nothing is done", not [effect for effect in function.performed(node(0xd1)) if effect != "probe"],
          function.performed(node(0xd1)))
    check("resume", function.operator("resume") == {"ok": True})
    last, wakes = function.drive(incident)
    check(f"and then the incident comes to its end ({wakes} wakes)", last == {"done": True}
          and function.outcome(incident) == "fixed", (last, function.outcome(incident)))

    check("mute", function.operator("mute", node=node(0xd2), for_secs=86_400) == {"ok": True})
    answer = function(event("ecs-health-impaired-agent", node(0xd2)))
    check("a muted node is no incident", "incident_id" not in answer and "muted" in answer.get("reason", ""), answer)
    check("unmute", function.operator("unmute", node=node(0xd2)) == {"ok": True})
    answer = function.operator("fix", node=node(0xd2))
    check("fix opens an incident", answer.get("ok") is True and answer.get("incident_id", "").endswith(node(0xd2)), answer)
    last, wakes = function.drive(answer.get("incident_id"))
    check(f"which comes to its end ({wakes} wakes)", last == {"done": True}, last)

    incident = function(event("ssm-invocation-timed-out", node(0xd3))).get("incident_id")
    answer = function.operator("close", id=incident)
    check("close", answer == {"ok": True, "incident_id": incident}, answer)
    answer = function.operator("close", id=incident)
    check("an incident is closed only once", answer.get("ok") is False and "closed already" in answer["refusal"], answer)
    answer = function.operator("approve", id=incident)
    check("what does not wait cannot be approved", answer.get("ok") is False, answer)
    answer = function.operator("fix", node=node(0xdd))
    check("a node that AWS does not know cannot be fixed", answer.get("ok") is False, answer)
    answer = function.operator("explode", node=node(0xd3))
    check("a bad action is refused with those that are allowed", answer.get("ok") is False
          and "approve" in answer["refusal"], answer)
    answer = function.operator("mute", node="i-1;reboot", for_secs=600)
    check("a bad id is refused", answer.get("ok") is False and "not a node id" in answer["refusal"], answer)


def check_junk(function):
    for junk in ([], "x", None, 7, True, {}, {"detail": {}}, [[]], {"source": "aws.ssm"}):
        answer = function(junk)
        check(f"{json.dumps(junk)} is rejected with a reason", answer.get("verdict") == "rejected"
              and answer.get("reason"), answer)
    for junk in ({"wake": {}}, {"wake": {"incident_id": "junk"}}, {"sweep": 1}, {"Records": 1}, {"wake": {}, "sweep": {}}):
        answer = function(junk)
        check(f"{json.dumps(junk)} is an error that names what is allowed",
              answer.get("errorType") == "BadPayload" and "allowed are" in answer.get("errorMessage", ""), answer)
    for junk in (b"1e999", b"{", b"\xff\xfe", b"", b"[" * 5_000, b'{"a":"\\ud800"}'):
        answer = function.raw(junk)
        check(f"{junk[:12]!r} gets an answer", answer != "", answer)
    hostile = sorted((ROOT / "events" / "hostile").glob("*.json"))
    answer = function(batch(*(file.read_bytes().decode("utf-8", "replace") for file in hostile)))
    check(f"a batch of {len(hostile)} hostile events is acknowledged",
          len(hostile) > 50 and answer == {"batchItemFailures": []}, answer)
    check("and the function still answers", function(batch()) == {"batchItemFailures": []})


def check_log(name, function):
    log = function.log()
    bad = [line for line, value in zip(function.lines(), log)
           if not value or not {"timestamp", "level", "message"} <= value.keys()]
    check(f"{name}: every one of {len(log)} log lines is JSON with timestamp, level and message", log and not bad, bad[:3])
    check(f"{name}: no secret of a parameter is in the log", not any(SECRET in line for line in function.lines()))
    bugs = [value for value in log if value and "bug" in value["message"]]
    check(f"{name}: no bug was caught", not bugs, bugs[:3])
    errors = function.errors_path.read_text() if function.errors_path.exists() else ""
    check(f"{name}: nothing is printed to stderr", errors == "", errors[:300])


def main():
    rie = emulator()
    if rie is None:
        print("the runtime interface emulator is not there: it comes with aws-sam-cli of tests/requirements.txt")
        return SKIPPED
    build = subprocess.run(BUILD, cwd=ROOT, check=False)
    if build.returncode != 0:
        print("the bootstrap could not be built\n0 passed, 1 failed")
        return 1
    with tempfile.TemporaryDirectory(prefix="defib-rie-") as scratch:
        folder = Path(scratch)
        # The wheel does not mark it as executable.
        copy = Path(shutil.copy(rie, folder / "rie"))
        copy.chmod(0o755)
        attempt(check_settings)
        for name, checks, settings in (
            ("batch", [check_batch, check_sweep], {"DEFIB_MODE": "replace", "DEFIB_MODUS": "cycle"}),
            ("healing", [check_healing], {"DEFIB_MODE": "replace"}),
            ("role", [check_missing_role], {"DEFIB_MODE": "replace", "DEFIB_SIM_FAULT": "identity.no-instance-profile"}),
            ("flap", [check_flap], {"DEFIB_MODE": "replace", "DEFIB_SIM_FAULT": "healthy"}),
            ("operator", [check_operator], {"DEFIB_MODE": "replace"}),
            ("junk", [check_junk], {"DEFIB_LOG": "debug"}),
        ):
            with Function(copy, folder, name, **settings) as function:
                for one in checks:
                    attempt(one, function)
                if name == "batch":
                    told = [line for line in function.log() if line and "did you mean DEFIB_MODE" in line["message"]]
                    check("an unknown setting is told with the nearest known one", len(told) == 1, told)
                attempt(check_log, name, function)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
