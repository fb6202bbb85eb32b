#!/usr/bin/env bash
# The whole study on the embedded phantom data set: sets up .venv, trains, explains, reports.
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
cd "$(dirname "$0")/.."
bash launch/study.sh configs/quickstart.py runs/quickstart "$@"
