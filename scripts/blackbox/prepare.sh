# shellcheck shell=bash
# Sourced by the scripts that run the programs: what they need before they start.

# Debian keeps servers there, and leaves it out of an ordinary account's PATH.
export PATH="$PATH:/usr/sbin:/sbin"

# Sourced without arguments: these are the script's own.
asks_help=no
for argument in "$@"; do
    case "$argument" in --help | -h) asks_help=yes ;; esac
done

# package_of PROGRAM: the Debian package it comes from.
package_of() {
    case "$1" in
    psql | pg_restore | pgbench) echo postgresql-15 ;;
    *) echo "$1" ;;
    esac
}

# prepare PROGRAM…: the programs are there and Golden is built for release; names what is missing otherwise. For --help,
# which Python answers, nothing but that is needed.
prepare() {
    local program missing=() packages=()
    if [[ $asks_help == yes ]]; then set --; fi
    for program in python3 "$@"; do
        if ! command -v "$program" >/dev/null; then
            missing+=("$program")
            packages+=("$(package_of "$program")")
        fi
    done
    if ((${#missing[@]})); then
        echo "Missing: ${missing[*]}. On Debian:" >&2
        echo "  apt-get install $(printf '%s\n' "${packages[@]}" | sort -u | paste -sd' ')" >&2
        exit 1
    fi
    if [[ $asks_help == no && -z "${GOLDEN_BIN:-}" ]]; then
        # shellcheck source=scripts/lib/build.sh
        source scripts/lib/build.sh
        # What only benchmarks run.
        PROGRAMS+=(breaker-replica budget-load gate-simulation rate-replica review-load)
        build_release >&2
        GOLDEN_BIN=$RELEASE
        export GOLDEN_BIN
    fi
    export PYTHONDONTWRITEBYTECODE=1
}
