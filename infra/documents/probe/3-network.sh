
# ---- Metadata, names, ways out and the clock (S09–S15, C15, C20, H10–H15) ----

# The environment of the running SSM agent, which its log does not show.
agent_environment() {
    for pid in $(pids_of amazon-ssm-agen); do
        tr '\000' '\n' 2>/dev/null <"/proc/$pid/environ"
        return
    done
}

# variable NAME TEXT: the value of a variable in lines of NAME=value, in capitals or not.
variable() {
    printf '%s\n' "$2" | awk -v name="$1" '{ at = index($0, "="); if (at && tolower(substr($0, 1, at - 1)) == name) { print substr($0, at + 1); exit } }'
}

# Whether a no_proxy keeps the metadata service out of the proxy.
spares_metadata() {
    case ",$(printf '%s' "$1" | tr -d ' \042\047')," in
    *,169.254.169.254,* | *,169.254.169.254/*,* | *,169.254.0.0/16,* | *,\*,*) return 0 ;;
    esac
    return 1
}

# A request to the metadata service; prints the body, then the code on a line of its own.
metadata() {
    # The token is a secret of this host, so it is not shown as an argument.
    printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$TOKEN" |
        within 4 curl -sS -K - --noproxy '*' -m 3 -w '\n%{http_code}\n' "$IMDS/$1" 2>/dev/null
}

code_of() {
    printf '%s\n' "$1" | tail -n 1
}

# The epoch of an HTTP date such as "Thu, 26 Nov 2026 09:45:40 GMT".
epoch() {
    printf '%s\n' "$1" | tr -d '\r' | awk '{
        month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", $3) + 2) / 3
        if ($4 < 2000 || month < 1 || split($5, clock, ":") != 3) exit
        year = month <= 2 ? $4 - 1 : $4; shifted = month <= 2 ? month + 9 : month - 3
        era = int(year / 400); of_era = year - era * 400
        days = era * 146097 + of_era * 365 + int(of_era / 4) - int(of_era / 100) + int((153 * shifted + 2) / 5) + $2 - 1 - 719468
        printf "%d\n", days * 86400 + clock[1] * 3600 + clock[2] * 60 + clock[3]
    }'
}

# What the hybrid registration says of us; nothing on an EC2 instance that registered as itself.
hybrid_id() {
    sed -n 's/.*"[iI]nstance[iI][dD]" *: *"\(mi-[0-9a-f]*\)".*/\1/p' "$SSM_DATA/Vault/Store/RegistrationKey" 2>/dev/null | head -n 1
}

