#!/bin/sh
# Defib's gentle remedies for Linux. ACTION is one of four words that the document allows; nothing else comes in.
# docs/REPAIRS.md tells what each of them does to a host, and what it leaves alone.
#
# Each may be run twice, at once with itself, and again by an agent that takes up what it had not ended.
# The exit code is 0, 1 where it did not work, or a refusal that Defib knows by its number (`refuse`); the reason stands in the
# last line. 194 would make the agent reboot the machine.
LC_ALL=C
export LC_ALL
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH
ACTION='{{ Action }}'
# What one run tells the next: in memory, and gone with the next boot.
OWN=/run/defib
SSM_DATA=/var/lib/amazon/ssm

say() {
    printf '%s\n' "$1"
}

# refuse CODE REASON: 10 no shell of a host, 11 nothing here to repair, 12 masked by a person, 13 docker does not answer, 14 another
# repair runs, 15 still full, 16 it ended with exit code 5 again; 1 it did not work.
refuse() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

within() {
    within_secs=$1
    shift
    if has timeout; then
        timeout -k 5 "$within_secs" "$@"
    else
        "$@"
    fi
}

uptime_secs() {
    cut -d . -f 1 /proc/uptime
}

# ---- systemd ----

property() {
    within 5 systemctl show -p "$1" "$2" 2>/dev/null | sed -n 's/^[^=]*=//p'
}

# The first of the units that this machine has, masked ones too.
unit_of() {
    for unit_name in "$@"; do
        case $(property LoadState "$unit_name") in
        '' | not-found) ;;
        *)
            printf '%s' "$unit_name"
            return
            ;;
        esac
    done
}

loaded() {
    [ "$(property LoadState "$1")" = loaded ]
}

needs_systemd() {
    if ! has systemctl || [ ! -d /run/systemd/system ]; then
        refuse 10 "systemd does not run here: nothing was done"
    fi
    within 5 systemctl show -p Version >/dev/null 2>&1 || refuse 1 "systemd does not answer: nothing was done"
}

# Nobody masks a unit by accident.
not_masked() {
    case $(property LoadState "$1") in
    masked) refuse 12 "$1 is masked, which only a person does: nothing was done. To undo it: systemctl unmask $1" ;;
    *) ;;
    esac
}

enabled() {
    [ "$(property UnitFileState "$1")" = disabled ] || return 0
    if within 20 systemctl enable "$1" >/dev/null 2>&1; then
        say "$1 was disabled: it is enabled, and will be there after the next boot"
    else
        say "$1 is disabled and could not be enabled"
    fi
}

# A unit that was started too often in a short time is not started any more until its count is cleared.
forgiven() {
    [ "$(property Result "$1")" != start-limit-hit ] || say "$1 had been started too often (start-limit-hit): its count is cleared"
    within 10 systemctl reset-failed "$1" 2>/dev/null
}

shown() {
    printf '%s (%s), exit code %s, process %s' "$(property ActiveState "$1")" "$(property SubState "$1")" \
        "$(property ExecMainStatus "$1")" "$(property MainPID "$1")"
}

# came_back UNIT OLD_PID: waits for a start that systemd has in its hands. What has not stopped after 30 s is killed; what runs for 5 s
# is back. Answers 1 where it ended again, and 2 where systemd itself still waits for something.
came_back() {
    stops=0 stays=0 ends=0 latest=
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45; do
        job=$(property Job "$1") pid=$(property MainPID "$1")
        case $(property ActiveState "$1") in
        deactivating)
            stops=$((stops + 1))
            [ "$stops" -ne 30 ] || {
                systemctl kill --signal=KILL "$1"
                say "$1 did not stop in 30 s: its processes were killed"
            }
            ;;
        active | reloading)
            [ "$pid" = "$latest" ] || stays=0
            latest=$pid
            if [ "$pid" != "$2" ] || [ "${pid:-0}" = 0 ]; then stays=$((stays + 1)); fi
            [ "$stays" -lt 6 ] || return 0
            ;;
        inactive | failed) [ "${job:-0}" != 0 ] || ends=$((ends + 1)) ;;
        activating) [ "$(property SubState "$1")" != auto-restart ] || ends=$((ends + 1)) ;;
        *) ;;
        esac
        [ "$ends" -lt 2 ] || return 1
        sleep 1
    done
    return 2
}

# ---- One repair at a time ----

# The kernel lets go of the lock when its holder ends, however it ends.
lock() {
    mkdir -p "$OWN" 2>/dev/null
    if ! has flock || ! (: >>"$OWN/lock") 2>/dev/null; then
        say "no lock could be taken"
        return
    fi
    exec 9>>"$OWN/lock"
    flock -n 9 || refuse 14 "another repair of this host is running: nothing was done"
}

# ---- free-disk ----

