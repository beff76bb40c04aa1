
# ---- The last words of the agents, for the black box ----

# last_words NAME: of the lines that it reads, the last ten that differ in more than figures, the newest first. They lie beside the
# findings and are none. Of a key nothing is kept, and secrets go before anything is cut.
# shellcheck disable=SC2016 # These are awk's.
last_words() {
    within 6 awk '
        /-----BEGIN/ { key = 1 }
        /-----END/ { key = 0; next }
        # Nor of one that began before.
        key || !NF || length($0) > 39 && !/[^A-Za-z0-9+\/=]/ { next }
        {
            sub(/20[0-9][0-9]-[01][0-9]-[0-3][0-9][T ]/, "")
            shape = $0
            gsub(/[0-9]+/, "", shape)
            if (shape in at) delete line[at[shape]]
            at[shape] = ++n
            line[n] = $0
            kind[n] = shape
            times[shape]++
        }
        END { for (i = n; i > 0 && told < 10; i--) if (i in line) { told++; print (times[kind[i]] > 1 ? times[kind[i]] " times: " : "") line[i] } }' |
        tr '\t\042\134' ' ' | tr -cd '\012\040-\176' | cut -c 1-4000 | redact | cut -c 1-200 | head -c 640 |
        awk -v name="$1" '{ print "journal\tnoise\t" name ": " $0 }'
}

black_box() {
    # What the SSM agent and the ECS agent write to their own logs, and what systemd and the runtime say of all of them.
    [ ! -r "$SSM_LOG" ] || within 4 tail -c 2000000 "$SSM_LOG" | last_words ssm
    for log in "$ECS_LOGS/ecs-init.log" "$ECS_LOGS/ecs-agent.log"; do
        [ ! -r "$log" ] || within 4 tail -c 2000000 "$log"
    done | last_words ecs
    within 6 journalctl -q -b -u amazon-ssm-agent.service -u snap.amazon-ssm-agent.amazon-ssm-agent.service -u ecs.service -u docker.service -u containerd.service -t systemd -t dockerd -t containerd --no-pager -o short-iso -n 2000 | last_words units
}
