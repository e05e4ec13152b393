"""A whole port to 310P in rehearsal: from weights to the report, broken off, continued, and
continued on another host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

CARD = """\
name: tiny
builder: tiny.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [4]}]
recipe: {crop: [8, 8], mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
batches: [1, 4]
"""
MODEL = """\
import torch

def build() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
"""
COUNT = 30


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: card, model, weights, images and labels."""
    import torch
    from PIL import Image

    folder = tmp_path_factory.mktemp("user")
    (folder / "tiny.yaml").write_text(CARD)
    (folder / "tiny.py").write_text(MODEL)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
    torch.save(model.state_dict(), folder / "tiny.pth")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    lines = []
    for index in range(COUNT):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"i{index}.png")
        scores = model(
            torch.from_numpy(
                (pixels / 127.5 - 1).astype(np.float32).transpose(2, 0, 1)[None].copy()
            )
        )
        lines.append(f"i{index}.png {int(scores.argmax())}\n")
    (folder / "labels.txt").write_text("".join(lines))
    return folder


def port(
    root: Path,
    run_dir: Path,
    *arguments: object,
    given: Path | None = None,
    fault: str = "",
    target: str = "310p",
) -> subprocess.CompletedProcess[str]:
    options = (
        [
            "--model",
            given / "tiny.yaml",
            "--weights",
            given / "tiny.pth",
            "--images",
            given / "images",
            "--labels",
            given / "labels.txt",
        ]
        if given
        else []
    )
    command = [
        sys.executable,
        "-m",
        "portproof",
        "port",
        "--target",
        target,
        "--rehearse",
        "--run-dir",
        run_dir,
        *options,
        *arguments,
    ]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "PORTPROOF_REHEARSAL_FAULT": fault}
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, root: Path, given: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The run directory of a port that was broken off in every stage of the device, and then
    finished; and its last process.
    """
    run_dir = tmp_path_factory.mktemp("runs") / "tiny"
    for fault, said in (
        ("busy-device", "is not idle: AICore 97 %"),
        ("size-mismatch", "another number of bytes"),
        ("crash-in-batch-7", ""),
    ):
        broken = port(root, run_dir, given=given, fault=fault)
        assert broken.returncode == 3, broken.stderr
        assert said in broken.stderr
        assert "verdict: NOT FINISHED" in broken.stdout
    return run_dir.with_name("tiny-REHEARSAL"), port(root, run_dir, given=given)


def test_it_reaches_a_verdict_and_a_report(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run_dir, done = finished
    assert done.returncode in (0, 4), done.stderr
    assert "export: model.onnx is up to date" in done.stderr
    for batch in (1, 4):
        result = json.loads((run_dir / "310p" / f"bs{batch}" / "result.json").read_text())
        assert {"key": "Number of images", "value": str(COUNT)} in result["value"]
        assert len(list((run_dir / "310p" / f"bs{batch}" / "result").iterdir())) == COUNT
    comparison = json.loads((run_dir / "compare.json").read_text())
    assert comparison["agreement"] >= 0.95
    boundaries = {
        (m["batch"], m["boundary"])
        for m in json.loads((run_dir / "310p" / "perf.json").read_text())["measurements"]
    }
    assert boundaries == {(b, k) for b in (1, 4) for k in ("call", "device")}


def test_the_mark_stands_in_every_sidecar_and_report(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run_dir, _ = finished
    sidecars = list(run_dir.rglob("*.proof.json"))
    assert len(sidecars) > 10
    assert [str(p) for p in sidecars if not json.loads(p.read_text())["simulated"]] == []
    for name in ("README.md", "README.zh.md", "report.json", "report.html", "table.md"):
        assert (
            "REHEARSAL" in (run_dir / "report" / name).read_text()
            or '"simulated": true' in (run_dir / "report" / name).read_text()
        )


def test_a_rehearsed_figure_never_stands_beside_a_measured_one(
    finished: tuple[Path, subprocess.CompletedProcess[str]], root: Path
) -> None:
    run_dir, _ = finished
    measured = run_dir.parent / "measured.json"
    text = (run_dir / "310p" / "perf.json").read_text().replace("REHEARSAL", "")
    measured.write_text(re.sub(r'("simulated":\s*)true', r"\1false", text))
    command = [
        sys.executable,
        str(root / "reports" / "table.py"),
        f"310p={run_dir / '310p' / 'perf.json'}",
        f"t4={measured}",
        "--boundary",
        "call",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "they are never shown side by side" in done.stderr


def test_asked_again_it_does_nothing_again(
    finished: tuple[Path, subprocess.CompletedProcess[str]], root: Path, given: Path
) -> None:
    run_dir, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (run_dir / "310p").rglob("*.bin")}
    again = port(root, run_dir, given=given)
    assert "running because" not in again.stderr.replace("report", "")
    assert {p: p.stat().st_mtime_ns for p in (run_dir / "310p").rglob("*.bin")} == before


def test_begun_elsewhere_it_continues_without_weights_and_images(
    finished: tuple[Path, subprocess.CompletedProcess[str]], root: Path, given: Path, tmp_path: Path
) -> None:
    """What a laptop with torch hands to an NPU host: the run directory, the labels and the card."""
    run_dir, _ = finished
    there = tmp_path / "npu" / run_dir.name
    shutil.copytree(run_dir, there)
    for made in (
        there / "310p",
        there / "compare.json",
        there / "compare.json.proof.json",
        there / "report",
    ):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    hidden = given.with_name("hidden")
    given.rename(hidden)
    try:
        for name in ("labels.txt", "tiny.yaml", "tiny.py"):
            shutil.copy(hidden / name, tmp_path)
        done = port(
            root,
            there,
            "--labels",
            tmp_path / "labels.txt",
            "--model",
            tmp_path / "tiny.yaml",
            "--runner",
            "ais_bench",
        )
    finally:
        hidden.rename(given)
    assert done.returncode in (0, 4), done.stderr
    assert (
        f"export: model.onnx is kept as it was made elsewhere, since '{given / 'tiny.pth'}' is not"
        " on this host" in done.stderr
    )
    assert "preprocess: prep is kept as it was made elsewhere" in done.stderr
    assert json.loads((there / "compare.json").read_text())["samples"] == COUNT
    assert (there / "310p" / "bs4" / "logs" / "ais_bench.log").is_file()


def test_the_chips_of_a_card_are_reported_together_and_one_by_one(
    finished: tuple[Path, subprocess.CompletedProcess[str]], root: Path, given: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / finished[0].name
    shutil.copytree(finished[0], run_dir)
    done = port(root, run_dir, "--devices", "0,1,2,3", "--gate", "speed", given=given, target="310")
    assert done.returncode == 4, done.stderr  # a rehearsal's speed is not judged
    assert "simulated: nothing was measured" in done.stdout
    table = json.loads((run_dir / "report" / "table.json").read_text())
    assert [c["label"] for c in table["columns"]][:2] == ["310", "310 card"]
    assert table["left_out"] == []
    figures = {
        f["id"]: f for f in json.loads((run_dir / "report" / "report.json").read_text())["figures"]
    }
    for batch in (1, 4):
        row = {
            name: figures[f"310/card/bs{batch}/device/{name}"]["value"]
            for name in ("alone", "product", "together", "share")
        }
        assert row["product"] == 4 * row["alone"]
        assert row["share"] == row["together"] / row["product"]
        cells = next(r["cells"] for r in table["rows"] if r["batch"] == batch)
        assert cells["310 card"]["value"] == pytest.approx(row["together"], rel=1e-12)
        assert cells["310"]["value"] == pytest.approx(
            figures[f"310/perf/310/bs{batch}/device/card_rate"]["value"], rel=1e-12
        )
    text = (run_dir / "report" / "README.md").read_text()
    assert "Several chips of a card of 310 at the same time (`310/card.json`)" in text
    assert re.search(r"- bs4: [\d.]+ x 4 = [\d.]+ images/s\n", text)
    assert "单芯片吞吐率乘以芯片数" in (run_dir / "report" / "README.zh.md").read_text()
    assert (
        json.loads((run_dir / "310" / "bs4" / "result.proof.json").read_text())["facts"][
            "end_to_end"
        ]["samples"]
        == COUNT
    )
    checked = stage_file(root, "reports/verify.py", run_dir)
    assert checked.returncode == 0, checked.stdout
    audited = stage_file(
        root,
        "reports/audit.py",
        run_dir / "report" / "README.md",
        run_dir / "report" / "README.zh.md",
    )
    assert audited.returncode == 0, audited.stdout


def test_the_tools_are_looked_for_where_the_port_is_started(
    finished: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import argparse

    from portproof.rundir.execute import Runner
    from portproof.rundir.layout import open_run

    monkeypatch.delenv("PORTPROOF_TOOLS", raising=False)
    options = argparse.Namespace(quiet=True, log_json=False)
    assert Runner(open_run(finished[0]), 0, options).environment["PORTPROOF_TOOLS"] == os.getcwd()
    monkeypatch.setenv("PORTPROOF_TOOLS", "/opt/tools")
    assert Runner(open_run(finished[0]), 0, options).environment["PORTPROOF_TOOLS"] == "/opt/tools"


def stage_file(root: Path, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_rehearsals_folder_is_for_rehearsals_only(
    finished: tuple[Path, subprocess.CompletedProcess[str]], root: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "portproof",
        "port",
        "--target",
        "cpu",
        "--run-dir",
        str(finished[0]),
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "is the run directory of a rehearsal" in done.stderr) == (2, True)
