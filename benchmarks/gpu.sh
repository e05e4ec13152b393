#!/usr/bin/env bash
# Measure PyTorch eager, torch.compile and ONNX Runtime on this host's GPU, in sittings of at most 8 minutes; interrupted, it continues.
#   bash benchmarks/gpu.sh [--models resnet50,vgg16] [--batch 1,8,32] [--out DIR]      (python benchmarks/gpu.py --help)
#   PORTPROOF_PYTHON   an interpreter with torch for CUDA and what PortProof needs (default: .venv's, else python3)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PORTPROOF_PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=$(command -v "$python" || command -v python3)
code=75 # gpu.py's sign that another sitting is needed
while [ "$code" = 75 ]; do
    code=0
    "$python" "$root/benchmarks/gpu.py" "$@" || code=$?
done
exit "$code"