# The volumes that hold what may be deleted, a mount point a line.
volumes() {
    within 10 df -Pk / /var /var/log /var/lib/docker "$SSM_DATA" 2>/dev/null | awk 'NR > 1 { print $6 }' | sort -u
}

# usage VOLUME: free KiB, free inodes, and what is used of each in per cent. A file system without inodes of its own says `-`.
usage() {
    {
        within 10 df -Pk "$1"
        within 10 df -Pi "$1"
    } 2>/dev/null | awk '$1 != "Filesystem" { sub("%", "", $5); free[++n] = $4 + 0; used[n] = $5 + 0 }
        END { printf "%.0f %.0f %d %d\n", free[1], free[2], used[1], used[2] }'
}

# Free KiB and inodes of all volumes together.
free_now() {
    for volume in $VOLUMES; do
        usage "$volume"
    done | awk '{ kib += $1; inodes += $2 } END { printf "%.0f %.0f\n", kib, inodes }'
}

# By the probe's own measure, which is what proves this remedy.
full_volumes() {
    for volume in $VOLUMES; do
        usage "$volume" | awk -v volume="$volume" '$3 >= 97 && ($1 < 5242880 || $3 == 100) || $4 >= 97 { print volume }'
    done
}

# Tells what the step gave that was just taken. Others write meanwhile, so it may be less than nothing: then it gave nothing.
gave() {
    was=$NOW
    NOW=$(free_now)
    kib=$((${NOW% *} - ${was% *})) inodes=$((${NOW#* } - ${was#* }))
    [ "$kib" -gt 0 ] || kib=0
    [ "$inodes" -gt 0 ] || inodes=0
    say "$1: $kib KiB and $inodes inodes"
}

# rotated MINUTES: deletes logs that were rotated, and archives beside them, longer ago. What an auditor may ask for stays: the audit
# log, who logged in and who became whom. A log with a date for its name may still be written to, so that one stays for a day.
rotated() {
    within 40 find /var/log -xdev \( -path /var/log/audit -o -path /var/log/amazon/ssm/audits \) -prune -o -type f \
        \( -name '*.gz' -o -name '*.xz' -o -name '*.bz2' -o -name '*.zst' -o -name '*.[1-9]' -o -name '*.[1-9][0-9]' \
        -o \( -mmin +1440 \( -name '*.log.[0-9]*' -o -name '*-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' \) \) \) \
        ! -name 'wtmp*' ! -name 'btmp*' ! -name 'lastlog*' ! -name 'secure*' ! -name 'auth.log*' ! -name 'sudo*' \
        -mmin "+$1" -exec rm -f -- {} + 2>/dev/null
}

# commands MINUTES: deletes what is left of commands that began longer ago and have ended. A command that runs has its folder's name
# among the agent's state.
commands() {
    for data in "$SSM_DATA"/*/document; do
        [ -d "$data/orchestration" ] || continue
        minutes=$1
        set --
        for running in "$data"/state/current/* "$data"/state/pending/*; do
            [ -f "$running" ] || continue
            running=${running##*/}
            set -- "$@" ! -name "${running%%.*}*"
        done
        within 40 find "$data/orchestration" -xdev -mindepth 1 -maxdepth 1 -type d -mmin "+$minutes" "$@" -exec rm -rf -- {} + 2>/dev/null
        set -- "$minutes"
    done
}

# Only what can be spared: nothing of docker's but layers without a name, and nothing of the agents' own state.
free_disk() {
    VOLUMES=$(volumes)
    [ -n "$VOLUMES" ] || refuse 1 "df does not answer: nothing was done"
    NOW=$(free_now)
    before=$(for volume in $VOLUMES; do echo "$volume $(usage "$volume")"; done)
    if has journalctl; then
        within 40 journalctl --vacuum-size=200M >/dev/null 2>&1
        gave "archived journals beyond 200 MB"
    fi
    # A day's worth is kept, unless that is what fills the disk.
    for minutes in 1440 60; do
        rotated "$minutes"
        gave "logs rotated more than $((minutes / 60)) h ago"
        commands "$minutes"
        gave "output of commands that began more than $((minutes / 60)) h ago"
        [ -n "$(full_volumes)" ] || break
    done
    if has docker && loaded docker.service; then
        # Layers that no image has any more. With --all the agent's own image would go, too.
        if within 60 docker image prune --force >/dev/null 2>&1; then
            gave "image layers without a name"
        else
            say "docker does not answer: its layers stay"
        fi
    fi
    # shellcheck disable=SC2034 # `read` needs a name for what is not told.
    printf '%s\n' "$before" | while read -r volume kib inodes used used_inodes; do
        now=$(usage "$volume")
        say "free on $volume: $kib KiB and $inodes inodes before, ${now% * * *} KiB and $(echo "$now" | cut -d ' ' -f 2) inodes after"
    done
    full=$(full_volumes)
    [ -z "$full" ] || refuse 15 "still full: $(echo "$full" | tr '\n' ' ')- what is left may be somebody's data. To find it: du -xh $(echo "$full" | head -n 1) | sort -h | tail"
}

# ---- restart-ssm-agent ----

# A line for each document worker: its pid, when it was born, the ticks of its own, and a fingerprint of all that it started. Not for
# the one that runs this very script. The first line is how many there are in all.
workers() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v self="$$" '
        {
            name = $0; sub(/^[^(]*\(/, "", name); sub(/\)[^)]*$/, "", name)
            rest = $0; sub(/^.*\) /, "", rest); split(rest, field, " ")
            parent[$1] = field[2]; born[$1] = field[20]
            ticks[$1] = field[12] + field[13] + field[14] + field[15]
            if (name == "ssm-document-wo") { worker[$1] = 1; all++ }
        }
        END {
            print all + 0
            for (up = self; up in parent && up > 1; up = parent[up]) delete worker[up]
            for (pid in parent)
                for (up = parent[pid]; up in parent && up > 1; up = parent[up])
                    if (up in worker) { count[up]++; pids[up] += pid; used[up] += ticks[pid] }
            for (pid in worker) print pid, born[pid], ticks[pid], count[pid] + 0 ":" pids[pid] + 0 ":" used[pid] + 0
        }'
}

