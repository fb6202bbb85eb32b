#!/usr/bin/env bash
# Style, types and the whole test suite, in .venv. Arguments go to pytest.
set -euo pipefail
unset CDPATH  # with which `cd` goes elsewhere, and prints where
cd "$(dirname "$0")/.."
source launch/setup.sh test
ruff check .
ruff format --check .
mypy
JAX_PLATFORMS=cpu pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
