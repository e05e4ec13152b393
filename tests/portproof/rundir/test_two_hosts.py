"""A port that is begun on a host with torch and without the device, and continued on the device's
host, which has neither torch nor timm nor the images. The device is simulated.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

#: Packages that the second host does not have, and a numpy of another version.
HOST = """
import importlib.metadata as metadata, sys

GONE = ("torch", "timm", "torchvision", "sklearn", "scikit-learn")

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

def version(name, known=metadata.version):
    if name in GONE:
        raise metadata.PackageNotFoundError(name)
    return "1.99.0" if name == "numpy" else known(name)

sys.meta_path.insert(0, Finder())
metadata.version = version
"""
OWN = """
import torch

pretrained_cfg = {"input_size": (3, 16, 16), "num_classes": 3}


def build():
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 3)
    )
"""


def portproof(root: Path, cwd: Path, *words: object, second: bool = False) -> tuple[int, str]:
    """Exit code, and what it printed; ``second``: on the device's host."""
    path = [str(cwd / "second"), str(root / "src")] if second else [str(root / "src")]
    done = subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    return done.returncode, done.stdout


def make_own(folder: Path) -> str:
    import torch

    (folder / "own.py").write_text(OWN)
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 3)
    )
    torch.save(module.state_dict(), folder / "weights.pth")
    return "own.py:build"


def make_timm(folder: Path) -> str:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("test_resnet", pretrained=False)
    torch.save(model.state_dict(), folder / "weights.pth")
    return "timm:test_resnet.r160_in1k"


def images(folder: Path, seed: int) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir()
    noise = np.random.default_rng(seed)
    for index in range(6):
        pixels = noise.integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"i{index}.png")


def test_without_the_device_a_port_ends_in_what_to_copy_and_to_type(
    root: Path, tmp_path: Path, small_port: Callable[[Path], list[str]]
) -> None:
    options = small_port(tmp_path / "user")
    words = ("port", "--target", "310p", *options, "--run-dir", "run", "--runner", "msame")
    code, said = portproof(root, tmp_path, *words)
    assert code == 4, said
    assert said.splitlines()[-4:] == [
        "done here: what needs no device. 'npu-smi' is not on this host, so the rest is for one"
        " that has the device (310p):",
        f"  copy  {tmp_path / 'run'} {tmp_path / 'user/labels.txt'}",
        "  type  portproof port --target 310p --run-dir run --labels labels.txt --runner msame",
        "verdict: UNDECIDED until then",
    ]
    assert (tmp_path / "run" / "card.yaml").is_file()
    assert "Traceback" not in said and "error" not in said


def make_torchvision(folder: Path) -> str:
    return "torchvision:resnet18"


@pytest.mark.parametrize("make", [make_own, make_timm, make_torchvision])
def test_a_card_that_was_written_down_is_enough_without_the_packages(
    root: Path, tmp_path: Path, make: Callable[[Path], str]
) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "sitecustomize.py").write_text(HOST)
    images(tmp_path / "images", 0)
    model = make(tmp_path)
    code, said = portproof(root, tmp_path, "card", model, "card.yaml")
    assert code == 0, said
    assert "card.yaml is up to date" in portproof(root, tmp_path, "card", model, "card.yaml")[1]
    for name in ("own.py", "weights.pth"):
        (tmp_path / name).unlink(missing_ok=True)
    words = ("preprocess", "images", "prep", "--model")
    code, said = portproof(root, tmp_path, *words, model, second=True)
    assert code == 2, said
    code, said = portproof(root, tmp_path, *words, "card.yaml", second=True)
    assert code == 0, said


@pytest.mark.slow
def test_the_other_half_needs_neither_torch_nor_the_model_s_package(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "sitecustomize.py").write_text(HOST)
    first = tmp_path / "first"
    first.mkdir()
    card = make_timm(first)
    images(first / "images", 0)
    (tmp_path / "labels.txt").write_text("".join(f"i{k}.png {k % 3}\n" for k in range(6)))
    start = ("port", "--target", "310p", "--rehearse", "--batch", "1,4", "--run-dir", "../run")
    given = ("--weights", "weights.pth", "--images", "images", "--labels", "../labels.txt")
    code, said = portproof(root, first, *start, "--model", card, *given)
    assert code in (1, 4), said
    run = tmp_path / "run-REHEARSAL"
    for name in ("310p", "report"):
        shutil.rmtree(run / name)
    for name in ("compare.json", "compare.json.proof.json"):
        (run / name).unlink()
    shutil.rmtree(first)
    _, why = portproof(root, tmp_path, "why", run, second=True)
    again = ("port", "--target", "310p", "--rehearse", "--run-dir", "run", "--labels", "labels.txt")
    code, said = portproof(root, tmp_path, *again, second=True)
    assert code in (1, 4) and "verdict: " in said, said
    assert said.splitlines()[-1].startswith("REHEARSAL: ")
    # What one says is kept, the other says too.
    kept = [line.split()[3] for line in why.splitlines() if "is not on this host" in line]
    assert kept == ["model.onnx", "prep", "eager/bs4/result", "card.yaml"]
    assert all(f"{name} is kept as it was made elsewhere" in said for name in kept)
    code, said = portproof(root, tmp_path, "verify", run, second=True)
    assert code == 0, said
    # Another batch needs the reference at that batch.
    code, said = portproof(root, tmp_path, *again, "--batch", "1,4,8", second=True)
    assert code == 2
    assert "eager/bs8/result is not here for these settings, and this host cannot make it" in said
    assert "since the package torch is not on it: make it on the host where the port was" in said
    # A reference of other images is not kept in silence.
    images(tmp_path / "others", 1)
    others = ("--batch", "1,4", "--images", "others", "--model", run / "card.yaml")
    code, said = portproof(root, tmp_path, *again, *others, second=True)
    assert code == 2
    assert "eager/bs4/result was made from other inputs (samples 'prep/i0.bin' changed)" in said


@pytest.mark.slow
def test_a_demonstration_that_is_continued_with_another_numpy_verifies(
    root: Path, tmp_path: Path, demonstration_copy: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(demonstration_copy, run)
    (tmp_path / "second").mkdir()
    all_there = HOST.replace(
        'GONE = ("torch", "timm", "torchvision", "sklearn", "scikit-learn")', "GONE = ()"
    )
    (tmp_path / "second" / "sitecustomize.py").write_text(all_there)
    words = ("port", "--target", "cpu", "--run-dir", "run", "--batch", "1,4", "--starts", "4")
    code, said = portproof(root, tmp_path, *words, second=True)
    assert code in (0, 4), said
    assert "preprocess: running because numpy was" in said
    assert "train: weights.pth is up to date" in said
    code, said = portproof(root, tmp_path, "verify", "run", second=True)
    assert code == 0, said
