"""Whose processor time it was while a subject was timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from portproof.infer.timing.job import bench
from portproof.infer.timing.processes import counters
from portproof.infer.timing.processes.counters import Usage, UsageMeter, summary
from portproof.infer.timing.protocol import Plan


def test_fractions_are_of_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    one = [
        [Usage(host_s=1.0, own_s=0.5, wall_s=1.0)],
        [Usage(host_s=3.0, own_s=1.5, wall_s=1.0)],
        [Usage(host_s=2.0, own_s=1.0, wall_s=1.0)],
    ]
    assert summary(one) == {"cpu_fraction": 0.25, "other_cpu_fraction": 0.25, "processors": 4}
    two = [[Usage(3.0, 1.0, 1.0), Usage(3.0, 1.0, 1.0)]]
    assert summary(two)["other_cpu_fraction"] == pytest.approx(0.25)
    assert summary([[Usage(None, 1.0, 1.0)]])["other_cpu_fraction"] is None


def test_ticks_of_the_host_are_no_load_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 7 ms beside a clock of 10 ms: it moves in 7 of 10, and is right about them all."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    ticks = [0.01, 0.01, 0.0, 0.01, 0.01, 0.0, 0.01, 0.01, 0.0, 0.01]
    idle = [[Usage(host_s=tick, own_s=0.007, wall_s=0.007)] for tick in ticks]
    assert summary(idle * 2)["other_cpu_fraction"] == pytest.approx(0, abs=0.1)
    assert summary(idle)["other_cpu_fraction"] is None, "70 ms are too short to tell"
    busy = [[Usage(host_s=2 * tick, own_s=0.007, wall_s=0.007)] for tick in ticks]
    assert summary(busy * 2)["other_cpu_fraction"] == pytest.approx(1, abs=0.15)


def test_the_meter_counts_this_process() -> None:
    meter = UsageMeter()
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    used = meter.usage()
    assert used.own_s >= 0.05
    assert used.wall_s > 0
    assert counters.peak_memory_bytes() > 5_000_000


def test_the_time_of_programs_is_theirs() -> None:
    meter, mine = UsageMeter(children=True), UsageMeter()
    subprocess.run(
        [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True
    )
    assert meter.usage().own_s >= 0.3
    assert mine.usage().own_s < 0.2


def test_without_psutil_nothing_is_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert UsageMeter().usage().host_s is None
    assert counters.memory_bytes() is None


def test_a_bench_keeps_them_and_a_host_that_others_use_is_a_reason(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psutil")
    monkeypatch.chdir(tiny.folder)
    monkeypatch.setattr(counters, "OTHERS_LIMIT", -1.0)
    done = bench(
        ["a=null:model.onnx"],
        [1],
        card="card.yaml",
        options={"delay_s": "0.02"},
        plan=Plan(blocks=4, iterations=8, warmup=4),
    )
    (m,) = done.measurements
    assert 0 <= m.counters["cpu_fraction"] <= 1
    assert 0 < m.counters["memory_before_bytes"] <= m.counters["memory_peak_bytes"] * 1.01
    assert done.status == "unstable"
    assert any("other processes used" in reason for reason in done.reasons)
