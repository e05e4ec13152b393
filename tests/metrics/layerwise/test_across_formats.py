"""Layers across formats: whatever holds the two sides, the damaged layer is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.dumped.kinds import open_side
from portproof.metrics.layerwise.compare import compare_layers

from .residual import Residual, changed, polygraphy, recorded, renamed

torch = pytest.importorskip("torch")

CONV1, CONV2 = "/block1/conv1/Conv_output_0", "/block1/conv2/Conv_output_0"
#: Damage of a weight, from a doubled one to one value a little off.
DAMAGE: dict[str, Callable[[Any], Any]] = {
    "doubled": lambda w: w * 2,
    "mirrored": lambda w: -w,
    "a tenth of a per cent": lambda w: w * 1.001,
    "one value": lambda w: w + (np.arange(w.size).reshape(w.shape) == 5) * 0.5,
}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Residual:
    return Residual(tmp_path_factory.mktemp("residual"))


@pytest.fixture(scope="module")
def model(net: Residual) -> Path:
    return net.exported("model.onnx")


@pytest.mark.parametrize(
    ("form", "damage"),
    [
        ("same", "a tenth of a per cent"),
        ("same", "one value"),
        ("renamed", "mirrored"),
        ("renamed", "one value"),
        ("fused", "doubled"),
        ("fused", "a tenth of a per cent"),
    ],
)
def test_an_onnx_file_in_other_forms(
    net: Residual, model: Path, tmp_path: Path, form: str, damage: str
) -> None:
    bad = changed(model, tmp_path / "bad.onnx", CONV1, DAMAGE[damage])
    healthy = model
    if form == "renamed":
        bad, healthy = (
            renamed(bad, tmp_path / "bad2.onnx"),
            renamed(model, tmp_path / "good2.onnx"),
        )
    if form == "fused":
        bad, healthy = (
            optimised(bad, tmp_path / "bad2.onnx"),
            optimised(model, tmp_path / "good2.onnx"),
        )
    good = compare_layers(model, healthy, net.info)
    assert good.first is None and good.agree and good.faults == []
    report = compare_layers(model, bad, net.info)
    first = next(la for la in report.layers if la.name == report.first)
    # A fused operator gives what the last of its parts gives.
    assert first.name in {CONV1, "/block1/relu/Relu_output_0"} if form == "fused" else CONV1
    assert first.input_error is not None and first.input_error < 1e-5
    assert report.faults[0].output_error == pytest.approx(0, abs=1e-5)
    assert "nothing else is wrong" in report.to_text()


def optimised(path: Path, target: Path) -> Path:
    """What ONNX Runtime makes of a file at its extended level: convolutions with their ReLU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return target


def test_batch_normalisation_that_one_side_has_folded(net: Residual, model: Path) -> None:
    unfolded = net.exported("unfolded.onnx", fold=False)
    good = compare_layers(unfolded, model, net.info)
    assert good.agree and good.first is None
    bad = net.exported("bad.onnx", net.damaged("block2.conv1", lambda w: w.flip(2)))
    report = compare_layers(unfolded, bad, net.info)
    assert report.first is not None and report.first.startswith(("/block2/conv1", "/block2/bn1"))


@pytest.mark.parametrize("module", ["stem", "block1.conv2", "block2.bn1", "fc"])
def test_pytorch_modules_against_an_onnx_file(net: Residual, model: Path, module: str) -> None:
    card = str(net.card)
    good = compare_layers(net.weights, model, net.info, card=card)
    assert good.agree and good.first is None
    bad = net.exported("bad.onnx", net.damaged(module, lambda w: w * 1.01))
    report = compare_layers(net.weights, bad, net.info, card=card)
    folded = {"stem": "bn", "block1.conv2": "block1.bn2", "fc": "fc"}
    assert report.first == folded.get(module, module)
    back = compare_layers(bad, net.weights, net.info, card=card)
    layer = {"fc": "class"}.get(module, f"/{module.replace('.', '/').replace('bn', 'conv')}/")
    assert back.first is not None and back.first.startswith(layer)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("info", [True, False])
def test_a_dump_of_msprobe_against_an_onnx_file(
    net: Residual, model: Path, tmp_path: Path, leaves: bool, info: bool
) -> None:
    bad = net.damaged("block2.conv1", lambda w: w * 1.02)
    for at, (module, first) in enumerate([(net.net, None), (bad, "/block2/")]):
        dump = net.msprobe(module, f"{tmp_path.name}{at}", leaves)
        report = compare_layers(model, dump, net.info if info else None)
        assert (report.first or "").startswith(first or "\0") is bool(first)
        assert report.samples == 3
        assert report.agree is (first is None)
    assert "conv1" in str(report.first)


