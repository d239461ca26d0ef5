#!/usr/bin/env bash
# Makes a server of what archive.sh kept, as it was at a moment: restore-to.sh TIME FOLDER
# TIME names its zone ('2026-11-28 14:05:00+00'), or is latest. FOLDER, which must not hold anything, becomes the data folder:
# start Postgres of the archive's major version on it, as the user who owns it. Before it takes connections it reads the log
# in ARCHIVE_FOLDER until TIME; where the log ends before, or has a gap, it says so and stops.
# Exit codes: 0 prepared, 1 failed, 2 wrong usage, 3 refused.
set -euo pipefail

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
(($# == 2)) || usage
archive=$(realpath "${ARCHIVE_FOLDER:?}")
data=$2
# It is written into a setting that holds a shell's command.
[[ $archive =~ ^[A-Za-z0-9/._-]+$ ]] || { echo "The archive's path must be letters, digits, dots and dashes: $archive" >&2 && exit 2; }

if [[ $1 == latest ]]; then
    before=99991231T235959Z target=
else
    [[ $1 =~ ([+-][0-9]{2}(:?[0-9]{2})?|Z|UTC)$ ]] || { echo "The time must say its zone, as in '2026-11-28 14:05:00+00': $1" >&2 && exit 2; }
    before=$(date -u -d "$1" +%Y%m%dT%H%M%SZ) || usage
    target=$(date -u -d "$1" '+%F %T.%6N+00')
fi
if [[ -e $data && -n $(ls -A "$data") ]]; then echo "$data holds something. Nothing was changed." >&2 && exit 3; fi

# By time, since lines and bases are named by theirs. Nothing else of a volume is looked into: its lost+found is not ours.
bases() { find "$archive"/2*Z/bases -mindepth 1 -maxdepth 1 -name '2*Z' 2>/dev/null | sort || true; }
# The newest that was whole in an earlier second: a name is the second in which it was.
base=
while read -r one; do
    if [[ ${one##*/} < $before ]]; then base=$one; fi
done < <(bases)
if [[ -z $base ]]; then
    echo "No base is older than $1. The oldest:" >&2
    bases | head -1 >&2
    exit 3
fi
(cd "$base" && sha256sum --check --quiet sha256)
wal=$(realpath "$base/../../wal")

mkdir -p "$data"
tar --extract --gzip --file "$base/base.tar.gz" --directory "$data"
chmod 700 "$data"
{
    echo "# By restore-to.sh; once the server takes writes these may go."
    # The segment that was being written when the archive ended is there under its partial name.
    echo "restore_command = 'cp \"$wal/%f\" \"%p\" 2>/dev/null || cp \"$wal/%f.partial\" \"%p\"'"
    # Also when there is none: a server that was restored before still has the moment of that in its settings.
    echo "recovery_target_time = '$target'"
    echo "recovery_target_action = promote"
} >>"$data/postgresql.auto.conf"
touch "$data/recovery.signal"
echo "$data: a base of ${base##*/}, to be brought to $1 when Postgres starts on it"
