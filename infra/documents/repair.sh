#!/bin/sh
# Defib's gentle remedies for Linux. ACTION is one of four words that the document allows; nothing else comes in.
# The exit code is 0, or 1 with the reason in the last line: 194 would make the agent reboot the machine.
LC_ALL=C
export LC_ALL
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH
ACTION='{{ Action }}'

say() {
    printf '%s\n' "$1"
}

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

within() {
    secs=$1
    shift
    if command -v timeout >/dev/null 2>&1; then
        timeout "$secs" "$@"
    else
        "$@"
    fi
}

loaded() {
    [ "$(within 5 systemctl show -p LoadState "$1" 2>/dev/null)" = LoadState=loaded ]
}

# The first of the units that this machine has.
unit_of() {
    for unit in "$@"; do
        if loaded "$unit"; then
            printf '%s' "$unit"
            return
        fi
    done
}

needs_systemd() {
    command -v systemctl >/dev/null 2>&1 || fail "this machine has no systemd: nothing was done"
    # In Bottlerocket's control container there is a shell, but it is not the host's.
    [ -d /run/systemd/system ] || fail "systemd does not run here: nothing was done"
}

free_kib() {
    df -Pk / | awk 'NR == 2 { print $4 }'
}

# Only what can be written again: the journal, logs that were rotated already, output of old commands, package caches.
free_disk() {
    before=$(free_kib)
    if command -v journalctl >/dev/null 2>&1; then
        within 60 journalctl --vacuum-size=200M >/dev/null 2>&1
    fi
    within 60 find /var/log -xdev -type f \
        \( -name '*.gz' -o -name '*.xz' -o -name '*.[1-9]' -o -name '*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' \) \
        -mtime +0 -delete 2>/dev/null
    # Folders of commands that ended more than a day ago; a running command writes into its own all the time.
    for folder in /var/lib/amazon/ssm/*/document/orchestration; do
        [ -d "$folder" ] || continue
        within 60 find "$folder" -xdev -mindepth 1 -maxdepth 1 -type d -mtime +0 -exec rm -rf {} + 2>/dev/null
    done
    if loaded docker.service && command -v docker >/dev/null 2>&1; then
        # Layers that no image has any more; images and stopped containers stay.
        within 120 docker image prune --force >/dev/null 2>&1
    fi
    after=$(free_kib)
    say "free on /: $before KiB before, $after KiB after"
}

# Out of band: an agent that restarts itself in the middle of a command loses the command's answer.
restart_ssm_agent() {
    needs_systemd
    unit=$(unit_of amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service)
    [ -n "$unit" ] || fail "there is no unit of the SSM agent: nothing was done"
    # systemd stops the agent politely for up to 90 s; 30 s are enough for one that is well, the rest is killed. Only the main
    # process: without systemd-run this very shell belongs to the unit.
    stop="timeout 30 systemctl stop $unit || systemctl kill --kill-who=main --signal=KILL $unit"
    work="$stop; systemctl reset-failed $unit; systemctl start $unit"
    if command -v systemd-run >/dev/null 2>&1 &&
        systemd-run --quiet --collect --on-active=10 /bin/sh -c "$work" 2>/dev/null; then
        say "systemd restarts $unit in 10 s"
    else
        setsid nohup /bin/sh -c "sleep 10; $work" >/dev/null 2>&1 </dev/null &
        say "a process of its own restarts $unit in 10 s"
    fi
}

docker_answers() {
    command -v docker >/dev/null 2>&1 && within 15 docker version >/dev/null 2>&1
}

restart_ecs_agent() {
    needs_systemd
    unit=$(unit_of ecs.service amazon-ecs.service)
    [ -n "$unit" ] || fail "there is no unit of the ECS agent: nothing was done"
    # Without a runtime the agent only fails again, and what helps is another remedy.
    docker_answers || fail "docker does not answer: the ECS agent was not restarted"
    systemctl reset-failed "$unit" 2>/dev/null
    # The unit waits for cloud-init, which may wait for the very command that we are: so do not wait for the unit.
    systemctl restart --no-block "$unit" || fail "systemd did not take the restart of $unit"
    say "$unit restarts; its tasks keep running"
}

restart_runtime() {
    needs_systemd
    loaded docker.service || fail "there is no docker.service: nothing was done"
    unit=$(unit_of ecs.service amazon-ecs.service)
    within 60 systemctl stop docker.service || systemctl kill --signal=KILL docker.service
    systemctl reset-failed docker.service containerd.service 2>/dev/null
    if loaded containerd.service; then
        within 60 systemctl restart containerd.service || say "containerd.service did not restart in 60 s"
    fi
    within 90 systemctl start docker.service || fail "docker.service did not start"
    # The ECS unit stops with docker and is not started with it.
    if [ -n "$unit" ]; then
        systemctl reset-failed "$unit" 2>/dev/null
        systemctl start --no-block "$unit" || fail "docker runs again; systemd did not take the start of $unit"
    fi
    docker_answers || fail "docker was restarted and does not answer"
    say "docker was restarted${unit:+, and $unit with it}"
}

case $ACTION in
free-disk) free_disk ;;
restart-ssm-agent) restart_ssm_agent ;;
restart-ecs-agent) restart_ecs_agent ;;
restart-runtime) restart_runtime ;;
*) fail "no such action: nothing was done" ;;
esac
exit 0
