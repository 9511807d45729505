#!/usr/bin/env bash
# A first look at realis on one GPU, in less than ten minutes; benchmarks/on_gpu.py says what it runs.
#   benchmarks/on_gpu.sh [OUT [PART ...]]      logs and report.md go to OUT (out/on_gpu); some parts, or all
#   SMALL=1 benchmarks/on_gpu.sh               the same in miniature on a CPU, to try the script itself
# BUDGET: seconds for all parts together (520). PYTHON: the interpreter (.venv/bin/python if it is there, else python3).
# WHEELS: folder of wheels of what the interpreter lacks, for a machine without network where realis is not installed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=${PYTHON:-$([ -x "$root/.venv/bin/python" ] && echo "$root/.venv/bin/python" || echo python3)}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if [ "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    # realis runs from this checkout, but results name its version, which Python knows of installed packages only
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
    mkdir "$site/realis-$version.dist-info"
    printf 'Metadata-Version: 2.1\nName: realis\nVersion: %s\n' "$version" >"$site/realis-$version.dist-info/METADATA"
fi
export PYTHONPATH="$root:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
# Two threads wait for each other most of the time where other work shares the cores
[ "${SMALL:-}" ] && export OMP_NUM_THREADS=1
"$PYTHON" "$root/benchmarks/on_gpu.py" --budget "${BUDGET:-520}" ${SMALL:+--small} "$@"