# S09, S10, S11, C20: the metadata service, the role, its credentials. Prints `region`, `domain` and `date` for those that follow.
identity() {
    TOKEN=
    hybrid=$(hybrid_id)
    for _ in 1 2; do
        answer=$(within 4 curl -sS --noproxy '*' -m 3 -D - -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$IMDS/api/token" 2>/dev/null)
        result=$?
        [ "$result" -ne 0 ] || break
    done
    code=$(printf '%s\n' "$answer" | awk 'NR == 1 { print $2 }')
    if [ "$result" -ne 0 ] || [ "$code" != 200 ]; then
        # A machine outside EC2 has none, and needs none.
        [ -z "$hybrid" ] || return
        why="curl ends with $result"
        [ "$result" -ne 7 ] || why="nothing listens, or a firewall rejects it"
        [ "$result" -ne 28 ] && ! timed_out "$result" || why="nothing came back in 3 s"
        [ -z "$code" ] || why="HTTP $code: it may be turned off"
        # 125: no time limit can be had, so it was not asked.
        if [ "$result" -eq 125 ]; then
            finding identity.imds-unreachable noise "unknown: timeout is missing"
        else
            finding identity.imds-unreachable cause "no token from 169.254.169.254, tried twice: $why"
        fi
        return
    fi
    TOKEN=$(printf '%s\n' "$answer" | tail -n 1 | tr -d '\r')
    echo "date $(epoch "$(printf '%s\n' "$answer" | sed -n 's/^[Dd]ate: *//p')")"
    for name in region domain; do
        path=meta-data/placement/region
        [ "$name" = region ] || path=meta-data/services/domain
        answer=$(metadata "$path")
        [ "$(code_of "$answer")" != 200 ] || echo "$name $(printf '%s\n' "$answer" | head -n 1 | tr -cd 'a-z0-9.-')"
    done
    answer=$(metadata meta-data/instance-id)
    own=$(printf '%s\n' "$answer" | head -n 1 | tr -cd 'a-z0-9-')
    if [ "$(code_of "$answer")" = 200 ]; then
        # The machine image was made of a registered machine.
        [ -z "$hybrid" ] || finding identity.registration-mismatch symptom "this is $own, and the agent's registration says $hybrid"
        registered=$(sed -n 's/.*"[iI]nstance[iI][dD]" *: *"\(i-[0-9a-f]*\)".*/\1/p' "$SSM_DATA/Vault/Store/EC2RegistrationKey" 2>/dev/null | head -n 1)
        [ -z "$registered" ] || [ "$registered" = "$own" ] ||
            finding identity.registration-mismatch cause "this is $own, and the agent's registration says $registered"
    fi
    role=$(metadata meta-data/iam/security-credentials/)
    case $(code_of "$role") in
    404)
        if [ -s "$SSM_DATA/credentials" ] && [ ! -e "$ECS_CONFIG" ]; then
            finding identity.no-instance-profile noise "no role on the instance; the SSM agent has credentials of Default Host Management"
        else
            finding identity.no-instance-profile cause "the metadata service knows no role: iam/security-credentials/ answers 404"
        fi
        ;;
    200)
        role=$(printf '%s\n' "$role" | head -n 1)
        # Only these two fields go on; the rest are secrets.
        answer=$(metadata "meta-data/iam/security-credentials/$role" | sed -n 's/.*"\(Code\|Expiration\)" *: *"\([^"]*\)".*/\1 \2/p')
        code=$(printf '%s\n' "$answer" | sed -n 's/^Code //p')
        expires=$(printf '%s\n' "$answer" | sed -n 's/^Expiration //p')
        case $code in
        Success | '')
            at=$(date -u -d "$(printf '%s' "$expires" | tr 'T' ' ' | tr -d 'Z')" +%s 2>/dev/null)
            ! number "$at" || [ "$at" -gt "$NOW" ] || finding identity.credentials-expired cause "the credentials of role $role ended at $expires"
            ;;
        AssumeRoleUnauthorizedAccess) finding identity.access-denied cause "EC2 may not assume role $role: its trust policy" ;;
        *) finding identity.no-instance-profile cause "the metadata service has no credentials of role $role: $code" ;;
        esac
        ;;
    esac
}

# The region, where the metadata service does not tell it.
fallback_region() {
    {
        # The SSM agent gives these to its scripts.
        printf '%s\n' "${AWS_SSM_REGION_NAME:-}" "${AWS_REGION:-}" "${AWS_DEFAULT_REGION:-}"
        sed -n 's/.*"Region" *: *"\([a-z0-9-]*\)".*/\1/p' /etc/amazon/ssm/amazon-ssm-agent.json 2>/dev/null
        sed -n 's/.*"region" *: *"\([a-z0-9-]*\)".*/\1/p' "$SSM_DATA/Vault/Store/RegistrationKey" "$SSM_DATA/Vault/Store/EC2RegistrationKey" /run/cloud-init/instance-data.json 2>/dev/null
        sed -n 's/^AWS_DEFAULT_REGION=\([a-z0-9-]*\).*/\1/p' "$ECS_CONFIG" 2>/dev/null
        tail -n 2000 "$SSM_LOG" 2>/dev/null | sed -n 's/.*ssm\.\([a-z][a-z0-9-]*-[0-9]\)\.amazonaws.*/\1/p' | tail -n 1
    } | awk '/^[a-z][a-z]+-[a-z-]+-[0-9]$/ { print; exit }'
}

