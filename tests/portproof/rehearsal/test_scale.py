"""A whole validation set of tiny samples, and a run that is killed while a tool works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portproof.manifest import Sample, write_info
from portproof.rehearsal.installing import install
from portproof.rehearsal.om import write_om

Command = Callable[..., subprocess.CompletedProcess[str]]


def make_samples(folder: Path, count: int) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=(count, 3, 4, 4)).astype(np.float32)
    (folder / "prep").mkdir()
    for index, value in enumerate(values):
        value.tofile(folder / "prep" / f"s{index:08}.bin")
    write_info(
        folder / "prep.info",
        [Sample(f"s{k:08}", (f"prep/s{k:08}.bin",), 4, 4) for k in range(count)],
    )
    return values


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["om", "ais_bench", "benchmark", "msame"])
def test_fifty_thousand_samples(
    stage: Command, tmp_path: Path, tiny_onnx: Path, runner: str
) -> None:
    """From 20 s (benchmark) to about a minute (om) for each runner on 2 cores."""
    import onnxruntime

    count = 50_000
    values = make_samples(tmp_path, count)
    write_om(tiny_onnx, tmp_path / "bs64.om", "Ascend310P3", {"image": (64, 3, 4, 4)}, half=False)
    expected = (
        onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": values})[0].argmax(1)
    )
    wrong = 7
    labels = [(k + 1) % 10 if i < wrong else k for i, k in enumerate(expected)]
    (tmp_path / "labels.txt").write_text(
        "".join(f"s{i:08}.bin {k}\n" for i, k in enumerate(labels))
    )
    environment = install(tmp_path / "rehearsal", "Ascend310P3", {"PATH": os.environ["PATH"]})
    done = stage(
        "infer/run.py",
        "bs64.om",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        64,
        "--runner",
        runner,
        "--quiet",
        cwd=tmp_path,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    done = stage(
        "metrics/topn.py",
        "result",
        "labels.txt",
        "--out",
        "result.json",
        cwd=tmp_path,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = {
        row["key"]: row["value"]
        for row in json.loads((tmp_path / "result.json").read_text())["value"]
    }
    assert rows["Number of images"] == str(count)
    assert rows["Top1 accuracy"] == f"{round(100 * (count - wrong) / count, 2)}%"


@pytest.mark.parametrize("runner", ["om", "ais_bench"])
def test_a_run_that_is_killed_leaves_nothing_that_looks_finished_and_runs_again(
    root: Path, tmp_path: Path, om_models: Path, runner: str
) -> None:
    make_samples(tmp_path, 1000)
    environment = os.environ | install(
        tmp_path / "rehearsal", "Ascend310P3", {"PATH": os.environ["PATH"]}
    )
    command = [
        sys.executable,
        str(root / "infer" / "run.py"),
        str(om_models / "bs1.om"),
        "--info",
        "prep.info",
        "--out",
        "result",
        "--runner",
        runner,
    ]
    begun = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    written = tmp_path / ("result" if runner == "om" else ".result.tool/out/run")
    while (
        begun.poll() is None
        and time.monotonic() < deadline
        and not (written.is_dir() and len(list(written.iterdir())) > 5)
    ):
        time.sleep(0.01)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    assert not (tmp_path / "result.proof.json").exists()
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "result").iterdir())) == 1000
    assert not list(tmp_path.glob(".result*"))
