"""Shapes of logs that the formats allow and that samples seldom show: pasted on one line, cut,
wrapped, out of order, full-width, not a number.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.consistency import check
from portproof.logs.logged import Figure, Run
from portproof.logs.read import read
from portproof.logs.show import expand

STAMP = "[11/22/2026-10:00:00] [I] "
SUMMARY = f"""{STAMP}=== Performance summary ===
{STAMP}Throughput: 166.041 qps
{STAMP}Latency: min = 8.9 ms, max = 9.52 ms, mean = 9.04 ms, median = 8.99 ms, percentile(99%) = 9.5 ms
{STAMP}GPU Compute Time: min = 5.9 ms, max = 6.52 ms, mean = 6 ms, median = 5.99 ms, percentile(99%) = 6.5 ms
{STAMP}Total Host Walltime: 3.01732 s
"""
UNSTABLE = (
    "[11/22/2026-10:00:00] [W] * GPU compute time is unstable, with coefficient of variance ="
    " 6.58751%.\n"
)
SPREAD = (
    "[INFO] NPU_compute_time (ms): min = 0.65, max = 0.67, mean = 0.66, median = 0.66,"
    " percentile(99%) = 0.669\n"
)
FIVE = """[e2e] throughputRate: 100, latency: 500000
[data read] throughputRate: 125, moduleLatency: 8
[preprocess] throughputRate: 120, moduleLatency: 8.33333
[infer] throughputRate: 100, Interface throughputRate: 500, moduleLatency: 2
[post] throughputRate: 25, moduleLatency: 40"""


def trtexec(
    body: str, verdict: str = "PASSED", command: str = "--onnx=m.onnx --shapes=x:16x3"
) -> str:
    lines = [
        f"&&&& {word} TensorRT.trtexec [TensorRT v8601] # trtexec {command}\n"
        for word in ("RUNNING", verdict)
    ]
    return lines[0] + body + lines[1]


def runs(tmp_path: Path, text: str | bytes, name: str = "a.log") -> list[Run]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


def value(run: Run, name: str, unit: str | None = None) -> float | None:
    figure = run.figure(name, unit=unit)
    return figure.value if figure else None


def test_a_last_latency_of_few_digits_is_whole_where_it_fits_its_rate(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, FIVE)
    post = run.figure("latency_mean", stage="post")
    assert post and post.value == 0.04 and run.warnings == []
    (cut,) = runs(tmp_path, FIVE.replace("moduleLatency: 40", "moduleLatency: 4"))
    assert cut.figure("latency_mean", stage="post") is None and cut.warnings


def test_a_short_run_is_not_doubted_for_its_jitter(tmp_path: Path) -> None:
    text = (
        "[e2e] throughputRate: 6.8, latency: 10000\n[infer] throughputRate: {}, Interface"
        " throughputRate: 9.5\n[post] throughputRate: {}\n"
    )
    (short,) = runs(tmp_path, text.format(6.9, 7), "perf_vision_batchsize_1_device_0.txt")
    assert (short.batch, short.warnings) == (1, [])
    (long,) = runs(
        tmp_path,
        text.replace("10000", "1e+07").format(6.9, 7),
        "perf_vision_batchsize_1_device_0.txt",
    )
    assert "0.9857" in long.warnings[0]


def test_only_logs_of_one_model_are_compared(tmp_path: Path) -> None:
    small = FIVE.replace("500000", "5000")
    for name, text in (
        ("a.txt", FIVE),
        ("b.txt", FIVE),
        ("c.txt", small),
        *((f"m_bs{n}.txt", small if n == 8 else FIVE) for n in (1, 4, 8)),
    ):
        (tmp_path / name).write_text(text + "\n")
    found, _ = expand([str(tmp_path)])
    said = {
        Path(r.source).name: [w for w in r.warnings if "500 samples here" in w and "50000 in" in w]
        for r in found
    }
    assert [name for name, warnings in said.items() if warnings] == ["m_bs8.txt"]


def test_a_head_of_our_own_that_is_not_understood_never_makes_an_npus_figures(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="not how PortProof heads"):
        runs(tmp_path, f"# PortProof 9.0 boundary=device\n{FIVE}\n")


def test_a_programs_text_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        runs(
            tmp_path,
            'line = "[infer] throughputRate: 244.435, Interface throughputRate: 382.328,'
            ' moduleLatency: 3.35758"\n',
        )


def test_the_command_before_the_executions_tells_the_batch_of_pure_inference(
    tmp_path: Path,
) -> None:
    costs = "".join(f"[INFO] Dataset number: {i} finished cost 16.{i}ms\n" for i in range(20))
    figures = "[INFO] ave_throughputRate: 498samples/s, ave_latency: 2.01ms\n"
    (run,) = runs(
        tmp_path, f"./benchmark.x86_64 -round=20 -om_path=a.om -batch_size=16\n{costs}{figures}"
    )
    assert run.batch == 16 and any("16" in w and "8.11" in w for w in run.warnings)
    first, second = runs(
        tmp_path, f"./benchmark.x86_64 -round=20 -batch_size=8\n{costs}{figures}{costs}{figures}"
    )
    assert (first.batch, second.batch) == (8, None)


@pytest.mark.parametrize(
    "text",
    [
        "[INFO] ave_throughputRate： 20.7samples/s，ave_latency： 48.5ms\n",
        (
            "[INFO]"
            " ave_throughputRate\ufffd\ufffd20.7samples/s\ufffd\ufffdave_latency\ufffd\ufffd48.5ms\n"
        ),
        "输出：[INFO] ave_throughputRate: 20.7samples/s, ave_latency: 48.5ms\n",
        "[INFO] Dataset number: 0 finished cost 48.1ms" * 9
        + "[INFO] ave_throughputRate: 20.7samples/s, ave_latency: 48.5ms-----",
    ],
)
def test_pure_inference_in_full_width_and_on_one_line(tmp_path: Path, text: str) -> None:
    (run,) = runs(tmp_path, text, "PureInfer_perf_of_m_bs16_in_device_1.txt")
    assert (value(run, "throughput"), value(run, "latency_mean"), run.status) == (
        20.7,
        0.0485,
        "ok",
    )
    assert run.facts == {"model": "m_bs16", "device_id": 1, "batch_hint": 16} and run.batch is None


@pytest.mark.parametrize(
    "mean, printed, fits",
    [("0.66", "1512.85", True), ("0.66", "1600", False), ("0.66100001", "1519.4", False)],
)
def test_a_mean_shortened_by_hand_fits_within_its_last_digit(
    tmp_path: Path, mean: str, printed: str, fits: bool
) -> None:
    (run,) = runs(
        tmp_path,
        f"[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean({mean}): {printed}\n",
    )
    assert (run.warnings == []) is fits and value(run, "throughput") == float(printed)


@pytest.mark.parametrize("arguments", [None, ["ais_infer.py", "--batchsize", "4"]])
def test_a_summary_file_of_the_version_that_divided(
    tmp_path: Path, arguments: list[str] | None
) -> None:
    data = {"NPU_compute_time": {"mean": 0.661}, "throughput": 1000 / 0.661 / 4} | (
        {"args": arguments} if arguments else {}
    )
    (run,) = runs(tmp_path, json.dumps(data), "sumary.json")
    head = run.figures[0]
    assert (run.batch, head.value, head.recovered) == (4, None, pytest.approx(4000 / 0.661))
    assert any("378.2148" in w and "6051.437" in w for w in run.warnings)


def test_more_samples_than_the_executions_held(tmp_path: Path) -> None:
    files = {str(i): {"infiles": [], "outfiles": []} for i in range(8)}
    data = {
        "filesinfo": files,
        "args": ["--batchsize", "1"],
        "NPU_compute_time": {"mean": 2.0},
        "throughput": 500.0,
    }
    (run,) = runs(tmp_path, json.dumps(data | {"npu_compute_time_list": [2.0, 2.0]}), "s.json")
    assert any("2 executions took 8 samples" in w for w in run.warnings)
    (padded,) = runs(tmp_path, json.dumps(data | {"npu_compute_time_list": [2.0] * 8}), "s.json")
    assert padded.warnings == []


def test_a_batch_derived_from_the_model_is_right_where_each_file_holds_a_batch(
    tmp_path: Path,
) -> None:
    files = "[INFO] get filesperbatch files0 size:9 tensor0size:9 filesperbatch:1 runcount:10\n"
    tail = (
        f"{SPREAD}[INFO] throughput 1000*batchsize.mean(16)/NPU_compute_time.mean(0.66):"
        " 24242.424242\n"
    )
    (derived,) = runs(tmp_path, f"[INFO] try get model batchsize:16\n{files}{tail}")
    (given,) = runs(tmp_path, files + tail)
    assert derived.warnings == [] and "unless each file holds several samples" in given.warnings[0]


def test_a_summary_of_ais_bench_on_one_line_keeps_its_groups_apart(tmp_path: Path) -> None:
    h2d = SPREAD.replace("NPU_compute_time", "H2D_latency").replace("0.6", "0.1")
    text = (
        f"{h2d}{SPREAD}[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(0.66):"
        " 1515.1515\n[INFO] ------"
    )
    for joint in (" ", ""):
        (run,) = runs(tmp_path, text.replace("\n", joint) + "\n")
        assert (value(run, "h2d_mean"), value(run, "compute_mean")) == (
            pytest.approx(0.00016),
            pytest.approx(0.00066),
        )
        assert (run.status, value(run, "throughput"), run.warnings) == ("ok", 1515.1515, [])


def test_the_tail_of_a_range_of_shapes(tmp_path: Path) -> None:
    tail = (
        "[INFO] 0 dymshape:x:1,3,8,8 result:OK throughput:100.1\n[INFO] 1 dymshape:x:1,3,9,9"
        " result:failed throughput:0\n"
    )
    good, bad = runs(tmp_path, f"[INFO] run_count:2 success_count:1 avg_throughput:100.1\n{tail}")
    assert (value(good, "throughput"), good.status, good.facts["dymshape"]) == (
        100.1,
        "ok",
        "x:1,3,8,8",
    )
    assert (bad.status, bad.figures) == ("failed", [])
    repeated = tail.splitlines()[0].replace("100.1", "1515.15")
    (whole,) = runs(
        tmp_path,
        f"{SPREAD}[INFO] throughput 1000*batchsize(1)/NPU_compute_time.mean(0.66):"
        f" 1515.15\n{repeated}\n",
    )
    assert (whole.batch, whole.facts) == (1, {"dymshape": "x:1,3,8,8"})


def test_a_traceback_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    text = (
        'Traceback (most recent call last):\n  File "/usr/ais_bench/__main__.py", line'
        " 3\nRuntimeError: [1][ACL:invalid parameter]\n"
    )
    (run,) = runs(tmp_path, f"[INFO] try get model batchsize:1\n{text}")
    assert run.status == "failed" and "invalid parameter" in run.warnings[0]


def test_a_throughput_that_is_no_number_is_said(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path, "[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(nan): nan\n"
    )
    assert (run.status, run.figures) == ("incomplete", []) and "'nan'" in run.warnings[0]


def test_json_in_utf_16_and_broken_over_lines(tmp_path: Path) -> None:
    data = {"NPU_compute_time": {"mean": 0.5, "percentile(99%)": 0.6}, "throughput": 8000.0}
    pretty = json.dumps(data, indent=1)
    for content in (pretty.encode("utf-16"), pretty[2:].encode()):
        (run,) = runs(tmp_path, content, "s.json")
        assert (value(run, "throughput"), value(run, "compute_p99"), run.batch) == (
            8000.0,
            pytest.approx(0.0006),
            4,
        )


def test_msame_labelled_by_a_script(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path, "(310 bs16) Inference average time: 313.39 ms\n(310 bs16) FPS:204.218\n"
    )
    assert (value(run, "latency_mean"), run.status) == (pytest.approx(0.31339), "incomplete")


@pytest.mark.parametrize(
    "text",
    [
        (
            "Inference average time： 6.39 ms\nInference average time without first time： 0.47"
            " ms\n[INFO] Execute sample success\n"
        ),
        (
            "Inference average time : 6.39 ms Inference average time without first time: 0.47 ms"
            " [INFO] pid: 4 Execute sample success\n"
        ),
        (
            "2022-08-13 09:05:03 Inference average time : 6.39 ms\n2022-08-13 09:05:03 Inference"
            " average time without first time: 0.47 ms\n2022-08-13 09:05:03 [INFO] Execute sample"
            " success\n"
        ),
    ],
)
def test_msame_in_full_width_on_one_line_and_with_times(tmp_path: Path, text: str) -> None:
    (run,) = runs(tmp_path, text)
    times = value(run, "latency_mean"), value(run, "latency_mean_without_first")
    assert times == (pytest.approx(0.00639), pytest.approx(0.00047)) and run.status == "ok"


LOADGEN = """SUT name : PySUT
Scenario : Server
Mode     : Performance
Scheduled samples per second : 2003.1
Result is : VALID
50.00 percentile latency (ns)   : 5000
No errors encountered during test.
"""


@pytest.mark.parametrize("prefix", ["", "[INFO] [05/27/2023 10:00:00] ", "loadgen_1  | "])
def test_loadgen_without_its_title_in_old_words_and_wrapped(tmp_path: Path, prefix: str) -> None:
    (run,) = runs(tmp_path, "".join(f"{prefix}{line}\n" for line in LOADGEN.splitlines()))
    assert (run.status, run.warnings, run.facts["scenario"]) == ("ok", [], "Server")
    assert (value(run, "throughput"), value(run, "latency_median")) == (2003.1, pytest.approx(5e-6))
    (old,) = runs(tmp_path, LOADGEN.replace("Server", "Single Stream") + "samples_per_query : 1\n")
    assert old.batch == 1


def test_trtexec_verdicts_count_without_any_other_line(tmp_path: Path) -> None:
    text = (
        trtexec(SUMMARY)
        + trtexec("", "FAILED")
        + trtexec("", command="--onnx=m.onnx --skipInference")
    )
    passed, failed, built = runs(tmp_path, text)
    assert [r.status for r in (passed, failed, built)] == ["ok", "failed", "ok"]
    assert "stderr" in failed.warnings[0] and "no performance summary" in built.warnings[0]
    for command in ("--help", ""):
        with pytest.raises(InputError, match="holds no run"):
            runs(tmp_path, trtexec("=== Model Options ===\n", command=command))


@pytest.mark.parametrize("joint", ["", " "])
def test_a_whole_trtexec_log_on_one_line(tmp_path: Path, joint: str) -> None:
    (run,) = runs(tmp_path, trtexec(SUMMARY + UNSTABLE).replace("\n", joint))
    assert (value(run, "throughput"), run.batch, run.status) == (166.041, 16, "ok")
    assert value(run, "compute_mean") == 0.006 and len(run.warnings) == 1


def test_sections_of_7_x_on_one_line_without_their_stamps(tmp_path: Path) -> None:
    text = (
        "Host Latency min: 8 ms max: 9 ms mean: 8.5 ms median: 8.4 ms GPU Compute min: 4 ms max: 5"
        " ms mean: 4.2 ms median: 4.1 ms\n"
    )
    (run,) = runs(tmp_path, text)
    assert (value(run, "latency_mean"), value(run, "compute_mean")) == (
        pytest.approx(0.0085),
        pytest.approx(0.0042),
    )


def test_stderr_may_stand_before_stdout(tmp_path: Path) -> None:
    shape = (
        "[11/22/2026-10:00:00] [W] Shape missing for input with dynamic shape: xAutomatically"
        " setting shape to: 1x3\n"
    )
    (run,) = runs(tmp_path, UNSTABLE + shape + trtexec(SUMMARY, command="--loadEngine=m.plan"))
    assert run.batch == 1 and value(run, "throughput") == 166.041
    assert [
        any(word in w for w in run.warnings) for word in ("6.58751 %", "no shapes were given")
    ] == [True, True]


def test_a_line_torn_by_stderr_gives_no_figure_of_another_section(tmp_path: Path) -> None:
    torn = f"{STAMP}D2H La{UNSTABLE}tency: min = 0.03 ms, max = 0.05 ms, mean = 0.04 ms\n"
    (run,) = runs(tmp_path, trtexec(SUMMARY + torn))
    assert (
        run.status == "ok"
        and value(run, "compute_mean") == 0.006
        and run.figure("d2h_mean") is None
    )
    (wrapped,) = runs(tmp_path, trtexec(SUMMARY.replace("mean = 6 ms", "\n  mean = 6 ms")))
    assert value(wrapped, "compute_mean") == 0.006


def test_inf_and_nan_are_null_and_said(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path, trtexec(SUMMARY.replace("166.041", "inf").replace("mean = 6 ", "mean = -nan "))
    )
    assert (
        run.figure("throughput") is not None
        and value(run, "throughput") is None
        and run.figure("compute_mean") is None
    )
    assert any("qps inf (line 3)" in w and "compute_mean -nan (line 5)" in w for w in run.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "Throughput: 231.086 qps, so 231.086*16 fps\n",
        "Throughput: 231.086 qps x 16\n",
        "throughput: 3 qps\n",
    ],
)
def test_sentences_with_a_rate_are_not_trtexecs(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="holds no run"):
        runs(tmp_path, text)


def test_several_profiles_leave_the_batch_unknown(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path,
        trtexec(
            SUMMARY, command="--onnx=m --profile=0 --optShapes=x:1x3 --profile=1 --optShapes=x:8x3"
        ),
    )
    assert run.batch is None and run.figure("throughput", unit="images/s") is None


def test_a_percentile_outside_min_and_max_is_reported() -> None:
    spread = {"min": 1.0, "median": 2.0, "p99": 5.0, "max": 4.0}
    run = Run(
        "a",
        "trtexec",
        1,
        figures=[
            Figure(f"compute_{k}", v, "s", "device", None, "device", 1) for k, v in spread.items()
        ],
    )
    check(run)
    assert run.warnings == ["compute_p99 5 s (line 1) is greater than compute_max 4 s (line 1)"]


@pytest.mark.parametrize(
    "start, count, said", [(0.0, 100, True), (201.0, 100, False), (0.0, 20, False)]
)
def test_warm_up_queries_among_exported_times(
    tmp_path: Path, start: float, count: int, said: bool
) -> None:
    keys = ("startEnqMs", "startComputeMs", "endD2hMs")
    rows = [
        dict.fromkeys(keys, start + 5 * i)
        | {"h2dMs": 0.5, "computeMs": 3.0, "d2hMs": 0.5, "latencyMs": 4.0}
        for i in range(count)
    ]
    (run,) = runs(tmp_path, json.dumps(rows), "times.json")
    assert any("40 of 100 queries" in w for w in run.warnings) is said
