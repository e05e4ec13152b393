"""The export to ONNX: its form, its numbers, when it runs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from portproof.card import read_card
from portproof.convert.export import samples
from portproof.convert.export.export import ExportRequest, export
from portproof.convert.onnxfile import save
from portproof.convert.onnxfile.read import read_onnx
from portproof.core.errors import InputError, ToolError

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def normalised_in(path: Path) -> str:
    """Where the file's own note places the normalisation."""
    return str(json.loads(read_onnx(path).metadata["portproof.normalisation"])["where"])


def outputs_of(path: Path, array: np.ndarray) -> list[np.ndarray]:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"image": array}
    )


def reference(small: Path, array: np.ndarray) -> np.ndarray:
    """The small network's answer by PyTorch alone."""
    names: dict = {}
    exec((small / "small.py").read_text(), names)
    net = names["Net"]().eval()
    net.load_state_dict(torch.load(small / "small.pth", weights_only=True))
    with torch.no_grad():
        return net(torch.from_numpy(array)).numpy()


def test_exports_what_pytorch_computes_with_any_batch(small: Path) -> None:
    proof = export(small / "small.pth", small / "small.onnx", str(small / "small.yaml"))
    model = onnx.load(small / "small.onnx")
    assert [(e.domain, e.version) for e in model.opset_import] == [("", 11)]
    for value, name in ((model.graph.input[0], "image"), (model.graph.output[0], "class")):
        assert value.name == name and value.type.tensor_type.shape.dim[0].dim_param == "batch"
    pictures = np.random.default_rng(0).normal(size=(7, 3, 20, 16)).astype(np.float32)
    for count in (1, 2, 7):
        np.testing.assert_allclose(
            outputs_of(small / "small.onnx", pictures[:count])[0],
            reference(small, pictures[:count]),
            atol=1e-5,
        )
    facts = proof.facts
    assert (
        facts["proves"]
        and facts["batches_checked"] == [1, 3]
        and facts["max_difference"] < 1e-4 < 0.1 < facts["spread"]
    )
    assert {
        role: [Path(r.path).name for r in records] for role, records in proof.inputs.items()
    } == {"weights": ["small.pth"], "card": ["small.yaml"], "code": ["small.py"]}


def test_a_fixed_batch_is_fixed(small: Path) -> None:
    proof = export(
        small / "small.pth", small / "b4.onnx", str(small / "small.yaml"), batch=4, simplify=False
    )
    assert onnx.load(small / "b4.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4
    assert proof.facts["batches_checked"] == [4] and proof.facts["simplified"] is False
    assert ExportRequest(batch=1).check_batches == (1, 1, 1, 1) and ExportRequest(
        batch=3
    ).check_batches == (
        3,
        3,
    )


@pytest.mark.parametrize("opset", [9, 12, 13, 17])
def test_other_opsets_on_request(small: Path, opset: int) -> None:
    export(small / "small.pth", small / "o.onnx", str(small / "small.yaml"), opset=opset)
    assert onnx.load(small / "o.onnx").opset_import[0].version == opset


def test_the_same_export_gives_the_same_bytes(small: Path) -> None:
    for name in ("a", "b"):
        (small / name).mkdir()
        export(small / "small.pth", small / name / "m.onnx", str(small / "small.yaml"))
    assert (small / "a/m.onnx").read_bytes() == (small / "b/m.onnx").read_bytes()


def test_runs_once_and_says_why_it_runs_again(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / "blocks.py").write_text("WIDTH = 5\n")
    (small / "small.py").write_text("import blocks\n" + (small / "small.py").read_text())

    def run(**options: object) -> str:
        capsys.readouterr()
        export(small / "small.pth", small / "m.onnx", str(small / "small.yaml"), **options)
        return capsys.readouterr().err

    assert "has not been done yet" in run()
    assert "up to date" in run()
    (small / "blocks.py").write_text("WIDTH = 6\n")
    assert "blocks.py' changed" in run()
    assert "opset was 11, now 12" in run(opset=12)
    (small / "m.onnx").write_bytes(b"")
    assert "was changed since" in run(opset=12)


def test_is_up_to_date_without_importing_torch(small: Path, stage) -> None:
    export(small / "small.pth", small / "m.onnx", str(small / "small.yaml"))
    (small / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    done = stage(
        "convert/pth2onnx.py",
        "small.pth",
        "m.onnx",
        "--model",
        "small.yaml",
        cwd=small,
        env={"PYTHONPATH": str(small)},
    )
    assert done.returncode == 0 and "up to date" in done.stderr, done.stderr


def test_raw_pixels_give_the_same_answers_with_the_normalisation_inside(small: Path) -> None:
    proof = export(
        small / "small.pth", small / "u8.onnx", str(small / "small.yaml"), fold_normalize=True
    )
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3, 20, 16), dtype=np.uint8)
    mean, std = (
        np.array(v, dtype=np.float32).reshape(3, 1, 1)
        for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    wanted = reference(small, ((pixels / np.float32(255)) - mean) / std)
    got = outputs_of(small / "u8.onnx", pixels)[0]
    assert np.abs(got - wanted).max() <= 1e-3 * wanted.std(axis=0).mean()
    assert (
        onnx.load(small / "u8.onnx").graph.input[0].type.tensor_type.elem_type
        == onnx.TensorProto.UINT8
    )
    assert (
        proof.facts["normalisation"]["where"] == "in the model" == normalised_in(small / "u8.onnx")
    )
    plain = export(small / "small.pth", small / "f32.onnx", str(small / "small.yaml"))
    assert (
        plain.facts["normalisation"]["where"] == "in the input" == normalised_in(small / "f32.onnx")
    )


def _write(small: Path, forward: str) -> None:
    """Another network ``small.py``, whose ``forward`` ends in the given line, and weights
    for it.
    """
    (small / "small.py").write_text(
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n   "
        "     super().__init__()\n        self.fc = nn.Linear(3, 5)\n    def forward(self,"
        f" image):\n        x = self.fc(image.mean((2, 3)))\n        {forward}\n\ndef build():\n   "
        " return Net()\n"
    )
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(3, 5).state_dict(prefix="fc."), small / "small.pth")


