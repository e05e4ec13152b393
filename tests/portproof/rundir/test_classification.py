"""What a port of a classifier refuses and says before anything runs, and what it takes for no ground
for a verdict.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from portproof.commands.port import parser, work
from portproof.core.errors import InputError
from portproof.proof.work import Work
from portproof.rundir.layout import RunDir, Side
from portproof.rundir.settings import Settings
from portproof.rundir.tasks.classification import begin, exported, gate, measure
from portproof.target import find_target
from portproof.verdict import Verdict

CARD = """
name: net
builder: net.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: OUTPUTS
recipe: {crop: [8, 8]}
published: {source: a paper, top1: 77.0}
"""
ONE = "[{name: class, shape: [10]}]"
TWO = "[{name: features, shape: [16, 4, 4]}, {name: class, shape: [10]}]"


def run_of(folder: Path, outputs: str = ONE, samples: int = 1000, **changes: Any) -> RunDir:
    (folder / "card.yaml").write_text(CARD.replace("OUTPUTS", outputs))
    (folder / "labels.txt").write_text("".join(f"s{i} {i % 10}\n" for i in range(samples)))
    settings = Settings(
        targets=("cpu",),
        model=str(folder / "card.yaml"),
        weights="w.pth",
        images="images",
        labels=str(folder / "labels.txt"),
        batches=(1,),
        **changes,
    )
    return RunDir(folder, settings)


@pytest.mark.parametrize(
    ("outputs", "output", "said"),
    [
        (TWO, None, r"2 outputs \(features, class\): say which holds the classes with --output"),
        (TWO, 1, r"'features' .* shape \(16, 4, 4\) .* --outputs"),
        (TWO, 3, r"--output 3 was given, .* has 2 outputs"),
        ("[{name: image2, shape: [3, 32, 32]}]", None, "one number for every class"),
    ],
)
def test_an_output_that_holds_no_classes_is_refused_first(
    tmp_path: Path, outputs: str, output: int | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        list(begin(run_of(tmp_path, outputs, output=output)))


def test_the_chosen_output_reaches_topn(tmp_path: Path) -> None:
    run = run_of(tmp_path, TWO, output=2)
    assert list(begin(run)) == []
    step = next(iter(measure(run, Side("eager"), 1)))
    assert step.argv[-2:] == ["--output", "2"] or tuple(step.argv[-2:]) == ("--output", "2")


@pytest.mark.parametrize(("samples", "said"), [(200, "268 are needed at least"), (268, "")])
def test_says_what_the_samples_can_decide(tmp_path: Path, samples: int, said: str) -> None:
    from portproof.metrics.paired.bounds import judge_loss

    sentences = list(begin(run_of(tmp_path, samples=samples)))
    assert bool(sentences) == bool(said) and said in "".join(sentences)
    best = judge_loss(0, 0, samples, 0.01)
    assert (best is Verdict.PASS) == (not said)


@pytest.mark.parametrize(
    ("accuracy", "doubt", "verdict", "words"),
    [
        (0.767, None, Verdict.PASS, "76.70%"),
        (0.31, None, Verdict.UNDECIDED, "far below the published 77 %"),
        (0.767, "the reference answers class 3", Verdict.UNDECIDED, "answers class 3"),
    ],
)
def test_a_reference_far_below_the_published_accuracy_is_no_ground(
    tmp_path: Path, accuracy: float, doubt: str | None, verdict: Verdict, words: str
) -> None:
    run = run_of(tmp_path)
    side = Side("ort", find_target("cpu"))
    compared = {
        "verdict": "PASS",
        "reference_accuracy": accuracy,
        "port_accuracy": accuracy,
        "difference_pp": 0.0,
        "samples": 1000,
        "gate_bound_pp": 0.3,
        "margin_pp": 1.0,
        "doubt": doubt,
    }
    (run.root / run.comparison(side)).write_text(json.dumps(compared))
    judged = gate(run, side)
    assert judged.verdict is verdict and words in judged.reason


def test_a_port_of_an_image_to_image_model_ends_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(tmp_path, "[{name: large, shape: [3, 16, 16]}]")
    (tmp_path / "images").mkdir()
    (tmp_path / "w.pth").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    words = ["--model", "card.yaml", "--weights", "w.pth", "--images", "images"]
    options = parser().parse_args([*words, "--labels", "labels.txt", "--run-dir", "run"])
    with pytest.raises(InputError, match="portproof compare --outputs"):
        work(options)
    assert not (tmp_path / "run" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("outputs", "output", "said"),
    [
        ([["a", [3]]], None, ""),
        ([["a", [3]], ["b", [3]]], 2, ""),
        ([["a", [None]]], None, ""),
        ([["a", [3]], ["b", [3]]], None, "has 2 outputs (a, b): say which holds the classes"),
        ([["a", [3, 8, 8]]], None, "output 'a' of the model file 'model.onnx' has the shape"),
        ([["a", [3]], ["b", [3, 8, 8]]], 2, "output 'b' of the model file"),
    ],
)
def test_what_the_export_found_is_refused_before_the_data_set_is_run(
    tmp_path: Path, outputs: list[object], output: int | None, said: str
) -> None:
    made = tmp_path / "model.onnx"
    made.write_text("onnx")
    Work("export", made, inputs={}, parameters={}).finish([made], {"outputs": outputs})
    settings = Settings(
        targets=("cpu",),
        model="m",
        weights="w",
        images="i",
        labels="l",
        batches=(1,),
        output=output,
    )
    with pytest.raises(InputError, match=re.escape(said)) if said else contextlib.nullcontext():
        exported(RunDir(tmp_path, settings))
