"""What ``why`` says a port would do again, held against what the port then does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def portproof(
    root: Path, *arguments: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-m", "portproof", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, check=False)


def why(root: Path, run_dir: Path) -> dict[str, tuple[str, str]]:
    done = portproof(root, "why", run_dir, "--json")
    assert done.returncode == 0, done.stderr
    return {a["artefact"]: (a["state"], a["why"]) for a in json.loads(done.stdout)}


@pytest.fixture
def copy(ported: Path, tmp_path: Path) -> Path:
    """A copy; the inputs beside the original are used by both."""
    return Path(shutil.copytree(ported, tmp_path / "run"))


def test_an_untouched_run_directory_is_up_to_date(root: Path, ported: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in ported.rglob("*"))
    assert {state for state, _ in why(root, ported).values()} == {"up to date"}
    assert before == sorted((p, p.stat().st_mtime_ns) for p in ported.rglob("*"))
    assert "would only write its reports again" in portproof(root, "why", ported).stdout


def test_a_changed_output_runs_its_stage_and_perhaps_the_later_ones(
    root: Path, ported: Path, copy: Path
) -> None:
    (copy / "model.onnx").write_bytes(b"changed")
    found = why(root, copy)
    assert found["model.onnx"] == ("would run", "output 'model.onnx' was changed since")
    assert found["ort/bs2/result"][0] == "would run"
    assert "model 'model.onnx' changed" in found["ort/bs2/result"][1]
    assert found["prep"][0] == "up to date"
    assert found["eager/bs2/result"][0] == "up to date"


def test_what_it_says_is_what_the_commands_do(root: Path, ported: Path, copy: Path) -> None:
    """Delete a sample of a copied run directory: each stage runs or does not run as ``why`` says,
    and then it says so no longer.
    """
    next((copy / "prep").glob("*.bin")).unlink()
    labels, images, card = (
        ported.parent / name for name in ("labels.txt", "images", "colours.yaml")
    )
    commands = {
        "prep": ["preprocess", images, "prep", "--model", card],
        "prep.info": ["get_info", "bin", "prep", "prep.info", "8", "8"],
        "ort/bs2/result.json": [
            "topn",
            "ort/bs2/result",
            labels,
            "--out",
            "ort/bs2/result.json",
            "--outcomes",
            "ort/bs2/outcomes.csv",
        ],
        "eager/bs2/result.json": [
            "topn",
            "eager/bs2/result",
            labels,
            "--out",
            "eager/bs2/result.json",
            "--outcomes",
            "eager/bs2/outcomes.csv",
        ],
    }
    for artefact, command in commands.items():
        assert why(root, copy)[artefact][0] == "would run"
        assert "running because" in portproof(root, *command, cwd=copy).stderr
        assert why(root, copy)[artefact] == ("up to date", "")
        assert "up to date" in portproof(root, *command, cwd=copy).stderr


def test_another_setting_is_the_reason(root: Path, copy: Path) -> None:
    settings = copy / "port.yaml"
    settings.write_text(settings.read_text().replace("margin_pp: 20.0", "margin_pp: 5.0"))
    found = why(root, copy)
    assert found["compare.json"][0] == "would run"
    assert "--margin-pp 5.0" in found["compare.json"][1]
    assert found["prep"][0] == "up to date"


def test_a_missing_sidecar_and_a_damaged_one(root: Path, copy: Path) -> None:
    (copy / "ort" / "perf.json.proof.json").unlink()
    (copy / "prep.info.proof.json").write_text("{")
    found = why(root, copy)
    assert found["bench ort"] == ("would run", "it has not been done yet")
    assert found["prep.info"][0] == "would run"
    assert "damaged" in found["prep.info"][1]


def test_a_folder_that_is_no_run_directory(root: Path, tmp_path: Path) -> None:
    done = portproof(root, "why", tmp_path)
    assert done.returncode == 2
    assert "no port.yaml" in done.stderr