def run_small(small: Path, **options: object) -> dict:
    return export(small / "small.pth", small / "m.onnx", str(small / "small.yaml"), **options).facts


def test_an_export_that_computes_something_else_leaves_no_file(small: Path) -> None:
    _write(
        small, "return x * 2 if x.shape[0] == 2 else x"
    )  # what the tracer sees at its batch of 2 is wrong at any other
    (small / "m.onnx").write_bytes(b"an older export")
    with pytest.raises(ToolError, match="does not compute what PyTorch computes"):
        run_small(small)
    assert not [p.name for p in small.iterdir() if "onnx" in p.name or p.name.startswith(".")]


def test_outputs_that_hardly_vary_prove_nothing(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(small, "return x * 1e-6 + 1")
    facts = run_small(small)
    assert (
        facts["proves"] is False
        and "proves nothing: the outputs hardly vary" in capsys.readouterr().err
    )


def test_names_the_operator_that_an_opset_lacks_and_the_lowest_that_has_it(
    small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(
        small,
        "return x + nn.functional.grid_sample(image, image[:, :2].permute(0, 2, 3, 1),"
        " align_corners=False).sum()",
    )
    with pytest.raises(
        InputError,
        match=(
            r"operator aten::grid_sampler, which ONNX opset 11 cannot express: --opset 16 is the"
            r" lowest"
        ),
    ):
        run_small(small)
    capfd.readouterr()
    _write(small, "return torch.special.i0(x)")
    with pytest.raises(InputError, match=r"aten::i0,.*no opset"):
        run_small(small)
    assert capfd.readouterr().out == ""


def test_outputs_must_be_the_cards(small: Path) -> None:
    _write(small, "return x, x[:, :2]")
    with pytest.raises(InputError, match="has 1 outputs, the model gives 2"):
        run_small(small)
    _write(small, "return x[:, :2]")
    with pytest.raises(
        InputError, match=r"output 'class' has the shape \(5,\) there, the model gives \(2,\)"
    ):
        run_small(small)
    _write(small, "return 'cat'")
    with pytest.raises(InputError, match="returned str, tensors were expected"):
        run_small(small)


def test_several_inputs_and_outputs_by_the_cards_names(small: Path) -> None:
    card = (
        (small / "small.yaml")
        .read_text()
        .replace("inputs: [", "inputs: [{name: ids, shape: [7], dtype: int64}, ")
    )
    (small / "small.yaml").write_text(
        card.replace("shape: [5]}]", "shape: [5]}, {name: sum, shape: []}]")
    )
    _write(small, "")
    text = (small / "small.py").read_text().replace("(self, image)", "(self, ids, image)").rstrip()
    (small / "small.py").write_text(
        text.replace(
            "        \n", "        return {'a': x, 'b': (ids.float().mean(1) + x.sum(1),)}\n", 1
        )
    )
    assert run_small(small)["proves"]
    model = onnx.load(small / "m.onnx")
    assert [i.name for i in model.graph.input] == ["ids", "image"] and [
        o.name for o in model.graph.output
    ] == ["class", "sum"]
    with pytest.raises(InputError, match="has 2 inputs, one image was expected"):
        run_small(small, fold_normalize=True)


def test_a_model_over_2_gb_keeps_its_tensors_beside_it(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(save, "LARGEST_FILE", 100)
    (small / "small.py").write_text(
        (small / "small.py")
        .read_text()
        .replace("nn.Conv2d(3, 6, 3, stride=2)", "nn.Conv2d(3, 6, 9, stride=2)")
    )
    names: dict = {}
    exec((small / "small.py").read_text(), names)
    torch.save(names["Net"]().state_dict(), small / "small.pth")
    proof = export(small / "small.pth", small / "m.onnx", str(small / "small.yaml"))
    assert (
        sorted(r.path for r in proof.outputs) == ["m.onnx", "m.onnx.data"]
        and not proof.facts["simplified"]
    )
    assert "larger than 2 GB" in capsys.readouterr().err
    pictures = np.ones((2, 3, 20, 16), dtype=np.float32)
    np.testing.assert_allclose(
        outputs_of(small / "m.onnx", pictures)[0], reference(small, pictures), atol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"opset": 8}, "opset 8 cannot be written: 9 to 20"),
        ({"opset": 25}, "opset 25"),
        ({"out": "m.pb"}, r"must end in \.onnx"),
    ],
)
def test_refuses_what_it_cannot_write(small: Path, options: dict, reason: str) -> None:
    out = small / options.pop("out", "m.onnx")
    with pytest.raises(InputError, match=reason):
        export(small / "small.pth", out, str(small / "small.yaml"), **options)


