#!/usr/bin/env bash
# Dumps Golden's database: backup.sh [REASON]
# Writes golden-<UTC time>-<reason>.dump into BACKUP_FOLDER, with .counts (rows of every table in the very snapshot that was
# dumped) and .sha256 beside it. Removes those older than BACKUP_RETENTION_DAYS, but never the newest BACKUP_KEEP_MIN.
# The database is GOLDEN_POSTGRES_URL_FILE's. Exit codes: 0 done, 1 failed, 2 wrong usage; nothing half done keeps its name.
set -euo pipefail

reason=${1:-manual}
[[ $reason =~ ^[a-z][a-z-]{0,30}$ ]] || { echo "The reason must be lower-case letters and dashes, not: $reason" >&2 && exit 2; }
folder=${BACKUP_FOLDER:?}
retention_days=${BACKUP_RETENTION_DAYS:-30}
keep_min=${BACKUP_KEEP_MIN:-7}
here=$(cd "$(dirname "$0")" && pwd)
url=$(<"${GOLDEN_POSTGRES_URL_FILE:?}")

name=golden-$(date -u +%Y%m%dT%H%M%SZ)-$reason
partial=$folder/.$name.partial
trap 'rm -rf "$partial"' EXIT
mkdir "$partial"

failed=
# One transaction exports its snapshot to pg_dump and counts the rows itself, so that both saw the same.
export BACKUP_URL=$url BACKUP_DUMP=$partial/$name.dump BACKUP_DONE=$partial/done
psql "$url" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
    --set counts="$here/counts.sql" --output "$partial/$name.counts" <<'SQL' || failed=yes
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv BACKUP_SNAPSHOT :snapshot
\! pg_dump --dbname="$BACKUP_URL" --snapshot="$BACKUP_SNAPSHOT" --format=custom --compress=6 --no-owner --file="$BACKUP_DUMP" && touch "$BACKUP_DONE"
\i :counts
COMMIT;
SQL
[[ -z $failed && -e $BACKUP_DONE ]] || { echo "No backup was made." >&2 && exit 1; }
rm "$BACKUP_DONE"
pg_restore --list "$BACKUP_DUMP" >/dev/null
(cd "$partial" && sha256sum "$name.dump" "$name.counts" >"$name.sha256")
sync "$partial"/*
# The dump last: whoever sees it finds the others, too.
mv "$partial/$name.sha256" "$partial/$name.counts" "$folder/"
mv "$partial/$name.dump" "$folder/"
echo "$folder/$name.dump: $(stat --format=%s "$folder/$name.dump") bytes, $(wc -l <"$folder/$name.counts") tables"

# Names sort by time. The newest stay whatever their age.
mapfile -t dumps < <(find "$folder" -maxdepth 1 -name 'golden-*.dump' -printf '%f\n' | sort --reverse)
for dump in "${dumps[@]:keep_min}"; do
    if [[ -n $(find "$folder/$dump" -mmin "+$((retention_days * 1440))") ]]; then
        rm "$folder/$dump" "$folder/${dump%.dump}.counts" "$folder/${dump%.dump}.sha256"
        echo "removed $dump: older than $retention_days days"
    fi
done
