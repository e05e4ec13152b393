"""A good file of every kind that the commands read, and the code that reads it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hostile_samples import (
    AIS_BENCH,
    CARD,
    PERFORMANCE,
    PROOF,
    README,
    REPORT,
    SETTINGS,
    SUMMARY,
    TIMES,
    checkpoint,
    onnx_model,
    picture_file,
    saved,
)
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


def _given() -> list[Kind]:
    """What a user writes or brings."""
    catalog = ROOT / "catalog"
    return [
        Kind("model card", "card.yaml", CARD.encode(), _of("card", "read_card")),
        Kind(
            "recipe",
            "recipe.yaml",
            (catalog / "recipes/regnet.yaml").read_bytes(),
            _of("recipe", "read_recipe"),
        ),
        Kind(
            "target",
            "target.yaml",
            (catalog / "targets/310p.yaml").read_bytes(),
            _of("target", "read_target"),
        ),
        Kind(
            "policy",
            "policy.yaml",
            (catalog / "policies/modelzoo-310.yaml").read_bytes(),
            _named("policy", "find_policy"),
        ),
        Kind(
            "suite",
            "suite.yaml",
            (catalog / "suites/cpu.yaml").read_bytes(),
            _of("infer.suites.suite_file", "read_suite"),
        ),
        Kind(
            "labels",
            "labels.txt",
            b"a.jpg 1\nb.jpg 0\nc.jpg 22\n",
            _of("metrics.accuracy.label_file", "read_labels"),
        ),
        Kind("README", "README.md", README.encode(), _of("reports.claims.audit", "audit")),
        Kind(
            "weights", "w.pth", checkpoint(), _of("convert.pytorch.checkpoint", "read_state_dict")
        ),
        Kind("ONNX", "m.onnx", onnx_model(), _of("convert.onnxfile.read", "read_onnx")),
        *(
            Kind(f"image {form}", f"a.{form.lower()}", picture_file(form), _image_of)
            for form in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
        ),
    ]


def _samples_and_results() -> list[Kind]:
    """What the stages hand on to each other."""
    result = np.arange(3, dtype=np.float32)
    rows = np.ones((2, 3))
    info = b"0 a.bin 224 224\n1 b.bin 224 224\n"
    outcomes = b"id,label,predicted,rank,margin\na,1,1,1,0.5\nb,0,1,2,-0.25\n"
    npy, packed = (saved(lambda file, a=a: np.save(file, a)) for a in (result, rows))
    return [
        Kind("info list", "x.info", info, _of("manifest", "read_info")),
        Kind("result .bin", "result/a_1.bin", result.tobytes(), _score, _labels_beside),
        Kind("result .txt", "result/a_1.txt", b"0.5 1.25 -3.0\n", _score, _labels_beside),
        Kind("result .npy", "result/a_1.npy", npy, _score, _labels_beside),
        Kind("packed samples", "samples.npy", packed, _packed, _ids_beside),
        Kind("ids of packed samples", "ids.txt", b"a\nb\n", _packed, _samples_beside),
        Kind("outcomes", "outcomes.csv", outcomes, _of("outcome", "read_outcomes")),
    ]


def _run_directory() -> list[Kind]:
    """What a port keeps of itself."""
    proof, perf, report = (json.dumps(x).encode() for x in (PROOF, PERFORMANCE, REPORT))
    journal = b'{"fingerprint": "x"}\n' + json.dumps(PROOF["outputs"][0]).encode() + b"\n"
    settings = _folder_of("rundir.settings", "read_settings")
    within = "prep.info.proof.json"
    return [
        Kind("port.yaml", "port.yaml", SETTINGS.encode(), settings),
        Kind("sidecar", "r.proof.json", proof, _of("proof.sidecar", "read_proof")),
        Kind("perf.json", "perf.json", perf, _of("measurement", "read_performance")),
        Kind("report.json", "report/report.json", report, _report, _settings_beside),
        Kind("sidecar in a run directory", within, proof, _report, _settings_beside),
        Kind("figures in a run directory", "cpu/perf.json", perf, _readme, _settings_beside),
        Kind("lock", ".lock", b'{"host": "h", "pid": 1, "start": "x"}', _lock),
        Kind("journal", ".result.journal", journal, _journal),
    ]


def _logs() -> list[Kind]:
    """What the vendors' tools print and write."""
    files = {
        "ais_bench summary": ("x_summary.json", json.dumps(SUMMARY).encode()),
        "trtexec times": ("times.json", json.dumps(TIMES).encode()),
        "log of benchmark": (
            "run.log",
            (DATA / "310/perf_vision_batchsize_16_device_0.txt").read_bytes(),
        ),
        "log of trtexec": ("run.log", (DATA / "t4/t4_bs1.log").read_bytes()),
        "log of ais_bench": ("run.log", AIS_BENCH.encode()),
    }
    return [Kind(label, *facts, _of("logs.read", "read")) for label, facts in files.items()]


KINDS: dict[str, Kind] = {
    kind.label: kind
    for kind in (
        *_given(),
        *_samples_and_results(),
        *_run_directory(),
        *_logs(),
        *(Kind(*facts) for facts in task_files()),
    )
}