def test_registers_no_symbolic_for_good() -> None:
    from portproof.convert.export.symbolics import _registry, own_symbolics

    group = "aten::scaled_dot_product_attention"
    with own_symbolics(11):
        assert _registry().is_registered_op(group, 11)
    assert not _registry().is_registered_op(group, 11)


def test_the_command_line(small: Path, stage) -> None:
    command = ("convert/pth2onnx.py", "small.pth", "out/m.onnx", "--model", "small.py:build")
    (small / "small.py").write_text(
        (small / "small.py").read_text()
        + "\npretrained_cfg = {'input_size': (3, 32, 32), 'num_classes': 5}\n"
    )
    done = stage(*command, "--batch", "dynamic", cwd=small)
    assert done.returncode == 0 and "Warning" not in done.stderr and done.stdout == "", done.stderr
    assert json.loads((small / "out/m.onnx.proof.json").read_text())["stage"] == "export"
    missing = stage(
        "convert/pth2onnx.py", "none.pth", "m.onnx", "--model", "regnety_016", cwd=small
    )
    assert (
        missing.returncode == 2
        and "fb4fc8ffd7cbf1a209d66a5ca621b451" in missing.stderr
        and "https://" in missing.stderr
    )
    assert stage(*command, "--batch", "0", cwd=small).returncode == 2


def test_samples_differ_and_pixels_are_the_same_pictures(small: Path) -> None:
    card = read_card(small / "small.yaml")
    pictures, pixels = (
        samples.sample_inputs(card, 3)["image"],
        samples.sample_pixels(card, 3)["image"],
    )
    assert pixels.dtype == np.uint8 and len({p.tobytes() for p in pixels}) == 3
    mean, std = (
        np.array(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    np.testing.assert_allclose(pictures, (pixels / 255 - mean) / std, atol=1e-5)
