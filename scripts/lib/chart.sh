# shellcheck shell=bash
# Sourced by scripts that work on the chart: Python with what checks it, and Helm's engine.

CHART_PYTHON=.build/python/chart/bin/python

# prepare_chart: installs what k8s/tests/*requirements.txt name, once.
prepare_chart() {
    local venv=.build/python/chart library=.build/python/helm/libhelm_sdkpy.so wheels
    if [[ ! -x $CHART_PYTHON ]]; then python3 -m venv "$venv" >&2; fi
    if ! cmp -s k8s/tests/requirements.txt "$venv/installed"; then
        "$venv/bin/pip" install -q --disable-pip-version-check -r k8s/tests/requirements.txt >&2
        cp k8s/tests/requirements.txt "$venv/installed"
    fi
    if [[ ! -e $library ]]; then
        wheels=$(mktemp -d)
        "$venv/bin/pip" download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
            --python-version 3.12 -d "$wheels" -r k8s/tests/helm-requirements.txt >&2
        mkdir -p "$(dirname "$library")"
        python3 - "$wheels"/*.whl "$library" <<'PYTHON'
import pathlib, sys, zipfile
name = "helm_sdkpy/_lib/linux-amd64/libhelm_sdkpy.so"
pathlib.Path(sys.argv[2]).write_bytes(zipfile.ZipFile(sys.argv[1]).read(name))
PYTHON
        rm -r "$wheels"
    fi
    # Helm keeps its releases in memory, and reads this when it is loaded.
    export HELM_DRIVER=memory PYTHONDONTWRITEBYTECODE=1
}
