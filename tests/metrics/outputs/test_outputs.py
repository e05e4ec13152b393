"""Ports without labels: sound ones pass by the noise ruler, and broken ones fail."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.outputs.compare import Ruler, compare_outputs
from portproof.metrics.outputs.distances import distance
from portproof.metrics.outputs.output_figures import OutputComparison
from portproof.metrics.outputs.ruler import rounded_model
from portproof.verdict import Verdict

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
COUNT = 12


class Block(torch.nn.Module):  # type: ignore[misc]
    """A residual block; ``skip`` is what the sum takes of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(16)
        self.skip = 1.0

    def forward(self, x: Any) -> Any:
        return torch.relu(self.skip * x + self.norm(self.conv(x)))


class Net(torch.nn.Module):  # type: ignore[misc]
    """Three outputs: boxes in pixels with scores beside them (6, 64), a vector, and its class."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.blocks = torch.nn.Sequential(*(Block() for _ in range(6)))
        self.boxes, self.scores = torch.nn.Conv2d(16, 4, 1), torch.nn.Conv2d(16, 2, 1)
        self.head = torch.nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = self.blocks(self.stem(x))
        joined = torch.cat([300 + 50 * self.boxes(x), torch.sigmoid(self.scores(x))], 1).flatten(2)
        logits = self.head(x.mean((2, 3)))
        return joined, logits, logits.argmax(1)


def net() -> Any:
    """The network with statistics as after training."""
    torch.manual_seed(0)
    model = Net()
    with torch.no_grad():
        for _ in range(30):
            model(torch.randn(8, 3, 16, 16))
    return model.eval()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference's ONNX file, samples, their info list, and the results of the reference."""
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "prep").mkdir()
    x = torch.randn(COUNT, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for i, sample in enumerate(x.numpy()):
        sample.tofile(folder / f"prep/s{i}.bin")
    lines = (f"{i} {folder}/prep/s{i}.bin 16 16\n" for i in range(COUNT))
    (folder / "prep.info").write_text("".join(lines))
    model = net()
    torch.onnx.export(
        model,
        (x[:1],),
        str(folder / "model.onnx"),
        dynamo=False,
        opset_version=13,
        input_names=["image"],
        output_names=["joined", "logits", "class"],
        dynamic_axes={"image": {0: "n"}},
    )
    write(folder / "reference", model(x))
    return folder


def write(folder: Path, outputs: Any) -> Path:
    folder.mkdir()
    for k, output in enumerate(outputs, start=1):
        array = output.detach().float().numpy() if output.is_floating_point() else output.numpy()
        for i, row in enumerate(array):
            np.save(folder / f"s{i}_{k}.npy", row)
    return folder


def samples(case: Path) -> Any:
    return torch.stack(
        [
            torch.from_numpy(np.fromfile(case / f"prep/s{i}.bin", np.float32)).reshape(3, 16, 16)
            for i in range(COUNT)
        ]
    )


def ported(case: Path, folder: Path, kind: Any = torch.float16, **changes: Any) -> Path:
    """The results of the network in another type, after ``fault`` was done to it."""
    model = net()
    changes.get("fault", lambda model: None)(model)
    with torch.no_grad():
        return write(folder, model.to(kind)(samples(case).to(kind)))


def compared(case: Path, folder: Path, precision: str = "fp16") -> OutputComparison:
    ruler = Ruler(case / "model.onnx", case / "prep.info", precision)
    return compare_outputs(case / "reference", folder, ruler)


def swap_channels(model: Any) -> None:
    weight = model.stem.weight.data
    weight[:, [0, 1]] = weight[:, [1, 0]].clone()


def wrong_epsilon(model: Any) -> None:
    for block in model.blocks:
        block.norm.eps = 1e-2


def drop_residual(model: Any) -> None:
    model.blocks[3].skip = 0.0


def corrupt_layer(model: Any) -> None:
    model.blocks[4].conv.weight.data[3] *= 1.5


def lower_scores(model: Any) -> None:
    """Wrong scores beside right pixels, in the same output."""
    model.scores.bias.data += 0.2


FAULTS = [swap_channels, wrong_epsilon, drop_residual, corrupt_layer, lower_scores]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_port_in_lower_precision_passes(case: Path, tmp_path: Path, precision: str) -> None:
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    found = compared(case, ported(case, tmp_path / "port", kind), precision)
    assert [o.verdict for o in found.outputs[:2]] == [Verdict.PASS] * 2, found.to_text()
    assert found.outputs[2].verdict is not Verdict.FAIL
    assert found.outputs[1].ratio is not None and 0.1 < found.outputs[1].ratio < 3


def test_packed_results_give_the_same_figures(
    case: Path, tmp_path: Path, packed: Callable[..., Path]
) -> None:
    """Several outputs of any shape and type, from a port that is sound and from one that is not."""
    for fault in (None, swap_channels):
        port = ported(
            case, tmp_path / f"port{fault is None}", **({"fault": fault} if fault else {})
        )
        pack = packed(port)
        one, other = compared(case, port), compared(case, pack)
        assert one.verdict is other.verdict and one.outputs == other.outputs
        assert (one.verdict is Verdict.FAIL) is (fault is not None)
    np.save(pack / "output3.npy", np.load(pack / "output3.npy")[:-1])
    with pytest.raises(InputError, match=r"12 ids and output3\.npy 11 rows"):
        compared(case, pack)


def test_the_reference_itself_passes_in_fp32(case: Path, tmp_path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(case / "model.onnx"))
    outputs = [torch.from_numpy(a) for a in session.run(None, {"image": samples(case).numpy()})]
    found = compared(case, write(tmp_path / "port", outputs), "fp32")
    assert found.verdict is Verdict.PASS, found.to_text()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_port_in_fp16_fails(
    case: Path, tmp_path: Path, fault: Callable[[Any], None]
) -> None:
    found = compared(case, ported(case, tmp_path / "port", fault=fault))
    assert found.verdict is Verdict.FAIL, found.to_text()


def test_a_constant_cosine_would_hide_a_fault(case: Path, tmp_path: Path) -> None:
    found = compared(case, ported(case, tmp_path / "port", fault=lower_scores))
    assert found.outputs[0].cosine_least > 0.99 and found.outputs[0].verdict is Verdict.FAIL
    assert "slice" in found.outputs[0].reason


@pytest.mark.parametrize("damage", ["one sample", "not a number", "shorter"])
def test_one_bad_sample_fails(case: Path, tmp_path: Path, damage: str) -> None:
    folder = ported(case, tmp_path / "port")
    logits = np.load(folder / "s7_2.npy")
    if damage == "one sample":
        logits = np.load(folder / "s6_2.npy")
    elif damage == "not a number":
        logits[3] = np.nan
    else:
        logits = logits[:5]
    np.save(folder / "s7_2.npy", logits)
    found = compared(case, folder)
    assert found.outputs[1].verdict is Verdict.FAIL
    assert "s7" in found.outputs[1].reason and found.outputs[1].worst[0].id == "s7"


def test_a_bad_sample_that_the_ruler_did_not_see_fails(case: Path, tmp_path: Path) -> None:
    folder = ported(case, tmp_path / "port")
    np.save(folder / "s7_2.npy", np.load(folder / "s6_2.npy"))
    ruler = Ruler(case / "model.onnx", case / "prep.info", "fp16", limit=4)
    found = compare_outputs(case / "reference", folder, ruler)
    assert found.ruler_samples == 4 and found.outputs[1].verdict is Verdict.FAIL
    assert "'s7'" in found.outputs[1].reason


def test_outputs_that_hardly_vary_prove_nothing(case: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(case / "model.onnx")
    for weight in model.graph.initializer:
        if weight.name == "head.weight":
            values = np.zeros_like(numpy_helper.to_array(weight))
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    answers = net()
    answers.head.weight.data.zero_()
    with torch.no_grad():
        same = write(tmp_path / "same", answers(samples(case)))
    found = compare_outputs(same, same, Ruler(tmp_path / "model.onnx", case / "prep.info"))
    assert found.outputs[1].verdict is Verdict.UNDECIDED
    assert "prove nothing" in found.outputs[1].reason


def test_a_model_of_other_results_is_no_ruler(case: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        other = write(tmp_path / "other", net()(samples(case) + 1))
    ruler = Ruler(case / "model.onnx", case / "prep.info")
    with pytest.raises(InputError, match="does not give the reference's result of 's0'"):
        compare_outputs(other, other, ruler)


def test_the_command_says_and_writes_the_verdict(
    case: Path, tmp_path: Path, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with torch.no_grad():
        two = write(tmp_path / "two", net()(samples(case))[:2])
    done = stage("metrics/compare.py", two, two)
    assert done.returncode == 2 and "--outputs" in done.stderr
    done = stage("metrics/compare.py", two, two, "--outputs")
    assert done.returncode == 2 and "--model-file" in done.stderr
    ruler = ("--outputs", "--model-file", case / "model.onnx", "--info", case / "prep.info")
    done = stage("metrics/compare.py", two, two, *ruler)
    assert done.returncode == 2 and "has 3 outputs and the results have 2" in done.stderr
    same = (case / "reference", case / "reference", *ruler, "--precision", "fp32")
    done = stage("metrics/compare.py", *same, "--json", "--out", tmp_path / "o.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "o.json").read_text())
    again = stage("metrics/compare.py", *same, "--json", "--out", tmp_path / "o.json")
    assert again.stdout == done.stdout and "up to date" in again.stderr
    assert (tmp_path / "o.json.proof.json").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--outputs", "--margin-pp", 2), "--margin-pp"),
        (("--outputs", "--allow-missing"), "--allow-missing"),
        (("--outputs", "--port-output", 2), "--port-output"),
        (("labels.txt", "--precision", "bf16"), "--precision"),
        (("labels.txt", "--model-file", "m.onnx"), "--model-file"),
    ],
)
def test_an_option_of_the_other_way_is_refused(
    stage: Callable[..., subprocess.CompletedProcess[str]], words: tuple[object, ...], named: str
) -> None:
    done = stage("metrics/compare.py", "a", "b", *words)
    assert done.returncode == 2 and f"{named} has no meaning" in done.stderr


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_weights_and_activations_are_rounded_as_torch_rounds(precision: str) -> None:
    """A chain of additions, in which PyTorch in that type rounds after every operator too."""
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import InferenceSession

    weight = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    nodes = [helper.make_node("Add", ["x", "w0"], ["t0"])]
    nodes += [helper.make_node("Add", [f"t{i}", f"w{i + 1}"], [f"t{i + 1}"]) for i in range(3)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [50])],
        [helper.make_tensor_value_info("t3", TensorProto.FLOAT, [50])],
        [numpy_helper.from_array(row, f"w{i}") for i, row in enumerate(weight)],
    )
    opset = [helper.make_opsetid("", 11)]
    model = rounded_model(helper.make_model(graph, opset_imports=opset, ir_version=8), precision)
    x = np.random.default_rng(1).normal(size=50).astype(np.float32)
    ours = InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    total = torch.from_numpy(x).to(kind)
    for row in weight:
        total = total + torch.from_numpy(row).to(kind)
    np.testing.assert_array_equal(ours, total.float().numpy())


def test_distances_are_those_of_their_definitions() -> None:
    from scipy.spatial.distance import cosine

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 4, 4)), rng.normal(size=(5, 4, 4))
    found = distance(a, b)
    assert found.error == pytest.approx(np.linalg.norm(a - b))
    assert found.cosine == pytest.approx(1 - cosine(a.ravel(), b.ravel()))
    assert found.snr_db == pytest.approx(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()))
    assert found.argmax == np.mean(a.argmax(0) == b.argmax(0))
    infinite = np.array([1.0, -np.inf, np.nan])
    assert distance(infinite, infinite).error == 0
    assert distance(np.array([1, 2, 3]), np.array([1, 2, 4])).relative == pytest.approx(1 / 3)