# Asks a host over HTTPS, twice if need be; prints `HOST RESULT SKEW WORD`: curl's exit code, how many seconds its clock is
# ahead of ours (or ?), and a word on the certificate. A proxy of the agent is used as the agent does.
endpoint() {
    for _ in 1 2; do
        if [ -n "$PROXY" ]; then
            answer=$(export https_proxy="$PROXY" no_proxy="$NO_PROXY_LIST" && within 7 curl -sS -o /dev/null -D - -w 'lookup %{time_namelookup}\n' --connect-timeout 4 -m 6 "https://$1/" 2>&1)
        else
            answer=$(within 7 curl -sS -o /dev/null -D - -w 'lookup %{time_namelookup}\n' --noproxy '*' --connect-timeout 4 -m 6 "https://$1/" 2>&1)
        fi
        result=$?
        [ "$result" -ne 0 ] || break
    done
    # A name server that says nothing ends in the same code as a closed door.
    if [ "$result" -eq 28 ] || timed_out "$result"; then
        case $answer in *'lookup 0.000000'*) result=6 ;; esac
    fi
    word=-
    case $result in
    35 | 51 | 58 | 60 | 77 | 83)
        # Without looking at the certificate: whose it is, and what time it is there.
        word=$(within 6 curl -ksv -o /dev/null --noproxy '*' -m 5 "https://$1/" 2>&1 | sed -n 's/^[*] *issuer: */issuer /p; s/^< *\([Dd]ate:.*\)/\1/p')
        answer="$answer
$word"
        word=$(printf '%s\n' "$word" | sed -n 's/^issuer //p' | head -n 1)
        ;;
    esac
    skew='?'
    at=$(epoch "$(printf '%s\n' "$answer" | sed -n 's/^[Dd]ate: *//p' | tail -n 1)")
    ! number "$at" || skew=$((at - $(date +%s)))
    echo "$1 $result $skew ${word:--}"
}

# H12: the interfaces and the default route, which no probe needs to guess.
routes() {
    flags=$(cat /sys/class/net/lo/flags 2>/dev/null)
    [ -z "$flags" ] || [ $((flags & 1)) -eq 1 ] || finding host.network-stack cause "the loopback interface is down"
    way=$(awk '$2 == "00000000" && $8 == "00000000" { print $1; exit }' /proc/net/route 2>/dev/null)
    [ -n "$way" ] || way=$(awk '$1 ~ /^0+$/ && $2 == "00" && $10 != "lo" { print $10; exit }' /proc/net/ipv6_route 2>/dev/null)
    if [ -z "$way" ]; then
        # Who has a route to each endpoint needs none.
        severity=suspect
        has curl || severity=cause
        [ ! -r /proc/net/route ] || finding host.network-stack "$severity" "there is no default route"
    elif [ "$(cat "/sys/class/net/$way/carrier" 2>/dev/null || echo 0)" = 0 ]; then
        finding host.network-stack cause "the interface of the default route, $way, has no link"
    fi
    # H10: connections that the kernel keeps in mind.
    read -r count 2>/dev/null </proc/sys/net/netfilter/nf_conntrack_count
    read -r most 2>/dev/null </proc/sys/net/netfilter/nf_conntrack_max
    if number "$count" && number "$most" && [ "$most" -gt 0 ]; then
        if [ $((count * 100)) -ge $((most * 95)) ]; then
            finding host.network-stack cause "connection tracking is full: $count of $most"
        elif [ $((count * 100)) -ge $((most * 90)) ]; then
            finding host.network-stack symptom "connection tracking is nearly full: $count of $most"
        fi
    fi
}

# H14: rules that reject what the agents need. It counts only where a probe fails as well, which `report` decides.
firewall() {
    has iptables && rules=$(within 4 iptables -w 2 -S OUTPUT 2>/dev/null | grep -E -- '-j (DROP|REJECT)|^-P OUTPUT DROP' |
        # A rule for one user, and one for what comes from containers, is hardening.
        grep -v -e '--uid-owner' -e '--gid-owner' | grep -E -- '^-P|169\.254\.169\.254|dports? ([0-9,:]*[,:])?443|dport 53|-A OUTPUT -j' | head -n 3 | tr '\n' ';')
    [ -z "$rules" ] || finding host.network-stack suspect "iptables: $rules"
    has nft && rules=$(within 4 nft list ruleset 2>/dev/null | awk '
        /^[ \t]*chain / { chain = $2; out = 0 }
        /hook output/ { out = 1; if (/policy drop/) print "chain " chain ": policy drop" }
        out && /(drop|reject)/ && !/skuid|skgid|policy/ && (/169\.254\.169\.254|dport (\{[^}]*)?443|dport 53/ || /^[ \t]*(counter [^a-z]*)?(drop|reject)/) { print }' |
        head -n 3 | tr '\n' ';')
    [ -z "$rules" ] || finding host.network-stack suspect "nft: $rules"
}

