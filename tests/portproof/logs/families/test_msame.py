"""msame: its averages, its verdict line, and prose that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.read import read

LOG = """[INFO] output data success
Inference average time : 93.14 ms
Inference average time without first time: 93.12 ms
[INFO] unload model success, model Id is 1
[INFO] pid: 4711 Execute sample success
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_averages_and_verdict(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, LOG))
    assert (run.family, run.status, run.batch) == ("msame", "ok", None)
    assert [(f.name, f.value, f.boundary, f.line) for f in run.figures] == [
        ("latency_mean", pytest.approx(0.09314), "device", 2),
        ("latency_mean_without_first", pytest.approx(0.09312), "device", 3),
    ]


def test_the_rate_is_derived_only_where_the_command_tells_the_batch(tmp_path: Path) -> None:
    (run,) = read(
        write(tmp_path, "./msame --model m.om --output out --dymBatch 4 --loop 20\n" + LOG)
    )
    assert run.batch == 4
    assert (
        run.figures[0].name == "throughput"
        and run.figures[0].value == pytest.approx(4 / 0.09312)
        and run.figures[0].derived
    )


def test_without_its_success_line_a_log_is_incomplete(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, LOG.replace("Execute sample success", "")))
    assert run.status == "incomplete" and len(run.figures) == 2


def test_a_failed_run_has_no_result(tmp_path: Path) -> None:
    (run,) = read(
        write(
            tmp_path, LOG.replace("success\n", "failed\n").replace("sample failed", "sample failed")
        )
    )
    assert (run.status, run.figures) == ("failed", [])


def test_two_runs(tmp_path: Path) -> None:
    assert [(r.line, r.status) for r in read(write(tmp_path, LOG + LOG))] == [(2, "ok"), (7, "ok")]


@pytest.mark.parametrize(
    "text",
    [
        "日志中会记录Inference average time without first time，即为平均耗时(ms)。\n",
        "Inference average time : 93.1",
    ],
)
def test_prose_and_stumps(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read(write(tmp_path, text))


def test_real_samples(shared: Path) -> None:
    for number, mean in {"02": 0.20761, "06": 0.0025542, "08": 0.09314}.items():
        (run,) = read(shared / "samples" / "logs" / f"msame_{number}.log")
        assert run.figures[0].value == pytest.approx(mean) and run.status == (
            "ok" if number == "08" else "incomplete"
        )


def test_the_time_of_each_execution_is_kept(tmp_path: Path) -> None:
    calls = "".join(f"Inference time: {ms}ms\n" for ms in (93.5, 93.25, 92.75))
    first, second = read(write(tmp_path, calls + LOG + "Inference time: 1.5ms\n" + LOG))
    assert first.times == pytest.approx([0.0935, 0.09325, 0.09275])
    assert second.times == pytest.approx([0.0015])
    assert "times" not in first.as_dict()
