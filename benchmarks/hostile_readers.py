"""A good file of every kind that the commands read, and the code that reads it."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hostile_tasks import task_files

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests/data/regnety"


@dataclass(frozen=True)
class Kind:
    """``good``: the bytes of a good file ``name``; ``read`` is given its path; ``prepare`` makes
    what must stand beside it.
    """

    label: str
    name: str
    good: bytes
    read: Callable[[Path], object]
    prepare: Callable[[Path], None] = lambda folder: None


def _of(module: str, function: str) -> Callable[[Path], object]:
    """A function of the package that takes the path; imported when it is called."""

    def read(path: Path) -> object:
        return _attribute(module, function)(path)

    return read


@functools.cache
def _attribute(module: str, name: str) -> Callable[..., object]:
    import importlib

    found: Callable[..., object] = getattr(importlib.import_module(f"portproof.{module}"), name)
    return found


def _folder_of(module: str, function: str) -> Callable[[Path], object]:
    """A function that takes the folder of the path."""
    return lambda path: _attribute(module, function)(path.parent)


def _named(module: str, function: str) -> Callable[[Path], object]:
    """A function that takes the path as text."""
    return lambda path: _attribute(module, function)(str(path))


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def _model() -> bytes:
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


def _weights() -> bytes:
    import torch

    state = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}
    return _saved(lambda file: torch.save({"state_dict": state, "epoch": 3}, file))


def _picture(form: str) -> bytes:
    from PIL import Image

    picture = Image.fromarray(np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3))
    return _saved(lambda file: picture.save(file, form))


def _image_of(path: Path) -> object:
    from portproof.preprocess.dataset.stream import prepare, sample_of
    from portproof.preprocess.pixels.transform import Preprocessor
    from portproof.recipe import Recipe, Resize

    recipe = Recipe(name="small", resize=Resize(size=(8,)), crop=(8, 8))
    return sample_of(prepare(path, path.parent, Preprocessor(recipe)))


def _score(path: Path) -> object:
    from portproof.metrics.accuracy.score import score

    return score(path.parent, path.parent.parent / "labels.txt")


def _labels_beside(folder: Path) -> None:
    (folder / "labels.txt").write_text("a.jpg 1\n")


def _packed(path: Path) -> object:
    from portproof.preprocess.dataset.pack import open_packed

    ids, rows = open_packed(path.parent)
    return [(name, rows[i].sum()) for i, name in enumerate(ids)]


def _ids_beside(folder: Path) -> None:
    (folder / "ids.txt").write_text("a\nb\n")


def _samples_beside(folder: Path) -> None:
    np.save(folder / "samples.npy", np.ones((2, 3), np.float32))


def _lock(path: Path) -> object:
    from portproof.proof.lock import locked

    with locked(path.parent):
        return None


def _journal(path: Path) -> object:
    from portproof.proof.journal import Journal
    from portproof.proof.work import Work

    (path.parent / "result").mkdir(exist_ok=True)
    return Journal(Work("run", path.parent / "result", inputs={}, parameters={}))


def _settings_beside(folder: Path) -> None:
    (folder / "port.yaml").write_text(SETTINGS)


def _run_dir(path: Path) -> Path:
    return next(p for p in path.parents if (p / "port.yaml").exists())


def _report(path: Path) -> object:
    from portproof.reports.evidence.run_dir import verify

    return verify(_run_dir(path))


def _readme(path: Path) -> object:
    from portproof.reports.port.data import read_run
    from portproof.reports.port.document import render

    return render(read_run(_run_dir(path)), "en")


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


def _kinds() -> list[Kind]:
    logs = {
        "benchmark": (DATA / "310/perf_vision_batchsize_16_device_0.txt").read_bytes(),
        "trtexec": (DATA / "t4/t4_bs1.log").read_bytes(),
        "ais_bench": AIS_BENCH.encode(),
    }
    result = np.arange(3, dtype=np.float32)
    encoded = {name: json.dumps(v).encode() for name, v in _documents().items()}
    read_log = _of("logs.read", "read")
    return [
        Kind("model card", "card.yaml", CARD.encode(), _of("card", "read_card")),
        Kind(
            "recipe",
            "recipe.yaml",
            (ROOT / "catalog/recipes/regnet.yaml").read_bytes(),
            _of("recipe", "read_recipe"),
        ),
        Kind(
            "target",
            "target.yaml",
            (ROOT / "catalog/targets/310p.yaml").read_bytes(),
            _of("target", "read_target"),
        ),
        Kind(
            "policy",
            "policy.yaml",
            (ROOT / "catalog/policies/modelzoo-310.yaml").read_bytes(),
            _named("policy", "find_policy"),
        ),
        Kind(
            "suite",
            "suite.yaml",
            (ROOT / "catalog/suites/cpu.yaml").read_bytes(),
            _of("infer.suites.suite_file", "read_suite"),
        ),
        Kind(
            "port.yaml",
            "port.yaml",
            SETTINGS.encode(),
            _folder_of("rundir.settings", "read_settings"),
        ),
        Kind(
            "labels",
            "labels.txt",
            b"a.jpg 1\nb.jpg 0\nc.jpg 22\n",
            _of("metrics.accuracy.label_file", "read_labels"),
        ),
        Kind(
            "info list",
            "x.info",
            b"0 a.bin 224 224\n1 b.bin 224 224\n",
            _of("manifest", "read_info"),
        ),
        Kind("result .bin", "result/a_1.bin", result.tobytes(), _score, _labels_beside),
        Kind("result .txt", "result/a_1.txt", b"0.5 1.25 -3.0\n", _score, _labels_beside),
        Kind(
            "result .npy",
            "result/a_1.npy",
            _saved(lambda file: np.save(file, result)),
            _score,
            _labels_beside,
        ),
        Kind(
            "packed samples",
            "samples.npy",
            _saved(lambda file: np.save(file, np.ones((2, 3)))),
            _packed,
            _ids_beside,
        ),
        Kind("ids of packed samples", "ids.txt", b"a\nb\n", _packed, _samples_beside),
        Kind(
            "outcomes",
            "outcomes.csv",
            b"id,label,predicted,rank,margin\na,1,1,1,0.5\nb,0,1,2,-0.25\n",
            _of("outcome", "read_outcomes"),
        ),
        Kind("sidecar", "r.proof.json", encoded["proof"], _of("proof.sidecar", "read_proof")),
        Kind("perf.json", "perf.json", encoded["perf"], _of("measurement", "read_performance")),
        Kind(
            "report.json",
            "report/report.json",
            encoded["report"],
            _report,
            _settings_beside,
        ),
        Kind(
            "sidecar in a run directory",
            "prep.info.proof.json",
            encoded["proof"],
            _report,
            _settings_beside,
        ),
        Kind(
            "figures in a run directory",
            "cpu/perf.json",
            encoded["perf"],
            _readme,
            _settings_beside,
        ),
        Kind("lock", ".lock", b'{"host": "h", "pid": 1, "start": "x"}', _lock),
        Kind(
            "journal",
            ".result.journal",
            b'{"fingerprint": "x"}\n' + json.dumps(PROOF["outputs"][0]).encode() + b"\n",
            _journal,
        ),
        Kind("ais_bench summary", "x_summary.json", encoded["summary"], read_log),
        Kind("trtexec times", "times.json", encoded["times"], read_log),
        *(Kind(f"log of {name}", "run.log", data, read_log) for name, data in logs.items()),
        Kind("README", "README.md", README.encode(), _of("reports.claims.audit", "audit")),
        Kind("weights", "w.pth", _weights(), _of("convert.pytorch.checkpoint", "read_state_dict")),
        Kind("ONNX", "m.onnx", _model(), _of("convert.onnxfile.read", "read_onnx")),
        *(
            Kind(f"image {form}", f"a.{form.lower()}", _picture(form), _image_of)
            for form in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
        ),
    ]


def _documents() -> dict[str, object]:
    summary = {
        "NPU_compute_time": {
            "min": 3.9, "max": 4.2, "mean": 4.0, "median": 4.0, "percentile(99%)": 4.19
        },
        "throughput": 4000.0,
        "filesinfo": {"0": {"infiles": ["a.bin"], "outfiles": ["a_0.bin"]}},
    }  # fmt: skip
    times = [{"startMs": 0.1, "endMs": 5.2, "latencyMs": 5.1, "computeMs": 4.9}]
    return {
        "proof": PROOF,
        "perf": PERFORMANCE,
        "report": REPORT,
        "summary": summary,
        "times": times,
    }


KINDS: dict[str, Kind] = {
    kind.label: kind for kind in (*_kinds(), *(Kind(*facts) for facts in task_files()))
}
