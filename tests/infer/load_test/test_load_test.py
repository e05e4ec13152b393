"""``infer/bench.py`` with requests: what is counted, what it refuses, and when it doubts."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.infer.load_test.job import Traffic, load_test
from portproof.infer.load_test.loadgen import result_in
from portproof.infer.load_test.record import LoadRun, LoadTest, read_load_test
from portproof.infer.load_test.show import load_table
from portproof.infer.timing.job import job_for
from portproof.infer.timing.subject import Subject
from portproof.measurement import Answers, read_performance

Stage = Callable[..., subprocess.CompletedProcess[str]]


def run_of(**facts: Any) -> LoadRun:
    known: dict[str, Any] = {
        "label": "a",
        "model": "m.onnx",
        "backend": "ort",
        "batch": 1,
        "scenario": "closed-loop",
        "clients": 2,
        "requests": 0,
        "precision": "fp32",
        "inputs": "random",
        "wall_s": 2.0,
        "busy_s": 1.0,
        "cpu_s": 3.0,
    }
    return LoadRun(**(known | facts))


def test_every_figure_of_a_run_has_its_usual_meaning() -> None:
    times = np.random.default_rng(1).lognormal(-5, 1, 1000)
    run = run_of(latencies_s=times.tolist(), batch=4)
    assert run.requests_per_second == 500
    assert run.images_per_second == 2000
    assert run.mean_s == pytest.approx(times.mean())
    for percent in (50, 90, 99):
        assert run.percentile_s(percent) == np.percentile(times, percent, method="inverted_cdf")
    assert [run.slowest_s(n) for n in (1, 10, 50)] == [np.sort(times)[-n] for n in (1, 10, 50)]
    assert run.cpu_percent == 150
    few = run_of(latencies_s=times[:99].tolist())
    assert few.percentile_s(90) is None
    assert few.slowest_s(100) is None


def test_wrong_answers_and_one_query_have_no_latency() -> None:
    wrong = run_of(latencies_s=[0.1] * 100, answers=Answers(ok=False, reason="zeros"))
    assert (wrong.requests_per_second, wrong.mean_s, wrong.percentile_s(50)) == (None, None, None)
    offline = run_of(latencies_s=[0.1] * 100, scenario="offline")
    assert offline.requests_per_second == 50
    assert (offline.mean_s, offline.percentile_s(50), offline.slowest_s(1)) == (None, None, None)


def test_the_command_counts_all_requests_of_all_clients(tiny: Any, stage: Stage) -> None:
    words = ("infer/bench.py", "a=ort:model.onnx", "b=null:model.onnx", "--model", "card.yaml")
    words += ("--clients", "2", "--requests", "301", "--threads", "1", "--out", "load.json")
    done = stage(*words, cwd=tiny.folder)
    assert done.returncode in (0, 4), done.stderr
    test = read_load_test(tiny.folder / "load.json")
    assert [(r.label, r.scenario, len(r.latencies_s)) for r in test.runs] == [
        ("a", "closed-loop", 301),
        ("b", "closed-loop", 301),
    ]
    one = test.runs[0]
    assert one.answers is not None
    assert one.answers.ok
    assert 0 < one.busy_s <= 2 * one.wall_s
    assert "requests/s" in done.stdout
    assert "up to date" in stage(*words, cwd=tiny.folder).stderr
    with pytest.raises(InputError, match=r"has the schema 'portproof\.load/1'"):
        read_performance(tiny.folder / "load.json")


def test_arrivals_above_what_is_served_are_doubted(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    options = {"delay_s": "0.01"}
    job = job_for(
        ["a=null:model.onnx"],
        [1],
        card="card.yaml",
        inputs=None,
        info=None,
        common=Subject("", "", "", options=options),
    )
    test = load_test(job, Traffic("open-loop", rate=2000.0, requests=60), tiny.folder / "l.json")
    assert test.status == "unstable"
    assert any("2000 requests/s are more than they serve" in why for why in test.reasons)
    (run,) = test.runs
    assert run.arrivals_s == sorted(run.arrivals_s)
    # The queue grows: the last request waits for nearly all before it.
    assert run.latencies_s[-1] > 30 * 0.01
    calm = load_test(job, Traffic("open-loop", rate=10.0, requests=10), tiny.folder / "calm.json")
    assert not any("are more than they serve" in why for why in calm.reasons)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--scenario", "open-loop"), "needs the requests per second: give them with --rate"),
        (("--rate", "0"), "--rate is 0, more than 0 was expected"),
        (("--rate", "5", "--scenario", "offline"), "--rate has no meaning in the scenario offline"),
        (("--requests", "9", "--blocks", "3"), "--blocks has no meaning for a load test"),
        (("--scenario", "mlperf:Server", "--rate", "9", "--batch", "2"), "use --batch 1"),
        (("--scenario", "mlperf:MultiStream", "--batch", "3"), "no whole number of batches of 3"),
        (("--scenario", "mlperf:Offline", "--clients", "2"), "--clients has no meaning"),
    ],
)
def test_what_has_no_meaning_is_refused(
    tiny: Any, stage: Stage, words: tuple[str, ...], sentence: str
) -> None:
    done = stage("infer/bench.py", "a=ort:model.onnx", *words, "--out", "l.json", cwd=tiny.folder)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tiny.folder / "l.json").exists()


@pytest.mark.parametrize(
    ("scenario", "batch", "more"),
    [
        ("mlperf:SingleStream", 1, ()),
        ("mlperf:MultiStream", 4, ()),
        ("mlperf:Server", 1, ("--rate", "100")),
        ("mlperf:Offline", 4, ("--rate", "2000")),
    ],
)
def test_loadgen_runs_and_keeps_its_logs(
    tiny: Any, stage: Stage, scenario: str, batch: int, more: tuple[str, ...]
) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    out = f"{scenario[7:]}.json"
    words = ("--scenario", scenario, "--batch", batch, "--min-seconds", "0.3", *more, "--out", out)
    done = stage("infer/bench.py", "a=ort:model.onnx", *words, cwd=tiny.folder)
    assert done.returncode in (0, 4), done.stderr
    (run,) = read_load_test(tiny.folder / out).runs
    assert run.loadgen is not None
    for name in (run.loadgen.summary, run.loadgen.detail):
        assert (tiny.folder / name).stat().st_size
    summary = (tiny.folder / run.loadgen.summary).read_text()
    assert f"Scenario : {scenario[7:]}" in summary
    if "Result is : VALID" in summary and run.loadgen.valid:
        told = run.images_per_second if scenario != "mlperf:MultiStream" else run.percentile_s(50)
        assert told is not None
        assert told > 0
    else:
        assert run.loadgen.reasons
        assert run.images_per_second is None
    read = stage("metrics/throughput.py", run.loadgen.summary, cwd=tiny.folder)
    assert read.returncode == 0, read.stderr


def logs(folder: Path, result: str, events: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    folder.joinpath("mlperf_log_summary.txt").write_text(
        "MLPerf Results Summary\nSUT name : PySUT\nScenario : Server\nMode     : PerformanceOnly\n"
        f"Completed samples per second    : 99.5\nResult is : {result}\n"
        "  Min duration satisfied : Yes\n50.00 percentile latency (ns)   : 74562\n"
        "samples_per_query : 1\n\nNo errors encountered during test.\n"
    )
    lines = (f":::MLLOG {json.dumps(event)}\n" for event in events)
    folder.joinpath("mlperf_log_detail.txt").write_text("".join(lines))
    return folder


def test_valid_is_believed_only_without_an_error_in_the_detail_log(tmp_path: Path) -> None:
    fine = {"key": "result", "value": 1, "metadata": {"is_error": False}}
    bad = {"key": "error_runtime", "value": "ran out", "metadata": {"is_error": True}}
    good = result_in(logs(tmp_path / "a", "VALID", [fine]), tmp_path)
    assert (good.valid, good.figures["throughput"], good.summary) == (
        True,
        99.5,
        "a/mlperf_log_summary.txt",
    )
    lying = result_in(logs(tmp_path / "b", "VALID", [fine, bad, bad]), tmp_path)
    assert (lying.valid, lying.reasons) == (
        False,
        ["LoadGen's detail log has an error: ran out"],
    )
    assert not result_in(logs(tmp_path / "c", "INVALID", [fine]), tmp_path).valid
    hidden = run_of(loadgen=lying, scenario="mlperf:Server")
    assert (hidden.images_per_second, hidden.percentile_s(50), hidden.mean_s) == (None, None, None)
    shown = run_of(loadgen=good, scenario="mlperf:Server")
    assert math.isclose(shown.percentile_s(50) or 0, 74562e-9)


def test_the_table_leaves_out_what_the_scenario_does_not_tell() -> None:
    text = load_table(LoadTest(runs=[run_of(latencies_s=[0.1] * 100, scenario="offline")]))
    assert "p50 ms" not in text
    assert "requests/s" in text
