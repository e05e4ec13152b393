#!/usr/bin/env bash
# Port a model to an NVIDIA T4 (or A10, A100, H100, H200), from .pth to a verdict; without a model: the demonstration.
#   bash run_t4.sh [--target t4|a10|a100|h100|h200] [--model CARD --weights F --images DIR --labels F] [--batch 1,4,8,16,32,64] [--run-dir DIR] ...
# Needs the NVIDIA driver, and TensorRT 8, 10 or 11 with trtexec on the PATH and, for accuracy, its Python package (10 or 11).
#   PORTPROOF_PYTHON   the interpreter that has the package tensorrt (default: python3); the environment is made on top of its packages
set -euo pipefail
# shellcheck source=tools/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools/environment.sh"
prepare_environment_over tensorrt demo
[[ " $* " == *" --target "* ]] || set -- --target t4 "$@"
exec "$PORTPROOF_VENV/bin/python" -m portproof port "$@"
