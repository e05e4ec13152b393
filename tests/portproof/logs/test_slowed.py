"""Figures taken under a profiler or a dump are doubted, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portproof.logs.read import read

AIS = (
    "[INFO] NPU_compute_time (ms): min = 3.9, max = 4.2, mean = 4.0, median = 4.0\n"
    "[INFO] throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(4.0): 1000.0\n"
)
MSAME = (
    "Inference time: 4.0ms\nInference average time: 4.000000 ms\n{}[INFO] Execute sample success\n"
)
PURE = "[INFO] ave_throughputRate: 250samples/s, ave_latency: 4ms\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[INFO] find no msprof continue use acl.json mode\n" + AIS, "profiler"),
        (
            '[INFO] msprof cmd:/x/msprof --output=o --application="python a" begin run\n' + AIS,
            "profiler",
        ),
        ("[INFO] profiler mode with input change warmup_count to 0\n" + AIS, "profiler"),
        ("python3 -m ais_bench --model m.om --output o --profiler 1\n" + AIS, "profiler"),
        ("python3 -m ais_bench --model m.om --output o --dump=true\n" + AIS, "dumps"),
        ("./msame --model m.om --output o --dump true\n" + MSAME.format(""), "dumps"),
        (MSAME.format("[INFO] delete acl.json success\n"), "profiler or while it wrote dumps"),
        (
            'msprof --output=d --application="./benchmark.x86_64 -round=10 -om_path=m.om"\n' + PURE,
            "profiler",
        ),
        ("python3 -m ais_bench --model m.om --profiler 0 --dump false\n" + AIS, ""),
        ("usage: [--profiler PROFILER] [--dump DUMP]\n" + AIS, ""),
        (AIS, ""),
        (MSAME.format(""), ""),
        (PURE, ""),
    ],
)
def test_the_log_says_what_was_on(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "tool.log").write_text(text)
    (run,) = read(tmp_path / "tool.log")
    assert run.figures
    doubts = [w for w in run.warnings if "its times measure that too" in w]
    assert (run.status, len(doubts)) == (("incomplete", 1) if word else ("ok", 0))
    assert all(word in w for w in doubts)


def test_only_the_run_that_it_was_on_for(tmp_path: Path) -> None:
    plain = "python3 -m ais_bench --model m.om\n"
    (tmp_path / "tool.log").write_text(
        plain + AIS + plain.replace("\n", " --output o --dump 1\n") + AIS + plain + AIS
    )
    assert [run.status for run in read(tmp_path / "tool.log")] == ["ok", "incomplete", "ok"]


def test_a_summary_has_the_command_line(tmp_path: Path) -> None:
    data = {
        "args": ["x/ais_bench/__main__.py", "--model", "m.om", "--batchsize", "4"],
        "NPU_compute_time": {"mean": 4.0},
        "throughput": 1000.0,
    }
    for more, status in (([], "ok"), (["--dump", "1"], "incomplete"), (["--dump", "0"], "ok")):
        text = json.dumps(data | {"args": [*data["args"], *more]})  # type: ignore[misc]
        (tmp_path / "d_summary.json").write_text(text)
        (run,) = read(tmp_path / "d_summary.json")
        assert run.status == status


@pytest.mark.parametrize(
    ("result", "asked", "status"),
    [(0, "0, 1", "ok"), (1, "0, 1", "incomplete"), (0, "0, 1, 2", "incomplete")],
)
def test_a_total_of_which_a_device_failed(
    tmp_path: Path, result: int, asked: str, status: str
) -> None:
    (tmp_path / "tool.log").write_text(
        f"[INFO] multidevice:[{asked}] run begin\n{AIS}"
        f"[INFO] multidevice run end qsize:4 result:{result}\n"
        "i:0 device_0 throughput:1000.0 start_time:1.5 end_time:2.5\n"
        "i:1 device_1 throughput:900.0 start_time:1.5 end_time:2.5\n"
        "[INFO] summary throughput:1900.0\n"
    )
    total = read(tmp_path / "tool.log")[-1]
    assert (total.figure("throughput_total") is not None, total.status) == (True, status)
    assert any("a device failed" in w for w in total.warnings) == (status != "ok")
