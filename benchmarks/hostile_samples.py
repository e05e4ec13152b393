"""The content of the good files that ``hostile_readers.py`` names."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

CARD = """name: small
builder: net.py:build
inputs: [{name: image, shape: [3, 8, 8], dtype: float32, layout: NCHW}]
outputs: [{name: class, shape: [3]}]
recipe:
  resize: {rule: shorter, size: [9], interpolation: bilinear}
  crop: [8, 8]
  mean: [0.5, 0.5, 0.5]
  std: [0.25, 0.25, 0.25]
published: {source: a paper, top1: 77.5}
batches: [1, 4]
"""
SETTINGS = """schema: portproof.port/1
model: resnet18
weights: weights.pth
images: images
labels: labels.txt
targets: [cpu]
batches: [1, 4]
margin_pp: 1.0
gate: accuracy
"""
PERFORMANCE = {
    "schema": "portproof.perf/1",
    "status": "ok",
    "reasons": [],
    "measurements": [
        {
            "label": "ort",
            "model": "m.onnx",
            "backend": "ort",
            "batch": 4,
            "boundary": "call",
            "precision": "fp32",
            "clients": 1,
            "inputs": "random",
            "blocks": [[0.01, 0.011], [0.012, 0.009]],
        }
    ],
    "ratios": [],
}
PROOF = {
    "schema": "portproof.proof/1",
    "stage": "topn",
    "revision": 1,
    "portproof": "0.2.0",
    "command": ["topn"],
    "directory": ".",
    "started": "2026-01-01T00:00:00Z",
    "seconds": 1.5,
    "parameters": {"n": 5},
    "versions": {"numpy": "2.0"},
    "environment": {"system": "Linux"},
    "inputs": {"labels": [{"path": "l", "size": 1, "mtime_ns": 2, "inode": 3, "sha256": "00"}]},
    "outputs": [{"path": "r", "size": 1, "mtime_ns": 2, "inode": 3, "sha256": "00"}],
    "facts": {"figures": {"classes": 3}},
}
REPORT = {
    "schema": "portproof.report/1",
    "portproof": "0.2.0",
    "model": "m",
    "verdict": "PASS",
    "simulated": False,
    "gates": [{"label": "ort", "name": "accuracy", "verdict": "PASS", "reason": "r"}],
    "figures": [{"name": "top1", "label": "ort", "batch": 1, "value": 0.5}],
    "origins": [],
    "versions": {},
    "environment": {},
    "renderers": {},
    "files": [{"path": "port.yaml", "size": 1, "sha256": "00"}],
}
SUMMARY = {
        "NPU_compute_time": {
            "min": 3.9, "max": 4.2, "mean": 4.0, "median": 4.0, "percentile(99%)": 4.19
        },
        "throughput": 4000.0,
        "filesinfo": {"0": {"infiles": ["a.bin"], "outfiles": ["a_0.bin"]}},
    }  # fmt: skip
TIMES = [{"startMs": 0.1, "endMs": 5.2, "latencyMs": 5.1, "computeMs": 4.9}]
README = """# ResNet50

| batch | 310 | T4 | 310/T4 |
|---|---|---|---|
| 1 | 1443.0 | 1160.5 | 1.24 |
| 16 | 2100.5 fps | 1900.25 | 1.10 |

Batch 16: the 310 is 1.1 times the T4. Top-1 76.1 %, Top-5 92.9 %.

```
[e2e] throughputRate: 125.3, latency: 399043
[infer] Interface throughputRate: 360.75, 2.77 ms
```
"""


AIS_BENCH = """[INFO] try get model batchsize:16
[INFO] NPU_compute_time (ms): min = 3.9, max = 4.2, mean = 4.0, median = 4.0, percentile(99%) = 4.19
[INFO] throughput 1000*batchsize.mean(16)/NPU_compute_time.mean(4.0): 4000.0
"""


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """What a function writes into a file."""
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def onnx_model() -> bytes:
    """A classifier of three classes: one multiplication."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Flatten", ["image"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["class"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 2, 2])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.ones((12, 3), np.float32), "w")],
    )
    opset = helper.make_opsetid("", 11)
    made: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return made


def checkpoint() -> bytes:
    """Weights of one layer, as a training script saves them."""
    import torch

    state = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    return saved(lambda file: torch.save({"state_dict": state, "epoch": 3}, file))


def picture_file(form: str) -> bytes:
    """A small picture in a format of Pillow's."""
    from PIL import Image

    picture = Image.fromarray(np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3))
    return saved(lambda file: picture.save(file, form))
