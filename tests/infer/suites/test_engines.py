"""The folder of an engine loader: free sizes, one ONNX file for all of them, plots and a table."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portproof.convert.pytorch.from_engine import example_inputs
from portproof.core.errors import InputError
from portproof.infer.suites.plots import outliers
from portproof.infer.suites.suite_file import read_suite
from portproof.preprocess.cards.engine_cards import card_of, profile_of

CONFIG = """\
name: net
inputs:
  - name: image
    dtype_str: float32
    shapes:
      dims_names: [batch_size, channels, height, width]
      example: [8, 8, 3]
      runtime: [1, 3, -1, -1]
      optimization:
        min: [1, 3, 4, 4]
        opt: [1, 3, 8, 8]
        max: [1, 3, 16, 12]
outputs:
  - name: probs
    shape: {runtime: [1, 5], dims_names: [batch_size, probs]}
"""
#: As it was written for the source's repository, which is where it imports from.
LOADER = """\
import numpy as np
import torch
from src.utils.utils import register_model


@register_model
class Loader:
    name = "net"

    def load_pytorch_module(self):
        torch.manual_seed(3)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        )

    def load_example_inputs(self):
        return [np.arange(192, dtype=np.uint8).reshape(8, 8, 3)]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a@b" / "net"
    made.mkdir(parents=True)
    (made / "config.yaml").write_text(CONFIG)
    (made / "load.py").write_text(LOADER)
    return made


def test_a_folder_is_a_suite_of_its_sizes(folder: Path) -> None:
    suite = read_suite(folder)
    assert suite.form == "engines"
    assert [e.name for e in suite.entries] == ["net 4x4", "net 8x8", "net 16x12"]
    assert card_of(f"{folder}@6x10").inputs[0].shape == (3, 6, 10)
    assert card_of(str(folder)).inputs[0].shape == (3, 8, 8)
    assert profile_of(f"engine:{folder}@6x10") == ("image:1x3x4x4,1x3x8x8,1x3x16x12",)
    with pytest.raises(InputError, match="17x8 lies outside"):
        card_of(f"{folder}@17x8")


def test_examples_are_one_sample_channels_first(folder: Path) -> None:
    pytest.importorskip("torch")
    (array,) = example_inputs(f"engine:{folder}@8x8")
    assert array.shape == (1, 3, 8, 8)
    assert array[0, 1, 0, 2] == 2 * 3 + 1  # row 0, column 2, second channel


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("min: [1, 3, 4, 4]", "min: [1, 3, 9, 4]", "do not ascend"),
        ("opt: [1, 3, 8, 8]", "opt: [1, 4, 8, 8]", "a fixed dimension of 'image'"),
        ("opt: [1, 3, 8, 8]", "opt: [1, 3, 8]", "differ in length"),
        ("dtype_str", "dtype", "unknown field `dtype`"),
    ],
)
def test_a_wrong_configuration_is_refused(folder: Path, old: str, new: str, reason: str) -> None:
    assert old in CONFIG
    (folder / "config.yaml").write_text(CONFIG.replace(old, new))
    with pytest.raises(InputError, match=reason):
        read_suite(folder)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("@register_model\n", "", "registers 0 models"),
        ("load_example_inputs", "load_examples", "no method 'load_example_inputs'"),
        ("torch.manual_seed(3)", "return 3", "returned int"),
    ],
)
def test_a_wrong_loader_is_refused(folder: Path, old: str, new: str, reason: str) -> None:
    pytest.importorskip("torch")
    from portproof.convert.pytorch.models import build_model

    (folder / "load.py").write_text(LOADER.replace(old, new))
    with pytest.raises(InputError, match=reason):
        build_model(card_of(str(folder)), None)


def test_outliers_are_beyond_tukeys_fences() -> None:
    """Against the rule written out with numpy."""
    values = np.random.default_rng(0).standard_exponential(200)
    low, high = np.quantile(values, [0.25, 0.75])
    far = (values < low - 1.5 * (high - low)) | (values > high + 1.5 * (high - low))
    assert outliers(values.tolist()) == far.tolist() and far.any()
    assert outliers([1.0, 100.0, 1.0]) == [False] * 3


def test_engines_of_all_sizes_from_one_file(
    folder: Path, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The figures of the file that all sizes share are those of PyTorch, size by size."""
    torch = pytest.importorskip("torch")
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("matplotlib")
    out = folder.parent / "out"
    words = (folder, "--out", out, "--blocks", 1, "--iterations", 5, "--models", "net 4x4,net 8x8")
    done = stage("infer/suite.py", *words, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    session = ort.InferenceSession(str(out / "net.onnx"), providers=["CPUExecutionProvider"])
    state = torch.load(out / "net_8x8" / "weights.pth", weights_only=True)
    for height, width in ((4, 4), (7, 11), (16, 12)):
        image = torch.randn(1, 3, height, width)
        wanted = torch.nn.functional.conv2d(image, state["0.weight"], state["0.bias"], padding=1)
        (got,) = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(got, wanted.mean((2, 3)).numpy(), atol=1e-5)
    text = (out / "README.md").read_text()
    assert "# net 4x4" in text and "# net 8x8" in text
    for file in ("cpu_time", "cpu_mb", "cpu_pct_util"):
        assert f"![{file}_measurements](plots/net_8x8_bs1/{file}_measurements.svg)" in text
        assert (out / f"plots/net_8x8_bs1/{file}_measurements.svg").read_bytes()[:5] == b"<?xml"
    assert "| TensorRT | not run: the Python package 'tensorrt'" in text
    assert "examples.info" in text and "Inputs of net 4x4: random" in text
    said = "ONNX file: equal to PyTorch at batch 1 and the sizes 3x4x4, 3x8x8, 3x16x12: largest"
    assert text.count(said) == 2
    assert "### Latency" in text and "Memory (RAM) [mb]" in text and "Utilisation [%]" in text
