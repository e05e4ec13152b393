#!/usr/bin/env bash
# Port a model to ONNX Runtime on the CPU, from .pth to a verdict. Without options: the demonstration.
#   bash run_cpu.sh [--model CARD --weights F --images DIR --labels F] [--run-dir DIR] ...     (bash run_cpu.sh --help)
set -euo pipefail
# shellcheck source=tools/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools/environment.sh"
prepare_environment demo
exec "$PORTPROOF_VENV/bin/python" -m portproof port --target cpu "$@"
