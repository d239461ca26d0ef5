# shellcheck shell=bash
# Sourced by scripts/bench, scripts/faults and scripts/api-fuzz: what they need before they start.

# prepare PROGRAM…: the programs are there and Golden is built for release; names what is missing otherwise.
prepare() {
    local program missing=()
    for program in python3 "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        echo "Missing: ${missing[*]}. On Debian:" >&2
        echo "  apt-get install -y python3 python3-venv wrk postgresql-15 redis-server nats-server" >&2
        exit 1
    fi
    if [[ -z "${GOLDEN_BIN:-}" ]]; then
        local product
        for product in golden orchestrator agent-worker; do
            swift build -c release --product "$product" >&2
        done
        GOLDEN_BIN="$(swift build -c release --show-bin-path)"
    fi
    export GOLDEN_BIN
    export PYTHONDONTWRITEBYTECODE=1
}
