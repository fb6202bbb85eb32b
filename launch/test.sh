#!/usr/bin/env bash
# The whole test suite, in .venv. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh test
ruff check .
JAX_PLATFORMS=cpu pytest -n auto --dist loadfile "$@"
