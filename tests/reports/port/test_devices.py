"""What a report says of a device: its name and driver, its counters in a reader's units, and what a
model file was made with.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portproof.measurement import (
    ALONE,
    TOGETHER,
    Measurement,
    Performance,
    read_performance,
    write_performance,
)
from portproof.reports.page.html_page import html_page
from portproof.reports.port.data import read_run
from portproof.reports.port.devices import counter_rows, devices_of, modes, timed_by_trtexec
from portproof.reports.port.document import render
from portproof.reports.port.plots import boundary_of

COUNTERS = {
    "device": {"name": "Tesla T4", "driver": "535.54"},
    "device_utilisation": 0.97,
    "device_memory_before_bytes": 300 << 20,
    "device_memory_peak_bytes": 900 << 20,
    "power_w": 68.25,
    "energy_per_image_j": 0.0371,
    "clock_lowest_hz": 1.5e9,
    "clock_highest_hz": 1.59e9,
    "temperature_highest_c": 61.0,
    "limits": ["software power cap"],
}


def measurement(boundary: str, counters: dict[str, Any], **more: Any) -> Measurement:
    return Measurement(
        label="t4",
        model="m.plan",
        backend="trtexec",
        batch=8,
        boundary=boundary,
        precision="fp16",
        clients=1,
        inputs="random",
        blocks=[[0.01] * 20] * 4,
        counters=counters,
        **more,
    )  # type: ignore[arg-type]


def test_a_row_a_batch_in_a_readers_units() -> None:
    performance = Performance(
        measurements=[measurement("device", COUNTERS), measurement("call", COUNTERS)]
    )
    (row,) = counter_rows(performance)
    assert row["values"] == [300, 900, 68.25, 0.0371, 1500, 1590, 61]
    assert (row["utilisation"], row["limits"]) == (0.97, "software power cap")


def test_what_a_device_does_not_tell_is_none_and_a_host_is_no_device() -> None:
    silent = {"device": {"name": "Ascend310P3"}, "limits": None}
    (row,) = counter_rows(Performance(measurements=[measurement("device", silent)]))
    assert row["values"] == [None] * 7
    assert (row["utilisation"], row["limits"]) == (None, "")
    assert (
        list(counter_rows(Performance(measurements=[measurement("call", {"cpu_fraction": 0.2})])))
        == []
    )


def test_the_mode_stands_with_its_boundary() -> None:
    found = [
        measurement("device", {}, options={"graph": "on", "transfers": "off"}),
        measurement("call", {}, options={"graph": "on", "transfers": "on"}),
    ]
    performance = Performance(measurements=found)
    assert modes(performance) == [
        ("device", "graph on, transfers off"),
        ("call", "graph on, transfers on"),
    ]
    assert timed_by_trtexec(performance)


@pytest.mark.parametrize(
    ("boundaries", "shown"),
    [(("call",), "call"), (("device", "call"), "device"), (("device",), "device")],
)
def test_plots_show_the_devices_own_time_where_there_is_one(
    boundaries: tuple[str, ...], shown: str
) -> None:
    assert boundary_of(Performance(measurements=[measurement(b, {}) for b in boundaries])) == shown


def test_the_readme_has_the_device_and_its_counters(ported: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(ported, run_dir)
    performance = read_performance(run_dir / "ort" / "perf.json")
    for at, m in enumerate(performance.measurements):
        performance.measurements[at] = msgspec.structs.replace(m, counters=m.counters | COUNTERS)
    write_performance(run_dir / "ort" / "perf.json", performance)
    data = read_run(run_dir)
    assert devices_of(data) == ["Tesla T4, driver 535.54"]
    for language, said in (
        ("en", "Timed on: Tesla T4, driver 535.54."),
        ("zh", "测试设备：Tesla T4, driver 535.54。"),
    ):
        text = render(data, language)
        assert said in text
        assert (
            "| 97 % | 300.0 | 900.0 | 68.25 | 0.03710 | 1500 | 1590 | 61.00 | software power cap |"
            in text
        )


def test_doubts_about_the_chips_of_a_card_stand_with_their_figures(
    ported: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(ported, run_dir)
    chips = [
        msgspec.structs.replace(
            measurement("call", {}), label=f"ort{end}", scope=scope, chips=count
        )
        for scope, end, count in (("alone", ALONE, 1), ("together", TOGETHER, 2))
    ]
    doubted = Performance(
        measurements=chips, status="unstable", reasons=["ort@npu:1, batch 8, call: it slows down"]
    )
    write_performance(run_dir / "ort" / "card.json", doubted)
    data = read_run(run_dir)
    for text in (render(data, "en"), render(data, "zh"), html_page(data)):
        assert "1600" in text
        assert "UNSTABLE" in text
        assert "ort@npu:1, batch 8, call: it slows down" in text.replace("\\", "")
