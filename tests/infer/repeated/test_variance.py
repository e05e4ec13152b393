"""Build variance: builds that differ only in rounding, and a verdict that depends on the build."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.core.errors import InputError
from portproof.infer.repeated.report import Variance, VarianceRequest, variance

COUNT, CLASSES, WIDTH = 300, 4, 12


class Close:
    """A linear model whose two best classes are apart by little more than float16's rounding for
    ``near`` of its samples; labels and a reference's results, which are its own.
    """

    def __init__(self, folder: Path, near: int) -> None:
        self.folder = folder
        generator = np.random.default_rng(0)
        weight = generator.standard_normal((WIDTH, CLASSES)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"], name="dense")],
            "close",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
            [numpy_helper.from_array(weight, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, folder / "m.onnx")
        x = generator.standard_normal((COUNT, WIDTH)).astype(np.float64)
        for i in range(near):
            best, second = np.argsort(-(x[i] @ weight))[:2]
            edge = weight[:, best] - weight[:, second]
            x[i] -= edge * ((x[i] @ edge) / (edge @ edge) * (1 - 1e-5))
        (folder / "prep").mkdir()
        (folder / "reference").mkdir()
        lines, labels = [], []
        for i, row in enumerate(x.astype(np.float32)):
            row.tofile(folder / "prep" / f"s{i}.bin")
            answer = (row[None] @ weight)[0]
            answer.tofile(folder / "reference" / f"s{i}_1.bin")
            lines.append(f"{i} {folder}/prep/s{i}.bin\n")
            labels.append(f"s{i}.png {answer.argmax()}\n")
        (folder / "x.info").write_text("".join(lines))
        (folder / "labels.txt").write_text("".join(labels))

    def asked(self, out: str, **more: Any) -> Variance:
        options: dict[str, Any] = {
            "labels": str(self.folder / "labels.txt"),
            "reference": str(self.folder / "reference"),
            "timed": False,
        } | more
        return variance(
            VarianceRequest(
                str(self.folder / "m.onnx"), str(self.folder / "x.info"), str(self.folder / out),
                **options,
            )
        )  # fmt: skip


def test_builds_of_onnx_runtime_agree(tmp_path: Path) -> None:
    found = Close(tmp_path, near=0).asked("out", count=3, margin_pp=2.0)
    assert [b.says for b in found.builds][:2] == [
        "level all, 1 threads",
        "level extended, 1 threads",
    ]
    assert [b.verdict for b in found.builds] == ["PASS"] * 3
    assert (found.depends, found.exit_code, found.accuracy_spread_pp) == (False, 0, 0.0)
    assert max(b.largest_difference for b in found.builds) < 1e-6
    assert not found.rehearsal and "the verdict is PASS for every build" in found.to_text()
    assert json.loads((tmp_path / "out" / "variance.json").read_text()) == json.loads(
        found.to_json()
    )


def test_a_verdict_that_depends_on_the_build_is_said(tmp_path: Path) -> None:
    close = Close(tmp_path, near=60)
    found = close.asked("out", builder="rehearsal", count=6, margin_pp=99.0)
    assert found.rehearsal and "REHEARSAL" in found.to_text()
    assert all(b.label.startswith("REHEARSAL") for b in found.builds)
    losses = sorted({-(b.difference_pp or 0.0) for b in found.builds})
    assert len(losses) > 1 and found.accuracy_spread_pp == pytest.approx(losses[-1] - losses[0])
    # A margin that the best build keeps for sure and the worst does not.
    files = [tmp_path / "out" / b.label / "compare.json" for b in found.builds]
    bounds = [json.loads(f.read_text())["gate_bound_pp"] for f in files]
    apart = close.asked(
        "out", builder="rehearsal", count=6, margin_pp=(min(bounds) + max(bounds)) / 2
    )
    assert apart.depends and apart.exit_code == 4
    assert "the verdict DEPENDS on the build" in apart.to_text()


def test_simulated_builds_are_those_of_their_seed(tmp_path: Path) -> None:
    close = Close(tmp_path, near=0)
    files = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        close.asked(out, builder="rehearsal", count=2, seed=seed, labels=None, reference=None)
        files.append((tmp_path / out / "REHEARSAL_build1" / "model.onnx").read_bytes())
    assert files[0] == files[1] != files[2]


def test_what_is_refused(tmp_path: Path) -> None:
    close = Close(tmp_path, near=0)
    for options, message in (
        ({"count": 1}, "two at least"),
        ({"count": 99}, "has 12 builds"),
        ({"labels": None}, "needs --labels and --reference"),
    ):
        with pytest.raises(InputError, match=message):
            close.asked("out", **options)
    (tmp_path / "labels.txt").write_text("other.png 0\n")
    with pytest.raises(InputError, match="cannot be compared"):
        close.asked("out", count=2)


def test_the_command_times_the_builds(tmp_path: Path, stage: Callable[..., Any]) -> None:
    Close(tmp_path, near=0)
    done = stage(
        "infer/variance.py", tmp_path / "m.onnx", "--info", tmp_path / "x.info", "--builds", 2,
        "--out", tmp_path / "out", "--blocks", 2, "--block-seconds", 0.01, "--json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(b["images_per_second"] > 0 for b in found["builds"])
    assert found["speed_ratio"] >= 1 and found["depends"] is None
