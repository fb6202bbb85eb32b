#!/usr/bin/env bash
# One study from its config to its report. Run again, it goes on where it was.
#     bash launch/study.sh CONFIG WORKDIR [--config.FIELD=VALUE ...]
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
if [ $# -lt 2 ]; then
    sed -n '2,3s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
config="$1" workdir="$2" here="$PWD"
shift 2
cd "$(dirname "$0")/.."
source launch/setup.sh run
cd -- "$here"  # what the config and the flags say of paths is meant from here
imbalance-jax train --config="$config" --workdir="$workdir" "$@"
imbalance-jax explain --workdir="$workdir"
imbalance-jax report --workdir="$workdir"
