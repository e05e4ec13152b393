"""LoadGen's summaries: the four scenarios and their traps."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.read import read

OFFLINE = """================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : Offline
Mode     : PerformanceOnly
Samples per second: 109852
Result is : VALID
  Min duration satisfied : Yes
Additional Stats
Min latency (ns)                : 1001343072
Mean latency (ns)               : 1001343072
samples_per_query : 110000
No errors encountered during test.
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mlperf_log_summary.txt"
    path.write_text(text)
    return path


def test_offline_latencies_are_the_run_time_and_not_reported(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, OFFLINE))
    assert [(f.name, f.value, f.unit, f.boundary, f.line) for f in run.figures] == [
        ("throughput", 109852, "images/s", "call", 7)
    ]
    assert (run.status, run.batch, run.facts["scenario"]) == ("ok", None, "Offline")


def test_an_invalid_result_is_no_result(tmp_path: Path) -> None:
    text = OFFLINE.replace("is : VALID", "is : INVALID").replace(
        "duration satisfied : Yes", "duration satisfied : NO"
    )
    (run,) = read(write(tmp_path, text))
    assert (run.status, run.figures) == ("failed", []) and "Min duration satisfied" in run.warnings[
        0
    ]


def test_valid_beside_an_error_is_reported(tmp_path: Path) -> None:
    (run,) = read(
        write(tmp_path, OFFLINE.replace("No errors encountered during test", "1 ERROR encountered"))
    )
    assert run.status == "ok" and "1 ERROR" in run.warnings[0]


def test_cut_off_before_its_verdict(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, OFFLINE[: OFFLINE.index("Result is")]))
    assert run.status == "incomplete" and run.figures[0].value == 109852
    (stump,) = read(write(tmp_path, OFFLINE[: OFFLINE.index("9852")]))
    assert stump.figures == []


def test_accuracy_mode_measures_no_performance(tmp_path: Path) -> None:
    (run,) = read(write(tmp_path, OFFLINE.replace("PerformanceOnly", "AccuracyOnly")))
    assert run.figures == []


def test_real_samples(shared: Path) -> None:
    folder = shared / "samples" / "loadgen"
    runs = {
        name: read(folder / f"summary_{name}.txt")[0]
        for name in ("SingleStream", "MultiStream", "Server", "Offline")
    }
    assert {r.status for r in runs.values()} == {"ok"}
    single = {f.name: f.value for f in runs["SingleStream"].figures}
    assert single["latency_p90"] == pytest.approx(5572e-9) and single["throughput"] == 47820.05
    multi = {f.name: f.value for f in runs["MultiStream"].figures}
    assert (
        runs["MultiStream"].batch == 8
        and multi["latency_p99"] == pytest.approx(403964e-9)
        and "throughput" not in multi
    )
    assert runs["Server"].figures[0].value == 1968.73 and "1 ERROR" in runs["Server"].warnings[0]
    with pytest.raises(InputError):
        read(folder / "detail_head_Offline.txt")


def test_a_language_models_samples_are_no_images(tmp_path: Path) -> None:
    text = OFFLINE.replace(
        "Samples per second: 109852", "Samples per second: 24.5\nTokens per second: 7210.25"
    )
    (run,) = read(write(tmp_path, text))
    assert [(f.name, f.value, f.unit) for f in run.figures] == [
        ("throughput", 24.5, "samples/s"),
        ("throughput_tokens", 7210.25, "tokens/s"),
    ]
    server = OFFLINE.replace("Offline", "Server").replace(
        "Samples per second: 109852",
        "Completed samples per second    : 0.41\nMean First Token latency (ns)   : 42345678901",
    )
    (run,) = read(write(tmp_path, server))
    assert {f.unit for f in run.figures if f.name == "throughput"} == {"samples/s"}
