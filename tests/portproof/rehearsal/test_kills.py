"""A port that is killed in the middle of every stage: nothing that is there can be taken for
finished and is not, and it ends as if nothing had been.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from portproof.proof.freshness import difference
from portproof.proof.sidecar import read_proof

pytestmark = pytest.mark.slow

#: What a stage says when it begins.
STAGES = ("export", "preprocess", "info", "infer", "topn", "onnx2om", "compare", "bench")


def started(root: Path, small: list[str], run_dir: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "portproof",
        "port",
        "--target",
        "310p",
        "--rehearse",
        "--run-dir",
        str(run_dir),
        "--batch",
        "1,2",
        *small,
    ]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_in(process: subprocess.Popen[str], stage: str, delay_s: float) -> bool:
    """SIGKILL for all of it, a little after a stage began; False when it ended before."""
    assert process.stderr
    for line in process.stderr:
        if line.startswith(f"{stage}: running"):
            time.sleep(delay_s)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
            return True
    process.communicate(timeout=60)
    return False


def unfinished(run_dir: Path) -> list[str]:
    """Files that a sidecar vouches for and that are not what it says."""
    found = []
    for sidecar in run_dir.rglob("*.proof.json"):
        found += [
            r.path
            for r in read_proof(sidecar).outputs
            if difference(r, run_dir / r.path, paranoid=True)
        ]
    return found


def bytes_of(run_dir: Path) -> dict[str, bytes]:
    """What must not depend on how often the port was broken off."""
    kept = [
        run_dir / name
        for name in ("model.onnx", "prep.info", "310p/bs1/result.json", "310p/bs2/outcomes.csv")
    ]
    kept += [
        p
        for folder in ("prep", "eager/bs2/result", "310p/bs1/result", "310p/bs2/result")
        for p in (run_dir / folder).iterdir()
    ]
    return {p.relative_to(run_dir).as_posix(): p.read_bytes() for p in kept}


def test_a_port_survives_a_kill_in_every_stage(
    root: Path, tmp_path: Path, small_port: Callable[[Path], list[str]]
) -> None:
    small = small_port(tmp_path / "given")
    run_dir, whole = tmp_path / "killed-REHEARSAL", tmp_path / "whole-REHEARSAL"
    for number, stage in enumerate(STAGES):
        # At once after it began, or a little later, when it is in the middle of its work or just
        # over.
        assert kill_in(started(root, small, run_dir), stage, 0.2 * (number % 2)) or number % 2
        assert unfinished(run_dir) == []
    for folder in (run_dir, whole):
        process = started(root, small, folder)
        _, errors = process.communicate(timeout=300)
        assert process.returncode in (0, 4), errors
    assert bytes_of(run_dir) == bytes_of(whole)
    assert [
        p.name for p in run_dir.rglob(".*") if p.suffix in (".atc", ".tool", ".shards", ".tmp")
    ] == []
    checked = subprocess.run(
        [sys.executable, str(root / "reports" / "verify.py"), str(run_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_a_report_that_is_killed_is_whole_or_not_there(
    root: Path, tmp_path: Path, ported: Path
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(ported, run_dir)
    written = {
        p.relative_to(run_dir): p.read_bytes()
        for p in (run_dir / "report").rglob("*")
        if p.is_file()
    }
    shutil.rmtree(run_dir / "report" / "plots")
    command = [sys.executable, "-m", "portproof", "report", "."]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    for delay_s in (0.3, 0.6, 0.9, 1.2, 1.5, 2.0):
        process = subprocess.Popen(
            command,
            cwd=run_dir,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay_s)
        process.kill()
        process.wait(timeout=60)
        for path in (
            p for p in (run_dir / "report").rglob("*") if p.is_file() and not p.name.startswith(".")
        ):
            content = path.read_bytes()
            assert content and content[-1:] == written[path.relative_to(run_dir)][-1:], (
                f"{path.name} is cut"
            )
        json.loads((run_dir / "report" / "report.json").read_text())
    assert (
        subprocess.run(
            command, cwd=run_dir, env=environment, capture_output=True, timeout=120, check=False
        ).returncode
        == 0
    )
    checked = subprocess.run(
        [sys.executable, str(root / "reports" / "verify.py"), str(run_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_a_conversion_that_is_killed_leaves_no_model_and_no_atc_behind(
    root: Path, tmp_path: Path, tiny_onnx: Path
) -> None:
    atc = tmp_path / "bin" / "atc"
    atc.parent.mkdir()
    atc.write_text(
        "#!/bin/sh\necho $$ > "
        + str(tmp_path / "pid")
        + '\nfor w; do case $w in --output=*) echo half > "${w#--output=}.om";; esac; done\n'
        "echo 'ATC run success'\nexec sleep 300\n"
    )
    atc.chmod(0o755)
    command = [
        sys.executable,
        str(root / "convert" / "onnx2om.py"),
        str(tiny_onnx),
        "om",
        "--soc-version",
        "Ascend310P3",
    ]
    environment = os.environ | {"PATH": f"{atc.parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists() and "sleep" in Path(f"/proc/{pid}/cmdline").read_text():
        assert time.monotonic() < deadline, "atc goes on without us"
        time.sleep(0.02)
    assert [
        p.name
        for p in (tmp_path / "om").iterdir()
        if not p.name.startswith(".") and p.name != "logs"
    ] == []
    atc.write_text(atc.read_text().replace("exec sleep 300\n", "").replace("half", "whole"))
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "om" / "tiny_bs1.om").read_text() == "whole\n"
    assert sorted(p.name for p in (tmp_path / "om").iterdir()) == [
        "logs",
        "tiny_bs1.om",
        "tiny_bs1.om.proof.json",
    ]
