"""Faults planted in the repair: each must be caught by the host that is named beside it, else that host proves nothing.

`tests/onhost.py --plants` plays them, one by one, and is no part of the stage.
"""

from dataclasses import dataclass


@dataclass
class Plant:
    """What is put in place of what, and the story on which it must show. `layout`: only of this one."""

    name: str
    old: str
    new: str
    remedy: str
    story: str
    layout: str | None = None


SSM, ECS, RUNTIME, DISK = "restart-ssm-agent", "restart-ecs-agent", "restart-runtime", "free-disk"
SURVIVES = "the command's result survives its agent's restart"

PLANTS = (
    Plant("the restart in the middle of the command", "for collect in --collect --quiet; do", 'sh -c "$work"; return; for collect in --quiet; do',
          SSM, SURVIVES, "systemd, KillMode=control-group"),
    Plant("a stop and a start instead of one job", 'work="timeout 30 systemctl restart $unit ||', 'work="systemctl stop $unit; systemctl start $unit ||',
          SSM, SURVIVES, "systemd without systemd-run, KillMode=control-group"),
    Plant("nobody is killed", "systemctl kill --kill-who=main --signal=KILL $unit;", ":;", SSM, "agent hung, ignores SIGTERM"),
    Plant("the agent is taken for another one after its restart", '[ "$AGO" -ge 120 ]', '[ "$AGO" -ge 0 ]', SSM,
          "the agent takes the command up again after its restart"),
    Plant("no lock", "flock -n 9 ||", "true ||", SSM, "three repairs at once"),
    Plant("no count is cleared", 'within 10 systemctl reset-failed "$1"', 'true "$1"', SSM, "five rapid restarts"),
    Plant("no count is cleared", 'within 10 systemctl reset-failed "$1"', 'true "$1"', ECS, "five rapid restarts"),
    Plant("no unit is enabled", 'systemctl enable "$1"', 'true "$1"', SSM, "unit disabled and dead", "snap"),
    Plant("no unit is enabled", 'systemctl enable "$1"', 'true "$1"', ECS, "unit disabled and dead"),
    Plant("a mask is taken away", "masked) refuse 12", 'masked) systemctl unmask "$1" && return; refuse 12', SSM, "unit masked"),
    Plant("a mask is taken away", "masked) refuse 12", 'masked) systemctl unmask "$1" && return; refuse 12', ECS, "unit masked"),
    Plant("a mask is taken away", "masked) refuse 12", 'masked) systemctl unmask "$1" && return; refuse 12', RUNTIME, "unit masked"),
    Plant("only one layout is known", "unit_of amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service", "unit_of amazon-ssm-agent.service",
          SSM, "agent stopped by a signal"),
    Plant("sessions count as commands", 'name == "ssm-document-wo"', "name ~ /^ssm-(document|session)-wo/", SSM, "all places taken by commands that are stuck, but one"),
    Plant("no stuck command is given up", "$3 - ticks[$1] < 10", "$3 - ticks[$1] < 0", SSM, "all places taken by commands that are stuck, but one"),
    Plant("commands at work are ended", "&& rest[$1] == $4", "", SSM, "all places taken by commands at work"),
    Plant("docker is not asked", "docker_answers || refuse 13", "true || refuse 13", ECS, "docker does not answer"),
    Plant("exit code 5 is like any other", "!= 5 ] ||", "!= 55 ] ||", ECS, "exit 5 again"),
    Plant("every start is a cure", '[ "$ends" -lt 2 ] || return 1', '[ "$ends" -lt 2 ] || return 0', ECS, "exit 5 again"),
    Plant("nobody is killed", '[ "$stops" -ne 30 ]', '[ "$stops" -ne 300 ]', ECS, "agent hung, and ignores SIGTERM"),
    Plant("docker is restarted, too", 'systemctl restart --no-block "$unit"', 'systemctl restart docker "$unit"', ECS, "exit 0"),
    Plant("only docker is started", 'systemctl start --no-block "$unit"', 'true "$unit"', RUNTIME, "docker stopped, and ecs with it"),
    Plant("docker need not stay", 'came_back docker.service ""', "true", RUNTIME, "docker does not start"),
    Plant("every image without a container goes", "image prune --force", "image prune --all --force", DISK, "disk full of what can be spared"),
    Plant("the audit log goes", r"\( -path /var/log/audit -o -path /var/log/amazon/ssm/audits \) -prune -o", "", DISK, "disk full of what can be spared"),
    Plant("live logs go", "-o -name '*.log.[0-9]*'", "-o -name '*.log*'", DISK, "disk full of what can be spared"),
    Plant("commands that run lose their output", '"$@" -exec rm -rf', "-exec rm -rf", DISK, "inodes full of old commands' output"),
    Plant("a disk that stays full is healed", "refuse 15", "say", DISK, "disk full of somebody's data"),
    Plant("any shell will do", "has apiclient &&", "false &&", "every remedy", "all four repairs, in the control container"),
)


def planted(plant, script):
    """The script with the fault in it."""
    if plant.old not in script:
        raise ValueError(f"{plant.name}: the repair does not hold {plant.old!r}")
    return script.replace(plant.old, plant.new)


def story(plant, repairs):
    """The host on which a plant must show."""
    named = [case for case in repairs if (case.remedy, case.name) == (plant.remedy, plant.story) and plant.layout in (None, case.layout)]
    if not named:
        raise ValueError(f"{plant.name}: no repair is called {plant.story!r}")
    return named[0]
