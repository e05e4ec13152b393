"""A run directory of version 0.1 is read: its settings had no task, its measurements no scope, and
its comparison read result folders.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def before(root: Path, ported: Path, tmp_path: Path) -> Path:
    """A port as version 0.1 left it."""
    run = Path(shutil.copytree(ported, tmp_path / "run"))
    labels = ported.parent / "labels.txt"
    settings, perf = run / "port.yaml", run / "ort/perf.json"
    settings.write_text(re.sub(r"^task: .*\n", "", settings.read_text(), flags=re.M))
    measured = json.loads(perf.read_text())
    assert all(m.pop("scope") == "chip" for m in measured["measurements"])
    perf.write_text(json.dumps(measured))
    sidecar = run / "ort/perf.json.proof.json"
    record = json.loads(sidecar.read_text())
    record["outputs"] = [recorded(run, "ort/perf.json")]
    sidecar.write_text(json.dumps(record))
    results = [f"{label}/bs2/result" for label in ("eager", "ort")]
    by_folders = ("compare", *results, labels, "--margin-pp", "20.0", "--out", "compare.json")
    for command in (by_folders, ("report", ".")):
        done = portproof(root, *command, cwd=run)
        assert done.returncode == 0, done.stderr
    report = run / "report/report.json"
    report.write_text(re.sub(r'"portproof": ?"[^"]+"', '"portproof": "0.1.0"', report.read_text()))
    return run


def recorded(run: Path, name: str) -> dict[str, object]:
    import hashlib

    path = run / name
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "path": name,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "inode": status.st_ino,
        "sha256": digest,
    }


def portproof(
    root: Path, *words: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "portproof", *map(str, words)]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_it_is_verified_without_a_change(root: Path, before: Path) -> None:
    done = portproof(root, "verify", before)
    assert done.returncode == 4, done.stdout
    assert "UNVERIFIED   report/table.json: it is not what this version makes" in done.stdout
    assert "nothing was changed, but" in done.stdout


def test_why_names_what_a_port_does_otherwise_and_the_port_continues(
    root: Path, ported: Path, before: Path
) -> None:
    found = json.loads(portproof(root, "why", before, "--json").stdout)
    reasons = {answer["artefact"]: answer["why"] for answer in found}
    assert "now 'eager/bs2/outcomes.csv ort/bs2/outcomes.csv" in reasons["compare.json"]
    assert reasons["model.onnx"] == reasons["prep"] == reasons["ort/perf.json"] == ""
    done = portproof(root, "port", "--run-dir", before)
    assert done.returncode == 0, done.stdout + done.stderr
    again = re.findall(r"^(\w+): running because", done.stderr, re.M)
    assert set(again) == {"topn", "compare"}, done.stderr
    assert "would only write its reports again" in portproof(root, "why", before).stdout


def test_a_later_schema_is_refused_in_one_sentence(root: Path, before: Path) -> None:
    settings = before / "port.yaml"
    settings.write_text(settings.read_text().replace("portproof.port/1", "portproof.port/2"))
    done = portproof(root, "why", before)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "portproof.port/2" in done.stderr and "in a new folder" in done.stderr
