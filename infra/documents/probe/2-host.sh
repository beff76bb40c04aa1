
# ---- The host itself (H01–H23) ----

host_disks() {
    # H01, H02: each mount once. Folders that are no mounts of their own fall to the mount that holds them.
    for kind in -Pk -Pi; do
        within 5 df "$kind" / /var /var/log /var/lib/docker /var/lib/containerd /var/lib/amazon /var/lib/ecs /tmp 2>/dev/null |
            awk 'NR > 1 && !seen[$6]++ { sub("%", "", $5); print $6, $5, $4 }' |
            while read -r mount percent free; do
                number "$percent" || continue
                number "$free" || continue
                if [ "$kind" = -Pi ]; then
                    if [ "$percent" -ge 97 ]; then
                        finding host.inodes-exhausted cause "$mount has used $percent % of its inodes, $free are left"
                    elif [ "$percent" -ge 90 ]; then
                        finding host.inodes-exhausted noise "$mount has used $percent % of its inodes"
                    fi
                elif [ "$percent" -ge 97 ] && [ "$mount" = /var/log ]; then
                    # The agents live on; only their logs stand still.
                    finding host.disk-full symptom "$mount is $percent % full: what the logs say is old"
                elif [ "$percent" -ge 97 ] && { [ "$free" -lt 5242880 ] || [ "$percent" -eq 100 ]; }; then
                    finding host.disk-full cause "$mount is $percent % full, $free KiB are left"
                elif [ "$percent" -ge 90 ]; then
                    finding host.disk-full noise "$mount is $percent % full, $free KiB are left"
                fi
            done
    done
    # H03: an image that is meant to be read-only has no root in its fstab that should be writable.
    if awk '$2 == "/" { ro = $4 ~ /(^|,)ro(,|$)/ } END { exit !ro }' /proc/mounts 2>/dev/null &&
        awk '$2 == "/" && $4 !~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' /etc/fstab 2>/dev/null; then
        finding host.read-only-root cause "/ is mounted read-only, and /etc/fstab says otherwise"
    fi
}

host_memory() {
    # H05: memory that is left, and how long everything waits for it.
    percent=$(awk '$1 == "MemTotal:" { all = $2 } $1 == "MemAvailable:" { left = $2; known = 1 } END { if (all > 0 && known) print int(100 * left / all) }' /proc/meminfo 2>/dev/null)
    stalled=$(pressure memory full)
    if number "$percent" && [ "$percent" -lt 5 ]; then
        severity=symptom
        [ "${stalled:-0}" -lt 10 ] || severity=cause
        reserved=$(sed -n 's/^ECS_RESERVED_MEMORY=\([0-9]*\).*/\1/p' "$ECS_CONFIG" 2>/dev/null)
        # C17: what the ECS agent keeps free for the system.
        finding host.out-of-memory "$severity" "$percent % of memory is available; all tasks waited for memory ${stalled:-?} % of the last minute; ECS_RESERVED_MEMORY is ${reserved:-not set}"
    elif [ "${stalled:-0}" -ge 20 ]; then
        finding host.out-of-memory symptom "all tasks waited for memory $stalled % of the last minute"
    fi
    MEMORY_LEFT=${percent:-100}
}

# Percent of the last minute that tasks waited for a resource; empty where the kernel does not count it.
pressure() {
    sed -n "s/^$2 .*avg60=\([0-9]*\).*/\1/p" "/proc/pressure/$1" 2>/dev/null
}

