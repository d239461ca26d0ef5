# shellcheck shell=bash
# Sourced by the scripts that build Golden's programs.

PROGRAMS=(golden orchestrator peer-hub supervisor dlq-worker sandbox-executor sandbox-launcher agent-worker release-gate)

# build_release: builds the programs for release; their folder is $RELEASE then. With the Swift library linked in they
# run a sixth faster than with the shared one, and on machines without Swift. With cross-module optimization what stands
# in one module, generic above all, is compiled anew for the types of the modules that use it.
build_release() {
    local program options=(-c release --static-swift-stdlib -Xswiftc -cross-module-optimization)
    for program in "${PROGRAMS[@]}"; do swift build "${options[@]}" --product "$program"; done
    # shellcheck disable=SC2034 # For the script that sources this.
    RELEASE=$(swift build "${options[@]}" --show-bin-path)
}