# S14: a proxy that is asked for the metadata service answers for itself.
proxies() {
    if [ -n "$1" ] && ! spares_metadata "$2"; then
        severity=cause
        # An agent that has its worker has found its credentials some way.
        [ -z "$(pids_of ssm-agent-worke)" ] || severity=symptom
        finding network.proxy "$severity" "the SSM agent uses the proxy $1 and its no_proxy lacks 169.254.169.254: ${2:-not set}"
    fi
    settings=$(grep -i -E '^(http_proxy|no_proxy)=' "$ECS_CONFIG" 2>/dev/null)
    proxy=$(variable http_proxy "$settings")
    if [ -n "$proxy" ] && ! spares_metadata "$(variable no_proxy "$settings")"; then
        finding network.proxy cause "the ECS agent uses the proxy $proxy and its NO_PROXY in ecs.config lacks 169.254.169.254"
    fi
}

# S12, S15, C15, H13, H15: all endpoints at once; what several have in common is told once.
endpoints() {
    region=$1 domain=$2 reference=$3
    hosts="ssm.$region.$domain ssmmessages.$region.$domain ec2messages.$region.$domain"
    if [ -e "$ECS_CONFIG" ] || [ -d "$ECS_LOGS" ]; then
        polled=$(tail -n 2000 "$ECS_LOGS/ecs-agent.log" 2>/dev/null | sed -n "s/.*[/\"]\(ecs-[at]-[0-9]*\.$region\.[a-z.]*\).*/\1/p" | sort -u | tail -n 2)
        hosts="$hosts ecs.$region.$domain $polled"
    fi
    results=$(for host in $hosts; do
        endpoint "$host" &
    done
    wait)
    printf '%s\n' "$results" | PROXY=$PROXY REGION=$region DNS="$(awk '$1 == "nameserver" { printf "%s ", $2 }' /etc/resolv.conf 2>/dev/null)" awk '
        function add(code, text) { list[code] = list[code] (list[code] == "" ? "" : ", ") text }
        NF >= 3 {
            host = $1; result = $2; word = ""
            for (i = 4; i <= NF; i++) word = word (i > 4 ? " " : "") $i
            asked++
            # Newer agents of newer regions do without ec2messages.
            extra = host ~ /^ec2messages\./
            if (result == 0 || result == 52) { fine++; next }
            if (result == 125 || result == 127) { unknown++; next }
            if (ENVIRON["PROXY"] != "" && result ~ /^(5|7|28|56|97|124|137|143)$/) code = "network.proxy"
            else if (result == 6) code = "network.dns"
            else if (result ~ /^(35|51|58|60|77|83)$/) code = "network.tls"
            else if (result ~ /^(7|28|56|124|137|143)$/) code = "network.unreachable"
            else next
            if (extra) { spared[code] = host; next }
            # One that the log names may be out of use by now.
            if (host ~ /^ecs-[at]-/) { named[code] = named[code] " " host; next }
            why = result == 7 ? "refused or no route" : result == 28 || result > 100 ? "no answer in 4 s" : "curl ends with " result
            if (code == "network.tls" && word != "-") why = "certificate of " word
            add(code, host " (" why ")"); bad[code]++
        }
        END {
            for (code in bad) {
                text = "tried twice: " list[code]
                if (code == "network.dns") text = text "; nameservers: " (ENVIRON["DNS"] == "" ? "none" : ENVIRON["DNS"])
                if (code == "network.proxy") text = text "; through " ENVIRON["PROXY"]
                if (code == "network.unreachable") text = text "; security group, network ACL, route, NAT or VPC endpoint"
                printf "%s\tcause\t%s\n", code, text
            }
            for (code in named) if (!(code in bad)) printf "%s\tsymptom\twhere the ECS agent was sent to:%s\n", code, named[code]
            for (code in spared) if (!(code in bad)) printf "%s\tnoise\t%s, which newer agents do without\n", code, spared[code]
            if (unknown && !fine) printf "network.unreachable\tnoise\tunknown: curl or timeout is missing\n"
        }' | while IFS='	' read -r code severity text; do
        finding "$code" "$severity" "$text"
    done
    clock "$reference" "$results"
}

