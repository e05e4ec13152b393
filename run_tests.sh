#!/usr/bin/env bash
# Set up what the tests need (.venv beside this file) and run them. Options go to pytest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/environment.sh
source "$root/tools/environment.sh"
prepare_environment test
cd "$root"
exec "$PORTPROOF_VENV/bin/python" -m pytest "$@"
