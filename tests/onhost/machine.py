"""A machine with a real systemd, booted by systemd-nspawn, with a stand-in of AWS on the other end of its only cable.

Its /usr is the host's under an overlay, so that it has what the host has; /etc, /var and everything else are its own and
live in memory. All of it happens in a mount and a pid namespace of the test (`tests/onhost.py`), so nothing outlives it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import daemons

HERE = Path(__file__).resolve().parent
BOOT_LIMIT_SECS = 40
CALL_LIMIT_SECS = 30
ETC = ("passwd", "group", "shadow", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "protocols",
       "services", "host.conf", "gai.conf", "localtime", "timezone")
# What a machine of this kind does not need, and what would differ from host to host.
MASKED = ("systemd-firstboot", "systemd-networkd", "systemd-networkd-wait-online", "systemd-resolved", "systemd-logind", "dbus",
          "systemd-timesyncd", "console-getty", "systemd-update-utmp", "systemd-update-utmp-runlevel", "e2scrub_reap",
          "systemd-hwdb-update", "systemd-pcrphase", "systemd-journal-flush", "systemd-journal-catalog-update", "systemd-update-done")
MASKED_OTHERS = ("dbus.socket", "systemd-networkd.socket", "getty.target", "remote-fs.target", "timers.target", "machines.target")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Pressure and load are those of the whole host, whoever else works on it; the machine has its own.
CALM = {
    "loadavg": "0.10 0.10 0.10 1/100 1000\n",
    "pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    "pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    "pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    "meminfo": "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\n",
    "sys/fs/file-nr": "1000\t0\t9223372036854775807\n",
    "sys/kernel/pid_max": "4194304\n",
    "sys/kernel/threads-max": "100000\n",
    "sys/net/netfilter/nf_conntrack_count": "12\n",
    "sys/net/netfilter/nf_conntrack_max": "65536\n",
}


class Trouble(Exception):
    """The machine did not do what it was told; the text says what."""


def run(*command, check=True, limit_secs=CALL_LIMIT_SECS, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=limit_secs, check=False,
                          stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))}: exit code {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
    return done


def hierarchies():
    """The control group trees that this process can join: the one of cgroup v2, or systemd's own beside v1."""
    found = [Path("/sys/fs/cgroup") / name for name in ("", "systemd", "unified")]
    return [path for path in found if (path / "cgroup.procs").exists()]


