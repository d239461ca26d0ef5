# shellcheck shell=bash
# Sourced by scripts: installs the Debian packages they name, and says so first.

# as_root COMMAND…: runs it as root, by sudo when this account is another.
as_root() {
    if ((EUID == 0)); then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "This needs root and there is no sudo: $*" >&2
        return 1
    fi
}

# install_packages PACKAGE…: installs those that are missing.
install_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
            || missing+=("$package")
    done
    if ((${#missing[@]} == 0)); then return; fi
    echo "Installing: ${missing[*]}" >&2
    as_root apt-get update -q >&2
    # Debian would start servers of its own on their usual ports; Golden starts private ones.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# require_swift: a Swift toolchain is the one thing a script cannot install.
require_swift() {
    if ! command -v swift >/dev/null; then
        echo "Swift 6.2 or later is needed: https://www.swift.org/install/linux/" >&2
        exit 1
    fi
}

# What building takes, and what the embedded stack runs on.
# shellcheck disable=SC2034
BUILD_PACKAGES=(libnats-dev libhiredis-dev libpq-dev libssl-dev pkg-config)
# shellcheck disable=SC2034
STACK_PACKAGES=(nats-server redis-server postgresql-15 postgresql-client-15 python3)
# shellcheck disable=SC2034
TEST_PACKAGES=(curl bubblewrap docker-registry gcc gpg gpg-agent libc6-dev libseccomp2 nodejs openssl prometheus prometheus-alertmanager procps
    python3-venv python3-yaml shellcheck util-linux)
