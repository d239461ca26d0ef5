# shellcheck shell=bash
# Sourced by scripts: runs what may stand still, and ends all of it.

# The session of what runs limited; empty when nothing does.
LIMITED=

# run_limited SECONDS LOG COMMAND…: runs it for so long at most, without input, and shows what it writes to the end of
# LOG. Whatever it started ends with it: swift test gives the tests a process group of their own, which neither Ctrl-C
# nor `timeout` reaches, but they stay in its session. A pipe in place of the log would wait for each of them.
run_limited() {
    local from status=0
    from=$(stat --format=%s "$2")
    # Bash starts what it does not wait for with these ignored, and tests send them to their children.
    setsid env --default-signal=INT,QUIT timeout --kill-after=10 "$1" "${@:3}" >>"$2" 2>&1 </dev/null &
    LIMITED=$!
    tail --bytes="+$((from + 1))" --follow --pid="$LIMITED" "$2"
    wait "$LIMITED" || status=$?
    end_limited
    return "$status"
}

# end_limited: ends what is left of it; for the EXIT trap, too. It looks again, for what was just being started.
end_limited() {
    if [[ -z $LIMITED ]]; then return; fi
    for _ in {1..50}; do
        pkill -KILL --session "$LIMITED" --runstates DRST || break
        sleep 0.1
    done
    LIMITED=
}
