#!/usr/bin/env bash
# The self-test of a port: every figure is derived again from the raw files, then the level file is judged.
#   bash self_test.sh [RUN_DIR]
#   PORTPROOF_PYTHON   the interpreter that has portproof (default: python3)
set -uo pipefail
run=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
python=${PORTPROOF_PYTHON:-python3}
if "$python" -m portproof verify "$run" && "$python" -m portproof modelzoo "$run" --check; then
    echo "Run testcase success!"
else
    echo "Run testcase failed!"
    exit 1
fi
