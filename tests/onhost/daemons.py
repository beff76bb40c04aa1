#!/usr/bin/env python3
"""Stand-ins of the agents and of docker on the machine: units with the packaged settings around small scripts.

Run as a script it is the ECS agent's door: `registered` answers, `hangs` takes connections and says nothing.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SSM, SNAP = "amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"
# amazon-ssm-agent: packaging/linux/amazon-ssm-agent.service and packaging/snap; amazon-ecs-agent: packaging/amazon-linux-ami-integrated.
UNITS = {
    SSM: """[Unit]
Description=amazon-ssm-agent
[Service]
Type=simple
ExecStart=/usr/bin/amazon-ssm-agent
KillMode=process
Restart=always
RestartSec=90
RestartPreventExitStatus=194
[Install]
WantedBy=multi-user.target
""",
    SNAP: """[Unit]
Description=Service for snap application amazon-ssm-agent.amazon-ssm-agent
[Service]
Type=simple
ExecStart=/usr/bin/amazon-ssm-agent
KillMode=process
Restart=always
TimeoutStopSec=60
[Install]
WantedBy=multi-user.target
""",
    "containerd.service": """[Unit]
Description=containerd container runtime
[Service]
ExecStart=/usr/bin/containerd
Restart=always
RestartSec=5
[Install]
WantedBy=multi-user.target
""",
    "docker.service": """[Unit]
Description=Docker Application Container Engine
After=containerd.service
Wants=containerd.service
StartLimitBurst=3
StartLimitIntervalSec=60
[Service]
ExecStart=/usr/bin/dockerd
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
""",
    "ecs.service": """[Unit]
Description=Amazon Elastic Container Service - container agent
Wants=docker.service
PartOf=docker.service
After=docker.service
[Service]
Type=simple
Restart=on-failure
RestartPreventExitStatus=5
RestartSec=10s
ExecStart=/usr/libexec/amazon-ecs-init start
[Install]
WantedBy=multi-user.target
""",
}
# Reads from /etc/stand-in/NAME how it behaves: `well`, `exit N`, `deaf` (it ignores that it is told to stop), `alone` (no worker),
# `kernel N` (for N seconds of every 2 N it waits for the kernel, in state D).
DAEMON = """#!/bin/sh
read -r mode code 2>/dev/null </etc/stand-in/{name}
case $mode in
exit) sleep 0.2; exit "$code" ;;
deaf) trap '' TERM ;;
esac
{worker}
[ "$mode" != kernel ] || exec python3 /usr/lib/stand-in/kernel.py "$code"
while :; do sleep 600 & wait $!; done
"""
# Whoever starts a program waits in state D until it has become that program, and this one first opens a pipe that nobody reads yet.
KERNEL = """import os, sys, time
wait, pipe = float(sys.argv[1]), "/run/stand-in.pipe"
os.path.exists(pipe) or os.mkfifo(pipe)
if os.fork() == 0:
    while True:
        time.sleep(wait)
        os.close(os.open(pipe, os.O_RDONLY))
        time.sleep(wait)
while True:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 9, pipe, os.O_WRONLY, 0)]), 0)
    time.sleep(wait)
"""
WORKER = '[ "$mode" = alone ] || /usr/bin/ssm-agent-worker &'
SLEEPER = "#!/bin/sh\nwhile :; do sleep 600; done\n"
# What docker's client answers: it asks the daemon, so it follows its state.
DOCKER = """#!/bin/sh
read -r mode 2>/dev/null </etc/stand-in/docker
case $mode in
hangs) exec sleep 600 ;;
# One process, as the real client is, and what it ignores stays ignored.
deaf) trap '' TERM; exec sleep 600 ;;
esac
if [ "$mode" = gone ] || ! systemctl is-active --quiet docker.service; then
    echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2
    exit 1
fi
case $1 in
inspect) echo '[ { "State": { "Status": "running", "ExitCode": 0, "OOMKilled": false } } ]' ;;
*) echo ok ;;
esac
"""
PROGRAMS = {
    "/usr/bin/amazon-ssm-agent": DAEMON.format(name="ssm", worker=WORKER),
    "/usr/bin/ssm-agent-worker": SLEEPER,
    "/usr/lib/stand-in/kernel.py": KERNEL,
    "/usr/bin/ssm-document-worker": SLEEPER,
    "/usr/bin/dockerd": DAEMON.format(name="dockerd", worker=":"),
    "/usr/bin/containerd": DAEMON.format(name="containerd", worker=":"),
    "/usr/libexec/amazon-ecs-init": DAEMON.format(name="ecs", worker=":"),
    "/usr/local/bin/docker": DOCKER,
    "/usr/local/bin/ctr": "#!/bin/sh\necho ok\n",
    # The ring buffer is the host's, so the machine reads its own.
    "/usr/local/bin/dmesg": "#!/bin/sh\ncat /etc/stand-in/dmesg 2>/dev/null\nexit 0\n",
    # Where the host has these, what they say is of the host.
    "/usr/local/bin/cloud-init": "#!/bin/sh\ncat /etc/stand-in/cloud-init 2>/dev/null || echo 'status: done'\n",
    "/usr/local/bin/ethtool": "#!/bin/sh\nexit 1\n",
    "/usr/local/bin/chronyc": "#!/bin/sh\nexit 1\n",
    "/usr/local/bin/timedatectl": "#!/bin/sh\nexit 1\n",
}
CONFIG = "ECS_CLUSTER=blue\nECS_RESERVED_MEMORY=256\nECS_ENGINE_AUTH_DATA={\"registry\":{\"auth\":\"c2VjcmV0LW9mLXRoZS1yZWdpc3RyeQ==\"}}\n"


def install(machine):
    """Puts the stand-ins onto a machine that has not booted, all of them enabled, with the SSM agent as a package."""
    for path, text in PROGRAMS.items():
        machine.write(path, text, mode=0o755)
    for unit, text in UNITS.items():
        if unit != SNAP:
            machine.write(f"/etc/systemd/system/{unit}", text)
            machine.enable(unit)
    machine.write("/etc/ecs/ecs.config", CONFIG)
    for folder in ("log/amazon/ssm", "log/ecs", "lib/amazon/ssm", "lib/ecs/data", "lib/docker"):
        (machine.root / "var" / folder).mkdir(parents=True)


def snapped(machine):
    """The SSM agent comes as a snap instead."""
    system = machine.root / "etc/systemd/system"
    (system / SSM).unlink()
    (system / "multi-user.target.wants" / SSM).unlink()
    machine.write(f"/etc/systemd/system/{SNAP}", UNITS[SNAP])
    machine.enable(SNAP)


class Door(BaseHTTPRequestHandler):
    mode = "registered"

    def do_GET(self):
        if self.mode == "hangs":
            threading.Event().wait()
        body = b'{"Cluster":"blue","ContainerInstanceArn":"arn:aws:ecs:eu-central-1:111122223333:container-instance/blue/1","Version":"1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    Door.mode = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 51678), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
