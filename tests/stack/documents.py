"""The SSM documents: what stands in the template, and what their scripts do to a host that is played here."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from .gates import INFRA, check
from .scripts import Host, documents, findings
from .template import GIVEN, PATH, ROOT, TEMPLATE, Stack, load


# What a repair ends with where it did nothing, as docs/REPAIRS.md has it; never 194 or 3010.
REFUSALS = {"10", "11", "12", "13", "14", "15", "16"}


# A disk that no check minds, whatever this machine's own is like.
HALF_FULL = 'echo "Filesystem 1 2 3 Use% Mounted"\necho "/dev/a 10000000 5000000 5000000 50% /"'


def check_documents():
    done = subprocess.run([sys.executable, INFRA / "documents.py", "--check"], capture_output=True, text=True, check=False)
    check("the template holds the documents of infra/documents/, under names with their hashes", done.returncode == 0, done.stderr)
    for name, wanted in (("ProbeDocument", set()), ("RepairDocument", {"{{ Action }}"})):
        content = TEMPLATE["Resources"][name]["Properties"]["Content"]
        scripts = "\n".join(line for step in content["mainSteps"] for line in step["inputs"]["runCommand"])
        check(f"{name} puts in {wanted or 'nothing'}", set(re.findall(r"\{\{.*?\}\}", scripts)) == wanted)
        check(f"{name} has the schema that it needs", content["schemaVersion"] == "2.2"
              and set(content.get("parameters", {})) == ({"Action"} if wanted else set()))
        bare = [step["name"] for step in content["mainSteps"] if "precondition" not in step or "timeoutSeconds" not in step["inputs"]]
        check(f"each step of {name} has its platform and its time limit", not bare, bare)
        codes = set(re.findall(r"\bexit (\d+)", scripts))
        codes |= set(re.findall(r"\b(?:refuse|Stop-WithRefusal) (\d+)", scripts))
        check(f"{name} never asks the agent to reboot", codes <= {"0", "1"} | (REFUSALS if wanted else set()), codes)
    allowed = TEMPLATE["Resources"]["RepairDocument"]["Properties"]["Content"]["parameters"]["Action"]["allowedValues"]
    told = set(re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "REPAIRS.md").read_text(encoding="utf-8"), re.MULTILINE))
    check("docs/REPAIRS.md tells every exit code of a repair", told == {"0", "1"} | REFUSALS, told)
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
    left = sorted(set(TEMPLATE["Resources"]) - set(less["Resources"]))
    made = Stack(less, Mode="replace", **GIVEN)
    check("the template also works without its documents", left == ["ProbeDocument", "RepairDocument"]
          and not re.search(r"\b(Probe|Repair)Document\b(?!\w)", json.dumps(made.resources["Function"])), left)


def check_probe(folder):
    codes = set(re.findall(r'=> "([a-z.-]+)"|^    \w+ = "([a-z.-]+)",', (ROOT / "src/diagnose/cause.rs").read_text(encoding="utf-8"), re.MULTILINE))
    known = {code for pair in codes for code in pair if code}
    families = "|".join(sorted({code.split(".")[0] for code in known if "." in code}))
    for script in ("probe", "probe.ps1"):
        used = {code for code in re.findall(rf"(?<![\w./-])(?:{families})\.[a-z]+(?:-[a-z]+)*(?![\w.*-])", documents.script(script))
                if not code.endswith((".service", ".config", ".log"))}
        check(f"{script} names causes that Defib knows", len(used) > 10 and used <= known, used - known)
    host = Host(folder / "well", units=["docker.service", "ecs.service", "amazon-ssm-agent.service"])
    started = time.monotonic()
    code, lines = host.run("probe")
    check("the probe does not wait for its watchdog", time.monotonic() - started < 30, f"{time.monotonic() - started:.0f} s")
    told = findings(lines)
    btime = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(encoding="utf-8"), re.MULTILINE)
    booted = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(btime[1])))
    check("the probe of a host without trouble says when it booted", code == 0 and None not in told and told
          and told[0]["check"] == "boot" and told[0]["booted_at"] == booted and len(told[0]["boot_id"]) == 36, lines)
    harmless = r"docker (version|inspect ecs-agent)|journalctl (-u \S+ --since .*|-k -b .*|-q -b( -[ut] [\w.-]+)+ --no-pager -o short-iso -n 2000)|systemctl (is-system-running|list-units --failed .*)"
    check("and only asks", not [call for call in host.calls() if not re.fullmatch(harmless, call)], host.calls())
    df = 'case "$1" in -Pi) used=99% ;; *) used=100% ;; esac\necho "Filesystem 1 2 3 Use% Mounted"\necho "/dev/a 1 1 0 $used /var"'
    state = {("ecs.service", "ActiveState"): "failed", ("ecs.service", "ExecMainStatus"): "5",
             ("amazon-ssm-agent.service", "ActiveState"): "inactive"}
    host = Host(folder / "ill", units=["docker.service", "ecs.service", "amazon-ssm-agent.service"], docker="hangs",
                properties=state, df=df)
    code, lines = host.run("probe")
    told = findings(lines)
    codes = [(one or {}).get("check") for one in told]
    check("the probe of an ill one names each cause, in JSON", code == 0 and codes == [
        "boot", "host.disk-full", "host.inodes-exhausted", "runtime.docker-hung", "ecs-agent.terminal-exit",
        "ssm-agent.stopped", "network.unreachable"], lines)
    check("and that it could not ask for a way out is unknown, not well", (told[-1] or {}).get("severity") == "noise"
          and told[-1]["evidence"].startswith("unknown: "), lines[-1])
    check("with its severity and its evidence", all(set(one) == {"check", "severity", "evidence"}
          and one["severity"] in ("cause", "symptom", "noise") and 0 < len(one["evidence"]) <= 400 for one in told[1:]), lines)
    nasty = {("docker.service", "ActiveState"): "'\"x\\\",\\\"y\\\" $(id) \\\\'", ("docker.service", "SubState"): "y" * 900}
    code, lines = Host(folder / "nasty", units=["docker.service"], properties=nasty, df=HALF_FULL).run("probe")
    told = findings(lines)
    check("what a host prints cannot break out of the JSON", code == 0 and None not in told and len(told) == 4
          and told[1]["check"] == "runtime.docker-down" and all(len(one["evidence"]) <= 400 for one in told[1:]), lines)
    check_secrets(folder)
    code, lines = Host(folder / "bare", systemctl=None, docker_=None).run("probe")
    check("a host without systemd still says when it booted", code == 0 and findings(lines)[0]["check"] == "boot", lines)


def check_secrets(folder):
    """Each secret stands in what a unit says of itself, among words that may be shown."""
    secrets = ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "hunter2hunter2",
               "dXNlcjpodW50ZXIyaHVudGVyMg==", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl")
    said = (f"{secrets[0]} {secrets[1]}", f"AWS_SECRET_ACCESS_KEY={secrets[2]}", f"aws_secret_access_key = {secrets[2]}",
            f"password={secrets[3]}", f"--db-passwd: {secrets[3]}", f"http://user:{secrets[3]}@proxy:3128/", f"user:{secrets[3]}@proxy:3128",
            f"Authorization: Basic {secrets[4]}", f"X-Amz-Security-Token={secrets[5]}", f"Bearer {secrets[5]}",
            f"X-Amz-Signature={secrets[2]}", f"ECS_ENGINE_AUTH_DATA={secrets[4]}", f"API_KEY={secrets[3]}")
    for number, text in enumerate(said):
        host = Host(folder / f"secret-{number}", units=["docker.service"], properties={
            ("docker.service", "ActiveState"): "failed", ("docker.service", "SubState"): f"'before {text} '"})
        code, lines = host.run("probe")
        shown = [secret for secret in secrets if secret in "".join(lines)]
        check(f"no secret leaves the host: {text.split()[0].split('=')[0][:24]} ({number})", code == 0 and not shown
              and any("before" in line and "[removed]" in line for line in lines), lines)


def check_repair(folder):
    ssm, snap = "amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"
    number = iter(range(100))

    def repair(action, **host):
        # Nothing that a repair waits for happens here.
        made = Host(folder / f"repair-{next(number)}", **({"sleep": "exit 0"} | host))
        code, lines = made.run("repair.sh", action)
        # What goes on in a process of its own is noted a moment later.
        until = time.monotonic() + 5
        while "a process of its own" in "".join(lines) and not any("setsid" in call for call in made.calls()) and time.monotonic() < until:
            time.sleep(0.02)
        return code, [call for call in made.calls() if call != "docker version"], lines

    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"])
    check("the ECS agent is restarted without waiting for its unit, and docker is not touched", code == 0
          and calls == ["systemctl reset-failed ecs.service", "systemctl restart --no-block ecs.service"], (calls, lines))
    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "amazon-ecs.service"])
    check("on SUSE its unit has another name", code == 0 and "systemctl restart --no-block amazon-ecs.service" in calls, calls)
    for docker in ("fails", "hangs"):
        code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"], docker=docker)
        check(f"where docker {docker}, the ECS agent is left alone and the reason is told",
              (code, calls) == (13, []) and "docker does not answer" in lines[-1], (code, calls, lines))
    ended = {("ecs.service", "ActiveState"): "failed", ("ecs.service", "ExecMainStatus"): "5"}
    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"], properties=ended)
    check("an agent that ends with exit code 5 again was not healed", code == 16 and "no restart helps" in lines[-1], (code, lines))
    ended[("ecs.service", "ExecMainStatus")] = "1"
    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"], properties=ended)
    check("nor was one that ends with another", code == 1 and "ended again" in lines[-1], (code, lines))
    waits = {("ecs.service", "ActiveState"): "inactive", ("ecs.service", "Job"): "77"}
    code, calls, lines = repair("restart-ecs-agent", units=["docker.service", "ecs.service"], properties=waits)
    check("one whose start waits for something is on its way", code == 0 and "on its way" in lines[-1], (code, lines))
    code, calls, lines = repair("restart-ssm-agent", units=[ssm])
    check("the SSM agent is restarted by systemd ten seconds later", code == 0 and len(calls) == 2
          and calls[-1].startswith("systemd-run ") and "--on-active=10" in calls[-1] and "AccuracySec=1s" in calls[-1], calls)
    check("with 30 s to stop, and its main process alone is killed then",
          f"timeout 30 systemctl restart {ssm} || {{ systemctl kill --kill-who=main --signal=KILL {ssm}; " in calls[-1], calls)
    code, calls, lines = repair("restart-ssm-agent", units=[snap])
    check("the snap's unit is found", code == 0 and f"systemctl restart {snap}" in calls[-1], calls)
    for name, tools in (("without systemd-run", {"systemd_run": None}), ("where systemd-run fails", {"systemd-run": "exit 1"})):
        code, calls, lines = repair("restart-ssm-agent", units=[ssm], **tools)
        check(f"{name} a process of its own does it", code == 0
              and [call for call in calls if "reset-failed" not in call][0].startswith("setsid nohup /bin/sh -c sleep 10; "), (calls, lines))
    code, calls, lines = repair("restart-ssm-agent", units=[ssm], **{"systemd-run": f'case "$*" in *--collect*) exit 1 ;; esac\necho "systemd-run $*" >>{folder}/old'})
    check("a systemd that knows no --collect is asked without it", code == 0 and "--on-active=10" in (folder / "old").read_text(encoding="utf-8"), (calls, lines))
    for action, unit in (("restart-ssm-agent", ssm), ("restart-ecs-agent", "ecs.service"), ("restart-runtime", "docker.service")):
        masked = {(unit, "LoadState"): "masked"}
        code, calls, lines = repair(action, units=[unit], properties=masked)
        check(f"{unit} that is masked is left alone", (code, calls) == (12, []) and "masked" in lines[-1], (code, calls, lines))
        code, calls, lines = repair(action, units=[])
        check(f"without a unit {action} does nothing", (code, calls) == (11, []) and "nothing was done" in lines[-1], (code, calls, lines))
        code, calls, lines = repair(action, units=[unit], properties={(unit, "UnitFileState"): "disabled"})
        check(f"{unit} that is disabled is enabled", code == 0 and f"systemctl enable {unit}" in calls, (code, calls, lines))
    code, calls, lines = repair("restart-ssm-agent", units=[ssm], properties={("defib-restart-ssm-agent.timer", "ActiveState"): "active"})
    check("a restart that is under way is not asked for again", (code, calls) == (0, []) and "under way" in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-runtime", units=["docker.service", "containerd.service", "ecs.service"])
    check("the runtime is restarted, then the ECS agent is started by name", code == 0 and calls == [
        "systemctl stop docker.service", "systemctl reset-failed docker.service", "systemctl reset-failed containerd.service",
        "systemctl restart containerd.service", "systemctl start docker.service", "systemctl reset-failed ecs.service",
        "systemctl start --no-block ecs.service"], calls)
    for state, word in (({("ecs.service", "LoadState"): "masked"}, "masked"), ({("ecs.service", "UnitFileState"): "disabled"}, "disabled")):
        code, calls, lines = repair("restart-runtime", units=["docker.service", "ecs.service"], properties=state)
        check(f"an ECS agent that is {word} is not started with docker", code == 0 and calls[-1] == "systemctl start docker.service"
              and word in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-runtime", units=["docker.service"])
    check("where there is no ECS agent, docker alone is restarted", code == 0 and calls[-1] == "systemctl start docker.service", (calls, lines))
    code, calls, lines = repair("restart-runtime", units=["docker.service", "ecs.service"], docker="hangs")
    check("a runtime that does not answer afterwards is told", code == 1 and "does not answer" in lines[-1], lines)
    for action in ("", "reboot", "free-disk; reboot", "$(reboot)", "../restart-ecs-agent"):
        if "'" not in action:
            code, calls, lines = repair(action, units=[ssm, "ecs.service", "docker.service"])
            check(f"{action!r} is no action", (code, calls) == (1, []) and "nothing was done" in lines[-1], (calls, lines))
    code, calls, lines = repair("restart-ecs-agent", systemctl=None)
    check("without systemd nothing is done", (code, calls) == (10, []) and "systemd" in lines[-1], lines)
    for action in allowed_actions():
        code, calls, lines = repair(action, units=[ssm, "ecs.service", "docker.service"], flock="exit 1")
        check(f"{action} waits for nobody else's repair", (code, calls) == (14, []) and "another repair" in lines[-1], (code, lines))
        made = Host(folder / f"repair-{next(number)}", units=[ssm, "ecs.service", "docker.service"])
        made.file("/etc/os-release", 'NAME=Bottlerocket\nID=bottlerocket\n')
        code, lines = made.run("repair.sh", action)
        check(f"{action} is refused on Bottlerocket", (code, made.calls()) == (10, []) and "Bottlerocket" in lines[-1], (code, lines))
    check_free_disk(folder)


def allowed_actions():
    return TEMPLATE["Resources"]["RepairDocument"]["Properties"]["Content"]["parameters"]["Action"]["allowedValues"]


def check_free_disk(folder):
    host = Host(folder / "disk", units=["docker.service"], df=HALF_FULL)
    command = "/var/lib/amazon/ssm/i-1/document/orchestration/{}/awsrunShellScript/stdout"
    old = [host.file("/var/log/messages-20260101"), host.file("/var/log/app/app.log.3"), host.file("/var/log/a.gz"),
           host.file("/var/log/ecs/ecs-agent.log.2026-01-01-15"), host.file(command.format("old-command"))]
    kept = [host.file("/var/log/messages"), host.file("/var/log/fresh.gz"), host.file("/var/lib/other/data.gz"),
            host.file(command.format("new-command")), host.file(command.format("long-command")),
            host.file("/var/log/audit/audit.log.1"), host.file("/var/log/wtmp-20260101"), host.file("/var/log/amazon/ssm/audits/amazon-ssm-agent-audit-20260101"),
            host.file("/var/lib/amazon/ssm/Vault/Store/RegistrationKey"), host.file("/var/lib/ecs/data/agent.db")]
    host.file("/var/lib/amazon/ssm/i-1/document/state/current/long-command")
    long_ago = time.time() - 3 * 86_400
    for file in (*old, *kept):
        if file not in (kept[1], kept[3]):
            for path in (file, file.parent, file.parents[1]):
                os.utime(path, (long_ago, long_ago))
    code, lines = host.run("repair.sh", "free-disk")
    check("a full disk loses rotated logs and old commands' output", code == 0 and not [file for file in old if file.exists()]
          and lines[-1].startswith("free on "), (code, lines))
    check("and nothing else", all(file.exists() for file in kept), [file for file in kept if not file.exists()])
    gave = [line for line in lines if re.fullmatch(r"[\w ]+: \d+ KiB and \d+ inodes", line)]
    check("each thing is told with what it gave", len(gave) == 4, lines)
    asked = [call for call in host.calls() if "image" in call or "prune" in call]
    check("docker drops layers without an image, no image and no container", asked == ["docker image prune --force"], asked)
    young = Host(folder / "young", df='case "$1" in -Pi) used=3% ;; *) used=99% ;; esac\necho "Filesystem 1 2 3 Use% Mounted"\necho "/dev/a 1 1 0 $used /"')
    of_today = [young.file("/var/log/of-today.gz"), young.file("/var/log/of-now.gz")]
    os.utime(of_today[0], (time.time() - 7_200,) * 2)
    code, lines = young.run("repair.sh", "free-disk")
    check("a disk that stays full also loses the rotated logs of today", [file.exists() for file in of_today] == [False, True], lines)
    check("and that it is still full is told", code == 15 and "still full: /" in lines[-1], (code, lines))


ALL = (check_documents, check_without_documents)
# These want a folder for their hosts.
ON_HOSTS = (check_probe, check_repair)