# The agent runs five commands at once. Where all five places are taken, those that did nothing for ten seconds, they and all that
# they started, are given up; what they started is left alone. A session has a worker of another name.
free_workers() {
    at_first=$(workers)
    full=$(echo "$at_first" | head -n 1)
    [ "$full" -ge 5 ] || return
    sleep 10
    # A tenth of a second in ten is what a worker needs to wait.
    stuck=$({
        printf '%s\n' "$at_first"
        workers
    } | awk 'NF == 1 { round++; next }
        round == 1 { born[$1] = $2; ticks[$1] = $3; rest[$1] = $4; next }
        born[$1] == $2 && rest[$1] == $4 && $3 - ticks[$1] < 10 { print $1 }' | head -n 5)
    if [ -z "$stuck" ]; then
        say "$full document workers run and the agent has no more than five; all of them are at work, and none was ended"
        return
    fi
    for pid in $stuck; do
        kill -KILL "$pid" 2>/dev/null
    done
    say "$full document workers ran and the agent has no more than five: those that did nothing for 10 s were ended ($(echo "$stuck" | tr '\n' ' ' | sed 's/ $//')); what they had started goes on"
}

under_way() {
    for kind in timer service; do
        case $(property ActiveState "defib-restart-ssm-agent.$kind") in
        active | activating) return 0 ;;
        *) ;;
        esac
    done
    return 1
}

# restarted_by_us UNIT: whether it was restarted a moment ago, and is there. An agent that starts takes up the commands that it had not
# ended, and this may be one of them.
restarted_by_us() {
    mark=$(cat "$OWN/ssm-agent-restart" 2>/dev/null)
    case $mark in '' | *[!0-9]*) return 1 ;; *) ;; esac
    AGO=$(($(uptime_secs) - mark))
    if [ "$AGO" -lt 0 ] || [ "$AGO" -ge 120 ] || [ "$(property ActiveState "$1")" != active ]; then
        return 1
    fi
    ! grep -q '^State:[[:space:]]*[TtZ]' "/proc/$(property MainPID "$1")/status" 2>/dev/null
}

# Out of band: an agent that restarts itself in the middle of a command loses the command's answer.
restart_ssm_agent() {
    needs_systemd
    unit=$(unit_of amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service)
    [ -n "$unit" ] || refuse 11 "there is no unit of the SSM agent: nothing was done"
    not_masked "$unit"
    if under_way; then
        say "a restart of $unit is under way already: nothing more was done"
        return
    fi
    if restarted_by_us "$unit"; then
        say "$unit was restarted $AGO s ago and runs: it is not restarted again"
        return
    fi
    say "$unit before: $(shown "$unit")"
    enabled "$unit"
    free_workers
    forgiven "$unit"
    # systemd stops the agent politely for up to 90 s; 30 s are enough for one that is well, the rest is killed. Only the main
    # process: without systemd-run this very shell belongs to the unit. The restart is one job of systemd's, so that it starts again
    # also where whoever asked for it is ended with the unit.
    work="timeout 30 systemctl restart $unit || { systemctl kill --kill-who=main --signal=KILL $unit; timeout 60 systemctl start $unit; }"
    uptime_secs 2>/dev/null >"$OWN/ssm-agent-restart"
    # An older systemd knows no --collect; by itself a timer may be a minute late.
    for collect in --collect --quiet; do
        if has systemd-run && systemd-run --quiet "$collect" --unit=defib-restart-ssm-agent --on-active=10 \
            --timer-property=AccuracySec=1s /bin/sh -c "$work" 2>/dev/null; then
            say "systemd restarts $unit in 10 s"
            return
        fi
        systemctl reset-failed defib-restart-ssm-agent.service defib-restart-ssm-agent.timer 2>/dev/null
    done
    setsid nohup /bin/sh -c "sleep 10; $work" >/dev/null 2>&1 </dev/null 9>&- &
    say "a process of its own restarts $unit in 10 s"
}