host_load() {
    # H07: load, and waiting for disks. Alone it explains little, so it only points.
    read -r load _ _ tasks _ 2>/dev/null </proc/loadavg
    cores=$(grep -c '^processor' /proc/cpuinfo 2>/dev/null)
    number "$cores" && [ "$cores" -gt 0 ] || cores=1
    waiting=$(pressure cpu some)
    if number "${load%%.*}" && [ $((${load%%.*} / cores)) -ge 8 ] && [ "${waiting:-100}" -ge 60 ]; then
        finding host.cpu-saturated symptom "load $load on $cores cores; tasks waited for a core ${waiting:-?} % of the last minute"
    fi
    waiting=$(pressure io full)
    blocked=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c '^D')
    if [ "${waiting:-0}" -ge 60 ]; then
        finding host.io-stalled cause "all tasks waited for disks $waiting % of the last minute; $blocked processes are in state D"
    elif [ "${waiting:-0}" -ge 40 ] || [ "$blocked" -ge 10 ]; then
        finding host.io-stalled symptom "all tasks waited for disks ${waiting:-?} % of the last minute; $blocked processes are in state D"
    fi
    # H08: every thread takes a pid.
    threads=${tasks##*/}
    for limit in pid_max threads-max; do
        read -r most 2>/dev/null <"/proc/sys/kernel/$limit" || continue
        number "$threads" && number "$most" && [ $((threads * 100)) -ge $((most * 95)) ] &&
            finding host.pids-exhausted cause "$threads threads of at most $most ($limit)"
    done
    # H19: children that nobody waits for.
    zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c '^Z')
    [ "$zombies" -lt 1000 ] || finding host.pids-exhausted symptom "$zombies zombies"
    # H09: open files of the whole machine, then those of each daemon that matters.
    read -r open _ most 2>/dev/null </proc/sys/fs/file-nr
    number "$open" && number "$most" && [ "$((open / 95))" -ge "$((most / 100))" ] &&
        finding host.open-files-exhausted cause "$open of at most $most files are open (fs.file-max)"
    for name in amazon-ssm-agen dockerd containerd; do
        for pid in $(pids_of "$name"); do
            most=$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits" 2>/dev/null)
            open=0
            for file in "/proc/$pid/fd"/*; do [ -L "$file" ] && open=$((open + 1)); done
            number "$most" && [ "$most" -gt 0 ] && [ $((open * 100)) -ge $((most * 95)) ] &&
                finding host.open-files-exhausted cause "$name has $open files open, of at most $most"
        done
    done
}

# H03, H04, H06, H10, H16–H18, H22, C14, S17: what the kernel said. Old lines are history.
host_kernel() {
    lines=$(within 5 dmesg 2>/dev/null | tail -n 20000)
    [ -n "$lines" ] || lines=$(within 8 journalctl -k -b -o short-monotonic --no-pager -n 20000 2>/dev/null)
    # shellcheck disable=SC2016 # These are awk's.
    printf '%s\n' "$lines" | within 10 env UP="$UPTIME" RECENT="$RECENT_SECS" LEFT="$MEMORY_LEFT" awk '
        function say(code, severity, text) {
            if (UP - at > RECENT) severity = "noise"
            key = code severity
            if (!(key in last)) order[++n] = key
            last[key] = code "\t" severity "\t"; told[key] = text; times[key]++; when[key] = UP - at
        }
        BEGIN { UP = ENVIRON["UP"] + 0; RECENT = ENVIRON["RECENT"] + 0; LEFT = ENVIRON["LEFT"] + 0; daemon = "amazon-ssm-age|ssm-agent-work|ssm-document-w|ssm-session-wo|dockerd|containerd|amazon-ecs|\\(agent\\)"
            system_tasks = "task (dockerd?|containerd|runc|amazon-ssm|ssm-|agent:|jbd2|xfs|ext4|btrfs|kworker|kswapd|flush|khugepaged|kcompactd|systemd|dbus|sshd)" }
        {
            at = 0
            if (match($0, /\[ *[0-9]+\.[0-9]+\]/)) { at = substr($0, RSTART + 1, RLENGTH - 2) + 0; $0 = substr($0, RSTART + RLENGTH + 1) }
            sub(/^[^ ]+ kernel: /, "")
        }
        # The limit of a container is no fault of the node.
        /Memory cgroup out of memory/ { say("host.out-of-memory", "noise", "the limit of one container: " $0); next }
        /Out of memory: Kill/ { say("host.out-of-memory", ($0 ~ daemon || LEFT < 10) ? "cause" : "symptom", $0); next }
        /[Rr]emounting filesystem read-only|Aborting journal on device/ { say("host.read-only-root", "symptom", $0); next }
        /XFS .*([Ss]hutting down|has been shut down)/ { say("host.io-stalled", "cause", $0); next }
        /Buffer I\/O error|blk_update_request: .*I\/O error|I\/O error, dev / { say("host.io-stalled", "cause", $0); next }
        /EXT4-fs error|XFS .*[Cc]orrupt/ { say("host.io-stalled", "symptom", $0); next }
        /nf_conntrack: .*table full, dropping packet/ { say("host.network-stack", "cause", $0); next }
        /soft lockup|hard LOCKUP|rcu.*detected stalls/ { say("host.kernel-hang", "cause", $0); next }
        /Oops: |BUG: unable to handle|kernel BUG at|general protection fault/ { say("host.kernel-hang", "cause", $0); next }
        # One application that waits, however often, waits for its own disk or file server.
        /blocked for more than [0-9]+ seconds/ {
            if (UP - at <= RECENT && match($0, /task [^ ]+:[0-9]+ blocked/)) {
                program = substr($0, RSTART + 5, RLENGTH - 13); sub(/:[0-9]+$/, "", program)
                if (!(program in waiting)) { waiting[program]; programs++ }
            }
            say("host.kernel-hang", (programs > 1 || $0 ~ system_tasks) ? "cause" : "symptom", $0); next
        }
        /unregister_netdevice: waiting for/ { if (UP - at <= 1200) waits++; say("host.kernel-hang", waits >= 3 ? "cause" : "noise", $0); next }
        /Hardware Error.*([Ff]atal|[Uu]ncorrected)|mce: .*Machine [Cc]heck.*[Ff]atal|[Mm]emory read error/ { say("platform.hardware", "cause", $0); next }
        /NVRM: Xid/ { say("platform.hardware", "symptom", $0); next }
        /fork rejected by pids controller/ { say("host.pids-exhausted", "noise", "the limit of one control group: " $0); next }
        /VFS: file-max limit .* reached/ { say("host.open-files-exhausted", "cause", $0); next }
        /task .* pid_max|cannot fork|fork: retry: Resource temporarily unavailable/ { say("host.pids-exhausted", "symptom", $0); next }
        END { for (i = 1; i <= n; i++) printf "%s%d times, last %d s ago: %.300s\n", last[order[i]], times[order[i]], when[order[i]], told[order[i]] }' |
        while IFS='	' read -r code severity text; do
            finding "$code" "$severity" "$text"
        done
}

host_systemd() {
    has systemctl || return
    # H20: units that failed are evidence, and a boot that ended in the emergency shell is a cause.
    case $(within 5 systemctl is-system-running 2>/dev/null) in
    maintenance) finding host.boot-failure cause "systemd is in maintenance: the rescue or emergency shell" ;;
    esac
    failed=$(within 5 systemctl list-units --failed --no-legend --plain --no-pager 2>/dev/null | awk '{ print $1 }' | head -n 12 | tr '\n' ' ')
    case $failed in
    *.mount*) finding host.boot-failure symptom "failed units: $failed" ;;
    ?*) finding host.boot-failure noise "failed units: $failed" ;;
    esac
    # H23: an update that runs, or one that waits for a reboot.
    for name in dnf yum apt apt-get dpkg unattended-upgr zypper snap-update; do
        [ -z "$(pids_of "$name")" ] || finding ssm-agent.update-stuck noise "an update of packages runs: $name"
    done
    [ ! -e /var/run/reboot-required ] || finding ssm-agent.update-stuck noise "an update waits for a reboot"
}

host() {
    host_disks
    host_memory
    host_load
    host_kernel
    host_systemd
}
