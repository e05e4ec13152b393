"""The planning of the GPU benchmark, its table and its refusals; nothing here needs a GPU."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import ToolError
from portproof.measurement import Measurement, Performance, write_performance

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("gpu_parts")
    for name in ("gpu_parts", "gpu_clocks", "gpu"):
        sys.modules.pop(name, None)


class Sittings:
    """A clock, and parts of given lengths."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.now, self.seconds, self.done = 0.0, seconds, []

    def run(self, part: Any, left: float) -> str | None:
        took = self.seconds[part.model]
        self.now += min(took, left)
        if took > left:
            return "time"
        self.done.append(part.model)
        part.file.parent.mkdir(parents=True, exist_ok=True)
        part.file.write_text("{}")
        return None


def sittings(gpu: Any, folder: Path, seconds: dict[str, float]) -> tuple[list[float], list[str]]:
    """How long each sitting took until all was over, and the order of what was done."""
    work, lengths = Sittings(seconds), []
    todo = gpu.parts(list(seconds), [1], folder)
    for _ in range(20):
        began = work.now
        code = gpu.sit(todo, work.run, lambda: work.now)
        lengths.append(work.now - began)
        if code != gpu.MORE_TO_DO:
            assert code == (3 if any(part.failed.is_file() for part in todo) else 0)
            return lengths, work.done
    raise AssertionError("it never ends")


def test_no_sitting_is_longer_than_eight_minutes_and_all_is_done_once(
    gpu: Any, tmp_path: Path
) -> None:
    lengths, done = sittings(gpu, tmp_path, {f"m{i}": 70.0 + 20 * i for i in range(15)})
    assert max(lengths) <= 480
    assert done == [f"m{i}" for i in range(15)]
    assert len(lengths) < 12


def test_a_part_longer_than_a_sitting_fails_and_does_not_stop_the_others(
    gpu: Any, tmp_path: Path
) -> None:
    lengths, done = sittings(gpu, tmp_path, {"quick": 10.0, "endless": 1e9, "last": 10.0})
    assert done == ["quick", "last"]
    assert "longer than a whole sitting" in (tmp_path / "endless/bs1.failed.txt").read_text()
    assert max(lengths) <= 480


def test_a_part_that_fails_is_not_tried_again(gpu: Any, tmp_path: Path) -> None:
    tried = []

    def run(part: Any, left: float) -> str:
        tried.append(part.model)
        return "timm is not installed"

    todo = gpu.parts(["vgg16"], [1, 2], tmp_path)
    assert gpu.sit(todo, run) == 3
    assert gpu.sit(todo, run) == 3
    assert tried == ["vgg16", "vgg16"]
    assert "Batch 2 failed: timm is not installed" in gpu.table(
        ["vgg16"], [1, 2], tmp_path, "GPU", {}
    )


def test_the_table_has_the_form_of_poros(gpu: Any, tmp_path: Path) -> None:
    part = gpu.Part("resnet50", 8, tmp_path)
    part.file.parent.mkdir(parents=True)
    common = {
        "model": "w.pth",
        "backend": "eager",
        "batch": 8,
        "boundary": "call",
        "precision": "fp32",
        "clients": 1,
        "inputs": "random",
    }
    sides = [
        Measurement(label="eager fp32", blocks=[[0.00617, 0.00619]], **common),
        Measurement(label="eager fp16", blocks=[[0.0017]], **common),
    ]  # type: ignore[arg-type]
    write_performance(part.file, Performance(measurements=sides))
    text = gpu.table(["resnet50", "vgg16"], [1, 8], tmp_path, "Tesla T4", {"CUDA": "13.0"})
    assert "with GPU `Tesla T4` and CPU `" in text
    assert "| CUDA | 13.0 |" in text
    assert (
        "### 1. resnet50\nInput shape: bx3x224x224  \n| Batch size | eager fp32 (ms) | eager fp16"
        " (ms) |\n|---|---|---|\n| 8 | 6.18 | 1.70 |" in text
    )
    assert text.rstrip().endswith("### 2. vgg16\nInput shape: bx3x224x224")


def test_without_cuda_it_is_one_sentence(stage: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this host has a GPU")
    done = stage("benchmarks/gpu.py")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs an NVIDIA GPU" in done.stderr


def test_an_interpreter_that_lacks_something_is_one_sentence(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    for python, words in (
        (bare, "lacks torch, torchvision, timm, "),
        (tmp_path / "none", "does not run; set PORTPROOF_PYTHON"),
    ):
        done = subprocess.run(
            ["bash", str(ROOT / "benchmarks/gpu.sh")],
            env=os.environ | {"PORTPROOF_PYTHON": str(python)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr.splitlines()[-1]


def test_random_weights_fit_every_card(gpu: Any) -> None:
    """A card with a checksum takes its published weights only."""
    from portproof.preprocess.cards.resolve import resolve_card

    weights = [resolve_card(card).weights for card in gpu.MODELS.values()]
    assert not any(w.sha256 or w.md5 for w in weights)


def test_a_part_is_measured_without_an_onnx_runtime_that_cannot_use_the_gpu(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portproof.infer.timing import job
    from portproof.infer.timing.subject import Subject

    module, tried = importlib.import_module("gpu"), []

    def bench(sides: list[Subject], *arguments: Any, **options: Any) -> None:
        tried.append([s.label for s in sides])
        if "ort fp32" in tried[-1]:
            raise ToolError(f"{failing}: it could not load that provider's libraries")

    monkeypatch.setattr(
        module,
        "subjects",
        lambda part: [Subject(label, "eager", "w.pth") for label in ("eager fp32", "ort fp32")],
    )
    monkeypatch.setattr(job, "bench", bench)
    failing = "ort fp32"
    module.measure(gpu.Part("vgg16", 1, tmp_path))
    assert tried == [["eager fp32", "ort fp32"], ["eager fp32"]]
    failing = "eager fp32"
    with pytest.raises(ToolError):
        module.measure(gpu.Part("vgg16", 1, tmp_path))


def test_bert_has_the_published_number_of_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/gpu_models"))
    bert = importlib.import_module("bert")
    with torch.device("meta"):
        model = bert.Encoder()
    # 109,482,240 with the pooler (590,592) and the two rows of segment embeddings (1,536), which
    # are not built here.
    assert sum(p.numel() for p in model.parameters()) == 109_482_240 - 590_592 - 1_536
    small = bert.Encoder(width=16, layers=2, heads=4, inner=32).eval()
    assert small(torch.zeros((2, 5), dtype=torch.int64)).shape == (2, 5, 16)


def test_every_model_has_a_card(gpu: Any) -> None:
    from portproof.preprocess.cards.resolve import resolve_card

    assert list(gpu.MODELS) == [
        "resnet50",
        "vgg16",
        "mobilenetv2",
        "inception_v3",
        "efficientnet_b0",
        "bert-base",
        "vit_base_patch16_224",
        "swin_tiny",
        "regnety_016",
    ]
    assert {resolve_card(card).inputs[0].shape for card in gpu.MODELS.values()} == {
        (3, 224, 224),
        (3, 299, 299),
        (128,),
    }
