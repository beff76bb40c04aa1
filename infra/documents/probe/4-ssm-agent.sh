
# ---- The SSM agent (S04–S08, S16–S18) ----

# The first of the units that this machine has.
ssm_unit() {
    for name in amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service; do
        unit "$name"
        known=$?
        [ "$known" -eq 1 ] || break
    done
    UNIT=$name
    return "$known"
}

# S04, S05: the unit, and how it ended. Sets WELL where nothing is wrong with it and its worker runs.
ssm_service() {
    WELL=
    main=$(pids_of amazon-ssm-agen | head -n 1)
    if ! has systemctl || [ ! -d /run/systemd/system ]; then
        # Without systemd another keeper may run it; only that nobody does is known.
        [ -n "$main" ] && WELL=yes
        return
    fi
    ssm_unit
    known=$?
    if [ "$known" -eq 2 ]; then
        finding ssm-agent.stopped noise "unknown: systemd does not answer"
        [ -n "$main" ] && WELL=yes
        return
    fi
    if [ "$known" -eq 1 ]; then
        [ -n "$main" ] || finding ssm-agent.stopped cause "systemd knows no unit of the SSM agent, and no process of it runs: it is not installed"
        return
    fi
    state=$(property ActiveState) sub=$(property SubState) status=$(property ExecMainStatus) restarts=$(property NRestarts)
    enabled=$(property UnitFileState) outcome=$(property Result) since=$(age StateChangeTimestampMonotonic)
    facts="$UNIT is $state ($sub), $enabled, last exit code ${status:-?}, result $outcome, $restarts restarts"
    number "$restarts" || restarts=0
    if [ "$(property LoadState)" = masked ]; then
        finding ssm-agent.stopped cause "$UNIT is masked"
        return
    fi
    case $state in
    active | reloading)
        pid=$(property MainPID)
        case $(state_of "$pid") in
        T | t)
            finding ssm-agent.hung cause "$UNIT is active, and its process $pid is stopped by a signal (state T)"
            return
            ;;
        D)
            stuck "$pid" && finding ssm-agent.hung symptom "$UNIT is active, and its process $pid stays in state D" && return
            ;;
        esac
        owner=$(awk '$1 == "Uid:" { print $2 }' "/proc/$pid/status" 2>/dev/null)
        [ "${owner:-0}" = 0 ] || finding ssm-agent.misconfigured cause "$UNIT runs as uid $owner, and not as root"
        [ "$enabled" != disabled ] || finding ssm-agent.stopped symptom "$UNIT runs, and is disabled: it will not be there after the next boot"
        up=$(age ActiveEnterTimestampMonotonic)
        # S07: the worker comes with the credentials, and one that died is restarted within a minute.
        if [ -n "$(pids_of ssm-agent-worke)" ]; then
            WELL=yes
        elif [ "${up:-0}" -ge 90 ]; then
            finding ssm-agent.worker-crash symptom "$UNIT has been active for $up s and has no ssm-agent-worker: no credentials yet, or it dies"
        fi
        if [ "$restarts" -ge 3 ] && [ "${up:-9999}" -lt 300 ]; then
            finding ssm-agent.worker-crash cause "$UNIT restarts again and again: $restarts times, the last time $up s ago, last exit code $status"
            WELL=
        fi
        # It writes its own health every five minutes. A full log volume also looks like this.
        written=$(date -r "$SSM_LOG" +%s 2>/dev/null)
        if number "$written" && [ $((NOW - written)) -gt 1800 ] && [ "${up:-0}" -gt 1800 ]; then
            finding ssm-agent.hung symptom "$UNIT is active and its log has been silent for $((NOW - written)) s"
        fi
        ;;
    activating)
        if [ "$sub" = auto-restart ] && [ "$restarts" -ge 3 ]; then
            finding ssm-agent.worker-crash cause "a crash loop: $facts"
        elif [ "$sub" = auto-restart ]; then
            # A failing agent ends with 0 for many a reason, so only this shows it.
            severity=symptom
            [ "$status" = 0 ] || severity=cause
            case $status in
            203) finding ssm-agent.misconfigured cause "its program cannot be run: $facts" ;;
            *) finding ssm-agent.stopped "$severity" "it ended and waits to be restarted: $facts" ;;
            esac
        fi
        ;;
    deactivating)
        severity=symptom
        [ "${since:-0}" -lt 10 ] || severity=cause
        finding ssm-agent.hung "$severity" "it was told to stop ${since:-?} s ago and does not: $facts"
        ;;
    *)
        why=
        [ "$status" != 194 ] || why="exit code 194, after which systemd does not restart it: "
        [ "$outcome" != start-limit-hit ] || why="it was started too often in a short time (start-limit-hit): "
        case $status in
        203) finding ssm-agent.misconfigured cause "its program cannot be run: $facts" ;;
        *) finding ssm-agent.stopped cause "$why$facts" ;;
        esac
        ;;
    esac
}

