"""A measurement by trtexec is derived again from the times of every query, of this version and of
the one before, which had a stage of its own for it.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.nvidia.engines import EngineRequest, convert
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.proof.lineage import read_stages

DOUBLES = Path(__file__).resolve().parents[3] / "doubles"


@pytest.fixture(params=["bench", "trtbench"])
def timed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_onnx: Path
) -> Path:
    """A run directory with a measurement by trtexec, by this version or as the one before wrote
    it.
    """
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.chdir(tmp_path)
    importlib.import_module("trtexec_fixture").install(monkeypatch, tmp_path / "bin", "10.16.1")
    convert(EngineRequest(tiny_onnx, "engines", (4,)))
    subject, plan = "t4=trtexec:engines/tiny_bs{batch}.plan", Plan(blocks=2, block_s=0.1)
    bench([subject], [4], plan=plan, out="t4/perf.json")
    if request.param == "trtbench":
        sidecar, perf = Path("t4/perf.json.proof.json"), Path("t4/perf.json")
        proof, performance = json.loads(sidecar.read_text()), json.loads(perf.read_text())
        kept = {k: proof["parameters"][k] for k in ("batches", "tensorrt", "gpu")}
        older: dict[str, Any] = {"label": "t4", "device": "cuda:0", "seconds": 0.1, "repeats": 2}
        sidecar.write_text(json.dumps({**proof, "stage": "trtbench", "parameters": kept | older}))
        for measurement in performance["measurements"]:
            del measurement["scope"]
        perf.write_text(json.dumps(performance))
    return tmp_path


def changes(run_dir: Path) -> list[str]:
    """What the recheck of the sidecar's stage finds changed."""
    (stage,) = [s for s in read_stages(run_dir) if s.artefact == "t4/perf.json"]
    rechecks = importlib.import_module(f"portproof.reports.evidence.rechecks.{stage.proof.stage}")
    return [f"{f.file}: {f.what}" for f in rechecks.recheck(stage, run_dir) if f.kind == "changed"]


def test_the_blocks_are_those_of_the_queries(timed: Path) -> None:
    assert changes(timed) == []
    times = timed / "t4/bs4/logs/trtexec_device_2.json"
    queries = json.loads(times.read_text())
    queries[5]["computeMs"] += 1
    times.write_text(json.dumps(queries))
    assert any("measurements[0].blocks[1][5]" in line for line in changes(timed))
    times.unlink()
    assert any("trtexec_device_2.json', the times of one" in line for line in changes(timed))


def test_a_doubt_that_is_left_out_is_found(timed: Path) -> None:
    for name in ("device", "call"):
        times = timed / f"t4/bs4/logs/trtexec_{name}_2.json"
        queries = json.loads(times.read_text())
        for query in queries:
            query["computeMs"] *= 2
        times.write_text(json.dumps(queries))
    perf = timed / "t4/perf.json"
    performance = json.loads(perf.read_text())
    block = performance["measurements"][0]["blocks"][1]
    performance["measurements"][0]["blocks"][1] = [round(2 * s, 9) for s in block]
    perf.write_text(json.dumps(performance))
    lines = [line for line in changes(timed) if "reasons do not say" in line]
    assert lines
    assert "t4, batch 4: the medians of 2 runs differ by" in lines[0]


def test_a_wrong_answer_that_is_hushed_up_is_found(timed: Path) -> None:
    perf = timed / "t4/perf.json"
    performance = json.loads(perf.read_text())
    performance["measurements"][0]["answers"] = {"ok": False, "reason": "NaN"}
    perf.write_text(json.dumps(performance))
    assert any("perf.json: wrong says [], the files below it give" in x for x in changes(timed))
    performance["wrong"] = ["t4, batch 4: NaN"]
    ratio = {"a": "t4", "b": "t4", "batch": 4, "boundary": "device", "ratio": 1.0, "ci95": None}
    performance["ratios"] = [ratio]
    perf.write_text(json.dumps(performance))
    assert any("ratios[0] is of measurements that are not" in x for x in changes(timed))
    sidecar = timed / "t4/perf.json.proof.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "revision": 1}))
    assert any("an earlier version formed in another way: bench again" in x for x in changes(timed))
