"""A bug bundle: the part of B that fails, with inputs that agree with A's, A's result, and a check
that fails on it, all under 1 MB.
"""

from __future__ import annotations

import io
import json
import platform
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from portproof import __version__
from portproof.backend import Array
from portproof.core.errors import InputError
from portproof.core.files import write_bytes
from portproof.metrics.layerwise.compare import Comparison
from portproof.metrics.layerwise.probe import Probe
from portproof.metrics.layerwise.report import LayerReport
from portproof.metrics.repair.cut import Part, cut, shrunk

if TYPE_CHECKING:
    pass

_LARGEST = 1_000_000
#: The error that the check allows, as a part of what was found.
_ALLOWED_PART = 0.5

_CHECK = '''"""Run the faulty part on its inputs: exit code 1 while the fault is there, else 0.

Needs numpy and onnxruntime. Usage: python check.py [OTHER_MODEL.onnx]
"""

import json
import os
import sys

import numpy as np
import onnxruntime

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "bundle.json"), encoding="utf-8") as file:
    facts = json.load(file)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
model = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "model.onnx")
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feeds = {name: np.load(os.path.join(here, file)) for name, file in facts["inputs"].items()}
found = session.run([facts["output"]], feeds)[0].astype(np.float64)
right = np.load(os.path.join(here, facts["expected"])).astype(np.float64)
found = found[tuple(slice(n) for n in right.shape)]
with np.errstate(all="ignore"):
    error = float(np.linalg.norm(found - right) / max(np.linalg.norm(right), 1e-300))
wrong = not error <= facts["allowed"]
print(f"{facts['node']}: relative error {error:.3g}, allowed {facts['allowed']:.3g}:",
      "FAULT" if wrong else "right")
sys.exit(1 if wrong else 0)
'''


def pack(comparison: Comparison, report: LayerReport, target: Path) -> None:
    """Write the bundle; :class:`InputError` where there is no fault to pack, B is no ONNX file, or
    1 MB does not hold it.
    """
    if target.suffix != ".zip":
        raise InputError(f"the bundle '{target}' must end in .zip")
    if report.first is None:
        raise InputError("there is no bundle to pack: no layer was found at fault")
    if not isinstance(comparison.b, Probe):
        raise InputError(
            f"'{comparison.b.path}' is no ONNX file: the part that fails can only be cut from one"
        )
    part = _part(comparison, report.first)
    error = part.error()
    if error == 0.0:
        raise InputError(
            f"the part around '{report.first}' computes the right result when it is run alone: the"
            " fault is not in its operators"
        )
    for smaller in (part, *shrunk(part)):
        allowed = 0.0 if error is None else error * _ALLOWED_PART
        found = smaller.error()
        if found is not None and (error is None or found <= allowed):
            continue
        data = _zipped(smaller, report, allowed if error is not None else 1e-3)
        if len(data) < _LARGEST:
            write_bytes(target, data)
            return
    raise InputError(
        f"the part around '{report.first}' does not fit into a bundle of 1 MB, not even in pieces:"
        " its weights or inputs are too large"
    )


def _part(comparison: Comparison, name: str) -> Part:
    """The operators of B from the nearest compared tensors to the faulty one, with A's values of
    the first sample.
    """
    a, b, pairs = comparison.a, comparison.b, comparison.pairs
    if not isinstance(b, Probe):
        raise InputError(f"'{b.path}' is no ONNX file")
    before = sorted(comparison.walk.before(name))
    number, feeds = next(iter(comparison.feeding))
    values = a.opened([*before, name])(number, comparison.feeding.named(feeds, a))
    known = {
        b.own_name(pairs[x]): v for x, v in zip(before, values[:-1], strict=True) if v is not None
    }
    known |= comparison.feeding.named(feeds, b)
    right = values[-1]
    if right is None:
        raise InputError(f"'{name}' has no value on the first sample")
    model, inputs = cut(b.model, b.own_name(pairs[name]), known)
    return Part(model, inputs, b.own_name(pairs[name]), right)


def _zipped(part: Part, report: LayerReport, allowed: float) -> bytes:
    fault = report.faults[0]
    files = {name: f"input_{at}.npy" for at, name in enumerate(part.inputs)}
    facts = {
        "node": fault.node or fault.counterpart,
        "operator": fault.op,
        "tensor": fault.counterpart,
        "inputs": files,
        "output": part.output,
        "expected": "expected.npy",
        "allowed": allowed,
        "versions": _versions(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in (
            ("model.onnx", part.model.SerializeToString(deterministic=True)),
            *((file, _npy(part.inputs[name])) for name, file in files.items()),
            ("expected.npy", _npy(part.right)),
            ("bundle.json", (json.dumps(facts, indent=2) + "\n").encode()),
            ("check.py", _CHECK.encode()),
        ):
            # A fixed time: equal faults give equal bundles.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data,
                             zipfile.ZIP_DEFLATED, 9)  # fmt: skip
    return buffer.getvalue()


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("numpy", "onnx", "onnxruntime")}
    return {"portproof": __version__, "python": platform.python_version(), **packages}
