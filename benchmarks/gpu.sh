#!/usr/bin/env bash
# Measure PyTorch eager, torch.compile and ONNX Runtime on this host's GPU, in sittings of at most 8 minutes; interrupted, it continues.
#   bash benchmarks/gpu.sh [--models resnet50,vgg16] [--batch 1,8,32] [--out DIR]      (python benchmarks/gpu.py --help)
# One sitting only, where a command may not last longer: python benchmarks/gpu.py ...; it leaves with 75 when there is more to do.
#   PORTPROOF_PYTHON   an interpreter with torch for CUDA and what PortProof needs (default: .venv's, else python3). Nothing is downloaded: what it
#                      lacks may be in a folder that PYTHONPATH names, filled on another host by 'pip install --target'.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PORTPROOF_PYTHON:-$root/.venv/bin/python}
[ -n "${PORTPROOF_PYTHON:-}" ] || [ -x "$python" ] || python=python3
missing=$("$python" -c 'import importlib.util as u; print(*[p for p in "torch torchvision timm numpy scipy PIL yaml msgspec tqdm".split() if not u.find_spec(p)])') || {
    echo "portproof: error: the interpreter '$python' does not run; set PORTPROOF_PYTHON to one that has torch for CUDA" >&2
    exit 2
}
if [ -n "$missing" ]; then
    echo "portproof: error: '$python' lacks ${missing// /, }; install them, or set PORTPROOF_PYTHON to an interpreter that has them" >&2
    exit 2
fi
code=75 # gpu.py's sign that another sitting is needed
while [ "$code" = 75 ]; do
    code=0
    "$python" "$root/benchmarks/gpu.py" "$@" || code=$?
done
exit "$code"
