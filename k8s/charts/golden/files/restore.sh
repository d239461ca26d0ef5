#!/usr/bin/env bash
# Restores a dump of backup.sh and proves it: restore.sh [--replace] FILE|newest
# FILE is a path or a name in BACKUP_FOLDER; newest is the newest there. Checks its checksum, restores all of it or nothing,
# then counts the rows of every table and compares. A database that holds tables is refused unless --replace is given:
# then its schema `public` is dropped within the same transaction.
# The database is GOLDEN_POSTGRES_URL_FILE's. Exit codes: 0 restored and proven, 1 failed, 2 wrong usage, 3 refused.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
replace=no
if [[ ${1:-} == --replace ]]; then replace=yes && shift; fi
(($# == 1)) || usage
folder=${BACKUP_FOLDER:-.}
here=$(cd "$(dirname "$0")" && pwd)
url=$(<"${GOLDEN_POSTGRES_URL_FILE:?}")

case "$1" in
newest) file=$(find "$folder" -maxdepth 1 -name 'golden-*.dump' | sort | tail -1) ;;
/*) file=$1 ;;
*) file=$folder/$1 ;;
esac
[[ -n $file && -r $file ]] || { echo "There is no dump to restore: ${file:-$folder is empty}" >&2 && exit 1; }
(cd "$(dirname "$file")" && sha256sum --check --quiet "$(basename "${file%.dump}.sha256")")

ask() { psql "$url" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }
tables=$(ask --command "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
if ((tables > 0)) && [[ $replace == no ]]; then
    echo "The database holds $tables tables. --replace drops them." >&2
    exit 3
fi

# COMMIT comes only after all of the dump: one that breaks off leaves everything as it was.
{
    echo 'BEGIN; SET LOCAL client_min_messages = warning;'
    if ((tables > 0)); then echo 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;'; fi
    pg_restore --no-owner --file=- "$file" && echo 'COMMIT;'
} | ask --output /dev/null --file - || { echo "The restore failed; the database is as it was." >&2 && exit 1; }

counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
ask --output "$counts" --file "$here/counts.sql"
if ! diff "${file%.dump}.counts" "$counts" >&2; then
    echo "The database does not hold what was dumped (< dumped, > restored)." >&2
    exit 1
fi
echo "$(basename "$file"): restored; $(wc -l <"$counts") tables hold as many rows as were dumped"
