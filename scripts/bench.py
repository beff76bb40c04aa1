#!/usr/bin/env python3
"""Measures the shipped bootstrap: the size of its zip, the CPU time from its start to its first poll, and its memory after a thousand
events.

    scripts/bench.py [ZIP]      without a zip, infra/package.sh makes one (x86_64 or arm64, as this machine is)

The Lambda runtime API is this script; DynamoDB is a table that is always empty; the account is `defib fleet`. Ends with one line
a figure, and with exit code 1 if one is over its budget.
"""

import http.server
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
ZIP_MAX_BYTES = 4 * 1024 * 1024
START_CPU_MAX_MS = 10.0
RSS_MAX_KB = 16 * 1024
EVENTS = 1_000
STARTS = 15


class Runtime(http.server.ThreadingHTTPServer):
    """Lambda's runtime API: hands out events one by one, and notes when the first one is asked for."""

    daemon_threads = True

    def __init__(self, events):
        self.waiting, self.asked, self.over = list(events), threading.Event(), threading.Event()
        self.answers = []
        super().__init__(("127.0.0.1", 0), Api)


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.set()
        if not self.server.waiting:
            self.server.over.set()
            time.sleep(3_600)
        body = json.dumps(self.server.waiting.pop(0)).encode()
        self.send_response(200)
        for name, value in (("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60) * 1000))),
                            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:111122223333:function:defib"),
                            ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.answers.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Table(http.server.BaseHTTPRequestHandler):
    """DynamoDB with nothing in it; it takes every write and forgets it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
        answer = {"BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}}, "Query": {"Items": [], "Count": 0, "ScannedCount": 0}}
        body = json.dumps(answer.get(operation, {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def start(bootstrap, runtime, table, fleet):
    settings = {
        "PATH": "/usr/bin:/bin", "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_address[1]}", "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "defib", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": table,
        "DEFIB_HOME_ACCOUNT": "111122223333", "DEFIB_TABLE": "defib",
        "DEFIB_TOPIC": "arn:aws:sns:us-east-1:111122223333:defib",
        "DEFIB_STATE_MACHINE": "arn:aws:states:us-east-1:111122223333:stateMachine:defib-timer",
        "DEFIB_PROBE_DOCUMENT": "Defib-Probe-0", "DEFIB_REPAIR_DOCUMENT": "Defib-Repair-0",
    } | {f"AWS_ENDPOINT_URL_{name}": fleet for name in ("SSM", "EC2", "ECS", "AUTO_SCALING", "IAM")}
    return subprocess.Popen([bootstrap], env=settings, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def cold_starts(bootstrap, table, fleet):
    """CPU time from the start to the first poll, of each of several starts."""
    found = []
    for _ in range(STARTS):
        runtime = Runtime([])
        serve(runtime)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child = start(bootstrap, runtime, table, fleet)
        if not runtime.asked.wait(20):
            child.kill()
            raise SystemExit("the bootstrap never asked for an event")
        child.kill()
        child.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # What the kernel charged the child with, all of it, so that no reading of a living process is needed.
        found.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
        runtime.shutdown()
    return found


def memory(bootstrap, table, fleet):
    """Resident memory in KB after a thousand events, each of which costs a look."""
    sample = json.loads((ROOT / "events" / "ecs-agent-disconnected.json").read_text())
    events = []
    for number in range(EVENTS):
        event = json.loads(json.dumps(sample))
        event["detail"]["ec2InstanceId"] = f"i-{number:017x}"
        events.append(event)
    runtime = Runtime(events)
    serve(runtime)
    child = start(bootstrap, runtime, table, fleet)
    try:
        if not runtime.over.wait(300):
            raise SystemExit(f"only {len(runtime.answers)} of {EVENTS} events were answered")
        status = Path(f"/proc/{child.pid}/status").read_text()
        used = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Vm")}
        return used["VmRSS"], used["VmHWM"]
    finally:
        child.kill()
        child.wait()


def door():
    binary = TARGET / "release" / "defib"
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--release", "--no-default-features", "--features", "cli", "--bin", "defib"],
                   cwd=ROOT, check=True)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    child = subprocess.Popen([binary, "fleet", "--listen", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/_fleet/world", timeout=5).read()
            return child, url
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the fleet's door does not open")


def main():
    if len(sys.argv) > 1:
        archive = Path(sys.argv[1])
    else:
        machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
        made = subprocess.run([ROOT / "infra" / "package.sh", "--arch", machine], cwd=ROOT, check=True, capture_output=True, text=True)
        archive = Path(made.stdout.strip().splitlines()[-1])
    size = archive.stat().st_size
    fleet, fleet_url = door()
    table = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Table)
    table_url = serve(table)
    try:
        with tempfile.TemporaryDirectory(prefix="defib-bench-") as scratch:
            with zipfile.ZipFile(archive) as packed:
                bootstrap = Path(packed.extract("bootstrap", scratch))
            bootstrap.chmod(0o755)
            starts = cold_starts(bootstrap, table_url, fleet_url)
            rss, most = memory(bootstrap, table_url, fleet_url)
            unpacked = bootstrap.stat().st_size
            stripped = b".symtab\0" not in bootstrap.read_bytes()
    finally:
        fleet.kill()
        fleet.wait()
    middle = statistics.median(starts)
    rows = [
        ("zip", f"{size / 1e6:.2f} MB (unpacked {unpacked / 1e6:.2f} MB)", size <= ZIP_MAX_BYTES, "4 MiB"),
        ("symbols", "none" if stripped else "a table is left in", stripped, "none"),
        ("start to first poll", f"{middle:.1f} ms of CPU (median of {STARTS}, worst {max(starts):.1f})", middle <= START_CPU_MAX_MS, "10 ms"),
        (f"memory after {EVENTS} events", f"{rss / 1024:.1f} MB resident (peak {most / 1024:.1f})", rss <= RSS_MAX_KB, "16 MB"),
    ]
    for name, value, good, budget in rows:
        print(f"{'ok    ' if good else 'OVER  '} {name}: {value}; budget {budget}")
    return 0 if all(good for _, _, good, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
