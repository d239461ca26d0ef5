#!/usr/bin/env bash
# Keeps what a restore to any moment needs, until it is stopped: archive.sh
# Streams the write-ahead log of GOLDEN_POSTGRES_URL_FILE's server into ARCHIVE_FOLDER, and copies the whole server (a base)
# when the newest base is older than ARCHIVE_BASE_HOURS. Removes what no moment of the last ARCHIVE_KEEP_DAYS needs.
# The role needs LOGIN and REPLICATION; a slot makes the server keep what is not here yet. What restore-to.sh reads:
#   ARCHIVE_FOLDER/<when the line began>/wal/<segment>
#   ARCHIVE_FOLDER/<when the line began>/bases/<when it was whole>/{base.tar.gz,backup_manifest,start,sha256}
# A new line begins, with a new slot, where the server does not have what comes next: it dropped that, or it is another
# server or on another timeline, as after a restore or a failover. The line's file `server` holds its server's system
# identifier and timeline. Nothing can be restored across a gap.
# ARCHIVE_FOLDER/.streaming is touched while the log arrives. Exit codes: 0 stopped by a signal, 1 failed: start it again.
set -euo pipefail

folder=${ARCHIVE_FOLDER:?}
base_hours=${ARCHIVE_BASE_HOURS:-24}
keep_days=${ARCHIVE_KEEP_DAYS:-14}
look_seconds=${ARCHIVE_LOOK_SECONDS:-20}
slot=golden_archive
url=$(<"${GOLDEN_POSTGRES_URL_FILE:?}")
# Seconds until a base that failed is tried again.
base_pause=600

say() { echo "$(date -u +%FT%TZ) $*"; }
ask() { psql "$url" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }
of_slot() { ask "SELECT $1 FROM pg_replication_slots WHERE slot_name = '$slot'"; }
# A signal ends a wait at once, and a program in the foreground never.
pause() { sleep "$1" & wait $!; }
trap 'jobs -p | xargs --no-run-if-empty kill 2>/dev/null || true; wait' EXIT
trap 'say "stopped"; exit 0' TERM INT

