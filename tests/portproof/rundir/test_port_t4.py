"""A port to a T4, end to end, with doubles in the place of trtexec and TensorRT."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def t4(
    ported: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The small port again, to a T4: its run directory and the finished process."""
    folder = tmp_path_factory.mktemp("t4")
    source = ported.parent
    patch = pytest.MonkeyPatch()
    sys.path.insert(0, str(ROOT / "tests/doubles"))
    try:
        importlib.import_module("trtexec_fixture").install(patch, folder / "bin", "10.16.1")
        env = os.environ | {
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ['PYTHONPATH']}",
            "OMP_NUM_THREADS": "1",
        }
    finally:
        patch.undo()
        sys.path.remove(str(ROOT / "tests/doubles"))
    command = [
        sys.executable,
        "-m",
        "portproof",
        "port",
        "--target",
        "t4",
        "--model",
        source / "colours.yaml",
        "--weights",
        source / "weights.pth",
        "--images",
        source / "images",
        "--labels",
        source / "labels.txt",
        "--margin-pp",
        "20",
        "--workers",
        "1",
        "--run-dir",
        folder / "run",
    ]
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, env=env, timeout=600, check=False
    )
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
    assert {(m["batch"], m["boundary"]) for m in found} == {
        (b, k) for b in (1, 2) for k in ("device", "device+copies", "call")
    }
    assert all(m["options"].keys() == {"graph", "spin", "transfers"} for m in found)
    assert {m["precision"] for m in found} == {"fp16"}
    for kind in ("device", "call"):
        assert len(list(run_dir.glob(f"t4/bs2/logs/trtexec_{kind}_*.log"))) == 3


def test_the_engines_answers_are_the_references(t4: Any) -> None:
    run_dir, _ = t4
    compared = json.loads((run_dir / "compare.json").read_text())
    assert compared["agreement"] == 1.0
    assert compared["samples"] == 40


def test_the_report_says_how_it_was_built_and_in_which_mode_it_was_timed(t4: Any) -> None:
    text = (t4[0] / "report" / "README.md").read_text()
    assert "TensorRT 10.16.1\n" in text
    assert "portproof quantize model.onnx model_fp16.onnx --precision fp16" in text
    assert "`t4/bs1/model_fp16_bs1.plan` (TensorRT 10.16.1, compute capability 7.5, fp16)" in text
    assert (
        "- device: graph on, spin on, transfers off\n- device+copies: graph on, spin on, transfers"
        " on\n" in text
    )
    assert "A call is the time from one finished query to the next" in text
    assert "host array in to host array out" not in text
    page = (t4[0] / "report" / "report.html").read_text()
    assert "graph on, spin on, transfers off" in page
    assert "相邻两次查询完成的间隔" in (t4[0] / "report" / "README.zh.md").read_text()


def test_the_times_are_derived_again_from_what_trtexec_wrote(t4: Any, tmp_path: Path) -> None:
    def verify(folder: Path) -> list[str]:
        command = [sys.executable, str(ROOT / "reports" / "verify.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return [line for line in done.stdout.splitlines() if line.startswith("CHANGED")]

    copy = tmp_path / "run"
    shutil.copytree(t4[0], copy)
    assert verify(copy) == []
    times = copy / "t4" / "bs1" / "logs" / "trtexec_device_2.json"
    queries = json.loads(times.read_text())
    queries[5]["computeMs"] = 123.0
    times.write_text(json.dumps(queries))
    found = verify(copy)
    assert any(
        "t4/perf.json: measurements[0].blocks[1][5] says 0.001, the files below it give 0.123"
        in line
        for line in found
    ), found
    times.unlink()
    assert any(
        "'t4/bs1/logs/trtexec_device_2.json', the times of one of its blocks, is missing" in line
        for line in verify(copy)
    )
    perf = copy / "t4" / "perf.json"
    performance = json.loads(perf.read_text())
    dropped = performance["measurements"][0]["blocks"].pop()
    perf.write_text(json.dumps(performance))
    assert any(
        "t4/perf.json: measurements[0] has 2 blocks of 3 runs" in line for line in verify(copy)
    )
    performance["measurements"][0] |= {
        "blocks": [[0.0] * len(dropped)] * 3,
        "boundary": "end_to_end",
    }
    perf.write_text(json.dumps(performance))
    assert any(
        "t4/perf.json.proof.json: its figures cannot be derived again (KeyError" in line
        for line in verify(copy)
    )
    performance["measurements"][0]["boundary"] = "device"
    perf.write_text(json.dumps(performance))
    assert any(
        "its figures cannot be derived again (ZeroDivisionError" in line for line in verify(copy)
    )
    performance["measurements"][0]["blocks"] = [
        [seconds] * len(dropped) for seconds in (0.001, 0.001, 0.002)
    ]
    perf.write_text(json.dumps(performance))
    assert any(
        "the reasons do not say: t4, batch 1: the medians of 3 runs differ by 100%" in line
        for line in verify(copy)
    )


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="the script would make its own environment first"
)
def test_the_script_is_the_port_with_another_target(tmp_path: Path) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(ROOT / "run_t4.sh"), *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert "portproof port --target cpu" in run("--help").stdout
    assert "'t4' cannot" in run("--rehearse", "--run-dir", "never").stderr
    assert "'h100' cannot" in run("--rehearse", "--target", "h100", "--run-dir", "never").stderr


def test_a_t4_cannot_be_rehearsed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "portproof",
        "port",
        "--target",
        "t4",
        "--rehearse",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "src"
    )
    assert done.returncode == 2
    assert "only Ascend targets can be rehearsed" in done.stderr
