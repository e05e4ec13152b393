#!/usr/bin/env bash
# Port a model to Ascend 310 (a card of four chips), from .pth to a verdict; without a model: the demonstration. On a host without an NPU: --rehearse.
#   bash run_310.sh [--model CARD --weights F --images DIR --labels F] [--batch 1,4,8,16,32,64] [--runner om|ais_bench|benchmark|msame] [--rehearse] ...
# Begun on a laptop with torch, it continues on the NPU host without: copy the run directory there, and give --run-dir, --labels (and --model
# for a card of your own) where they are on that host.
set -euo pipefail
# shellcheck source=tools/ascend.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools/ascend.sh"
port_to_ascend 310 "$@"
