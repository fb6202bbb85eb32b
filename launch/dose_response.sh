#!/usr/bin/env bash
# One study per dose of configs/dose_response.py, and one picture of all. Run again, it goes on where it was.
#     bash launch/dose_response.sh FOLDER [--config.FIELD=VALUE ...]
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
if [ $# -lt 1 ]; then
    sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
folder="$1" here="$(cd "$(dirname "$0")" && pwd)"
shift
runs=()
for dose in natural 0.09 0.045 0.022 0.011; do
    bash "$here/study.sh" "$here/../configs/dose_response.py:$dose" "$folder/$dose" "$@"
    runs+=("$folder/$dose")
done
source "$here/../.venv/bin/activate"
python -m imbalance_jax.analysis.sweeps.dose_response --out="$folder" -- "${runs[@]}"