# A segment's number in the log, whatever its timeline: segment_number NAME
segment_number() { echo $((16#${1:8:8} * (0x100000000 / segment_size) + 16#${1:16:8})); }
segments() { find "$1/wal" -maxdepth 1 -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}(\.partial)?' -printf '%f\n'; }

# Whether the server's log goes on where the line's last segment ends; what it reads is prepare's.
continues() {
    local last next
    [[ $(cat "$line/server" 2>/dev/null) == "$server" && $status != lost ]] || return 1
    # The highest number; of two timelines' the later one's, and a whole one rather than a partial one.
    last=$(segments "$line" | sort --key=1.9,1.24 --key=1.1,1.8 --key=1.25r | tail -1)
    [[ -n $last ]] || return 0
    # A slot that is made now keeps nothing of the time in which there was none.
    [[ -n $status ]] || return 1
    next=$(segment_number "$last")
    [[ $last == *.partial ]] || next=$((next + 1))
    # A server that has not come that far was put back to an earlier state, and writes another log from there on.
    (($(segment_number "$kept") <= next && next <= $(segment_number "$end")))
}

# Sets `line` to where the log goes on.
prepare() {
    local server status kept end
    segment_size=$(ask "SELECT pg_size_bytes(current_setting('wal_segment_size'))")
    status=$(of_slot "coalesce(wal_status, 'lost')")
    # A byte further, because a place between two segments is said to lie in the one before.
    kept=$(of_slot 'pg_walfile_name(restart_lsn + 1)')
    end=$(ask 'SELECT pg_walfile_name(pg_current_wal_flush_lsn() + 1)')
    server="$(ask 'SELECT system_identifier FROM pg_control_system()') ${end:0:8}"
    line=$(find "$folder" -maxdepth 1 -type d -name '2*Z' | sort | tail -1)
    if [[ -n $line ]] && ! continues; then
        say "The server has not what follows $line. A new line begins; moments between the two cannot be restored."
        line=
    fi
    if [[ -z $line ]]; then
        if [[ -n $status ]]; then pg_receivewal --dbname="$url" --slot=$slot --drop-slot; fi
        line=$folder/$(date -u +%Y%m%dT%H%M%SZ)
        mkdir -p "$line/wal" "$line/bases"
        echo "$server" >"$line/server"
    fi
    # After the line, which is without a segment until then: one slot's log never goes on in the line of another.
    pg_receivewal --dbname="$url" --slot=$slot --create-slot --if-not-exists
}

is_base_due() { [[ -z $(find "$line/bases" -maxdepth 1 -name '2*Z' -mmin "-$((base_hours * 60))") ]]; }

# Each step says what it could not do: a base that fails leaves the stream alone.
take_base() {
    local partial=$line/bases/.partial start end
    rm -rf "$partial"
    # The log comes by the stream, which is waited for below.
    pg_basebackup --dbname="$url" --pgdata="$partial" --format=tar --gzip --wal-method=none --checkpoint=fast \
        --label=golden --manifest-checksums=SHA256 &
    wait $! || return 1
    if [[ $(find "$partial" -name '*.tar.gz' | wc -l) != 1 ]]; then
        say "The server has tablespaces, which restore-to.sh cannot place."
        return 1
    fi
    start=$(sed -n 's/.*"Start-LSN": "\([0-9A-F/]*\)".*/\1/p' "$partial/backup_manifest") || return 1
    end=$(sed -n 's/.*"End-LSN": "\([0-9A-F/]*\)".*/\1/p' "$partial/backup_manifest") || return 1
    ask "SELECT pg_walfile_name('${start%%$'\n'*}'::pg_lsn + 1)" >"$partial/start" || return 1
    (cd "$partial" && sha256sum base.tar.gz backup_manifest start >sha256 && sync ./*) || return 1
    until [[ $(of_slot "restart_lsn >= '${end##*$'\n'}'") == t ]]; do
        kill -0 "$receiver" 2>/dev/null || return 1
        pause 1
    done
    say "A base of $(stat --format=%s "$partial/base.tar.gz") bytes is whole."
    mv "$partial" "$line/bases/$(date -u +%Y%m%dT%H%M%SZ)"
}

# The newest base that is older than the days to keep is the last that is needed.
prune() {
    local bases base one oldest name
    mapfile -t bases < <(find "$folder"/2*Z/bases -mindepth 1 -maxdepth 1 -name '2*Z' -mmin "+$((keep_days * 1440))" | sort --reverse)
    for base in "${bases[@]:1}"; do
        rm -r "$base"
        say "removed $base: older than the last that $keep_days days need"
    done
    for one in "$folder"/2*Z; do
        oldest=$(find "$one/bases" -maxdepth 1 -name '2*Z' | sort | head -1)
        if [[ -n $oldest ]]; then
            oldest=$(segment_number "$(<"$oldest/start")")
            for name in $(segments "$one"); do
                (($(segment_number "$name") >= oldest)) || rm "$one/wal/$name"
            done
        elif [[ $one != "$line" ]]; then
            rm -r "$one"
            say "removed $one: no base of it is left"
        fi
    done
}

prepare
say "streaming into $line"
# Synchronous, so that the slot says how far the log is on this disk. Whatever ends it ends this, to be started anew.
pg_receivewal --dbname="$url" --slot=$slot --directory="$line/wal" --synchronous --no-loop &
receiver=$!
base_next=0
while kill -0 "$receiver" 2>/dev/null; do
    if [[ $(of_slot active) == t ]]; then touch "$folder/.streaming"; fi
    if is_base_due && ((SECONDS >= base_next)); then
        base_next=$((SECONDS + base_pause))
        if take_base; then prune; else say "No base was made; it is tried again in $base_pause s."; fi
    fi
    pause "$look_seconds"
done
say "The stream ended." >&2
exit 1
