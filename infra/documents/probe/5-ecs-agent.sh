
# ---- Docker and the ECS agent (C05–C14, C18, C19) ----

# What stands in a unit's journal since a while ago; nothing where that cannot be had.
journal() {
    within 6 journalctl -u "$1" --since "$(local_time "$2")" --no-pager -o cat -n 5000 2>/dev/null
}

# C10–C13: sets DOCKER to yes where it answers.
docker_runtime() {
    DOCKER=
    # Some dockers bring a containerd of their own.
    if has systemctl && unit containerd.service && [ "$(property ActiveState)" != active ] && [ -z "$(pids_of containerd)" ] &&
        [ "$(property UnitFileState)" != disabled ]; then
        finding runtime.docker-down symptom "containerd.service is $(property ActiveState) ($(property SubState)), last exit code $(property ExecMainStatus)"
    fi
    if ! has systemctl || ! unit docker.service; then
        has docker && within 10 docker version >/dev/null 2>&1 && DOCKER=yes
        return
    fi
    state=$(property ActiveState) sub=$(property SubState) restarts=$(property NRestarts) pid=$(property MainPID)
    up=$(age ActiveEnterTimestampMonotonic)
    said=$(journal docker.service 1200)
    wrong=$(printf '%s\n' "$said" | grep -E 'unable to configure the Docker daemon|daemon\.json|failed to start daemon|[Ff]ailed to start .*cgroup|Devices cgroup isn.t mounted|failed to create NAT chain|network controller' | tail -n 1)
    corrupt=$(printf '%s\n' "$said" | grep -E 'readlink /var/lib/docker/overlay2.*invalid argument|overlay2.*(corrupt|structure needs cleaning)|(layerdb|boltdb|metadata).*(corrupt|invalid|unexpected EOF)|page [0-9]+ already freed|devicemapper.*(corrupt|[Ee]rror)' | tail -n 1)
    [ -z "$corrupt" ] || finding runtime.storage-corrupt cause "the journal of docker: $corrupt"
    facts="docker.service is $state ($sub), result $(property Result), last exit code $(property ExecMainStatus), $restarts restarts"
    if [ "$state" != active ]; then
        case $state in
        # It starts, or stops: for a moment that is nothing.
        activating | deactivating | reloading)
            if [ "$sub" = auto-restart ] || [ "$(age StateChangeTimestampMonotonic || echo 0)" -ge 60 ]; then severity=cause; else severity=symptom; fi
            ;;
        *) severity=cause ;;
        esac
        [ -z "$wrong" ] || finding runtime.docker-misconfigured cause "the journal of docker: $wrong"
        # Docker that is disabled and was never started is not meant to run.
        [ "$(property UnitFileState)$(age InactiveEnterTimestampMonotonic)" != disabled ] || severity=noise
        finding runtime.docker-down "$severity" "$facts"
        return
    fi
    starts=$(printf '%s\n' "$said" | grep -c -E '^(Started|Starting) .*[Dd]ocker')
    # Each start is announced and reported.
    [ "$starts" -lt 10 ] || finding runtime.docker-down symptom "docker started $((starts / 2)) times in 20 min"
    if number "$restarts" && [ "$restarts" -ge 3 ] && [ "${up:-9999}" -lt 300 ]; then
        finding runtime.docker-down cause "it restarts again and again: $facts"
    fi
    if has docker; then
        said=$(within 10 docker version 2>&1)
        result=$?
    else
        said=$(within 10 curl -sS -m 9 --unix-socket /var/run/docker.sock http://docker/_ping 2>&1)
        result=$?
        [ "$result" -ne 28 ] || result=124
        [ "$result" -ne 127 ] || result=125
    fi
    if [ "$result" -eq 0 ]; then
        DOCKER=yes
    elif timed_out "$result"; then
        finding runtime.docker-hung cause "docker.service is active and does not answer in 10 s; its process is in state $(state_of "$pid")"
    elif [ "$result" -eq 125 ]; then
        finding runtime.docker-hung noise "unknown: docker was not asked"
    else
        case $said in
        *ermission\ denied* | *"client version"*) ;;
        *annot\ connect* | *o\ such\ file* | *onnection\ refused* | *ouldn\'t\ connect*)
            finding runtime.docker-down cause "docker.service is active and its socket does not answer: $said" ;;
        esac
    fi
    if unit containerd.service && [ "$(property ActiveState)" = active ] && has ctr; then
        within 8 ctr version >/dev/null 2>&1
        timed_out $? && finding runtime.docker-hung cause "containerd.service is active and does not answer in 8 s"
    fi
}