# S15, H15: our clock against what servers say, AWS before the metadata service; SigV4 bears five minutes.
clock() {
    skew=$(printf '%s\n' "$2" | awk '$3 ~ /^-?[0-9]+$/ { print $3; exit }')
    from="an endpoint of AWS"
    if [ -z "$skew" ] && number "$1"; then
        skew=$(($1 - NOW)) from="the metadata service"
    fi
    if [ -z "$skew" ]; then
        # No server said the time; chrony knows how far it is off.
        skew=$(within 3 chronyc -n tracking 2>/dev/null | awk '/^System time/ { printf "%d", ($0 ~ /slow/ ? 1 : -1) * $4 }')
        from=chrony
    fi
    case $skew in '' | *[!0-9-]*) return ;; esac
    off=${skew#-}
    way=behind
    [ "$skew" -ge 0 ] || way=ahead
    synced=$(within 3 timedatectl show -p NTPSynchronized 2>/dev/null | sed 's/.*=//')
    if [ "$off" -gt 300 ]; then
        finding clock.skew cause "the clock is $off s $way of $from; synchronized: ${synced:-unknown}"
    elif [ "$off" -gt 120 ]; then
        finding clock.skew symptom "the clock is $off s $way of $from; synchronized: ${synced:-unknown}"
    fi
}

network() {
    routes
    firewall
    environment=$(agent_environment)
    PROXY=$(variable https_proxy "$environment")
    NO_PROXY_LIST=$(variable no_proxy "$environment")
    proxies "$(variable http_proxy "$environment")" "$NO_PROXY_LIST"
    if ! has curl; then
        finding network.unreachable noise "unknown: curl is missing"
        return
    fi
    known=$(identity)
    # What was found goes on; what was learnt is read here.
    printf '%s\n' "$known" | grep '	'
    region=$(printf '%s\n' "$known" | sed -n 's/^region //p')
    domain=$(printf '%s\n' "$known" | sed -n 's/^domain //p')
    [ -n "$region" ] || region=$(fallback_region)
    case $region in cn-*) domain=${domain:-amazonaws.com.cn} ;; esac
    if [ -n "$region" ]; then
        endpoints "$region" "${domain:-amazonaws.com}" "$(printf '%s\n' "$known" | sed -n 's/^date //p')"
    else
        finding network.unreachable noise "unknown: the region is not known, so no endpoint was asked"
    fi
}

# H11: what the network card dropped in five seconds. Drops on the way to link-local addresses cost metadata and names.
allowance() {
    has ethtool || return
    for card in /sys/class/net/*; do
        card=${card##*/}
        [ "$card" != lo ] || continue
        before=$(within 3 ethtool -S "$card" 2>/dev/null | grep allowance_exceeded)
        [ -n "$before" ] || continue
        within 6 sleep 5
        after=$(within 3 ethtool -S "$card" 2>/dev/null | grep allowance_exceeded)
        printf '%s\n%s\n' "$before" "$after" | awk '{ sub(":", "", $1); if ($1 in seen) { if ($2 > seen[$1]) print $1, $2 - seen[$1] } else seen[$1] = $2 }' |
            while read -r name drops; do
                severity=noise
                case $name in linklocal* | conntrack*) severity=symptom ;; esac
                finding host.network-stack "$severity" "$card: $name grew by $drops in 5 s"
            done
        # One card tells enough, and its five seconds are all that there is.
        return
    done
}
