"""Benches by the double of trtexec: the mode, the batch, the boundaries, and what makes them
worthless.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.nvidia.engines import EngineRequest, convert
from portproof.core.errors import InputError, ToolError
from portproof.core.shell import Finished
from portproof.infer.timing.by_trtexec import shapes_of
from portproof.infer.timing.devices import watch
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.trtexec_blocks import check_bindings
from portproof.logs.read import only
from portproof.measurement import Performance

SUBJECT = "t4=trtexec:engines/tiny_bs{batch}.plan"
DOUBLES = Path(__file__).resolve().parents[2] / "doubles"


@pytest.fixture
def timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_onnx: Path
) -> Iterator[Callable[..., Performance]]:
    """``timed("10.16.1")`` builds engines of batch 1 and 4 with that version and times them."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.chdir(tmp_path)

    def run(
        version: str,
        batches: tuple[int, ...] = (4,),
        fault: str = "",
        repeats: int = 1,
        seconds: float = 0.1,
    ) -> Performance:
        importlib.import_module("trtexec_fixture").install(monkeypatch, tmp_path / "bin", version)
        convert(EngineRequest(tiny_onnx, "engines", batches))
        monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", fault)
        plan = Plan(blocks=repeats, block_s=seconds)
        return bench([SUBJECT], batches, plan=plan, out="t4/perf.json")

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
    assert len(counted) < len(queries) or version != "8.2.1", (
        "the double had no query in its warm-up"
    )
    assert found["call"].counters["queries"] == len(counted)
    assert 0 < found["call"].counters["cpu_fraction"] <= 1


def test_the_rate_is_the_one_that_the_log_prints_times_the_batch(
    timed: Any, root: Path, stage: Any
) -> None:
    """The product's own reader of logs, which was tested on real logs, on the logs that
    were kept.
    """
    done = timed("10.16.1", (1, 4))
    for batch in (1, 4):
        ours = {m.boundary: m for m in done.measurements if m.batch == batch}
        read = stage(
            "metrics/throughput.py",
            f"t4/bs{batch}/logs/trtexec_call_1.log",
            "--json",
            cwd=Path.cwd(),
        )
        (run,) = json.loads(read.stdout)
        assert run["batch"] == batch
        (rate,) = [
            f for f in run["figures"] if f["name"] == "throughput" and f["unit"] == "images/s"
        ]
        assert rate["boundary"] == "call"
        assert ours["call"].images_per_second == pytest.approx(rate["value"], rel=0.05)
        (mean,) = [f for f in run["figures"] if f["name"] == "latency_mean"]
        assert sum(ours["device+copies"].samples) / len(
            ours["device+copies"].samples
        ) == pytest.approx(mean["value"], rel=1e-3)


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