# C05–C07: the unit, the container that it runs, and how they ended. Sets ILL where something is wrong.
ecs_service() {
    ILL='' END_AGE=''
    for name in ecs.service amazon-ecs.service; do
        unit "$name" && break
    done || {
        UNIT=
        return
    }
    UNIT=$name
    state=$(property ActiveState) sub=$(property SubState) status=$(property ExecMainStatus) restarts=$(property NRestarts)
    enabled=$(property UnitFileState)
    facts="$UNIT is $state ($sub), $enabled, last exit code ${status:-?}, result $(property Result), $restarts restarts"
    number "$restarts" || restarts=0
    UP_SECS=$(age ActiveEnterTimestampMonotonic)
    case $state in
    active | reloading)
        [ "$restarts" -lt 3 ] || [ "${UP_SECS:-9999}" -ge 300 ] || {
            ILL=yes
            finding ecs-agent.crash-loop cause "it restarts again and again: $facts"
        }
        ;;
    activating)
        if [ "$sub" = auto-restart ]; then
            ILL=yes severity=symptom
            [ "$restarts" -lt 3 ] || severity=cause
            finding ecs-agent.crash-loop "$severity" "$facts"
        elif [ "$(age StateChangeTimestampMonotonic || echo 0)" -ge 300 ]; then
            # C19: it starts only after cloud-init has ended.
            ILL=yes
            finding ecs-agent.stopped symptom "it has been starting for five minutes or more: $facts"
        fi
        ;;
    deactivating) ;;
    *)
        ILL=yes END_AGE=$(age InactiveEnterTimestampMonotonic)
        if [ "$(property LoadState)" = masked ]; then
            finding ecs-agent.stopped cause "$UNIT is masked"
        elif [ "$status" = 5 ]; then
            # C06: for this one systemd does not restart it, and a person who does only sees it again.
            finding ecs-agent.terminal-exit cause "exit code 5, after which systemd does not restart it: $facts"
        elif [ "$enabled" = disabled ] && [ -z "$END_AGE" ] && ! grep -q '^ECS_CLUSTER=' "$ECS_CONFIG" 2>/dev/null; then
            # Such a machine carries the agent and is in no cluster.
            finding ecs-agent.stopped noise "disabled, never started, and no cluster is named: $facts"
        else
            finding ecs-agent.stopped cause "$facts"
        fi
        ;;
    esac
    [ -n "$DOCKER" ] && has docker || return
    # Only these fields go on; the environment of a container may hold secrets.
    container=$(within 8 docker inspect ecs-agent 2>/dev/null | sed -n 's/.*"\(Status\|ExitCode\|OOMKilled\)" *: *"\{0,1\}\([a-z0-9]*\).*/\1=\2/p')
    ended=$(variable exitcode "$container")
    case $(variable status "$container") in
    exited | dead | restarting)
        if [ "$(variable oomkilled "$container")" = true ]; then
            finding host.out-of-memory symptom "the ECS agent's own container was killed for memory, exit code $ended"
        elif [ -z "$ILL" ]; then
            finding ecs-agent.crash-loop symptom "$UNIT is $state and its container has exited with $ended"
        fi
        ;;
    esac
}

# C08: the agent's own door on this machine. It says nothing of the connection to ECS.
ecs_introspection() {
    [ "$state" = active ] && has curl || return
    # Loading what it kept may take it a moment, so what is refused is asked again.
    for _ in 1 2 3; do
        answer=$(within 5 curl -sS --noproxy '*' -m 4 http://127.0.0.1:51678/v1/metadata 2>/dev/null)
        result=$?
        [ "$result" -eq 7 ] || break
        within 3 sleep 2
    done
    if [ "$result" -eq 28 ] || timed_out "$result"; then
        ILL=yes
        finding ecs-agent.hung cause "$UNIT is active and 127.0.0.1:51678 takes a connection and does not answer in 4 s"
    elif [ "$result" -eq 7 ]; then
        # What its log complains of is true as long as the door is closed.
        ILL=yes
        [ "${UP_SECS:-0}" -lt 120 ] || finding ecs-agent.hung symptom "$UNIT has been active for $UP_SECS s and nothing listens on 127.0.0.1:51678"
    elif [ "$result" -eq 0 ]; then
        case $answer in
        *'"ContainerInstanceArn":null'* | *'"ContainerInstanceArn": null'*) ILL=yes ;;
        *) ;;
        esac
    fi
}

