
# ---- All looks at once, and the report ----

# What explains others goes before them, as in src/diagnose/rank.rs; within a family, what says more goes first.
report() {
    awk -F '\t' '
        BEGIN {
            n = split("identity imds-unreachable no-instance-profile credentials-expired access-denied registration-mismatch,network proxy dns tls unreachable,clock skew,platform hardware,host disk-full inodes-exhausted read-only-root kernel-hang io-stalled out-of-memory pids-exhausted open-files-exhausted network-stack boot-failure cpu-saturated,runtime storage-corrupt docker-misconfigured docker-hung docker-down,ecs-agent cluster-mismatch instance-type-changed deregistered cluster-missing cloud-init-failed image-missing misconfigured state-corrupt hung crash-loop terminal-exit stopped,ssm-agent misconfigured update-stuck workers-exhausted worker-crash hibernating hung stopped", family, ",")
            for (i = 1; i <= n; i++) {
                most = split(family[i], word, " ")
                place[word[1]] = i * 100
                for (j = 2; j <= most; j++) finer[word[1] "." word[j]] = j
            }
            weight["cause"] = 0; weight["symptom"] = 1; weight["noise"] = 2
        }
        $1 == "unsure" || $3 ~ /^unknown: / { unsure = 1 }
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
                if (severity[i] != "noise") unsure = 1
            }
            # Silence is not health: only what was looked at, all of it, is well.
            if (!unsure) print "{\"check\":\"healthy\",\"severity\":\"noise\",\"evidence\":\"all was looked at, and nothing is wrong\"}"
            for (i = 1; i <= lines; i++) {
                # What lies beside the findings stands behind them.
                if (i > 40 && code[order[i]] != "journal") continue
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
    # Without systemd the units were not looked at; without the others `unknown` stands there already.
    [ -d /run/systemd/system ] || told='unsure
'
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
            told="${told}unsure
"
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
    for part in host network ssm ecs card box; do
        {
            exec 2>/dev/null
            trap 'echo "done $part"' EXIT
            case $part in
            host) host ;;
            network) network ;;
            ssm) ssm_agent ;;
            ecs) ecs ;;
            card) allowance ;;
            *) black_box ;;
            esac
        } &
        echo "pid $part:$!"
    done
} | collect 6
exit 0
