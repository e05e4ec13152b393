"""PureInfer's file and console, and prose that quotes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.read import read

CONSOLE = """[INFO] PureInfer result saved in ./result/PureInfer_perf_of_cspresnext_bs4_in_device_0.txt
-----------------PureInfer Performance Summary------------------
[INFO] ave_throughputRate: 440.606samples/s, ave_latency: 2.304ms
----------------------------------------------------------------
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "ave_throughputRate = 440.606samples/s, ave_latency = 2.304ms",
        "[INFO] ave_throughputRate: 440.606samples/s, ave_latency: 2.304ms",
        "[INFO]ave_throughputRate:440.606samples/s,ave_latency:2.304ms",
        "ave_thoroughputRate = 440.606samples/s, ave_latency = 2.304ms",
        (
            "[2022-05-17 10:00:00] [INFO] ave_throughputRate: 440.606 samples/s， ave_latency:"
            " 2.304 ms"
        ),
        "ave_throughputRate: 440.606, ave_latency: 2.304ms",
    ],
)
def test_every_spelling(tmp_path: Path, line: str) -> None:
    (run,) = read(write(tmp_path, line + "\n"))
    assert [(f.name, f.value, f.unit, f.boundary, f.per, f.line) for f in run.figures] == [
        ("throughput", 440.606, "images/s", "device", "chip", 1),
        ("latency_mean", pytest.approx(0.002304), "s", "device", "chip", 1),
    ]
    assert (run.family, run.status) == ("pureinfer", "ok")


def test_the_model_names_a_batch_which_stays_a_hint(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, CONSOLE))
    assert (run.batch, run.facts["batch_hint"], run.facts["device_id"], run.figures[0].line) == (
        None,
        4,
        0,
        3,
    )


def test_the_command_line_tells_the_batch(tmp_path: Path) -> None:
    (run,) = read(
        write(
            tmp_path,
            "./benchmark.x86_64 -round=20 -om_path=m.om -device_id=0 -batch_size=4\n" + CONSOLE,
        )
    )
    assert (run.batch, run.batch_source) == (4, "command line")


def test_rate_and_latency_must_agree(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, CONSOLE.replace("2.304ms", "9.304ms")))
    assert any("440.606" in w and "0.009304" in w for w in run.warnings)


def test_the_cost_of_an_execution_contradicts_the_batch(tmp_path: Path) -> None:
    costs = "".join(f"[INFO] Dataset number: {i} finished cost 18.43ms\n" for i in range(20))
    (run,) = read(write(tmp_path, costs + CONSOLE))
    assert any("batch 4" in w and "gives 8" in w for w in run.warnings)


def test_a_line_cut_after_the_rate_is_incomplete(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, "[INFO] ave_throughputRate: 440.606samples/s, ave_lat"))
    assert (run.status, len(run.figures)) == ("incomplete", 1)


@pytest.mark.parametrize(
    "prose",
    [
        "ave_throughputRate: 167.46，167.46x4=669.84既是batch4 310单卡吞吐率",
        "ave_throughputRate = 974.27, 974.27x4=3897.08fps。即是batch4 310单卡吞吐率",
        "ave_throughputRate: 20.7samples/s，20.7x4=82.8",
        "[INFO] ave_throughputRate: 44",
    ],
)
def test_prose_and_stumps_give_no_figure(tmp_path: Path, prose: str) -> None:
    with pytest.raises(InputError, match="holds no run"):
        read(write(tmp_path, prose))


def test_real_samples(shared: Path) -> None:
    rates = {
        "01": 8.12674,
        "03": 440.606,
        "05": 224.608,
        "07": 270.962,
        "09": 20.6958,
        "11": 953.503,
        "13": 180.362,
        "15": 39.9892,
        "17": 1522.02,
        "19": 244.742,
        "21": 21.5788,
        "23": 155.975,
        "25": 1258.14,
        "27": 0.620627,
        "29": 7.18646,
    }
    for number, rate in rates.items():
        (run,) = read(shared / "samples" / "logs" / f"pureinfer_{number}.log")
        assert run.figures[0].value == rate and run.status == "ok"


def test_the_cost_of_each_execution_is_kept(tmp_path: Path) -> None:
    costs = "".join(f"[INFO] Dataset number: {i} finished cost {9 + i}.5ms\n" for i in range(3))
    (run,) = read(write(tmp_path, costs + CONSOLE))
    assert run.times == pytest.approx([0.0095, 0.0105, 0.0115])