# S06, S08: what its log says since it started, half an hour ago at most, and after it last got through.
ssm_log() {
    window=$RECENT_SECS
    up=$(age ActiveEnterTimestampMonotonic)
    # Of one that runs well, only this start; one that dies again and again has nothing but starts.
    if [ "$(property ActiveState)" = active ] && number "$up" && [ "$up" -lt "$window" ]; then window=$((up + 5)); fi
    # One that hibernates says so at the beginning, and then only knocks once an hour.
    [ -z "$(find /var/log/amazon/ssm/hibernate.log -mmin -65 2>/dev/null)" ] || [ "${up:-3900}" -lt "$window" ] || window=3900
    # Before the boot was another life.
    [ "$UPTIME" -ge "$window" ] || window=$UPTIME
    said=$(scan "$(local_time "$window")" 'Successfully connected with|Successfully (opened|established|registered)|no longer hibernating|Exiting hibernat' '
ssm-agent.hibernating Entering SSM Agent hibernate|Backing off health check
identity.registration-mismatch MachineFingerprintDoesNotMatch|The hardware ID |fingerprint.*does not match
'"$CLOCK_ROWS"'
identity.access-denied AccessDenied|is not authorized to perform|UnauthorizedOperation
identity.no-instance-profile no EC2 instance role found|NoCredentialProviders
identity.imds-unreachable Failed to get instance info from IMDS|EC2MetadataError|failed to get IMDSv2 token
'"$NET_ROWS"'
network.unreachable i/o timeout|connection refused|no route to host|network is unreachable|send request failed
'"$DISK_ROWS"'
host.pids-exhausted [Rr]esource temporarily unavailable|failed to create new OS thread
host.out-of-memory cannot allocate memory
ssm-agent.workers-exhausted ProcessorBufferFull
ssm-agent.update-stuck another update is in progress|ErrorUpdaterLockBusy|Insufficient available disk space
ssm-agent.worker-crash crashed with message|panic: |fatal error: |has been terminated
ssm-agent.misconfigured [Ff]ailed to (load|initialize|read) vault|vault.*(invalid|corrupt)|invalid character .* looking for|[Ff]ailed to unmarshal' "$SSM_LOG")
    [ -n "$said" ] || return
    # One that hibernates has its worker, and is not well.
    case $said in *ssm-agent.hibernating*) WELL= ;; esac
    printf '%s\n' "$said" |
        while IFS='	' read -r code count line; do
            case $code in
            # What an active probe knows better, the log only points at.
            network.* | host.* | identity.imds-unreachable) severity=symptom ;;
            ssm-agent.worker-crash | ssm-agent.update-stuck) if [ "$count" -ge 3 ]; then severity=cause; else severity=symptom; fi ;;
            *) severity=cause ;;
            esac
            [ -z "$WELL" ] || severity=noise
            finding "$code" "$severity" "its log, $count times: $line"
        done
}

ssm_agent() {
    ssm_service
    ssm_log
    # S08: five commands run at once, and the sixth waits. One of them may be this very probe.
    busy=$(pids_of ssm-document-wo | wc -l)
    [ "$busy" -lt 5 ] || finding ssm-agent.workers-exhausted cause "$busy document workers run, and the agent has no more than five"
    # S18: documents that the agent has on its table.
    waiting=0
    for file in "$SSM_DATA"/*/document/state/current/* "$SSM_DATA"/*/document/state/pending/*; do
        [ -f "$file" ] && waiting=$((waiting + 1))
    done
    [ "$waiting" -lt 10 ] || finding ssm-agent.workers-exhausted symptom "$waiting documents are in progress or wait"
    # S16: folders of old commands, of which each takes several inodes.
    for folder in "$SSM_DATA"/*/document/orchestration; do
        [ -d "$folder" ] || continue
        many=$(within 8 ls -f "$folder" 2>/dev/null | head -n 100000 | wc -l)
        [ "$many" -lt 50000 ] || finding host.inodes-exhausted symptom "$folder holds $many folders of old commands, or more"
    done
    # S03: an update that was left behind.
    if [ -n "$(find "$SSM_DATA/update.lock" -mmin +60 2>/dev/null)" ] && [ -z "$(pids_of ssm-agent-updat)$(pids_of updater)" ]; then
        finding ssm-agent.update-stuck symptom "$SSM_DATA/update.lock is older than an hour, and no updater runs"
    fi
}
