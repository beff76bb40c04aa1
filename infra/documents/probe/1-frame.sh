#!/bin/sh
# Defib's probe for Linux: looks, changes nothing, takes no parameters, and prints one compact JSON object a line: first when
# the machine booted, then what was found, the worst first. docs/DIAGNOSIS.md explains every check by its id (S04, H01 …).
#
# "cause" is only what is conclusive and true now. A tool that is missing makes its check silent or "unknown", never well.
# No look may hang (`within`), nothing is written anywhere, and nothing that was started here is left behind.
LC_ALL=C
export LC_ALL
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH

NOW=$(date +%s)
# All looks end by then, whatever they wait for; the document ends the script itself at 60 s.
DEADLINE=$((NOW + 45))
# What is older than half an hour is history.
RECENT_SECS=1800
read -r UPTIME _ 2>/dev/null </proc/uptime
UPTIME=${UPTIME%%.*}
UPTIME=${UPTIME:-0}
SSM_DATA=/var/lib/amazon/ssm
SSM_LOG=/var/log/amazon/ssm/amazon-ssm-agent.log
ECS_LOGS=/var/log/ecs
ECS_CONFIG=/etc/ecs/ecs.config
IMDS=http://169.254.169.254/latest

has() {
    command -v "$1" >/dev/null 2>&1
}

has timeout && TIMEOUT=yes || TIMEOUT=

# Runs a command for so many seconds at most, and never past the deadline. Without `timeout` nothing that may hang is run.
within() {
    [ -n "$TIMEOUT" ] || return 125
    within_secs=$1
    shift
    within_left=$((DEADLINE - $(date +%s)))
    [ "$within_left" -gt 0 ] || return 124
    [ "$within_secs" -le "$within_left" ] || within_secs=$within_left
    timeout -k 1 "$within_secs" "$@"
}

# Whether that exit code is the time limit's.
timed_out() {
    # 143: busybox ends the command itself by SIGTERM.
    [ "$1" -eq 124 ] || [ "$1" -eq 137 ] || [ "$1" -eq 143 ]
}

number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

# Reads lines; no secret of any kind that we know goes on.
redact() {
    sed -e 's/\(AKIA\|ASIA\)[A-Z0-9]\{12,\}/[removed]/g' \
        -e 's#\(://\)[^/@ ]*@#\1[removed]@#g' \
        -e 's#[^/@ ]\{1,\}:[^/@ ]\{1,\}@#[removed]@#g' \
        -e 's/[Aa]uthorization["'\'' ]*[:=].*/Authorization: [removed]/' \
        -e 's/\([Bb]earer\|[Bb]asic\) [A-Za-z0-9._~+/=-]\{8,\}/\1 [removed]/g' \
        -e 's/\([A-Za-z_-]*\([Pp]assword\|PASSWORD\|[Pp]asswd\|PASSWD\|[Ss]ecret\|SECRET\|[Tt]oken\|TOKEN\|[Aa]pi[_-]\{0,1\}[Kk]ey\|API_KEY\|[Ss]ignature\|[Cc]redential\|AUTH_DATA\|[Pp]rivate[_-]\{0,1\}[Kk]ey\)[A-Za-z_-]*["'\'']\{0,1\}\) *[:=] *["'\'']\{0,1\}[^"'\'' ,;&]\{1,\}/\1=[removed]/g' \
        -e 's#[A-Za-z0-9+=_-]\{64,\}#[removed]#g' \
        -e 's#[A-Za-z0-9/+=_-]\{120,\}#[removed]#g'
}

# finding CAUSE cause|symptom|noise|suspect EVIDENCE: one line for `report`; a suspect is a cause where a probe of the network
# fails, else noise. What a host prints is evidence, never syntax: no quotes (042), no backslashes (134), no control characters.
finding() {
    finding_text=$(printf '%s' "$3" | tr '\n\t' '  ' | tr -d '\042\134' | tr -cd '\040-\176' | cut -c 1-4000 | redact | cut -c 1-400)
    printf '%s\t%s\t%s\n' "$1" "$2" "$finding_text"
}

# The properties of a unit, for `property`; fails where systemd does not know the unit, and with 2 where it does not answer.
unit() {
    PROPERTIES=$(within 5 systemctl show -p LoadState,ActiveState,SubState,Result,UnitFileState,ExecMainStatus,MainPID,NRestarts,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic,StateChangeTimestampMonotonic "$1" 2>/dev/null)
    case $(property LoadState) in
    '') return 2 ;;
    not-found) return 1 ;;
    esac
}

property() {
    printf '%s\n' "$PROPERTIES" | sed -n "s/^$1=//p"
}