def test_a_large_fault_is_found_in_a_dump_and_in_modules(
    net: Residual, model: Path, tmp_path: Path
) -> None:
    bad = net.damaged("block1.conv2", lambda w: -3 * w.flip(1))
    found = compare_layers(model, net.msprobe(bad, f"{tmp_path.name}d"), net.info)
    assert found.first == "/block1/conv2/Conv_output_0"
    found = compare_layers(net.weights, net.exported("b.onnx", bad), net.info, card=str(net.card))
    assert found.first is not None and found.first.startswith(("block1.conv2", "block1.bn2"))


def test_two_dumps(net: Residual, tmp_path: Path) -> None:
    good = net.msprobe(net.net, f"{tmp_path.name}a")
    bad = net.msprobe(net.damaged("block1.conv2", lambda w: w * 2), f"{tmp_path.name}b")
    assert compare_layers(good, bad).first == "block1.conv2"
    assert compare_layers(good, good).agree


def test_outputs_of_polygraphy(net: Residual, model: Path, tmp_path: Path) -> None:
    bad = changed(model, tmp_path / "bad.onnx", CONV2, lambda w: w * 1.05)
    for at, (path, first) in enumerate([(model, None), (bad, CONV2)]):
        side = open_side(path, None)
        names = [t.name for t in side.tensors if t.op in ("Conv", "Add", "Relu", "Gemm")]
        run = side.opened(names)
        runs = [dict(zip(names, run(0, {"image": s[None]}), strict=True)) for s in net.samples]
        results = polygraphy(tmp_path / f"poly{at}", runs, net.samples)
        report = compare_layers(model, results)
        assert report.first == first
        assert compare_layers(model, results / "outputs.json", net.info).first == first


def test_two_faults_are_found_one_after_the_other(
    net: Residual, model: Path, tmp_path: Path
) -> None:
    one = changed(model, tmp_path / "one.onnx", CONV1, lambda w: w * 1.5)
    both = changed(one, tmp_path / "two.onnx", "/block2/conv2/Conv_output_0", lambda w: -w)
    report = compare_layers(model, both, net.info)
    assert [f.name for f in report.faults] == [CONV1, "/block2/conv2/Conv_output_0"]
    assert "a further fault is at '/block2/conv2/Conv_output_0'" in report.to_text()


def test_what_is_refused(net: Residual, model: Path, tmp_path: Path) -> None:
    dump = net.msprobe(net.net, f"{tmp_path.name}c")
    for path, wrong, card, message in (
        (model, net.weights, None, "say which model they belong to"),
        (model, tmp_path / "absent", None, "is missing"),
        (model, tmp_path, None, "holds no layer dumps"),
    ):
        with pytest.raises(InputError, match=message):
            compare_layers(path, wrong, net.info, card=card)
    with pytest.raises(InputError, match="nothing to run the models on"):
        compare_layers(model, model)
    other = tmp_path / "other.info"
    np.zeros((3, 12, 12), np.float32).tofile(tmp_path / "z.bin")
    other.write_text(f"0 {tmp_path}/z.bin\n")
    with pytest.raises(InputError, match="made of other inputs than sample 'z'"):
        compare_layers(model, dump, other)
    record = dump / "step0" / "rank" / "dump.json"
    whole = record.read_text()
    for text, message in (
        (whole.replace(".output.0.pt", ".output.9.pt"), "is missing"),
        (json.dumps({"data": 3}), "is not msprobe's dump.json"),
        (whole.replace("Module.stem.Conv2d.forward.0.output", "../x"), "a name in"),
        (json.dumps({"data": {}}), "holds no results"),
    ):
        record.write_text(text)
        with pytest.raises(InputError, match=message):
            compare_layers(model, dump, net.info)
    (tmp_path / "bad.json").write_text(json.dumps({"lst": [["r", [{"outputs": {"x": 3}}]]]}))
    with pytest.raises(InputError, match="an array that cannot be read"):
        compare_layers(model, tmp_path / "bad.json", net.info)
    assert recorded(net.net, torch.zeros(1, 3, 12, 12), True)
