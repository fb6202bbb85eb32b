#!/usr/bin/env bash
# The study of configs/thesis.py with its kept weights, and one page of it. Run again, it goes on where it was.
#     bash launch/thesis.sh WORKDIR [SEEDS] [--config.FIELD=VALUE ...]
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
if [ $# -lt 1 ]; then
    sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
workdir="$1" seeds=12 here="$(cd "$(dirname "$0")" && pwd)"
shift
if [ $# -gt 0 ] && [[ "$1" =~ ^[0-9]+$ ]]; then
    seeds="$1"
    shift
fi
bash "$here/study.sh" "$here/../configs/thesis.py:$seeds" "$workdir" "$@"
source "$here/../.venv/bin/activate"
for weights in matched share_0.25 share_0.5; do
    imbalance-jax explain --workdir="$workdir" --weights="$weights" --stages=alignment,design
done
python -m imbalance_jax.analysis.sweeps.thesis -- "$workdir"
