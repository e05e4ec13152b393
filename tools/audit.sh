#!/usr/bin/env bash
# Ask whether a locked package has a known vulnerability. The exit code is 1 when one has.
#   bash tools/audit.sh [OPTION OF pip-audit]...
# An exception is a line --ignore-vuln ID here, with the reason why it does not touch PortProof. There is none today.
set -euo pipefail
exec "${PYTHON:-python3}" -m pip_audit --require-hashes --disable-pip --progress-spinner off \
    --requirement "$(dirname "${BASH_SOURCE[0]}")/../locks/test.txt" "$@"
