"""The documents' shell scripts, run here against stand-ins of systemctl and docker that note how they were called."""

import json
import subprocess
import sys
from pathlib import Path

from .template import ROOT

sys.path.insert(0, str(ROOT / "infra"))
import documents  # noqa: E402

PATH_LINE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
# What the scripts use of the system; everything else must come from the stand-ins.
SYSTEM = ("awk", "cat", "cut", "date", "df", "env", "find", "grep", "head", "ls", "mkdir", "rm", "sed", "sh", "sleep", "sort", "tail", "tr", "wc")
LIMIT_SECS = 60
# 124 is what the time limit makes of a command that hangs.
DOCKER = {"answers": "exit 0", "fails": "exit 1", "hangs": "exit 124"}


class Host:
    """A folder that plays a host: its units, what docker answers, and the calls that were made."""

    def __init__(self, folder, units=(), docker="answers", properties=None, **tools):
        self.folder = Path(folder)
        self.bin, self.run_folder, self.calls_path = self.folder / "bin", self.folder / "run", self.folder / "calls"
        self.bin.mkdir(parents=True)
        self.run_folder.mkdir()
        # Called as `systemctl show -p PROPERTY,PROPERTY UNIT`.
        states = "".join(f'"{unit} {name}") echo {name}={value} ;;\n' for (unit, name), value in (properties or {}).items())
        loaded = "".join(f'"{unit} LoadState") echo LoadState=loaded ;;\n' for unit in units)
        show = f"""IFS=,
for property in $3; do
case "$4 $property" in
{states}{loaded}*LoadState) echo LoadState=not-found ;;
"defib-"*ActiveState) echo ActiveState=inactive ;;
*ActiveState) echo ActiveState=active ;;
*UnitFileState) echo UnitFileState=enabled ;;
*) echo "$property=0" ;;
esac
done
exit 0"""
        self.tool("systemctl", f'if [ "$1" = show ]; then\n{show}\nfi\n{self.noting("systemctl")}')
        self.tool("docker", f"{self.noting('docker')}\n{DOCKER[docker]}")
        self.tool("timeout", '[ "$1" != -k ] || shift 2\nshift\nexec "$@"')
        for name in ("journalctl", "setsid", "systemd-run"):
            self.tool(name, self.noting(name))
        self.tool("flock", "exit 0")
        for name in SYSTEM:
            (self.bin / name).symlink_to(next(path for path in (Path("/usr/bin") / name, Path("/bin") / name) if path.exists()))
        # Of this machine's kernel only when it booted; its load and its processes are none of the host's.
        for name in ("stat", "uptime", "sys/kernel/random/boot_id"):
            own = self.folder / "proc" / name
            own.parent.mkdir(parents=True, exist_ok=True)
            own.symlink_to(f"/proc/{name}")
        for name, body in tools.items():
            (self.bin / name.replace("_", "-")).unlink(missing_ok=True)
            if body is not None:
                self.tool(name, body)

    def noting(self, name):
        return f'echo "{name} $*" >>"{self.calls_path}"'

    def tool(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def file(self, path, content="x"):
        """A file of the host; answers where it lies."""
        own = self.folder / path.lstrip("/")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(content, encoding="utf-8")
        return own

    def run(self, script, action=None):
        """Runs a script of infra/documents/; answers the exit code and what it printed, line by line."""
        text = documents.script(script, lean=True)
        if PATH_LINE not in text:
            raise ValueError(f"{script} sets another PATH than the test knows")
        for real, own in ((PATH_LINE, f"PATH={self.bin}"), ("/run/systemd/system", str(self.run_folder)), ("/run/defib", f"{self.folder}/defib"),
                          ("/etc/os-release", f"{self.folder}/etc/os-release"),
                          ("/var/lib/amazon", f"{self.folder}/var/lib/amazon"), ("/var/log", f"{self.folder}/var/log"), ("/etc/ecs", f"{self.folder}/etc/ecs"),
                          ("/proc/", f"{self.folder}/proc/"), ("/sys/class/", f"{self.folder}/sys/class/"),
                          ("{{ Action }}", action or "")):
            text = text.replace(real, own)
        done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=LIMIT_SECS, check=False, env={})
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def calls(self):
        """The calls that change something, in order."""
        return self.calls_path.read_text(encoding="utf-8").splitlines() if self.calls_path.exists() else []


def findings(lines):
    """The lines as objects; a line that is none comes as None."""
    answer = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        answer.append(value if isinstance(value, dict) else None)
    return answer