def remove_group(own):
    """Removes a control group and those in it, as soon as the last process has left."""
    until = time.monotonic() + 10
    while own.exists() and time.monotonic() < until:
        for path in sorted((path for path in own.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
            try:
                path.rmdir()
            except OSError:
                pass
        try:
            own.rmdir()
        except OSError:
            time.sleep(0.05)


class Machine:
    """One machine, from its files to its end. Use it in a `with`."""

    def __init__(self, folder, name, certificates, script, wrong=None):
        self.folder, self.name, self.certificates, self.wrong = Path(folder) / name, name, certificates, wrong or {}
        self.root = self.folder / "root"
        self.children, self.leader, self.nspawn, self.cloud = [], None, None, None
        self._files(script)

    # --- Before the boot ---

    def _files(self, script):
        for path in (self.root, self.folder / "work"):
            path.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "tmpfs", self.root)
        run("mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", self.folder / "work")
        upper, work = self.folder / "work" / "upper", self.folder / "work" / "work"
        for path in (upper / "local" / "bin", upper / "local" / "sbin", work):
            path.mkdir(parents=True)
        # What the host has in /usr/local is not the machine's.
        os.setxattr(upper / "local", "trusted.overlay.opaque", b"y")
        for name in ("usr", "etc/systemd/system", "etc/amazon/ssm", "etc/ecs", "etc/ssl/certs", "etc/stand-in", "var/log", "var/lib",
                     "var/tmp", "tmp", "run", "proc", "sys", "dev", "root"):
            (self.root / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/usr,upperdir={upper},workdir={work}", self.root / "usr")
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            if Path("/", name).is_symlink():
                (self.root / name).symlink_to(os.readlink(f"/{name}"))
        for name in ETC:
            source = Path("/etc", name)
            if source.is_dir():
                shutil.copytree(source, self.root / "etc" / name, symlinks=True)
            elif source.exists() or source.is_symlink():
                shutil.copy(source, self.root / "etc" / name, follow_symlinks=not source.is_symlink())
        self.write("/etc/os-release", 'ID=stand-in\nNAME="Stand-in"\nVERSION_ID=1\n')
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("/etc/hostname", "node\n")
        self.write("/etc/hosts", "127.0.0.1 localhost node\n")
        self.write("/etc/resolv.conf", "nameserver 10.99.0.53\noptions timeout:5 attempts:2\n")
        self.write("/etc/fstab", "/dev/root / ext4 defaults,rw 0 1\n")
        shutil.copy(self.certificates / "roots.pem", self.root / "etc/ssl/certs/ca-certificates.crt")
        for name in MASKED:
            (self.root / "etc/systemd/system" / f"{name}.service").symlink_to("/dev/null")
        for name in MASKED_OTHERS:
            (self.root / "etc/systemd/system" / name).symlink_to("/dev/null")
        (self.root / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
        self.write("/usr/lib/defib-probe.sh", script, mode=0o755)
        daemons.install(self)

    def write(self, path, text, mode=None):
        """A file of the machine, before or after its boot."""
        own = self.root / path.lstrip("/")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(text, encoding="utf-8")
        if mode:
            own.chmod(mode)
        return own

    def enable(self, unit):
        wants = self.root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")

    # --- Its life ---

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def _join(self):
        """In the child: a control group of its own, in which nspawn makes those that it needs."""
        for tree in hierarchies():
            own = tree / self.name
            own.mkdir(exist_ok=True)
            (own / "cgroup.procs").write_text(str(os.getpid()))

    def _boot(self):
        console = (self.folder / "console").open("wb")
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", "--register=no", "--keep-unit",
                   "--private-network", "--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                   f"--machine={self.name}"]
        self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                                       preexec_fn=self._join, start_new_session=True)
        until = time.monotonic() + BOOT_LIMIT_SECS
        while time.monotonic() < until:
            if self.nspawn.poll() is not None:
                break
            children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text(encoding="ascii").split()
            self.leader = int(children[-1]) if children else None
            if self.leader and self.call("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                break
            time.sleep(0.1)
        else:
            raise Trouble("the machine did not boot in time: " + self.said())
        if self.nspawn.poll() is not None:
            raise Trouble("systemd-nspawn ended: " + self.said())
        self._calm()
        self._cable()

    def said(self):
        return (self.folder / "console").read_text(encoding="utf-8", errors="replace")[-600:]

    def _calm(self):
        for name, text in CALM.items():
            self.cover(f"/proc/{name}", text)

    def cover(self, path, text):
        """Lets the machine read this at a path of its kernel, where the kernel has such a path."""
        own = self.write(f"/etc/stand-in/covers{path}", text)
        inside = "/" + str(own.relative_to(self.root))
        self.call(f"[ ! -e {path} ] || mount --bind {inside} {path}")

    def _cable(self):
        """AWS in a network namespace of its own, and a cable from there to the machine."""
        self.cloud = subprocess.Popen(["unshare", "--net", sys.executable, str(HERE / "cloud.py"), str(self.certificates),
                                       json.dumps(self.wrong)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      start_new_session=True)
        if self.cloud.stdout.readline().strip() != "ready":
            raise Trouble("the stand-in of AWS did not start")
        run("ip", "link", "add", "cloud0", "netns", str(self.cloud.pid), "type", "veth", "peer", "name", "eth0", "netns",
            str(self.leader))
        run("nsenter", f"--net=/proc/{self.cloud.pid}/ns/net", "sh", "-c",
            "ip addr add 10.0.0.1/24 dev cloud0 && ip link set cloud0 up")
        self.call("ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 10.0.0.1")

    def enter(self, command, **options):
        """The command line that runs a shell command on the machine, with nothing of our environment."""
        environment = [f"{key}={value}" for key, value in options.items()]
        return ["nsenter", f"--target={self.leader}", "--all", "env", "-i", f"PATH={PATH}", *environment, "/bin/sh", "-c", command]

    def call(self, command, check=True, limit_secs=CALL_LIMIT_SECS):
        return run(*self.enter(command), check=check, limit_secs=limit_secs)

    def wait(self, what, command, limit_secs=20):
        """Waits until a shell command on the machine succeeds."""
        until = time.monotonic() + limit_secs
        while time.monotonic() < until:
            if self.call(command, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise Trouble(f"{what}: not within {limit_secs} s")

    def behave(self, name, mode):
        """How a stand-in behaves when it starts next."""
        self.write(f"/etc/stand-in/{name}", f"{mode}\n")

    def log(self, path, ago_secs, *lines):
        """Adds lines to a log, with the time so long ago in place of TIME (local) or UTC."""
        times = self.call(f"date -d '-{ago_secs} seconds' '+%F %T'; date -u -d '-{ago_secs} seconds' '+%FT%TZ'").stdout.splitlines()
        own = self.root / path.lstrip("/")
        own.parent.mkdir(parents=True, exist_ok=True)
        with own.open("a", encoding="utf-8") as file:
            for line in lines:
                file.write(line.replace("TIME", times[0]).replace("UTC", times[1]) + "\n")

    def kernel(self, ago_secs, *lines):
        """Lets the kernel have said something so long ago."""
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        text = "".join(f"[{max(up - ago_secs, 0.1):12.6f}] {line}\n" for line in lines)
        self.write("/etc/stand-in/dmesg", text)

    def state(self, unit, wanted):
        self.wait(f"{unit} {wanted}", f"systemctl show -p ActiveState,SubState,Result {unit} | tr '\\n' ' ' | grep -q '{wanted}'")

    def door(self, mode):
        """The ECS agent's door on the machine's own address: `registered`, `hangs`, or not there at all."""
        child = subprocess.Popen(["nsenter", f"--net=/proc/{self.leader}/ns/net", sys.executable, str(HERE / "daemons.py"), mode],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.children.append(child)
        if child.stdout.readline().strip() != "ready":
            raise Trouble("the ECS agent's door did not open")

    def close_doors(self):
        """Ends every door of the ECS agent, as it ends with the agent's process."""
        for child in self.children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                pipe.close()
        self.children = []

    def strangers(self):
        """Processes on the machine that belong to none of its units."""
        script = ('for p in /proc/[0-9]*; do [ "$p" != /proc/$$ ] && read -r n <$p/comm && n=$(tr -c "A-Za-z0-9." "_" <$p/cmdline) && g=$(tr "\\n" "," <$p/cgroup) && [ "$g" ] && echo "${p#/proc/} ${n:--} $g"; done 2>/dev/null; :')
        lines = [line.split(" ", 2) for line in self.call(script).stdout.splitlines()]
        ours = (".slice", "init.scope")
        return {(pid, name) for pid, name, groups in lines if not any(mark in groups for mark in ours)}

    def files(self):
        """The files where a careless script would leave something."""
        return set(self.call("find /tmp /var/tmp /run /root /dev/shm /etc -xdev -type f 2>/dev/null | grep -v -e ^/run/systemd "
                             "-e ^/run/log", check=False).stdout.splitlines())

    def probe(self, shell="sh", limit_secs=75):
        """Runs the probe as the SSM agent would; answers its exit code, its output and the seconds that it took."""
        started = time.monotonic()
        done = run(*self.enter(f"exec {shell} /usr/lib/defib-probe.sh", AWS_SSM_REGION_NAME="eu-central-1"), check=False,
                   limit_secs=limit_secs)
        return done.returncode, done.stdout, done.stderr, time.monotonic() - started

    def end(self):
        """Ends everything that belongs to the machine; what hangs is killed."""
        if self.leader:
            try:
                # With its first process, the kernel ends all of a machine.
                os.kill(self.leader, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for child in (*self.children, self.cloud, self.nspawn):
            if child is None:
                continue
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()
        for tree in hierarchies():
            remove_group(tree / self.name)
        for path in (self.root / "usr", self.folder / "work", self.root):
            run("umount", "--lazy", path, check=False)
