"""A port to a T4, end to end, with doubles in the place of trtexec and TensorRT."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def t4(ported: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The small port again, to a T4: its run directory and the finished process."""
    folder = tmp_path_factory.mktemp("t4")
    source = ported.parent
    patch = pytest.MonkeyPatch()
    sys.path.insert(0, str(ROOT / "tests/doubles"))
    try:
        importlib.import_module("trtexec_fixture").install(patch, folder / "bin", "10.16.1")
        env = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ['PYTHONPATH']}", "OMP_NUM_THREADS": "1"}
    finally:
        patch.undo()
        sys.path.remove(str(ROOT / "tests/doubles"))
    command = [sys.executable, "-m", "portproof", "port", "--target", "t4", "--model", source / "colours.yaml", "--weights", source / "weights.pth", "--images",
               source / "images", "--labels", source / "labels.txt", "--margin-pp", "20", "--workers", "1", "--run-dir", folder / "run"]  # fmt: skip
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env, timeout=600, check=False)
    return folder / "run", done


def test_every_stage_is_done_and_judged(t4: Any) -> None:
    run_dir, done = t4
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: PASS" in done.stdout
    for name in (
        "model_fp16.onnx",
        "t4/bs2/model_fp16_bs2.plan",
        "t4/bs1/result.json",
        "t4/bs2/result.json",
        "t4/perf.json",
        "report/README.md",
    ):
        assert (run_dir / name).is_file(), name


def test_device_and_call_are_both_kept_and_the_mode_is_said(t4: Any) -> None:
    run_dir, _ = t4
    found = json.loads((run_dir / "t4/perf.json").read_text())["measurements"]
    assert {(m["batch"], m["boundary"]) for m in found} == {(b, k) for b in (1, 2) for k in ("device", "device+copies", "call")}
    assert all(m["options"].keys() == {"graph", "spin", "transfers"} for m in found)
    assert {m["precision"] for m in found} == {"fp16"}
    for kind in ("device", "call"):
        assert len(list(run_dir.glob(f"t4/bs2/logs/trtexec_{kind}_*.log"))) == 3


def test_the_engines_answers_are_the_references(t4: Any) -> None:
    run_dir, _ = t4
    compared = json.loads((run_dir / "compare.json").read_text())
    assert compared["agreement"] == 1.0
    assert compared["samples"] == 40


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="the script would make its own environment first")
def test_the_script_is_the_port_with_another_target(tmp_path: Path) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(ROOT / "run_t4.sh"), *options], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    assert "portproof port --target cpu" in run("--help").stdout
    assert "'t4' is none" in run("--rehearse", "--run-dir", "never").stderr
    assert "'h100' is none" in run("--rehearse", "--target", "h100", "--run-dir", "never").stderr


def test_a_t4_cannot_be_rehearsed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "portproof", "port", "--target", "t4", "--rehearse", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "src")
    assert done.returncode == 2
    assert "only Ascend targets can be rehearsed" in done.stderr
