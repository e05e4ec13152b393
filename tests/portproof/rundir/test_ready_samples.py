"""A port of a model with two inputs, from samples that are ready: no image, no recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
CARD = """
name: words
builder: net.py:build
inputs:
- {name: ids, shape: [6], dtype: int64, layout: N}
- {name: mask, shape: [6], dtype: int64, layout: N}
outputs: [{name: class, shape: [3]}]
batches: [1, 2]
"""
NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 3), nn.Linear(3, 3)

    def forward(self, ids, mask):
        kept = mask.unsqueeze(-1).to(torch.float32)
        return self.head((self.embed(ids) * kept).sum(1) / kept.sum(1).clamp(min=1.0))


def build():
    return Net()
"""


def portproof(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )


def make(folder: Path) -> list[str]:
    """Words of three subjects, ten each; after the text, words of any subject that the mask hides:
    a port that mixes up the inputs, or drops the mask, is wrong.
    """
    import torch

    (folder / "net.py").write_text(NET)
    (folder / "card.yaml").write_text(CARD)
    noise = torch.Generator().manual_seed(3)
    subjects = torch.eye(3).repeat_interleave(10, 0) + 0.05 * torch.randn(30, 3, generator=noise)
    weights = {"embed.weight": subjects, "head.weight": 4 * torch.eye(3)}
    torch.save(weights | {"head.bias": torch.zeros(3)}, folder / "w.pth")
    numbers, labels, info = np.random.default_rng(1), [], []
    for name in ("ids", "mask"):
        (folder / name).mkdir()
    for i in range(60):
        length = 3 + i % 4
        mask = (np.arange(6) < length).astype(np.int64)
        own = 10 * (i % 3) + numbers.integers(0, 10, 6)
        other = 10 * ((i + 1) % 3) + numbers.integers(0, 10, 6)
        np.where(mask, own, other).tofile(folder / f"ids/s{i:02}.bin")
        mask.tofile(folder / f"mask/s{i:02}.bin")
        labels.append(f"s{i:02}.txt {i % 3}\n")
        info.append(f"{i} ids/s{i:02}.bin\n{i} mask/s{i:02}.bin\n")
    (folder / "labels.txt").write_text("".join(labels))
    (folder / "both.info").write_text("".join(info))
    words = {"model": "card.yaml", "weights": "w.pth", "labels": "labels.txt", "margin-pp": 20}
    return [str(word) for name, value in words.items() for word in (f"--{name}", value)]


@pytest.mark.slow
def test_two_inputs_from_a_list_to_a_sealed_report(tmp_path: Path) -> None:
    options = [*make(tmp_path), "--samples", "both.info", "--starts", "4", "--run-dir", "run"]
    done = portproof(tmp_path, "port", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "run"
    compared = json.loads((run / "compare.json").read_text())
    assert (compared["reference_accuracy"], compared["port_accuracy"]) == (1.0, 1.0)
    report = (run / "report/README.md").read_text()
    assert (
        "60 samples that were given ready, with the inputs ids (int64, 6), mask (int64, 6)"
        in report
    )
    assert "Their bytes are sealed (`prep.proof.json`); how they were made is not." in report
    assert report.count("portproof samples") == 1
    assert portproof(tmp_path, "verify", "run").returncode == 0
    assert "would run" not in portproof(tmp_path, "why", "run").stdout
    zoo = portproof(tmp_path, "readme", "run", "--template", "modelzoo", "--out", "zoo.md")
    assert zoo.returncode == 0, zoo.stderr
    # Another input is another port: a sample that changed is taken and run again.
    np.arange(6, dtype=np.int64).tofile(tmp_path / "ids/s00.bin")
    assert "prep" in portproof(tmp_path, "why", "run").stdout
    (run / "prep/s01.2.bin").write_bytes(bytes(48))
    assert portproof(tmp_path, "verify", "run").returncode == 1


def test_what_is_asked_for_in_a_way_that_cannot_be_meant(tmp_path: Path) -> None:
    options = make(tmp_path)
    for words, said in {
        ("--samples", "both.info", "--images", "ids"): "--images and --samples were both given",
        ("--samples", "nothing.info"): "--samples 'nothing.info' is not there",
        (): "--images must be given too",
    }.items():
        done = portproof(tmp_path, "port", *options, *words, "--run-dir", "run")
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "some.info").write_text("0 nowhere/a.bin\n0 nowhere/b.bin\n")
    done = portproof(
        tmp_path, "port", *options, "--samples", "elsewhere/some.info", "--run-dir", "run"
    )
    assert done.returncode == 2
    assert "its first file 'nowhere/a.bin' is neither under the working directory" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_list_that_was_given_from_another_folder_is_found_beside_itself(tmp_path: Path) -> None:
    make(tmp_path)
    words = ("--model", "card.yaml", "--root", tmp_path, "--out", "prep", "prep.info")
    assert portproof(tmp_path, "samples", "both.info", *words).returncode == 0
    card = str(tmp_path / "card.yaml")
    done = portproof(
        tmp_path.parent, "samples", tmp_path / "both.info", "--model", card, "--out", "p", "p.info"
    )
    assert done.returncode == 2 and "ids/s00.bin" in done.stderr


def test_images_for_a_card_without_a_recipe_have_their_sentence(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "images").mkdir()
    done = portproof(tmp_path, "preprocess", "images", "prep", "--model", "card.yaml")
    assert done.returncode == 2
    assert "the model card 'words' has no recipe" in done.stderr
