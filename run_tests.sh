#!/usr/bin/env bash
# Set up what the tests need (.venv beside this file) and run them, a process for each processor. Options go to pytest.
#   PORTPROOF_TEST_WORKERS   how many processes (default: auto; 0: this one)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/environment.sh
source "$root/tools/environment.sh"
if [ -n "${PORTPROOF_PYTHON:-}" ]; then prepare_environment_over torch test; else prepare_environment test; fi
cd "$root"
exec "$PORTPROOF_VENV/bin/python" -m pytest -n "${PORTPROOF_TEST_WORKERS:-auto}" --dist loadscope --no-loadscope-reorder "$@"
