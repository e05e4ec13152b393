"""A vendor and a task are one new file each: a port with made-up ones runs to its verdict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

VENDOR = '''"""Acme's accelerators, which ONNX Runtime simulates."""

from portproof.rundir.layout import REFERENCE, Side
from portproof.rundir.plan import batch_words, infer, measured
from portproof.rundir.step import VERDICTS, Step, words

BOUNDARY, OPTIONS, CAN_REHEARSE = "call", (), False


def sides(settings, target):
    return [Side(target.name, target)]


def steps(run, target):
    (side,) = run.sides_of(target)
    yield infer(run, side, run.onnx, run.accuracy_batch, backend="ort")
    yield from measured(run, side, run.accuracy_batch)


def benches(run, target):
    (side,) = run.sides_of(target)
    subjects = f"{side.label}=ort:{run.onnx}", f"{REFERENCE}=eager:{run.settings.weights}"
    given = words(*subjects, *batch_words(run), "--model", run.settings.model)
    quick = words("--iterations", 40, "--blocks", 4, "--out", run.perf(side))
    yield Step("bench acme", "bench", given + quick, makes=(run.perf(side),), accepted=VERDICTS)


def boards(run, target):
    return False
'''

TARGET = """
name: acme1
vendor: acme
chips_per_card: 1
backend: ort
precision: fp32
"""

TASK = '''"""Task ``twins``: both sides must give the same bytes for every sample, to the second decimal."""

import json
import sys
from pathlib import Path

from portproof.rundir.gates import Gate
from portproof.rundir.layout import REFERENCE, Side
from portproof.rundir.step import Step, words
from portproof.verdict import Verdict


def begin(run):
    return iter(())


def measure(run, side, batch):
    return iter(())


def compare(run, side):
    sides = (Side(REFERENCE), side)
    folders = [run.result(one, run.accuracy_batch) for one in sides]
    return Step(f"compare {side.label}", __file__, words(*folders, twins(side)))


def gate(run, side):
    found = json.loads((run.root / twins(side)).read_text())
    verdict = Verdict.PASS if found["alike"] == found["samples"] else Verdict.FAIL
    return Gate(side.label, "accuracy", verdict, f"{found['alike']} of {found['samples']} alike")


def twins(side):
    return f"{side.label}/twins.json"


def main(one, other, out):
    import numpy as np

    pairs = [(path, Path(other, path.name)) for path in Path(one).iterdir()]
    values = [[np.fromfile(path, "float32").round(2) for path in pair] for pair in pairs]
    alike = sum(bool((a == b).all()) for a, b in values)
    Path(out).write_text(json.dumps({"samples": len(pairs), "alike": alike}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
'''


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A copy of the checkout with the new files, which are all that is new."""
    folder = tmp_path / "checkout"
    stages = ("convert", "preprocess", "infer", "metrics", "reports")
    for name in ("src", *stages, "catalog", "examples"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, folder / name, ignore=ignored)
    (folder / "src/portproof/rundir/vendors/acme.py").write_text(VENDOR)
    (folder / "catalog/targets/acme1.yaml").write_text(TARGET)
    (folder / "src/portproof/rundir/tasks/twins.py").write_text(TASK)
    return folder


def test_a_port_with_a_made_up_vendor_and_task(
    checkout: Path, tmp_path: Path, small_port: Callable[[Path], list[str]]
) -> None:
    options = small_port(tmp_path / "given")
    card = tmp_path / "given/colours.yaml"
    card.write_text(card.read_text() + "task: twins\n")
    done = portproof(checkout, "port", "--target", "acme1", *options, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "acme1  accuracy  PASS       40 of 40 alike" in done.stdout
    figures = json.loads((tmp_path / "run/report/report.json").read_text())["figures"]
    assert any(figure["id"] == "acme1/perf/acme1/best_rate" for figure in figures)
    again = portproof(checkout, "why", tmp_path / "run")
    assert "would only write its reports again" in again.stdout, again.stdout
    assert portproof(checkout, "verify", tmp_path / "run").returncode == 0


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("targets/x.yaml", TARGET.replace("acme1", "x").replace(": acme", ": none"), "no vendor"),
        (
            "models/x.yaml",
            "task: none\n",
            "translation, twins, voc_detection (at task)",
        ),
    ],
)
def test_an_unknown_one_is_refused_with_the_names_there_are(
    checkout: Path, kind: str, text: str, said: str
) -> None:
    path = checkout / "catalog" / kind
    known = (checkout / "catalog/models/resnet18.yaml").read_text() if "models" in kind else ""
    path.write_text(known + text)
    command = ["export", "w.pth", "m.onnx", "--model", "x"]
    done = portproof(checkout, *(["doctor", "--target", "x"] if "targets" in kind else command))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr


def portproof(checkout: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "portproof", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