# ---- restart-ecs-agent, restart-runtime ----

docker_answers() {
    if has docker; then
        within 15 docker version
    else
        within 15 curl -fsS -m 14 --unix-socket /var/run/docker.sock http://docker/_ping
    fi >/dev/null 2>&1
}

# started UNIT OLD_PID WHAT: waits for the ECS agent, and tells what became of it.
started() {
    came_back "$1" "$2"
    case $? in
    0) say "$1 after: $(shown "$1"); $3" ;;
    2) say "$1 is on its way: $(shown "$1"); it starts when what systemd waits for has ended" ;;
    *)
        [ "$(property ExecMainStatus "$1")" != 5 ] ||
            refuse 16 "$1 ended with exit code 5 again: no restart helps, /var/log/ecs/ecs-agent.log says why"
        refuse 1 "$1 was started and ended again: $(shown "$1")"
        ;;
    esac
}

restart_ecs_agent() {
    needs_systemd
    unit=$(unit_of ecs.service amazon-ecs.service)
    [ -n "$unit" ] || refuse 11 "there is no unit of the ECS agent: nothing was done"
    not_masked "$unit"
    # Without a runtime the agent only fails again, and what helps is another remedy.
    docker_answers || refuse 13 "docker does not answer: the ECS agent was not restarted"
    say "$unit before: $(shown "$unit")"
    enabled "$unit"
    forgiven "$unit"
    pid=$(property MainPID "$unit")
    # The unit waits for cloud-init, which may wait for the very command that we are: so do not wait for the unit.
    systemctl restart --no-block "$unit" || refuse 1 "systemd did not take the restart of $unit"
    started "$unit" "$pid" "its tasks keep running"
}

restart_runtime() {
    needs_systemd
    runtime=$(unit_of docker.service)
    [ -n "$runtime" ] || refuse 11 "there is no docker.service: nothing was done"
    not_masked docker.service
    unit=$(unit_of ecs.service amazon-ecs.service)
    pid=$(property MainPID "$unit")
    say "docker.service before: $(shown docker.service)"
    enabled docker.service
    within 45 systemctl stop docker.service || {
        systemctl kill --signal=KILL docker.service
        say "docker.service did not stop in 45 s: its processes were killed"
    }
    forgiven docker.service
    if loaded containerd.service; then
        forgiven containerd.service
        within 45 systemctl restart containerd.service || {
            systemctl kill --signal=KILL containerd.service
            say "containerd.service did not restart in 45 s: its processes were killed"
        }
    fi
    within 75 systemctl start docker.service || refuse 1 "docker.service did not start: $(shown docker.service)"
    # One that dies again may answer before it does.
    came_back docker.service "" || refuse 1 "docker was started and ended again: $(shown docker.service)"
    docker_answers || refuse 1 "docker was restarted and does not answer: $(shown docker.service)"
    say "docker.service after: $(shown docker.service); docker answers"
    # The ECS unit stops with docker and is not started with it.
    case ${unit:+$(property LoadState "$unit")}:${unit:+$(property UnitFileState "$unit")} in
    :) ;;
    masked:*) say "$unit is masked, which only a person does: it was not started" ;;
    *:disabled) say "$unit is disabled: it was not started" ;;
    *)
        forgiven "$unit"
        systemctl start --no-block "$unit" || refuse 1 "docker runs again; systemd did not take the start of $unit"
        started "$unit" "$pid" "it started after docker"
        ;;
    esac
}

# Bottlerocket has no shell; its control container has one, in which nothing of the host can be repaired.
if grep -qs '^ID="*bottlerocket' /etc/os-release || { has apiclient && [ ! -d /run/systemd/system ]; }; then
    refuse 10 "this is Bottlerocket, which has no shell on the host: nothing was done. What helps is a reboot or a replacement"
fi
case $ACTION in
free-disk | restart-ssm-agent | restart-ecs-agent | restart-runtime) lock ;;
*) refuse 1 "no such action: nothing was done" ;;
esac
case $ACTION in
free-disk) free_disk ;;
restart-ssm-agent) restart_ssm_agent ;;
restart-ecs-agent) restart_ecs_agent ;;
restart-runtime) restart_runtime ;;
esac
exit 0
