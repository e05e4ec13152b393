"""A port of which the first step fails because of its host says so, and writes its reports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CARD = """
name: small
builder: small.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [3]}]
recipe:
  resize: {rule: shorter, size: [8]}
  crop: [8, 8]
"""
#: What Python says where the memory is too small for a library.
NO_ROOM = """
import importlib.util
import sys

class Loader:
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        raise ImportError("libtorch.so: failed to map segment from shared object")

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            return importlib.util.spec_from_loader(name, Loader())

sys.meta_path.insert(0, Finder())
"""


def test_reports_are_written_where_a_library_finds_no_memory(root: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_ROOM)
    (tmp_path / "small.yaml").write_text(CARD)
    (tmp_path / "small.py").write_text("def build(): ...\n")
    (tmp_path / "small.pth").write_bytes(b"weights")
    (tmp_path / "images").mkdir()
    for name in "ab":
        pixels = np.zeros((9, 10, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels.txt").write_text("a.png 0\nb.png 1\n")
    words = (
        "-m portproof port --target cpu --model small.yaml --weights small.pth --images images"
        " --labels labels.txt --batch 1 --run-dir run"
    )
    done = subprocess.run(
        [sys.executable, *words.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root / 'src'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "out of memory while a library was loaded" in done.stderr
    assert "has no sidecar" not in done.stderr
    assert "verdict: NOT FINISHED" in done.stdout
    assert (tmp_path / "run/report/README.md").is_file()
