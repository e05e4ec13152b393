"""Ranges of 8 bits in the port's file. ONNX Runtime's own quantizer makes the file, in both of its
forms; its scales are then changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from portproof.metrics.diagnosis.explain import Diagnosis, diagnose
from portproof.metrics.diagnosis.model.ranges import Quantised
from portproof.metrics.diagnosis.numbers.answers import few_steps
from portproof.proof.work import Work

pytest.importorskip("torch")
from .test_inside import COUNT, Layered


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Layered:
    return Layered(tmp_path_factory.mktemp("ranges"))


class Reader:
    """The samples one by one, for the quantizer."""

    def __init__(self, samples: np.ndarray) -> None:
        self.left = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        one = next(self.left, None)
        return None if one is None else {"image": one[None]}


def quantised(world: Layered, form: str, kind: str) -> Path:
    from onnxruntime import quantization

    path = world.folder / f"{form}_{kind}.onnx"
    if not path.is_file():
        prepared = world.folder / "prepared.onnx"
        quantization.quant_pre_process(
            str(world.model), str(prepared), skip_optimization=True, skip_symbolic_shape=True
        )
        quantization.quantize_static(
            str(prepared),
            str(path),
            Reader(world.samples.astype(np.float32)),
            quant_format=quantization.QuantFormat[form],
            activation_type=quantization.QuantType[kind],
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm"],
            extra_options={"QuantizeBias": form == "QOperator"},
        )
    return path


def scaled(path: Path, factor: float, tensor: str = "") -> Path:
    """The file with the scales of activations times a factor, or with that of one tensor."""
    model, made = onnx.load(path), path.with_name("port.onnx")
    weights = {t.name for t in model.graph.initializer}
    names = {
        n.input[at]
        for n in model.graph.node
        for at in {"QuantizeLinear": (1,), "QLinearConv": (6,), "QGemm": (7,)}.get(n.op_type, ())
        if n.input[0] not in weights and (tensor in n.input[0] or tensor in n.output[0])
    }
    # A bias of whole numbers counts in steps of what its operator reads (the ONNX standard).
    biases = {n.input[at] for n in model.graph.node if n.op_type in ("QLinearConv", "QGemm")
              and n.input[1] in names for at in (8 if n.op_type == "QLinearConv" else 6,)}  # fmt: skip
    for each in model.graph.initializer:
        value = numpy_helper.to_array(each)
        if each.name in names:
            each.CopyFrom(numpy_helper.from_array(np.float32(value * factor), each.name))
        elif each.name in biases:
            value = np.int32(np.rint(value / factor))
            each.CopyFrom(numpy_helper.from_array(value, each.name))
    onnx.save(model, made)
    return made


def ported(world: Layered, file: Path, samples: np.ndarray | None = None) -> Diagnosis:
    """What is said of results that this file made, with their sidecar."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    samples = world.samples if samples is None else samples
    rows = session.run(None, {"image": samples.astype(np.float32)})[0]
    result = world.folder / "made" / "result"
    shutil.rmtree(result.parent, ignore_errors=True)
    work = Work("infer", result, inputs={"model": [file]}, parameters={}, packages=())
    result.mkdir(parents=True)
    for path, row in zip(sorted(world.images.iterdir()), rows, strict=True):
        row.astype("<f4").tofile(result / f"{path.stem}_1.bin")
    work.begin()
    work.finish([], {})
    if file.name == "gone.onnx":
        file.unlink()
    return diagnose(str(world.card), world.model, world.images, world.labels, result)


FORMS = [("QDQ", "QInt8"), ("QDQ", "QUInt8"), ("QOperator", "QUInt8")]


@pytest.mark.parametrize(("form", "kind"), FORMS)
def test_sound_ranges_are_no_fault(world: Layered, form: str, kind: str) -> None:
    said = ported(world, quantised(world, form, kind))
    assert said.fault == "none", said.to_text()


