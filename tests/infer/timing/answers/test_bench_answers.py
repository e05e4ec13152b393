"""A bench whose subject answers wrongly: no rate, no ratio, exit code 1, one sentence; and the
comparison with the reference.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.infer.timing.answers.assess import reference_of
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.show import exit_code, table
from portproof.measurement import Performance, read_performance

Stage = Callable[..., subprocess.CompletedProcess[str]]
QUICK = Plan(blocks=4, iterations=8, warmup=2)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def constant(name: str, *values: float, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.array(values, dtype), name)


#: What a graph does to ``raw``, the answers, before they leave it as ``class``.
ENDINGS: dict[str, list[Any]] = {
    "leak": [
        node("ReduceMean", "raw", "mean", axes=[0], keepdims=1),
        node("Sub", "raw mean", "class"),
    ],
    "random": [
        node("RandomNormalLike", "raw", "noise"),
        node("Add", "raw noise", "class"),
    ],
    "nan": [
        node("Shape", "raw", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Greater", "batch two", "many"),
        node("Where", "many nan raw", "class"),
    ],
}


@pytest.fixture
def here(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tiny model, and ``leak.onnx``, ``random.onnx`` and ``nan.onnx`` (above batch 2)."""
    monkeypatch.chdir(tiny.folder)
    for name, ending in ENDINGS.items():
        graph = helper.make_graph(
            [
                node("Flatten", "image", "flat", axis=1),
                node("MatMul", "flat weight", "raw"),
                *ending,
            ],
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 2, 2])],
            [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["N", 5])],
            [
                numpy_helper.from_array(tiny.weight, "weight"),
                constant("zero", 0, dtype=np.int64),
                constant("two", 2, dtype=np.int64),
                constant("nan", np.nan),
            ],
        )
        opset = [helper.make_opsetid("", 11)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=6), f"{name}.onnx")
    return tiny


def test_nan_above_a_batch_leaves_the_rates_below_it(here: Any, stage: Stage) -> None:
    words = ("good=ort:model.onnx", "bad=ort:nan.onnx", "--batch", "1,4")
    times = ("--iterations", 8, "--blocks", 4, "--warmup", 2, "--out", "perf.json")
    done = stage("infer/bench.py", *words, *times, cwd=here.folder)
    assert done.returncode == 1, done.stderr
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("wrong answers")]
    assert line.startswith("wrong answers: bad, batch 4: output 'class' is not a number (NaN)")
    rows = {tuple(x.split()[:2]): x.split() for x in done.stdout.splitlines() if " call " in x}
    assert rows["bad", "4"][3:] == ["-", "-", "-", "-", "-", "-", "WRONG"]
    assert rows["bad", "1"][-1] == rows["good", "4"][-1] == "checked"
    data = json.loads(Path("perf.json").read_text())
    assert len(data["wrong"]) == 1
    assert [(r["a"], r["b"], r["batch"]) for r in data["ratios"]] == [("good", "bad", 1)]
    (bad,) = [m for m in data["measurements"] if (m["label"], m["batch"]) == ("bad", 4)]
    assert bad["blocks"]
    assert bad["answers"]["ok"] is False
    assert "NaN" in bad["answers"]["reason"]
    again = stage("infer/bench.py", *words, *times, cwd=here.folder)
    assert (again.returncode, again.stdout) == (1, done.stdout)
    assert "up to date" in again.stderr


def verdicts(performance: Performance) -> dict[str, bool | None]:
    found = {m.label: m.answers for m in performance.measurements}
    return {label: answers.ok if answers else None for label, answers in found.items()}


@pytest.mark.parametrize("name", ["leak", "random"])
def test_rows_that_mix_and_random_models_have_no_rate(here: Any, name: str) -> None:
    done = bench([f"a=ort:{name}.onnx"], [4], plan=QUICK)
    (measurement,) = done.measurements
    assert measurement.images_per_second is measurement.median_s is measurement.percentile_s(50)
    assert measurement.images_per_second is None
    assert len(measurement.samples) == 8
    assert exit_code(done) == 1
    assert len(done.wrong) == 1
    assert "WRONG" in table(done)


def test_a_port_is_compared_with_the_reference(here: Any) -> None:
    import torch

    right = {"1.weight": torch.from_numpy(here.weight.T.copy()), "1.bias": torch.zeros(5)}
    torch.save(right, "weights.pth")
    here.save_model("other.onnx", np.roll(here.weight, 1, axis=1))
    subjects = ["swapped=ort:other.onnx", "port=ort:model.onnx", "reference=eager:weights.pth"]
    done = bench(subjects, [2], card="card.yaml", plan=QUICK)
    assert verdicts(done) == {"swapped": False, "port": True, "reference": True}
    assert "output 'class' is not that of 'reference': they differ by" in done.wrong[0]
    assert done.ratios == []
    port = next(m for m in done.measurements if m.label == "port").answers
    assert port is not None
    assert "the answers of 'reference'" in port.checked


def test_the_harness_is_not_judged_and_judges_nobody(here: Any) -> None:
    done = bench(["n=null:model.onnx", "a=ort:model.onnx"], [2], card="card.yaml", plan=QUICK)
    assert verdicts(done) == {"n": True, "a": True}
    (harness,) = [m.answers for m in done.measurements if m.label == "n"]
    assert harness is not None
    assert harness.calls == 0
    assert "measures the harness" in harness.checked[0]


def test_every_client_is_judged(here: Any) -> None:
    plan = Plan(blocks=4, iterations=8, warmup=2, clients=2)
    one, two = (bench(["a=ort:model.onnx"], [2], plan=p).measurements[0] for p in (QUICK, plan))
    assert one.answers is not None
    assert two.answers is not None
    assert two.answers.calls == 2 * one.answers.calls


@pytest.mark.parametrize(
    ("subjects", "reference"),
    [
        ([("a", "ort", "fp32")], None),
        ([("a", "ort", "fp32"), ("b", "eager", "fp32")], "b"),
        ([("a", "ort", "int8"), ("b", "ort", "fp32")], "b"),
        ([("a", "om", "fp16"), ("b", "trt", "int8")], "a"),
    ],
)
def test_the_reference_is_eager_or_the_first_in_fp32(
    subjects: list[tuple[str, str, str]], reference: str | None
) -> None:
    assert reference_of(subjects) == reference


def test_an_info_list_makes_the_inputs_real(here: Any) -> None:
    for given, kind in (
        ({}, "random"),
        ({"info": "prep.info"}, "real"),
        ({"info": "prep.info", "inputs": "zeros"}, "zeros"),
    ):
        done = bench(["a=ort:model.onnx"], [2], plan=QUICK, **given)  # type: ignore[arg-type]
        assert {m.inputs for m in done.measurements} == {kind}


def test_a_file_of_before_says_nothing_of_answers(here: Any) -> None:
    bench(["a=ort:model.onnx"], [2], plan=QUICK, out="perf.json")
    data = json.loads(Path("perf.json").read_text())
    del data["wrong"]
    for measurement in data["measurements"]:
        del measurement["answers"]
    Path("old.json").write_text(json.dumps(data))
    (old,) = read_performance("old.json").measurements
    assert old.answers is None
    assert not old.is_wrong
    assert old.images_per_second
