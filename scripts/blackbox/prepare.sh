# shellcheck shell=bash
# Sourced by the scripts that run the programs: what they need before they start.

# prepare PROGRAM…: the programs are there and Golden is built for release; names what is missing otherwise.
prepare() {
    local program missing=()
    for program in python3 "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        echo "Missing: ${missing[*]}. On Debian:" >&2
        echo "  apt-get install -y python3 python3-venv wrk postgresql-15 redis-server nats-server prometheus-alertmanager" >&2
        exit 1
    fi
    if [[ -z "${GOLDEN_BIN:-}" ]]; then
        # shellcheck source=scripts/lib/build.sh
        source scripts/lib/build.sh
        # What only benchmarks run.
        PROGRAMS+=(breaker-replica budget-load gate-simulation rate-replica review-load)
        build_release >&2
        GOLDEN_BIN=$RELEASE
    fi
    export GOLDEN_BIN
    export PYTHONDONTWRITEBYTECODE=1
}