@pytest.mark.parametrize(("version", "fault"), [("11.1.0", "capture"), ("10.16.1", "ignored")])
def test_a_graph_that_could_not_be_captured_is_a_reason(
    timed: Any, version: str, fault: str
) -> None:
    done = timed(version, fault=fault)
    assert done.status == "unstable"
    assert any("CUDA graph capture failed" in why for why in done.reasons)
    assert done.measurements[0].options["graph"] == "off"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no-verdict", "did not finish"),
        ("no-queries", "holds the times of 1 queries"),
        ("no-start", "does not say when it started to infer"),
    ],
)
def test_a_log_that_proves_too_little_is_no_bench(timed: Any, fault: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        timed("10.16.1", fault=fault)
    assert not Path("t4/perf.json").exists()


def test_an_engine_of_another_version_says_what_trtexec_said(
    timed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed("10.16.1")
    monkeypatch.setenv("TRTEXEC_DOUBLE", "11.1.0")
    with pytest.raises(
        ToolError,
        match=(
            r"did not finish its bench: IRuntime::deserializeCudaEngine: .* not compatible with"
            r" this version"
        ),
    ):
        bench([SUBJECT], [4], plan=Plan(blocks=1, block_s=0.1), out="x/perf.json")


def test_a_printed_rate_that_its_times_contradict_is_a_reason(timed: Any) -> None:
    done = timed("10.16.1", fault="zero")
    assert any(
        "trtexec prints 0 queries a second, its times of 120 queries give" in why
        for why in done.reasons
    )
    assert done.measurements[2].images_per_second > 0


def test_what_was_bound_is_what_was_asked_for(tmp_path: Path) -> None:
    lines = [
        "Created input binding for x:0 with dimensions 4x1x28x28",
        "Input binding for the table with dimensions 3x5 and type fp32 is created.",
    ]
    log = tmp_path / "bench.log"
    stamped = "".join(f"[04/25/2026-00:54:22] [I] {line}\n" for line in lines)
    banner = "TensorRT.trtexec [TensorRT v101601] # trtexec --loadEngine=m.plan\n"
    log.write_text(f"&&&& RUNNING {banner}{stamped}&&&& PASSED {banner}")
    done = Finished(("trtexec",), 0, log, 1.0)
    run = only(log, "trtexec")
    check_bindings(done, run, 4, {"x:0": (4, 1, 28, 28)})
    for shapes in ({"x:0": (8, 1, 28, 28)}, {"other": (4, 1)}, {}):
        with pytest.raises(
            ToolError,
            match=r"was to measure batch .*, its log shows x:0: 4x1x28x28, the table: 3x5",
        ):
            check_bindings(done, run, 4, shapes)


def test_the_gpu_is_judged_by_what_it_did_while_trtexec_timed(
    timed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after it idles in its slowest state, which is no doubt about the figures."""
    nvml = importlib.import_module("pynvml")

    def busy() -> bool:
        logs = sorted(Path("t4").glob("bs4/logs/*.log"), key=lambda p: p.stat().st_mtime_ns)
        text = logs[-1].read_text() if logs else ""
        return "Starting inference" in text and "Timing trace" not in text

    nvml.answers.update(nvml.busy_t4())
    answers = {
        "nvmlDeviceGetClockInfo": lambda handle, kind: 1590 if busy() else 300,
        "nvmlDeviceGetPerformanceState": lambda handle: 0 if busy() else 8,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: int(
            1e3 * (50 if busy() else 10) * time.time()
        ),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(nvml, name, answer, raising=False)
    monkeypatch.setattr(watch, "_LEAST_ENERGY_S", 0.3)
    monkeypatch.setenv("TRTEXEC_DOUBLE_SLOWLY", "1")
    done = timed("10.16.1", seconds=1.0)
    assert not [why for why in done.reasons if "cuda:0" in why]
    device, _, call = done.measurements
    found = device.counters
    assert (
        found["clock_lowest_hz"],
        found["clock_highest_hz"],
        found["performance_state_slowest"],
    ) == (1.59e9, 1.59e9, 0)
    assert found["other_processes"] == []
    assert call.images_per_second is not None
    assert found["energy_per_image_j"] == pytest.approx(50 / call.images_per_second, rel=0.25)


def test_an_engine_of_unknown_shapes_or_of_another_batch_is_refused(
    timed: Any, tmp_path: Path
) -> None:
    timed("10.16.1")
    with pytest.raises(InputError, match="batches of 4 to 4, --batch asks for 8"):
        bench(["t4=trtexec:engines/tiny_bs4.plan"], [8], out="x/perf.json")
    Path("engines/other.plan").write_bytes(b"ftrt")
    with pytest.raises(InputError, match="no sidecar with its shapes"):
        bench(["t4=trtexec:engines/other.plan"], [4], out="x/perf.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": Plan(block_s=-1.0)}, "no end"),
        ({"plan": Plan(block_s=0.0)}, "no call"),
        ({"device": "gpu"}, "'cuda:0'"),
        ({"inputs": "zeros"}, "makes random inputs itself"),
        ({"precision": "fp16"}, "--precision is for backends in this process"),
        ({"options": {"x": "1"}}, "has no option 'x'"),
    ],
)
def test_what_trtexec_cannot_do_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    """trtexec takes a duration of -1 as for ever."""
    engine = tmp_path / "engine.plan"
    engine.touch()
    with pytest.raises(InputError, match=words):
        bench([f"t4=trtexec:{engine}"], [1], out=tmp_path / "perf.json", **changes)


def test_an_engine_that_its_sidecar_does_not_describe_is_refused(timed: Any) -> None:
    timed("10.16.1")
    engine, copy = Path("engines/tiny_bs4.plan"), Path("copies/tiny_bs4.plan")
    shutil.copytree("engines", "copies")
    assert shapes_of(copy, 4) == {"image": (4, 3, 4, 4)}
    copy.write_bytes(engine.read_bytes() + b" ")
    with pytest.raises(InputError, match="is not the file that its sidecar describes"):
        shapes_of(copy, 4)


def test_from_outside(timed: Any, stage: Any) -> None:
    timed("10.16.1")
    done = stage(
        "infer/trtbench.py",
        "t4=engines/tiny_bs{batch}.plan",
        "--batch",
        "4",
        "--repeats",
        "1",
        "--seconds",
        "0.1",
        "--out",
        "t4/perf.json",
        cwd=Path.cwd(),
    )
    assert done.returncode in (0, 4), done.stderr
    assert "device+copies" in done.stdout
    assert (
        stage("infer/trtbench.py", "engines/x.plan", "--out", "p.json", cwd=Path.cwd()).returncode
        == 2
    )
