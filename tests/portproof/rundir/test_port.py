"""The demonstration, run as the README says, and what happens when it is run again."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: Those of the demonstration that the tests share.
OPTIONS = ("--batch", "1,4", "--starts", "4")

Demonstration = tuple[Path, subprocess.CompletedProcess[str]]
Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_demonstration_passes_and_leaves_a_report(demonstration: Demonstration) -> None:
    run_dir, done = demonstration
    assert done.returncode == 0, done.stderr
    assert "verdict: PASS" in done.stdout
    assert f"report: {run_dir / 'report' / 'README.md'}" in done.stdout
    report = (run_dir / "report" / "README.md").read_text()
    assert "Verdict: PASS" in report
    for name in (
        "model.onnx",
        "weights.pth",
        "prep.info",
        "compare.json",
        "ort/perf.json",
        "data/val_label.txt",
    ):
        assert (run_dir / name).is_file()


def test_the_model_is_good_and_the_port_agrees(demonstration: Demonstration) -> None:
    run_dir, _ = demonstration
    compared = json.loads((run_dir / "compare.json").read_text())
    assert compared["samples"] >= 600
    assert compared["reference_accuracy"] >= 0.95
    assert compared["verdict"] == "PASS"
    assert compared["gate_bound_pp"] < 1.0


def test_the_accuracy_is_what_scikit_learn_counts(demonstration: Demonstration) -> None:
    import numpy as np
    from sklearn.metrics import top_k_accuracy_score

    run_dir, _ = demonstration
    rows = [line.split() for line in (run_dir / "data" / "val_label.txt").read_text().splitlines()]
    folder = next((run_dir / "ort").glob("bs*/result"))
    scores = np.stack(
        [np.fromfile(folder / f"{name.split('.')[0]}_1.bin", np.float32) for name, _ in rows]
    )
    stated = {
        r["key"]: r["value"]
        for r in json.loads((folder.parent / "result.json").read_text())["value"]
    }
    for k in (1, 2, 5):
        expected = top_k_accuracy_score(
            [int(label) for _, label in rows], scores, k=k, labels=range(10)
        )
        assert stated[f"Top{k} accuracy"] == f"{round(100 * expected, 2)}%"


def test_a_second_run_does_nothing_and_says_so(
    port_command: Command, demonstration: Demonstration
) -> None:
    run_dir, before = demonstration
    done = port_command("--run-dir", run_dir, *OPTIONS)
    assert done.returncode == 0, done.stderr
    for stage in ("data", "train", "export", "preprocess", "infer", "topn", "compare", "bench"):
        assert re.search(rf"^{stage}: .*up to date", done.stderr, re.M), (stage, done.stderr)
    assert "running because" not in done.stderr
    assert before.stdout.splitlines()[-2:] == done.stdout.splitlines()[-2:]


def test_changed_weights_rerun_exactly_what_depends_on_them(
    port_command: Command, demonstration: Demonstration
) -> None:
    import torch

    run_dir, _ = demonstration
    state = torch.load(run_dir / "weights.pth", weights_only=True)
    last = list(state)[-1]
    state[last] = state[last] + 0.001
    torch.save(state, run_dir / "weights.pth")
    done = port_command("--run-dir", run_dir, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^export: running because weights .*weights\.pth' changed", done.stderr, re.M
    ), done.stderr
    for stage in ("infer", "bench"):
        assert re.search(rf"^{stage}: running because .*changed", done.stderr, re.M), done.stderr
    for stage in ("data", "preprocess"):
        assert re.search(rf"^{stage}: .*up to date", done.stderr, re.M), done.stderr
        assert not re.search(rf"^{stage}: running", done.stderr, re.M)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "resnet18"], "--weights and --images and --labels must be given"),
        (
            ["--model", "resnet18", "--weights", "w", "--images", "nowhere", "--labels", "l"],
            "nowhere",
        ),
        (["--target", "abacus"], "abacus"),
        (["--batch", "0"], "at least 1"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    port_command: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = port_command("--run-dir", tmp_path / "run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_weights_say_what_to_download(port_command: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.txt").write_text("a.JPEG 0\n")
    done = port_command(
        "--model",
        "regnety_016",
        "--weights",
        tmp_path / "w.pth",
        "--images",
        tmp_path / "images",
        "--labels",
        tmp_path / "labels.txt",
        "--run-dir",
        tmp_path / "run",
    )
    assert done.returncode == 2
    assert "regnety_016-54367f74.pth" in done.stderr
    assert "fb4fc8ffd7cbf1a209d66a5ca621b451" in done.stderr


@pytest.mark.parametrize(
    ("script", "module", "package"),
    [("data.py", "sklearn", "scikit-learn"), ("train.py", "torch", "torch")],
    ids=["data", "train"],
)
def test_the_demonstration_on_a_host_that_lacks_a_package(
    stage: Command, tmp_path: Path, script: str, module: str, package: str
) -> None:
    """An NPU host has no torch."""
    (tmp_path / f"{module}.py").write_text("raise ModuleNotFoundError\n")
    (tmp_path / "prep").mkdir()
    (tmp_path / "prep.proof.json").touch()
    (tmp_path / "labels.txt").touch()
    arguments = ("data",) if script == "data.py" else ("prep", "labels.txt", "weights.pth")
    done = stage(
        f"examples/digits/{script}", *arguments, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 2, done.stderr
    assert (
        f"the Python package '{package}' is not installed here and the demonstration needs it"
        in done.stderr
    )
    assert not (tmp_path / "data").exists()