# How many seconds ago a moment of a unit was, by its property in microseconds since the boot; fails where it never was.
age() {
    age_micros=$(property "$1")
    number "$age_micros" && [ "$age_micros" -gt 0 ] || return 1
    echo $((UPTIME - age_micros / 1000000))
}

# All processes, as `PID NAME`; the kernel keeps 15 characters of a name.
processes() {
    for process in /proc/[0-9]*/comm; do
        read -r process_name 2>/dev/null <"$process" || continue
        process=${process#/proc/}
        echo "${process%/comm} $process_name"
    done
}

# The pids of the processes of that name.
pids_of() {
    printf '%s\n' "$PROCESSES" | sed -n "s/^\([0-9]*\) $1\$/\1/p"
}

state_of() {
    sed -n 's/^State:[[:space:]]*\([A-Za-z]\).*/\1/p' "/proc/$1/status" 2>/dev/null
}

# For 3 s: a busy disk makes any process wait for a moment.
stuck() {
    for _ in 1 2 3; do [ "$(state_of "$1")" = D ] || return; sleep 1; done
}

# A moment that long ago, as the agents' logs write it: the SSM agent in local time, the ECS agent in UTC.
local_time() {
    date -d "@$((NOW - $1))" '+%Y-%m-%d %H:%M:%S' 2>/dev/null
}

utc_time() {
    date -u -d "@$((NOW - $1))" '+%Y-%m-%d %H:%M:%S' 2>/dev/null
}

# scan SINCE SUCCESS TABLE FILE…: what of the table stands in the logs since then and after the last success. The table
# has a line `CODE REGEX` each; printed is `CODE COUNT LINE`, the last line of each code, by tabs. One outage can write
# half a million equal lines, so equal neighbours are judged once. A line falls to the first row that fits; one on hibernation also
# says why.
# shellcheck disable=SC2016 # What looks like an expansion is awk's.
scan() {
    scan_since=$1 scan_success=$2 scan_table=$3
    shift 3
    # A log without readable times cannot be told from history.
    [ -n "$scan_since" ] || return
    for scan_file in "$@"; do
        [ -r "$scan_file" ] && within 8 tail -c 64000000 "$scan_file" 2>/dev/null
    done | within 10 env SINCE="$scan_since" SUCCESS="$scan_success" TABLE="$scan_table" awk '
        BEGIN {
            since = ENVIRON["SINCE"]; success = ENVIRON["SUCCESS"]
            rows = split(ENVIRON["TABLE"], table, "\n")
            for (row = 1; row <= rows; row++) {
                space = index(table[row], " ")
                if (!space) continue
                code[++n] = substr(table[row], 1, space - 1)
                regex[n] = substr(table[row], space + 1)
                any = any (n > 1 ? "|" : "") regex[n]
            }
        }
        {
            if (match($0, /20[0-9][0-9]-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]/)) {
                stamp = substr($0, RSTART, 10) " " substr($0, RSTART + 11, 8)
                text = substr($0, RSTART + RLENGTH)
                sub(/^[.,0-9]*/, "", text)
            } else text = $0
            if (stamp < since) next
            if (text == before) { for (same in held) count[same]++; next }
            before = text
            split("", held)
            if ($0 ~ success) { split("", count); split("", last); next }
            if ($0 !~ any) next
            for (i = 1; i <= n; i++) if ($0 ~ regex[i]) { count[code[i]]++; last[code[i]] = $0; held[code[i]] = 1; if (code[i] !~ /hibernating/) break }
        }
        END { for (i = 1; i <= n; i++) if (code[i] in count) { printf "%s\t%d\t%.600s\n", code[i], count[code[i]], last[code[i]]; delete count[code[i]] } }'
}

# What both agents say in the same words, as rows of such a table.
CLOCK_ROWS='clock.skew Signature expired|[Ss]ignature not yet current|RequestTimeTooSkewed
identity.credentials-expired ExpiredToken|UnrecognizedClient|InvalidClientTokenId|security token included in the request is'
NET_ROWS='network.proxy proxyconnect|Proxy Authentication Required
network.tls x509: |tls: |TLS handshake timeout
network.dns no such host|server misbehaving|name resolution'
DISK_ROWS='host.disk-full [Nn]o space left on device
host.read-only-root read-only file system
host.open-files-exhausted too many open files'

# H21: the line that proves a reboot, printed before anything that could take long.
boot() {
    boot_time=$(awk '$1 == "btime" { print $2 }' /proc/stat 2>/dev/null)
    number "$boot_time" || return
    booted_at=$(date -u -d "@$boot_time" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || return
    boot_id=$(tr -cd '0-9a-f-' 2>/dev/null </proc/sys/kernel/random/boot_id)
    printf '{"check":"boot","booted_at":"%s","boot_id":"%s"}\n' "$booted_at" "$boot_id"
}
