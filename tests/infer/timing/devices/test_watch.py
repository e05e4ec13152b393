"""Counters of devices while a subject is timed: read from a double of NVML and from npu-smi's
table, and judged.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portproof.host import npusmi
from portproof.infer.timing.devices import CounterReading, kinds, source_for
from portproof.infer.timing.devices.on_cuda import Nvml
from portproof.infer.timing.devices.watch import (
    Devices,
    Watch,
    _Device,
    device_counters,
    device_doubts,
)

DOUBLES = Path(__file__).resolve().parents[3] / "doubles"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The double of NVML with a busy T4."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    double = importlib.import_module("pynvml")
    double.answers.update(double.busy_t4())
    yield double
    sys.modules.pop("pynvml")


def test_there_is_one_file_a_kind_of_device() -> None:
    assert kinds() == ["cuda", "npu"]
    assert source_for("cpu") is None


def test_a_reading_is_in_si_units(nvml: Any) -> None:
    source = source_for("cuda:0")
    assert source is not None
    assert source.read("cuda:0") == CounterReading(
        utilisation=0.9,
        memory_used_bytes=1 << 30,
        power_w=65.0,
        energy_j=0.0,
        clock_hz=1.59e9,
        memory_clock_hz=1.59e9,
        temperature_c=55,
        performance_state=0,
        limits=frozenset({"software power cap"}),
        processes=frozenset(),
    )
    facts = source.facts("cuda:0")
    assert (facts["name"], facts["power_limit_w"], facts["mig_mode"], facts["ecc_mode"]) == (
        "Tesla T4",
        70.0,
        0,
        None,
    )


def test_what_is_not_supported_is_null(nvml: Any) -> None:
    nvml.answers.clear()
    nvml.answers["nvmlDeviceGetName"] = "GRID T4-1Q"
    source = source_for("cuda:0")
    assert source is not None
    assert source.read("cuda:0") == CounterReading()


def test_no_driver_no_package_no_device_is_no_source(
    nvml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source_for("cuda:3") is None
    nvml.answers.clear()
    assert source_for("cuda:0") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert source_for("cuda:0") is None


def test_a_gpu_that_is_not_watched_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    devices = Devices(["cuda:0", "cpu"])
    for device in ("cuda:0", "cpu", "cuda:0"):
        assert device_counters(devices.watch(device), 1, 1, []) == {}
    said = capsys.readouterr().err
    assert (
        said.count("is not watched") == said.count("cuda:0 is not watched while it is timed") == 1
    )


def test_devices_are_counted_as_cuda_counts_them(
    nvml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f2, 0")
    source = Nvml(nvml)
    source.read("cuda:0")
    source.read("cuda:1")
    assert nvml.asked[-2:] == [("uuid", "GPU-8f2"), ("index", 0)]


def test_an_older_package_has_the_older_name_of_the_reasons(nvml: Any) -> None:
    old = SimpleNamespace(
        NVMLError=nvml.NVMLError,
        nvmlDeviceGetHandleByIndex=nvml.nvmlDeviceGetHandleByIndex,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x40,
    )
    assert Nvml(old).read("cuda:0").limits == {"hardware thermal slowdown"}


def test_readings_are_taken_before_during_and_after_a_block(nvml: Any) -> None:
    watch = Devices(["cuda:0"]).watch("cuda:0")
    with watch.block():
        time.sleep(0.35)
    (block,) = watch.blocks
    assert 4 <= len(block) <= 6
    assert block[0].energy_j is not None
    assert block[-1].energy_j is not None
    assert block[0].energy_j < block[1].energy_j < block[-1].energy_j  # type: ignore[operator]


USUAL = CounterReading(
    utilisation=0.9,
    power_w=60.0,
    energy_j=0.0,
    clock_hz=1.5e9,
    temperature_c=50.0,
    performance_state=0,
    memory_used_bytes=2 << 30,
    processes=frozenset({7, 8}),
)


def watched(
    *blocks: list[CounterReading],
    before: CounterReading | None = None,
    throttles: tuple[str, ...] = ("thermal",),
) -> Watch:
    source: Any = SimpleNamespace(interval_s=0.1, throttles=frozenset(throttles))
    watch = Watch(
        "cuda:0",
        _Device(
            source,
            {"name": "T4"},
            before or CounterReading(memory_used_bytes=1 << 30, processes=frozenset()),
        ),
    )
    watch.blocks = list(blocks)
    return watch


def changed(**changes: Any) -> CounterReading:
    return CounterReading(**{name: getattr(USUAL, name) for name in USUAL.__slots__} | changes)  # type: ignore[attr-defined]


def test_a_quiet_device_gives_no_doubt() -> None:
    assert device_doubts(watched([USUAL, USUAL, USUAL]), own=[7, 8, 9]) == []
    assert device_doubts(watched(), own=[7]) == []


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (
            changed(limits=frozenset({"thermal", "power cap"})),
            r"cuda:0 was throttled while it was timed \(thermal\)",
        ),
        (changed(performance_state=2), "performance state P2"),
        (changed(clock_hz=1.4e9), "from 1400 to 1500 MHz"),
        (
            changed(processes=frozenset({7, 8, 55})),
            r"other programs used cuda:0 while it was timed \(process 55\)",
        ),
    ],
)
def test_a_throttled_slow_or_shared_device_is_a_reason(reading: CounterReading, words: str) -> None:
    (doubt,) = device_doubts(watched([USUAL, USUAL, reading, USUAL]), own=[7, 8])
    assert re.search(words, doubt)


def test_what_is_normal_is_no_reason() -> None:
    outside = changed(clock_hz=0.3e9, performance_state=8)
    assert (
        device_doubts(
            watched(
                [outside, changed(limits=frozenset({"power cap"}), clock_hz=1.49e9), USUAL, outside]
            ),
            own=[7, 8],
        )
        == []
    )


def test_in_a_container_programs_are_counted_since_their_ids_are_the_hosts() -> None:
    assert device_doubts(watched([USUAL, USUAL, USUAL]), own=[1, 2]) == []
    (more,) = device_doubts(watched([USUAL, USUAL, USUAL]), own=[1])
    assert "1 more than this bench has" in more
    (earlier,) = device_doubts(watched([USUAL, USUAL, USUAL], before=USUAL), own=[1, 2])
    assert "process 7, process 8" in earlier


def test_energy_needs_long_blocks_and_a_counter() -> None:
    blocks = [
        [changed(energy_j=100.0), USUAL, changed(energy_j=160.0)],
        [changed(energy_j=200.0), USUAL, changed(energy_j=240.0)],
    ]
    assert (
        device_counters(watched(*blocks), calls_s=2.5, images=50, own=[7])["energy_per_image_j"]
        == 2.0
    )
    assert (
        device_counters(watched(*blocks), calls_s=1.9, images=50, own=[7])["energy_per_image_j"]
        is None
    )
    blocks[1][0] = changed(energy_j=None)
    assert (
        device_counters(watched(*blocks), calls_s=2.5, images=50, own=[7])["energy_per_image_j"]
        is None
    )


def test_counters_without_a_source_are_absent_and_without_a_value_null() -> None:
    assert device_counters(Watch("cuda:0", None), 3, 3, []) == {}
    found = device_counters(
        watched([CounterReading(), CounterReading(), CounterReading()]), 3, 3, []
    )
    assert found["device"] == {"name": "T4"}
    assert found["device_memory_before_bytes"] == 1 << 30
    unknown = (
        "device_utilisation",
        "power_w",
        "clock_lowest_hz",
        "temperature_highest_c",
        "limits",
        "performance_state_slowest",
        "other_processes",
    )
    assert all(found[name] is None for name in unknown)


def test_limits_states_and_others_are_kept_though_they_are_no_reason() -> None:
    blocks = [
        changed(limits=frozenset()),
        changed(limits=frozenset({"software power cap"}), processes=frozenset({7, 55})),
        USUAL,
    ]
    found = device_counters(watched(blocks), 3, 3, own=[7, 8])
    assert (found["limits"], found["performance_state_slowest"], found["other_processes"]) == (
        ["software power cap"],
        0,
        ["process 55"],
    )
    assert (
        device_counters(watched([USUAL, changed(limits=frozenset()), USUAL]), 3, 3, own=[7, 8])[
            "limits"
        ]
        == []
    )


def test_a_block_is_narrowed_to_when_its_program_timed(nvml: Any) -> None:
    watch = Devices(["cuda:0"]).watch("cuda:0")
    with watch.block():
        time.sleep(0.2)
        began = time.time()
        time.sleep(0.35)
        ended = time.time()
        time.sleep(0.2)
    whole = len(watch.blocks[0])
    seconds = watch.narrow(began, ended)
    assert 3 <= len(watch.blocks[0]) <= whole - 3
    assert 0.15 < seconds <= ended - began
    assert watch.narrow(0, 1) == 0
    assert watch.blocks == [[]]
    assert Devices([]).watch("cpu").narrow(0, 1e10) == 0


def test_numbers_of_unlike_gpus_name_none(
    nvml: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByIndex", str)
    monkeypatch.setattr(nvml, "nvmlDeviceGetName", lambda handle: f"GPU {handle}", raising=False)
    nvml.answers["nvmlDeviceGetCount"] = 2
    assert source_for("cuda:0") is None
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID" in capsys.readouterr().err
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    source = source_for("cuda:1")
    assert source is not None
    assert source.facts("cuda:1")["name"] == "GPU 1"


def test_an_npu_is_asked_after_the_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    chip = npusmi.Chip(
        npu=0,
        chip=0,
        device=0,
        name="310P3",
        health="OK",
        power_w=15.8,
        temperature_c=42.0,
        bus_id=None,
        aicore_percent=0,
        memory_used_mb=1074,
        memory_total_mb=21534,
        processes=(npusmi.Process(0, 0, 4711, "python", 200),),
    )

    def query() -> list[npusmi.Chip]:
        asked.append(time.perf_counter())
        return [chip]

    monkeypatch.setattr(npusmi, "query", query)
    watch = Devices([]).watch("npu:0")
    before = len(asked)
    with watch.block():
        time.sleep(0.15)
        assert len(asked) == before
    assert len(asked) == before + 1
    found = device_counters(watch, 1, 1, [])
    assert (found["device"]["name"], found["power_w"], found["temperature_highest_c"]) == (
        "Ascend310P3",
        15.8,
        42.0,
    )
    assert found["device_memory_peak_bytes"] == 1074 << 20
    assert found["device_utilisation"] is None
    assert device_doubts(watch, own=[4711]) == []
    assert "process 4711" in device_doubts(watch, own=[1])[0]


def test_a_bench_keeps_the_counters_and_a_shared_gpu_makes_it_unstable(
    nvml: Any, tiny_onnx: Path, tmp_path: Path
) -> None:
    from portproof.infer.timing.job import bench
    from portproof.infer.timing.protocol import Plan

    write_plan = importlib.import_module("tensorrt_plans").write_plan
    shape = [3, 4, 4]
    engine = write_plan(
        tmp_path / "model.plan",
        tiny_onnx,
        profiles=[{"image": [[1, *shape], [1, *shape], [4, *shape]]}],
    )
    nvml.answers.update(
        nvml.busy_t4(nvmlDeviceGetComputeRunningProcesses=[SimpleNamespace(pid=999999)])
    )
    done = bench([f"t4=trt:{engine}"], [1], plan=Plan(blocks=2, iterations=4, warmup=2))
    assert {m.boundary for m in done.measurements} == {"call", "device", "device+copies"}
    for m in done.measurements:
        assert m.device == "cuda:0"
        assert m.counters["device"]["name"] == "Tesla T4"
        assert m.counters["device_memory_peak_bytes"] == 1 << 30
    assert done.status == "unstable"
    assert any("other programs used cuda:0" in why for why in done.reasons)
