#!/bin/sh
# Defib's probe for Linux: looks, changes nothing, and prints one compact JSON object a line, worst first.
# It takes no parameters. Each look has its own time limit, and nothing is used that a minimal image lacks.
LC_ALL=C
export LC_ALL
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH

# A look that hangs must not take the others with it.
within() {
    secs=$1
    shift
    if command -v timeout >/dev/null 2>&1; then
        timeout "$secs" "$@"
    else
        "$@"
    fi
}

# What a host prints is evidence, never syntax: no quotes (042), no backslashes (134), no control characters, 400 bytes.
clean() {
    printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\042\134' | tr -cd '[:print:]' | cut -c 1-400
}

finding() {
    printf '{"check":"%s","severity":"%s","evidence":"%s"}\n' "$1" "$2" "$(clean "$3")"
}

# The value of one property of a unit; empty when there is no such unit.
property() {
    within 5 systemctl show -p "$2" "$1" 2>/dev/null | sed "s/^$2=//"
}

loaded() {
    [ "$(property "$1" LoadState)" = loaded ]
}

# Evidence for the causes, as findings of severity "cause".
causes() {
    usage=$(within 10 df -P / /var /var/lib/docker /tmp 2>/dev/null | awk 'NR > 1 && !seen[$6]++ { sub("%", "", $5); print $6, $5 }')
    echo "$usage" | while read -r mount percent; do
        case $percent in '' | *[!0-9]*) continue ;; esac
        [ "$percent" -ge 98 ] && finding host.disk-full cause "$mount is $percent % full"
    done
    inodes=$(within 10 df -Pi / /var /var/lib/docker /tmp 2>/dev/null | awk 'NR > 1 && !seen[$6]++ { sub("%", "", $5); print $6, $5 }')
    echo "$inodes" | while read -r mount percent; do
        case $percent in '' | *[!0-9]*) continue ;; esac
        [ "$percent" -ge 98 ] && finding host.inodes-exhausted cause "$mount has used $percent % of its inodes"
    done
    if awk '$2 == "/" && $4 ~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' /proc/mounts 2>/dev/null; then
        # An image that is meant to be read-only has no mount that should be writable in its fstab.
        if awk '$2 == "/" && $4 !~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' /etc/fstab 2>/dev/null; then
            finding host.read-only-root cause "/ is mounted read-only, and /etc/fstab says otherwise"
        fi
    fi

    command -v systemctl >/dev/null 2>&1 || return
    if loaded docker.service; then
        docker=$(property docker.service ActiveState)
        if [ "$docker" != active ]; then
            finding runtime.docker-down cause "docker.service is $docker ($(property docker.service SubState))"
        elif command -v docker >/dev/null 2>&1; then
            within 10 docker version >/dev/null 2>&1
            # 124 is the time limit's; any other failure is the client's affair.
            [ $? -eq 124 ] && finding runtime.docker-hung cause "docker.service is active and does not answer in 10 s"
        fi
    fi
    for unit in ecs.service amazon-ecs.service; do
        loaded "$unit" || continue
        state=$(property "$unit" ActiveState)
        status=$(property "$unit" ExecMainStatus)
        restarts=$(property "$unit" NRestarts)
        case $state in
        active) ;;
        activating)
            if [ "${restarts:-0}" -ge 3 ] 2>/dev/null; then
                finding ecs-agent.crash-loop cause "$unit restarted $restarts times, last exit code $status"
            fi
            ;;
        *)
            if [ "$status" = 5 ]; then
                finding ecs-agent.terminal-exit cause "$unit is $state after exit code 5, which systemd does not restart"
            else
                finding ecs-agent.stopped cause "$unit is $state, last exit code $status"
            fi
            ;;
        esac
    done
    for unit in amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service; do
        loaded "$unit" || continue
        state=$(property "$unit" ActiveState)
        # The probe itself came through the agent, so a unit that is not active runs as an orphan.
        [ "$state" = active ] || finding ssm-agent.stopped symptom "$unit is $state, last exit code $(property "$unit" ExecMainStatus)"
    done
}

# The line that proves a reboot: when this boot began, and its id.
boot() {
    btime=$(awk '$1 == "btime" { print $2 }' /proc/stat 2>/dev/null)
    [ -n "$btime" ] || return
    booted_at=$(date -u -d "@$btime" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || return
    boot_id=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
    printf '{"check":"boot","booted_at":"%s","boot_id":"%s"}\n' "$booted_at" "$(clean "$boot_id")"
}

found=$(causes)
boot
[ -z "$found" ] || printf '%s\n' "$found"
exit 0
