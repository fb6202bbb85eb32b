#!/usr/bin/env bash
# The shortcut study at several strengths, and one page for all of them.
#     bash launch/shortcut.sh FOLDER [--config.FIELD=VALUE ...]
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
if [ $# -lt 1 ]; then
    sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
folder="$1" root="$(cd "$(dirname "$0")/.." && pwd)" here="$PWD"
shift
for rho in 0.02 0.3 0.6 0.9; do
    bash "$root/launch/study.sh" "$root/configs/shortcut.py:$rho" "$folder/rho_$rho" "$@"
done
cd "$root"
source launch/setup.sh run
cd "$here"
python -m imbalance_jax.analysis.sweeps.shortcut -- "$folder" "$folder"/rho_*