@pytest.mark.parametrize(
    ("form", "kind", "factor"),
    [("QDQ", "QInt8", 8), ("QDQ", "QUInt8", 16), ("QOperator", "QUInt8", 16)],
)
def test_ranges_that_are_too_wide(world: Layered, form: str, kind: str, factor: int) -> None:
    said = ported(world, scaled(quantised(world, form, kind), factor))
    assert [f.fault for f in said.faults] == ["int8-ranges"], said.to_text()
    assert "hardly used" in said.faults[0].evidence
    assert said.faults[0].accuracy_after >= 0.95
    assert "calibrate" in said.faults[0].fix


def test_one_range_that_is_too_wide_is_named_alone(world: Layered) -> None:
    said = ported(world, scaled(quantised(world, "QDQ", "QInt8"), 32, "image"))
    assert [f.fault for f in said.faults] == ["int8-ranges"], said.to_text()
    assert "1 of " in said.faults[0].evidence
    assert "image: 8 of 256 steps, 32 times too wide" in said.faults[0].evidence


def test_ranges_that_cut_values_off(world: Layered) -> None:
    said = ported(world, scaled(quantised(world, "QDQ", "QInt8"), 0.3))
    assert [f.fault for f in said.faults] == ["int8-ranges"], said.to_text()
    assert "cut values off" in said.faults[0].evidence


def test_another_fault_behind_the_ranges(world: Layered) -> None:
    wide = scaled(quantised(world, "QDQ", "QInt8"), 12)
    swapped = np.stack([world.normalised(p[..., ::-1]) for p in world.pixels()])
    said = ported(world, wide, swapped)
    assert [f.fault for f in said.faults] == ["int8-ranges", "channel-order"], said.to_text()


def test_nothing_is_said_of_a_file_that_is_gone(world: Layered) -> None:
    wide = scaled(quantised(world, "QDQ", "QInt8"), 3.9, "image")
    gone = wide.rename(wide.with_name("gone.onnx"))
    assert ported(world, gone).fault == "none"


def test_a_file_that_was_changed_since_is_not_read(world: Layered) -> None:
    sound = quantised(world, "QDQ", "QInt8")
    file = sound.with_name("again.onnx")
    shutil.copy(sound, file)
    assert ported(world, file).fault == "none"
    shutil.copy(scaled(sound, 16), file)
    result = world.folder / "made" / "result"
    said = diagnose(str(world.card), world.model, world.images, world.labels, result)
    assert said.fault == "none", said.to_text()


@pytest.mark.parametrize(
    ("zero", "kind", "codes", "wide"),
    [
        (0, "int8", (-127, 100), 1.0),
        (0, "int8", (0, 127), 1.0),
        (0, "int8", (-3, 16), 127 / 16),
        (128, "uint8", (128, 144), 127 / 16),
        (0, "uint8", (0, 51), 5.0),
        (10, "uint8", (0, 255), 1.0),
        (10, "uint8", (10, 35), 255 / 25),
        (-128, "int8", (-128, -77), 5.0),
    ],
)
def test_how_wide_a_range_is(zero: int, kind: str, codes: tuple[int, int], wide: float) -> None:
    assert Quantised("t", "q", "s", 1.0, zero, kind).times_too_wide(*codes) == pytest.approx(wide)


def test_how_far_values_reach_beyond_a_range() -> None:
    assert Quantised("t", "q", "s", 0.5, 0, "int8").times_too_narrow(-8, 127) == pytest.approx(2)
    # ReLU is fused into a range that ends at 0.
    assert Quantised("t", "q", "s", 0.5, 0, "uint8").times_too_narrow(-80, 51) == pytest.approx(0.4)


@pytest.mark.parametrize(("width", "found"), [(1, False), (2, False), (8, True), (16, True)])
@pytest.mark.parametrize("batch", [16, COUNT])
def test_outputs_on_few_steps(width: int, batch: int, found: bool) -> None:
    """Without the file, too: the steps show in the outputs, of all or of each batch."""
    rows = np.random.default_rng(2).standard_normal((COUNT, 12))
    parts = [rows[i : i + batch] for i in range(0, COUNT, batch)]
    steps = [np.abs(p).max() * width / 127 for p in parts]
    port = np.concatenate([np.rint(p / s) * s for p, s in zip(parts, steps, strict=True)])
    said = few_steps(port.astype(np.float32).astype(np.float64))
    assert (said is not None) == found
    assert said is None or said.candidate.fault == "int8-ranges"
