"""The ladder: six faults, one a rung, and the rung is named; sound ladders name none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from portproof.core.errors import InputError
from portproof.metrics.rungs.climb import WITHOUT_RULER
from portproof.metrics.rungs.ladder_report import Ladder, LadderRequest, ladder
from portproof.rehearsal.om import read_om, write_om

torch = pytest.importorskip("torch")

COUNT, CLASSES, SIZE = 60, 6, 8
NET = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 6),
    )
"""
CARD = """
name: steps
builder: steps.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [6]}]
recipe: {resize: {rule: exact, size: [8, 8]}, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
"""
AIPP = """
aipp_op {
  aipp_mode: static
  input_format: RGB888_U8
  src_image_size_w: 8
  src_image_size_h: 8
  mean_chn_0: 0
  mean_chn_1: 0
  mean_chn_2: 0
  min_chn_0: 127.5
  min_chn_1: 127.5
  min_chn_2: 127.5
  var_reci_chn_0: 0.0156862745
  var_reci_chn_1: 0.0156862745
  var_reci_chn_2: 0.0156862745
}
"""
POST = """
import numpy as np


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def shifted(x):
    return np.roll(softmax(x), 1)
"""


class Steps:
    """A card with weights, samples as floats and as pixels, labels, and a sound ladder's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (
            ("steps.py", NET),
            ("steps.yaml", CARD),
            ("a.cfg", AIPP),
            ("p.py", POST),
        ):
            (folder / name).write_text(text)
        torch.manual_seed(0)
        names: dict[str, Any] = {}
        exec(NET, names)
        net = names["build"]().eval()
        with torch.no_grad():
            net[1].running_var.uniform_(0.5, 2)
            net[5].weight.mul_(4)
        torch.save(net.state_dict(), folder / "w.pth")
        generator = np.random.default_rng(1)
        pixels = generator.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
        values = ((pixels / np.float32(255) - 0.5) / 0.25).astype(np.float32).transpose(0, 3, 1, 2)
        lists: dict[str, list[str]] = {"x": [], "u": []}
        for kind, arrays in (("x", np.ascontiguousarray(values)), ("u", pixels)):
            (folder / kind).mkdir()
            for i, array in enumerate(arrays):
                array.tofile(folder / kind / f"s{i:02}.bin")
                lists[kind].append(f"{i} {folder}/{kind}/s{i:02}.bin\n")
            (folder / f"{kind}.info").write_text("".join(lists[kind]))
        with torch.no_grad():
            answers = net(torch.from_numpy(np.ascontiguousarray(values))).argmax(1).tolist()
        wrong = [c if i % 10 else (c + 1) % CLASSES for i, c in enumerate(answers)]
        (folder / "labels.txt").write_text(
            "".join(f"s{i:02}.png {c}\n" for i, c in enumerate(wrong))
        )
        self.sound = self.climb()
        self.saved = (folder / "sound" / "ladder.json").read_text()

    def climb(self, *rungs: str, **more: Any) -> Ladder:
        options: dict[str, Any] = {"precision": "int8", "rehearse": True} | more
        return ladder(
            LadderRequest(
                card=str(self.folder / "steps.yaml"),
                rungs=(*rungs, f"post={self.folder}/p.py:softmax") if more.get("post", True) else rungs,
                weights=str(self.folder / "w.pth"),
                info=str(self.folder / "x.info"),
                infos=(f"aipp={self.folder}/u.info",),
                labels=str(self.folder / "labels.txt"),
                out=str(self.folder / "sound"),
                aipp=str(self.folder / "a.cfg"),
                **{k: v for k, v in options.items() if k != "post"},
            )
        )  # fmt: skip

    def damaged(self, source: str, name: str, factor: float = 3.0) -> str:
        """A file of the sound ladder with its last layer's weights changed for half the classes."""
        model = onnx.load(self.folder / "sound" / source)
        weight = next(
            w
            for w in reversed(model.graph.initializer)
            if len(w.dims) == 2 and w.data_type in (1, 3)
        )
        values = numpy_helper.to_array(weight).copy()
        half = values[: len(values) // 2]
        half[:] = (half * factor).astype(values.dtype)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        path = self.folder / name
        onnx.save(model, path)
        return str(path)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    return Steps(tmp_path_factory.mktemp("steps"))


def test_a_sound_ladder_names_no_rung(steps: Steps) -> None:
    labels = [rung.label for rung in steps.sound.rungs]
    assert labels == ["torch", "onnx", "simplified", "int8", "engine", "aipp", "post"]
    assert steps.sound.fault is None and steps.sound.rehearsal
    assert [r.rehearsal for r in steps.sound.rungs] == [False] * 4 + [True] * 3
    assert steps.sound.rungs[0].accuracy == pytest.approx(0.9)
    assert "no rung is at fault" in steps.sound.to_text()
    assert json.loads(steps.saved) == json.loads(steps.sound.to_json())


def plant(steps: Steps, rung: str) -> Ladder:
    """One fault in one rung; the rungs after it are made of sound files."""
    if rung == "engine":
        header, _ = read_om(steps.folder / "sound" / "engine.om")
        shapes = {t.onnx: t.shape for t in header.inputs}
        bad = Path(steps.damaged("simplified.onnx", "bad_engine.onnx"))
        write_om(bad, steps.folder / "bad.om", "Ascend310P3", shapes)
        return steps.climb(f"engine={steps.folder}/bad.om")
    if rung == "aipp":
        text = AIPP.replace("min_chn_0: 127.5", "min_chn_0: 103.5")
        (steps.folder / "bad.cfg").write_text(text)
        shutil.copy(steps.folder / "a.cfg", steps.folder / "keep.cfg")
        (steps.folder / "a.cfg").write_text(text)
        try:
            return steps.climb()
        finally:
            shutil.copy(steps.folder / "keep.cfg", steps.folder / "a.cfg")
    if rung == "post":
        return steps.climb(f"post={steps.folder}/p.py:shifted", post=False)
    return steps.climb(f"{rung}={steps.damaged(f'{rung}.onnx', f'bad_{rung}.onnx')}")


@pytest.mark.parametrize("rung", ["onnx", "simplified", "int8", "engine", "aipp", "post"])
def test_the_rung_at_fault_is_named(steps: Steps, rung: str) -> None:
    found = plant(steps, rung)
    assert (found.fault, found.faults) == (rung, [rung]), found.to_text()
    assert f"the rung at fault is '{rung}'" in found.to_text()
    entry = next(r for r in found.rungs if r.label == rung)
    assert entry.before is not None
    assert entry.before.loss_pp is not None and entry.before.broken is not None
    loss = 100 * (entry.before.broken - (entry.before.fixed or 0)) / COUNT
    assert entry.before.loss_pp == pytest.approx(loss)


def test_a_ladder_of_result_folders(steps: Steps) -> None:
    folders = {r: steps.folder / "sound" / r / "result" for r in ("torch", "onnx", "int8")}
    stale = steps.folder / "stale"
    shutil.copytree(folders["onnx"], stale, dirs_exist_ok=True)
    for i in range(0, COUNT, 10):
        shutil.copy(stale / "s01_1.bin", stale / f"s{i:02}_1.bin")
    card = str(steps.folder / "steps.yaml")
    for second, fault in ((folders["onnx"], None), (stale, "port")):
        rungs = (f"torch={folders['torch']}", f"port={second}", f"eight={folders['int8']},int8")
        found = ladder(LadderRequest(card, rungs, out=str(steps.folder / "folders")))
        assert found.fault == fault, found.to_text()
        assert found.rungs[1].accuracy is None
        assert found.rungs[1].first is not None
        assert found.rungs[1].first.allowed == pytest.approx(3 * WITHOUT_RULER["fp32"])


def test_a_ladder_of_packed_results(steps: Steps, packed: Callable[..., Path]) -> None:
    folders = {r: steps.folder / "sound" / r / "result" for r in ("torch", "onnx", "int8")}
    for rung, folder in folders.items():
        shutil.copytree(folder, steps.folder / f"of-{rung}")
    card, found = str(steps.folder / "steps.yaml"), []
    packs = {rung: packed(steps.folder / f"of-{rung}") for rung in folders}
    for case in (folders, packs):
        rungs = tuple(f"{rung}={folder}" for rung, folder in case.items())
        labels = str(steps.folder / "labels.txt")
        made = ladder(LadderRequest(card, rungs, labels=labels, out=str(steps.folder / "folders")))
        found.append([(r.label, r.accuracy, r.first, r.before) for r in made.rungs])
    assert found[0] == found[1]


def test_results_that_are_not_finite_are_a_fault(steps: Steps) -> None:
    folder = steps.folder / "nan"
    shutil.copytree(steps.folder / "sound" / "onnx" / "result", folder)
    np.full(CLASSES, np.nan, np.float32).tofile(folder / "s03_1.bin")
    found = ladder(
        LadderRequest(
            str(steps.folder / "steps.yaml"),
            (f"torch={steps.folder}/sound/torch/result", f"port={folder}"),
            out=str(steps.folder / "folders"),
        )
    )
    assert found.fault == "port" and "1 samples hold numbers that are not" in found.to_text()


def test_a_finished_port_is_a_ladder(ported: Path, tmp_path: Path) -> None:
    found = ladder(LadderRequest(str(ported), out=str(tmp_path)))
    assert found.fault is None
    assert [r.label for r in found.rungs][:2] == ["torch", "onnx"] and len(found.rungs) > 2
    assert found.rungs[0].accuracy == pytest.approx(0.9)


def test_what_is_refused(steps: Steps, tmp_path: Path) -> None:
    card, torch_ = str(steps.folder / "steps.yaml"), f"a={steps.folder}/sound/torch/result"
    few = tmp_path / "few"
    shutil.copytree(steps.folder / "sound" / "onnx" / "result", few)
    (few / "s07_1.bin").unlink()
    (tmp_path / "bad.py").write_text("def f(x):\n    return x[:2]\n\ndef g(x):\n    1 / 0\n")
    for rungs, message in (
        ((torch_,), "two rungs at least"),
        (("x",), "is not a rung"),
        (("x=absent",), "is missing"),
        ((torch_, torch_), "two rungs have one label"),
        ((torch_, f"b={few}"), "lacks 1 of 60 samples, the first is 's07'"),
        ((torch_, f"b={tmp_path}/bad.py:f"), "gives 2 numbers a sample"),
        ((torch_, f"b={tmp_path}/bad.py:g"), "ZeroDivisionError"),
        ((f"b={tmp_path}/bad.py:f", torch_), "has no rung before it"),
        ((torch_, f"b={steps.folder}/sound/onnx.onnx"), "give --info"),
    ):
        with pytest.raises(InputError, match=message):
            ladder(LadderRequest(card, rungs, out=str(tmp_path / "out")))


def test_the_command(steps: Steps, tmp_path: Path, stage: Callable[..., Any]) -> None:
    sound = steps.folder / "sound"
    done = stage(
        "metrics/ladder.py", steps.folder / "steps.yaml", f"torch={sound}/torch/result",
        f"onnx={sound}/onnx/result", "--labels", steps.folder / "labels.txt", "--out",
        tmp_path / "out", "--json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fault"] is None
    done = stage(
        "metrics/ladder.py", steps.folder / "steps.yaml", f"torch={sound}/torch/result",
        f"post={steps.folder}/p.py:shifted", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 1 and "the rung at fault is 'post'" in done.stdout
