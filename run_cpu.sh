#!/usr/bin/env bash
# Port a model to ONNX Runtime on the CPU, from .pth to a verdict. Without options: the demonstration; --example NAME: another one.
#   bash run_cpu.sh [--model CARD --weights F --images DIR --labels F] [--run-dir DIR] ...     (bash run_cpu.sh --help)
#   PORTPROOF_PYTHON   an interpreter that has torch: the environment is made on top of its packages, and torch is not downloaded
set -euo pipefail
# shellcheck source=tools/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools/environment.sh"
if [ -n "${PORTPROOF_PYTHON:-}" ]; then prepare_environment_over torch demo; else prepare_environment demo; fi
exec "$PORTPROOF_VENV/bin/python" -m portproof port --target cpu "$@"
