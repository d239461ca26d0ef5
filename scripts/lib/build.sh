# shellcheck shell=bash
# Sourced by the scripts that build Golden's programs.

PROGRAMS=(golden orchestrator peer-hub agent-worker sandbox-launcher)

# build_release: builds the programs for release; their folder is $RELEASE then. With the Swift library linked in they
# run a sixth faster than with the shared one, and on machines without Swift.
build_release() {
    local program
    for program in "${PROGRAMS[@]}"; do swift build -c release --static-swift-stdlib --product "$program"; done
    # shellcheck disable=SC2034 # For the script that sources this.
    RELEASE=$(swift build -c release --static-swift-stdlib --show-bin-path)
}
