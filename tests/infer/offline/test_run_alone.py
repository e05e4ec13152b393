"""Two stages never write one folder at the same time: the second is refused, and the first's folder
is whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.proof.lock import locked_artefact

RECIPE = "resize: {rule: exact, size: [2, 2]}\ncrop: [2, 2]\n"


@pytest.fixture
def folder(tiny: Any) -> Path:
    """The tiny model and its samples, and images."""
    made: Path = tiny.folder
    (made / "images").mkdir()
    for index in range(20):
        Image.fromarray(np.full((4, 4, 3), index, np.uint8)).save(made / f"images/i{index}.png")
    (made / "recipe.yaml").write_text(RECIPE)
    return made


INFER = ("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "made")
PREPROCESS = ("preprocess/imagenet.py", "images", "made", "--recipe", "recipe.yaml")
PACK = (*PREPROCESS, "--pack")


@pytest.mark.parametrize("command", [INFER, PREPROCESS, PACK])
def test_the_second_is_refused_and_told_who_is_first(
    root: Path, folder: Path, command: tuple[str, ...]
) -> None:
    with locked_artefact(folder / "made", "--out"):
        done = start(root, folder, command)
        _, errors = done.communicate(timeout=60)
    assert done.returncode == 2
    said = errors.splitlines()[-1]
    assert "'made' is in use: by process " in said and str(os.getpid()) in said
    assert "; wait for it, or give another " in said
    assert not (folder / "made").exists()


@pytest.mark.parametrize("command", [INFER, PREPROCESS])
def test_three_at_once_leave_a_whole_folder_that_the_same_command_takes(
    root: Path, folder: Path, command: tuple[str, ...]
) -> None:
    processes = [start(root, folder, command) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0 or (
            process.returncode == 2 and "'made' is in use" in errors
        ), errors
    assert any(process.returncode == 0 for process in processes)
    again = start(root, folder, command)
    assert "made is up to date" in again.communicate(timeout=60)[1]
    assert again.returncode == 0
    assert not list(folder.glob(".made*"))


def start(root: Path, folder: Path, command: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(root / command[0]), *command[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
