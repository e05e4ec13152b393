"""The answers of a model and of its rounded copy, sample by sample, as ONNX Runtime gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.core import progress
from portproof.core.errors import ToolError
from portproof.manifest import Sample
from portproof.metrics.outputs import ruler
from portproof.metrics.outputs.ruler import rounded_outputs


def model(folder: Path, weight: float) -> Path:
    """Two numbers, each times the weight."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="times")],
        "g",
        [value("x", TensorProto.FLOAT, [1, 2])],
        [value("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(weight * np.eye(2, dtype=np.float32), "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, folder / "m.onnx")
    return folder / "m.onnx"


def samples(folder: Path, *rows: list[float]) -> list[Sample]:
    for i, row in enumerate(rows):
        np.array(row, np.float32).tofile(folder / f"s{i}.bin")
    return [Sample(f"s{i}", (str(folder / f"s{i}.bin"),)) for i in range(len(rows))]


def test_each_sample_has_its_own_answer_and_the_rounded_one(tmp_path: Path) -> None:
    given = samples(tmp_path, [0.5, 0.25], [1.0, 0.1])
    found = list(rounded_outputs(model(tmp_path, 2.0), given, "fp16"))
    assert [name for name, _, _ in found] == ["s0", "s1"]
    (_, [one], [same]), (_, [other], [rounded]) = found
    assert one.tolist() == same.tolist() == [1.0, 0.5], "both are numbers of 11 bits"
    assert other.tolist() == [2.0, pytest.approx(0.2, rel=1e-7)]
    assert rounded.tolist() == [2.0, 2 * float(np.float16(0.1))]


def test_a_rounding_that_changes_nothing_is_no_measure(tmp_path: Path) -> None:
    given = samples(tmp_path, [0.5, 0.25], [1.0, 3.0])
    with pytest.raises(ToolError, match="to fp16 changes no output of 2 samples"):
        list(rounded_outputs(model(tmp_path, 2.0), given, "fp16"))


def test_int8_has_127_steps_from_zero_to_the_largest_value(tmp_path: Path) -> None:
    """The samples reach 1, so a step is 1/127: a third is 42.3 of them, and becomes 42."""
    given = samples(tmp_path, [1.0, -1.0], [1 / 3, -0.1])
    found = list(rounded_outputs(model(tmp_path, 1.0), given, "int8"))
    exact, rounded = ([row[at][0].tolist() for row in found] for at in (1, 2))
    assert exact[1] == pytest.approx([1 / 3, -0.1])
    assert rounded == [pytest.approx([1.0, -1.0]), pytest.approx([42 / 127, -13 / 127])]


@pytest.mark.parametrize(
    ("precision", "said"), [("fp16", []), ("int8", ["quantize: 1 of 1 models"])]
)
def test_every_model_and_sample_counts_once(
    tmp_path: Path,
    precision: str,
    said: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How far the work is, and how long it will still take."""
    monkeypatch.setattr(progress, "_PLAIN_EVERY_S", 0.0)
    monkeypatch.delenv("PORTPROOF_COLUMNS", raising=False)
    progress.configure()
    given = samples(tmp_path, [1.0, -1.0], [1 / 3, -0.1])
    list(rounded_outputs(model(tmp_path, 1.0), given, precision))
    lines = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    said = [*said, "ruler: 1 of 2 samples", "ruler: 2 of 2 samples"]
    assert [line for line in lines if line.startswith(("quantize: ", "ruler: "))] == said


def test_neither_model_is_optimised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators that are fused have no rounding between them, and other last bits."""
    asked: list[bool] = []
    session_of = ruler.session_of

    def noted(path: Path, optimised: bool = True) -> Any:
        asked.append(optimised)
        return session_of(path, optimised)

    monkeypatch.setattr(ruler, "session_of", noted)
    given = samples(tmp_path, [0.1, 0.2])
    assert len(list(rounded_outputs(model(tmp_path, 3.0), given, "bf16"))) == 1
    assert asked == [False, False]
