"""Plans for the double of TensorRT: the head that real plans have, and a description of what the
double is to do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_plan(
    path: Path, onnx: Path, version: str = "10.16.1", compute_capability: str = "7.5", **facts: Any
) -> Path:
    """``profiles``: list of input name -> [min, opt, max]; ``layers``: what the inspector lists;
    ``data_dependent`` and ``on_host``: tensors; ``loops``: no CUDA graph can hold it.
    """
    plan = {
        "onnx": str(onnx),
        "compute_capability": compute_capability,
        "profiles": [],
        "layers": ["conv1", "fc"],
        "data_dependent": [],
        "on_host": [],
        "loops": False,
        "dtypes": {},
        "memory": True,
        "version_compatible": False,
    } | facts
    head = b"ftrt" + bytes(20) + bytes([*map(int, version.split(".")), 0][:4])
    path.write_bytes(head + b"\0" + json.dumps(plan).encode())
    return path