# C06, C09, C18: what its logs say since it started, and after it last got through. Of one that ended, what it said then.
ecs_log() {
    window=$RECENT_SECS
    # One that was deregistered says so once an hour.
    [ "$state" != active ] || window=4500
    if [ -n "$END_AGE" ]; then
        window=$((END_AGE + 300))
    elif [ "$state" = active ] && [ "${UP_SECS:-$window}" -lt "$window" ]; then
        window=$((UP_SECS + 5))
    fi
    [ "$UPTIME" -ge "$window" ] || window=$UPTIME
    recent=$(utc_time "$RECENT_SECS")
    scan "$(utc_time "$window")" 'Registered container instance with cluster|Connected to ACS|Websocket connection established|Registration completed successfully' '
ecs-agent.cluster-mismatch Data mismatch; saved cluster
ecs-agent.instance-type-changed current instance type does not match the registered instance type
ecs-agent.deregistered InactiveInstanceException|Container instance is deregistered
ecs-agent.cluster-missing ClusterNotFound|[Cc]luster (is )?(inactive|not found)
ecs-agent.cloud-init-failed Cloud-init failure detected
ecs-agent.image-missing could not (load|download) Amazon Elastic Container Service Agent|[Ff]ailed to load pause container|pause container.*([Nn]o such file|not found)
'"$CLOCK_ROWS"'
identity.access-denied (RegisterContainerInstance|DiscoverPollEndpoint|poll endpoint|container instance|ACS).*(AccessDenied|not authorized)|not authorized to perform: ecs:|AccessDenied.*(RegisterContainerInstance|DiscoverPollEndpoint|ecs:)
identity.no-instance-profile Error getting valid credentials|credentials chain|NoCredentialProviders
identity.imds-unreachable Unable to communicate with EC2 Metadata service
'"$DISK_ROWS"'
'"$NET_ROWS"'
network.unreachable i/o timeout|no route to host|network is unreachable|Failed to connect to ACS
ecs-agent.state-corrupt Error loading previously saved state|Error creating data client|failed to load previous data from BoltDB|failed to load task engine state
ecs-agent.misconfigured InvalidParameterException|ClientException|ECS_INSTANCE_ATTRIBUTES|[Ii]nvalid (attribute|configuration|config)
runtime.docker-misconfigured [Dd]ocker.*(API|version).*(too old|not supported)|cgroup.*(not|fail)
runtime.docker-down Error connecting to docker|annot connect to (the )?Docker|client unable to connect to Docker|Docker events stream closed
runtime.docker-hung Docker Ping failed|DockerTimeoutError|timed out after waiting
ecs-agent.crash-loop failed to start, retrying in|Agent exited with code [12]([^0-9]|$)' "$ECS_LOGS/ecs-init.log" "$ECS_LOGS/ecs-agent.log" |
        while IFS='	' read -r code count line; do
            old=$(printf '%s\n' "$line" | RECENT=$recent awk '{ if (match($0, /20[0-9][0-9]-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]/)) { at = substr($0, RSTART, 10) " " substr($0, RSTART + 11, 8); print at < ENVIRON["RECENT"] } }')
            case $code in
            network.* | host.* | runtime.* | identity.imds-unreachable) severity=symptom ;;
            ecs-agent.crash-loop) if [ "$count" -ge 3 ]; then severity=cause; else severity=symptom; fi ;;
            *) severity=cause ;;
            esac
            if [ "$code" != ecs-agent.deregistered ] && [ -z "$END_AGE" ] && [ "$old" = 1 ]; then severity=noise; fi
            # An agent that runs and has no complaint at its door got over what it wrote; but one that is refused keeps its door
            # open all the same, and one that was deregistered sleeps for an hour.
            if [ -z "$ILL" ] && [ "$state" = active ]; then
                case $code in
                ecs-agent.deregistered) ;;
                identity.access-denied | ecs-agent.cluster-missing) [ "$count" -ge 2 ] || severity=noise ;;
                *) severity=noise ;;
                esac
            fi
            finding "$code" "$severity" "the ECS agent's log, $count times: $line"
        done
}

# C19: an agent of today refuses to start after it failed, and every agent waits for its end.
cloud_init() {
    has cloud-init || return
    said=$(within 6 cloud-init status --long 2>/dev/null | tr '\n' ' ')
    severity=noise
    [ -z "$ILL" ] || severity=symptom
    case $said in
    *'status: error'*)
        # What systemd keeps it from restarting for fits to that.
        [ "$ILL$status" != yes5 ] || severity=cause
        finding ecs-agent.cloud-init-failed "$severity" "$said"
        ;;
    *'status: running'*) [ "$UPTIME" -lt 900 ] || finding ecs-agent.cloud-init-failed "$severity" "after $UPTIME s: $said" ;;
    esac
}

ecs() {
    docker_runtime
    has systemctl || return
    ecs_service
    [ -n "$UNIT" ] || return
    ecs_introspection
    ecs_log
    cloud_init
}
