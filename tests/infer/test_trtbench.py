"""Benches by the double of trtexec: the mode, the batch, the boundaries, and what makes them worthless."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.engines import Request, convert
from portproof.errors import InputError, ToolError
from portproof.infer.trtbenching import TrtBench, bench_engines
from portproof.measurement import Performance

DOUBLES = Path(__file__).resolve().parents[1] / "doubles"


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_onnx: Path) -> Iterator[Callable[..., Performance]]:
    """``timed("10.16.1")`` builds engines of batch 1 and 4 with that version and times them."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.chdir(tmp_path)

    def run(version: str, batches: tuple[int, ...] = (4,), fault: str = "", repeats: int = 1) -> Performance:
        importlib.import_module("trtexec_fixture").install(monkeypatch, tmp_path / "bin", version)
        convert(Request(tiny_onnx, "engines", batches))
        monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", fault)
        return bench_engines(TrtBench("t4", "engines/tiny_bs{batch}.plan", batches, seconds=0.1, repeats=repeats), Path("t4/perf.json"))

    yield run
    importlib.import_module("cuda_double").forget()


@pytest.mark.parametrize("version", ["8.2.1", "10.16.1", "11.1.0"])
def test_every_version_is_timed_in_the_same_two_modes(timed: Any, version: str) -> None:
    done = timed(version)
    found = {m.boundary: m for m in done.measurements}
    assert list(found) == ["device", "device+copies", "call"]
    assert {m.options["transfers"] for m in found.values()} == {"on", "off"}
    assert found["device"].options == {"graph": "on", "spin": "on", "transfers": "off"}
    assert found["call"].options == {"graph": "on", "spin": "on", "transfers": "on"}
    assert found["device"].provider == f"trtexec {version}"
    assert found["device"].images_per_second == pytest.approx(4000)
    queries = json.loads(Path("t4/bs4/logs/trtexec_call_1.json").read_text())
    counted = [q for q in queries if version != "8.2.1" or q["startComputeMs"] >= 1000]
    assert len(counted) < len(queries) or version != "8.2.1", "the double had no query in its warm-up"
    assert found["call"].counters["queries"] == len(counted)


def test_the_rate_is_the_one_that_the_log_prints_times_the_batch(timed: Any, root: Path, stage: Any) -> None:
    """The product's own reader of logs, which was tested on real logs, on the logs that were kept."""
    done = timed("10.16.1", (1, 4))
    for batch in (1, 4):
        ours = {m.boundary: m for m in done.measurements if m.batch == batch}
        read = stage("metrics/throughput.py", f"t4/bs{batch}/logs/trtexec_call_1.log", "--json", cwd=Path.cwd())
        (run,) = json.loads(read.stdout)
        assert run["batch"] == batch
        (rate,) = [f for f in run["figures"] if f["name"] == "throughput" and f["unit"] == "images/s"]
        assert rate["boundary"] == "call"
        assert ours["call"].images_per_second == pytest.approx(rate["value"], rel=0.05)
        (mean,) = [f for f in run["figures"] if f["name"] == "latency_mean"]
        assert sum(ours["device+copies"].samples) / len(ours["device+copies"].samples) == pytest.approx(mean["value"], rel=1e-3)


def test_runs_are_blocks_and_nothing_is_done_twice(timed: Any) -> None:
    done = timed("10.16.1", repeats=2)
    assert [len(m.blocks) for m in done.measurements] == [2, 2, 2]
    log = Path("t4/bs4/logs/trtexec_device_2.log")
    written = log.stat().st_mtime_ns
    assert timed("10.16.1", repeats=2) == done
    assert log.stat().st_mtime_ns == written


def test_a_run_that_measured_another_batch_is_refused(timed: Any) -> None:
    with pytest.raises(ToolError, match="was to measure batch 4, its log shows image: 1"):
        timed("10.16.1", fault="shapes")
    assert not Path("t4/perf.json").exists()


def test_a_graph_that_could_not_be_captured_is_a_reason(timed: Any) -> None:
    done = timed("11.1.0", fault="capture")
    assert done.status == "unstable"
    assert any("CUDA graph capture failed" in why for why in done.reasons)
    assert done.measurements[0].options["graph"] == "off"


def test_a_log_without_a_verdict_is_no_bench(timed: Any) -> None:
    with pytest.raises(ToolError, match="did not finish"):
        timed("10.16.1", fault="no-verdict")


def test_an_engine_of_unknown_shapes_or_of_another_batch_is_refused(timed: Any, tmp_path: Path) -> None:
    timed("10.16.1")
    with pytest.raises(InputError, match="batches of 4 to 4, --batch asks for 8"):
        bench_engines(TrtBench("t4", "engines/tiny_bs4.plan", (8,)), Path("x/perf.json"))
    Path("engines/other.plan").write_bytes(b"ftrt")
    with pytest.raises(InputError, match="no sidecar that says its shapes"):
        bench_engines(TrtBench("t4", "engines/other.plan", (4,)), Path("x/perf.json"))


def test_from_outside(timed: Any, stage: Any) -> None:
    timed("10.16.1")
    done = stage("infer/trtbench.py", "t4=engines/tiny_bs{batch}.plan", "--batch", "4", "--repeats", "1", "--seconds", "0.1", "--out", "t4/perf.json",
                 cwd=Path.cwd())  # fmt: skip
    assert done.returncode in (0, 4), done.stderr
    assert "device+copies" in done.stdout
    assert stage("infer/trtbench.py", "engines/x.plan", "--out", "p.json", cwd=Path.cwd()).returncode == 2
