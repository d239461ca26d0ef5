#!/usr/bin/env bash
# Collects all that an image of one program holds, and nothing else: rootfs.sh PROGRAM PROGRAMS_FOLDER DESTINATION
# The program with the libraries it is linked to, the authorities of certificates, an account without rights, and what
# belongs to the program. No shell, no package manager. k8s/Dockerfile and scripts/chart both run it.
set -euo pipefail
(($# == 3)) || { echo "rootfs.sh PROGRAM PROGRAMS_FOLDER DESTINATION" >&2 && exit 2; }
program=$1 programs=$2 root=$3
here=$(cd "$(dirname "$0")/../.." && pwd)
executable=$programs/$program
[[ -x $executable ]] || { echo "$executable is not there: build it first." >&2 && exit 1; }

mkdir -p "$root"/{dev,etc/ssl/certs,proc,sys,tmp,usr/local/bin,usr/local/share/golden}
chmod 1777 "$root/tmp"
install -m 0755 "$executable" "$root/usr/local/bin/$program"

# Every library at the place where the loader looks for it, as a file; the loader itself, too.
if ! libraries=$(ldd "$executable" 2>&1); then
    # The sandbox's launcher is linked statically.
    grep -q "not a dynamic executable" <<<"$libraries" || { echo "$libraries" >&2 && exit 1; }
    libraries=""
fi
if grep "not found" <<<"$libraries" >&2; then exit 1; fi
{ grep -oE '/[^ ()]+' <<<"$libraries" || true; } | sort -u | while read -r library; do
    install -D -m 0755 "$(readlink -f "$library")" "$root$library"
done

install -m 0644 "$(readlink -f /etc/ssl/certs/ca-certificates.crt)" "$root/etc/ssl/certs/ca-certificates.crt"
echo 'golden:x:65532:65532::/tmp:/sbin/nologin' >"$root/etc/passwd"
echo 'golden:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

if [[ $program == orchestrator ]]; then
    cp -r "$here/migrations" "$root/usr/local/share/golden/migrations"
fi
