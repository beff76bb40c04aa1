
# ---- All looks at once, and the report ----

# What explains others goes before them, as in src/diagnose/rank.rs; within a family, what says more goes first.
report() {
    awk -F '\t' '
        BEGIN {
            families = "identity network clock platform host runtime ecs-agent ssm-agent"
            n = split(families, family, " ")
            for (i = 1; i <= n; i++) place[family[i]] = i * 100
            details = "identity.imds-unreachable identity.no-instance-profile identity.credentials-expired identity.access-denied identity.registration-mismatch network.proxy network.dns network.tls network.unreachable host.disk-full host.inodes-exhausted host.read-only-root host.kernel-hang host.io-stalled host.out-of-memory host.pids-exhausted host.open-files-exhausted host.network-stack host.boot-failure host.cpu-saturated runtime.storage-corrupt runtime.docker-misconfigured runtime.docker-hung runtime.docker-down ecs-agent.cluster-mismatch ecs-agent.instance-type-changed ecs-agent.deregistered ecs-agent.cluster-missing ecs-agent.cloud-init-failed ecs-agent.image-missing ecs-agent.misconfigured ecs-agent.state-corrupt ecs-agent.hung ecs-agent.crash-loop ecs-agent.terminal-exit ecs-agent.stopped ssm-agent.misconfigured ssm-agent.update-stuck ssm-agent.workers-exhausted ssm-agent.worker-crash ssm-agent.hibernating ssm-agent.hung ssm-agent.stopped"
            n = split(details, detail, " ")
            for (i = 1; i <= n; i++) finer[detail[i]] = i
            weight["cause"] = 0; weight["symptom"] = 1; weight["noise"] = 2
        }
        NF >= 3 && ($1 $2 $3) in seen { next }
        NF >= 3 { seen[$1 $2 $3] = 1; lines++; code[lines] = $1; severity[lines] = $2; text[lines] = $3; if ($2 == "cause") sure[$1] = 1 }
        END {
            broken = ("network.unreachable" in sure) || ("network.dns" in sure) || ("identity.imds-unreachable" in sure)
            for (i = 1; i <= lines; i++) if (severity[i] == "suspect") {
                severity[i] = broken ? "cause" : "noise"
                if (broken) sure[code[i]] = 1
            }
            for (i = 1; i <= lines; i++) if (severity[i] == "cause") {
                c = code[i]; why = ""
                # What the host itself does to its network is no fault of the network.
                if (("host.network-stack" in sure) && (c ~ /^network\./ || c == "identity.imds-unreachable")) why = 1
                # A clock that is off spoils certificates and signatures.
                if (("clock.skew" in sure) && (c == "network.tls" || c == "identity.credentials-expired" || c == "identity.access-denied")) why = 1
                if (("network.proxy" in sure) && (c == "identity.imds-unreachable" || c == "network.unreachable" || c == "network.dns")) why = 1
                # A name that does not resolve is no closed door.
                if (("network.dns" in sure) && c == "network.unreachable") why = 1
                # Without the metadata service there is no role to be seen, and no credential.
                if (("identity.imds-unreachable" in sure) && (c == "identity.no-instance-profile" || c == "identity.credentials-expired")) why = 1
                if (why) severity[i] = "symptom"
            }
            for (i = 1; i <= lines; i++) {
                prefix = code[i]; sub(/\..*/, "", prefix)
                key[i] = weight[severity[i]] * 100000 + (prefix in place ? place[prefix] : 900) * 100 + (code[i] in finer ? finer[code[i]] : 99)
                for (j = i; j > 1 && key[order[j - 1]] > key[i]; j--) order[j] = order[j - 1]
                order[j] = i
            }
            for (i = 1; i <= lines && i <= 40; i++) {
                line = sprintf("{\"check\":\"%s\",\"severity\":\"%s\",\"evidence\":\"%s\"}", code[order[i]], severity[order[i]], text[order[i]])
                total += length(line) + 1
                if (total > 22000) exit
                print line
            }
        }'
}

# Reads what the looks say until the last of them is done, or it is late, and leaves nothing running. The pid of a look that
# is done may be another's by now, so only what still runs is ended.
collect() {
    open=$1 told='' running='' ended=' '
    while IFS= read -r line; do
        case $line in
        'done '*)
            ended="$ended${line#done } "
            running=$(printf '%s' "$running" | sed "s/ ${line#done }:[0-9]*//")
            open=$((open - 1))
            [ "$open" -gt 0 ] || break
            ;;
        late)
            running=$(printf '%s' "$running" | sed 's/ watchdog:[0-9]*//')
            break
            ;;
        'pid '*)
            look=${line#pid }
            case $ended in *" ${look%:*} "*) ;; *) running="$running $look" ;; esac
            ;;
        *) told="$told$line
" ;;
        esac
    done
    for look in $running; do
        kill "${look#*:}" 2>/dev/null
    done
    printf '%s' "$told" | report
}

# A look that waits for a dead disk cannot be ended by any signal. The answer does not wait for it.
watchdog() {
    waiting=''
    # shellcheck disable=SC2064,SC2154 # It is known only later.
    trap '[ -z "$waiting" ] || kill "$waiting" 2>/dev/null; exit 0' TERM
    sleep 48 &
    waiting=$!
    wait "$waiting"
    echo late
}

PROCESSES=$(processes 2>/dev/null)
boot
# `exec`, since a shell that redirects a function keeps what was there before, and a look that is stuck would hold it open.
# A trap, since a shell also ends by an error of its own, and the others need not wait for that.
{
    {
        exec 2>/dev/null
        watchdog
    } &
    echo "pid watchdog:$!"
    {
        exec 2>/dev/null
        trap "echo 'done host'" EXIT
        host
    } &
    echo "pid host:$!"
    {
        exec 2>/dev/null
        trap "echo 'done network'" EXIT
        network
    } &
    echo "pid network:$!"
    {
        exec 2>/dev/null
        trap "echo 'done ssm_agent'" EXIT
        ssm_agent
    } &
    echo "pid ssm_agent:$!"
    {
        exec 2>/dev/null
        trap "echo 'done ecs'" EXIT
        ecs
    } &
    echo "pid ecs:$!"
    {
        exec 2>/dev/null
        trap "echo 'done allowance'" EXIT
        allowance
    } &
    echo "pid allowance:$!"
} | collect 5
exit 0
