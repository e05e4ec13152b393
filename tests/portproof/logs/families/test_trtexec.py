"""trtexec 7.x to 11.x: formats, meanings, verdicts, and real logs against an independent reader's
values.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.logs.families.trtexec.export_times import queries_in
from portproof.logs.logged import Run
from portproof.logs.read import read

STAMP = "[05/17/2022-15:33:49] [I] "
COMMAND = "trtexec --onnx=m.onnx --fp16 --shapes=x:0:8x3x224x224"
SUMMARY = """=== Performance summary ===
Throughput: 40.5 qps
Latency: min = 31.5 ms, max = 36.5 ms, mean = 34.5 ms, median = 34.4 ms, percentile(90%) = 35.5 ms, percentile(99%) = 36.25 ms
Enqueue Time: min = 0.5 ms, max = 1.25 ms, mean = 0.75 ms, median = 0.7 ms, percentile(90%) = 1 ms, percentile(99%) = 1.2 ms
H2D Latency: min = 6.5 ms, max = 7 ms, mean = 6.75 ms, median = 6.7 ms, percentile(90%) = 6.9 ms, percentile(99%) = 6.95 ms
GPU Compute Time: min = 20.5 ms, max = 25.5 ms, mean = 24 ms, median = 23.9 ms, percentile(90%) = 25 ms, percentile(99%) = 25.25 ms
D2H Latency: min = 3.5 ms, max = 4 ms, mean = 3.75 ms, median = 3.7 ms, percentile(90%) = 3.9 ms, percentile(99%) = 3.95 ms
Total Host Walltime: 3.25 s
Total GPU Compute Time: 3 s
"""
OLD = """Host Latency
min: 2.16614 ms (end to end 2.19995 ms)
max: 2.20166 ms (end to end 4.19275 ms)
mean: 2.17729 ms (end to end 4.14859 ms)
median: 2.17676 ms (end to end 4.15125 ms)
percentile: 2.19336 ms at 99% (end to end 4.18213 ms at 99%)
throughput: 0 qps
walltime: 3.00755 s
Enqueue Time
min: 0.447021 ms
max: 0.669434 ms
median: 0.559113 ms
GPU Compute
min: 2.10223 ms
max: 2.13513 ms
mean: 2.11412 ms
median: 2.11353 ms
percentile: 2.12988 ms at 99%
total compute time: 2.97245 s
"""


def log(
    body: str,
    command: str = COMMAND,
    version: str = "v8501",
    verdict: str | None = "PASSED",
    extra: str = "",
) -> str:
    tag = f" [TensorRT {version}]" if version else ""
    lines = [
        f"&&&& RUNNING TensorRT.trtexec{tag} # {command}",
        *(STAMP + line for line in (extra + body).splitlines()),
    ]
    return (
        "\n".join(
            [*lines, *([f"&&&& {verdict} TensorRT.trtexec{tag} # {command}"] if verdict else [])]
        )
        + "\n"
    )


def runs(tmp_path: Path, text: str) -> list[Run]:
    path = tmp_path / "t.log"
    path.write_text(text, encoding="utf-8")
    return read(path)


def one(tmp_path: Path, text: str) -> Run:
    (run,) = runs(tmp_path, text)
    return run


def values(run: Run) -> dict[str, float | None]:
    return {f.name if f.unit != "images/s" else "images": f.value for f in run.figures}


def test_figures_units_boundaries_and_lines(tmp_path: Path) -> None:
    run = one(tmp_path, log(SUMMARY))
    assert (run.family, run.tool_version, run.status, run.batch, run.warnings) == (
        "trtexec",
        "8.5.1",
        "ok",
        8,
        [],
    )
    by_name = {(f.name, f.unit): f for f in run.figures}
    qps, images = by_name["throughput", "batches/s"], by_name["throughput", "images/s"]
    assert (qps.value, qps.boundary, qps.line, qps.derived) == (40.5, "call", 3, None)
    assert (images.value, images.boundary, images.line) == (324.0, "call", 3) and images.derived
    assert (
        by_name["latency_mean", "s"].boundary == "device+copies"
        and by_name["compute_p99", "s"].boundary == "device"
    )
    found = values(run)
    expected = {
        "latency_mean": 0.0345,
        "latency_p90": 0.0355,
        "compute_median": 0.0239,
        "enqueue_max": 0.00125,
        "h2d_min": 0.0065,
        "walltime": 3.25,
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("version", "dotted"),
    [
        ("v8003", "8.0.3"),
        ("v8205", "8.2.5"),
        ("v8601", "8.6.1"),
        ("v100300", "10.3.0"),
        ("v110100", "11.1.0"),
        ("", None),
    ],
)
def test_versions(tmp_path: Path, version: str, dotted: str | None) -> None:
    assert one(tmp_path, log(SUMMARY, version=version)).tool_version == dotted


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: t.replace("[05/17", "[INFO] [05/17"),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "".join(f"worker-0 | {line}\n" for line in t.splitlines()),
        lambda t: t.replace(", ", "，"),
        lambda t: t.replace(" ms", "ms"),
        lambda t: t.replace("Time: min", "Time: \nmin").replace(" ms, ", " ms, \n"),
        lambda t: "".join(f"\x1b[0m{line}\x1b[K\n" for line in t.splitlines()),
    ],
)
def test_wrappers_and_damage_cost_no_figure(tmp_path: Path, wrap) -> None:  # type: ignore[no-untyped-def]
    assert values(one(tmp_path, wrap(log(SUMMARY)))) == values(one(tmp_path, log(SUMMARY)))


def test_the_sections_of_7_x_share_their_keys(tmp_path: Path) -> None:
    run = one(tmp_path, log(OLD, version=""))
    found = values(run)
    expected = {
        "latency_mean": 0.00217729,
        "latency_p99": 0.00219336,
        "enqueue_min": 0.000447021,
        "compute_mean": 0.00211412,
        "walltime": 3.00755,
    }
    assert {k: found[k] for k in expected} == pytest.approx(expected)
    assert "enqueue_mean" not in found


def test_zero_qps_of_7_x_is_null_with_what_it_must_have_been(tmp_path: Path) -> None:
    run = one(tmp_path, log(OLD, version=""))
    qps, images = (f for f in run.figures if f.name == "throughput")
    # 2.97245 s of compute at 2.11412 ms each are 1406 queries, in 3.00755 s of wall time.
    assert (qps.value, qps.recovered) == (None, pytest.approx(467.49, abs=0.01))
    assert (images.value, images.recovered) == (None, pytest.approx(8 * 467.49, abs=0.1))
    assert any("467.49" in w and "1406" in w for w in run.warnings)
    bare = one(tmp_path, log("throughput: 0 qps\n", version=""))
    assert [(f.value, f.recovered) for f in bare.figures] == [
        (None, None)
    ] and "does not hold" in bare.warnings[0]


def test_a_pasted_line_without_line_ends(tmp_path: Path) -> None:
    run = one(tmp_path, "".join(STAMP + line for line in OLD.splitlines()[12:]))
    assert run.status == "incomplete" and values(run)["compute_mean"] == pytest.approx(0.00211412)


@pytest.mark.parametrize(
    ("command", "extra", "batch"),
    [
        ("trtexec --onnx=m.onnx --shapes=image:16x3x224x224", "", 16),
        ("trtexec --onnx=m.onnx --shapes='a:b':4x3,mask:4x10", "", 4),
        ("trtexec --onnx=m.onnx --minShapes=x:1x3 --optShapes=x:4x3 --maxShapes=x:16x3", "", 4),
        ("trtexec --onnx=m.onnx --shapes=a:2x3,b:1x7", "", None),
        ("trtexec --loadEngine=m_bs10.trt", "", None),
        (
            "trtexec --loadEngine=m.trt",
            "Created input binding for inputs.1 with dimensions 64x3x224x224\n",
            64,
        ),
        (
            "trtexec --loadEngine=m.trt",
            "Input binding for x with dimensions 4x1x28x28 is created.\n",
            4,
        ),
    ],
)
def test_the_batch_comes_from_shapes_and_bindings_only(
    tmp_path: Path, command: str, extra: str, batch: int | None
) -> None:
    run = one(tmp_path, log(SUMMARY, command=command, extra=extra))
    assert run.batch == batch
    assert ("images" in values(run)) == (batch is not None)


def test_the_rate_of_an_implicit_batch_engine_counts_images(tmp_path: Path) -> None:
    run = one(
        tmp_path,
        log(
            SUMMARY.replace("40.5 qps", "41087.7 qps"),
            command="trtexec --deploy=m.prototxt --batch=16",
            version="v8400",
        ),
    )
    assert (run.batch, values(run)["images"], values(run)["throughput"]) == (
        16,
        41087.7,
        pytest.approx(41087.7 / 16),
    )


def test_missing_shapes_mean_batch_1_and_are_reported(tmp_path: Path) -> None:
    warning = (
        "Dynamic dimensions required for input: x, but no shapes were provided. Automatically"
        " overriding shape to: 1x1x28x28\n"
    )
    run = one(tmp_path, log(SUMMARY, command="trtexec --onnx=m.onnx", extra=warning))
    assert run.batch == 1 and any("batch 1 because no shapes were given" in w for w in run.warnings)
    loaded = (
        "Shape missing for input with dynamic shape: xAutomatically setting shape to: 1x1x28x28\n"
    )
    assert (
        one(tmp_path, log(SUMMARY, command="trtexec --loadEngine=m.trt", extra=loaded)).batch == 1
    )


@pytest.mark.parametrize(
    ("command", "version", "qps", "latency"),
    [
        (COMMAND, "v101601", "call", "device+copies"),
        (COMMAND + " --noDataTransfers", "v101601", "device", "device"),
        (COMMAND, "v110100", "device", "device"),
        (COMMAND + " --includeDataTransfers", "v110100", "call", "device+copies"),
    ],
)
def test_the_mode_decides_the_boundary(
    tmp_path: Path, command: str, version: str, qps: str, latency: str
) -> None:
    run = one(tmp_path, log(SUMMARY, command=command, version=version))
    assert {f.boundary for f in run.figures if f.name == "throughput"} == {qps}
    figure = run.figure("latency_mean")
    assert figure is not None and figure.boundary == latency


def test_warnings_of_the_tool_are_kept(tmp_path: Path) -> None:
    text = log(
        SUMMARY + "* GPU compute time is unstable, with coefficient of variance = 6.58751%.\n",
        command=COMMAND + " --infStreams=4",
    )
    run = one(tmp_path, text)
    assert any("6.58751" in w for w in run.warnings)
    assert any("4 inference streams" in w and "not valid" in w for w in run.warnings)


def test_figures_that_contradict_each_other(tmp_path: Path) -> None:
    swapped = one(tmp_path, log(SUMMARY.replace("mean = 24 ms", "mean = 26 ms")))
    assert any("compute_mean 0.026" in w and "compute_max 0.0255" in w for w in swapped.warnings)
    assert any("24" not in w and "34.5" in w for w in swapped.warnings)
    trace = one(tmp_path, log(SUMMARY, extra="Timing trace has 967 queries over 3.25 s\n"))
    assert any("967 queries" in w and "40.5" in w for w in trace.warnings)


def test_a_failed_run_has_no_result(tmp_path: Path) -> None:
    text = log(SUMMARY, verdict="FAILED").replace(
        "=== Perf", "Starting inference\n[05/17/2022-15:33:49] [E] Error Code 1: boom\n=== Perf"
    )
    run = one(tmp_path, text)
    assert (run.status, run.figures) == ("failed", []) and "boom" in run.warnings[0]


def test_without_a_verdict_whole_figures_are_incomplete(tmp_path: Path) -> None:
    run = one(tmp_path, log(SUMMARY, verdict=None))
    assert run.status == "incomplete" and values(run)["throughput"] == 40.5


def test_errors_on_stderr_alone_are_a_failed_run(tmp_path: Path) -> None:
    run = one(
        tmp_path,
        "[11/22/2024-13:40:47] [E] Error[1]: Cuda Runtime (out of memory)\n[11/22/2024-13:40:47]"
        " [E] Engine set up failed\n",
    )
    assert (run.status, run.figures) == ("failed", []) and "Engine set up failed" in run.warnings[0]


def test_passed_without_a_summary_says_so(tmp_path: Path) -> None:
    run = one(tmp_path, log("=== Model Options ===\nStarting inference\n"))
    assert (run.status, run.figures) == ("ok", []) and "no performance summary" in run.warnings[-1]


def test_two_runs_with_and_without_banners(tmp_path: Path) -> None:
    assert [
        r.batch
        for r in runs(
            tmp_path, log(SUMMARY) + log(SUMMARY, command="trtexec --onnx=m.onnx --shapes=x:1x3")
        )
    ] == [8, 1]
    body = "".join(STAMP + line + "\n" for line in SUMMARY.splitlines())
    assert [(r.status, r.line) for r in runs(tmp_path, body + body.replace("40.5", "41.5"))] == [
        ("incomplete", 2),
        ("incomplete", 11),
    ]
    excerpt = "\n".join(OLD.splitlines()[12:]) + "\n"
    assert len(runs(tmp_path, excerpt + excerpt)) == 2


def test_no_cut_invents_a_figure(tmp_path: Path) -> None:
    for text in (log(SUMMARY), log(OLD, version="")):
        printed = {(f.name, f.unit, f.value) for f in one(tmp_path, text).figures}
        for cut in range(0, len(text), 3):
            try:
                found = runs(tmp_path, text[:cut])
            except InputError:
                continue
            assert {(f.name, f.unit, f.value) for r in found for f in r.figures} <= printed, text[
                :cut
            ][-60:]


@pytest.mark.parametrize(
    "text",
    [
        (
            "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec\n=== Model Options ===\n "
            " --onnx=<file>  ONNX\n&&&& PASSED TensorRT.trtexec # trtexec\n"
        ),
        "trtexec --onnx=m.onnx --fp16 --shapes=image:1x3x224x224 --threads\n",
        "* 注：T4上的性能计算为1000/(GPU Compute mean/batch)\n",
        "batch1 t4单卡吞吐率：1000/(0.859765/1)=1163.108fps\n",
        "Latency min 31 ms max 36 ms\n",
    ],
)
def test_help_commands_and_prose_are_not_logs(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="holds no run"):
        runs(tmp_path, text)


def test_missing_equals_signs_give_null_and_not_a_guess(tmp_path: Path) -> None:
    run = one(
        tmp_path, "Throughput: 40.5 qps\nGPU Compute Time: min 20.5 ms, max 25.5 ms, mean 24 ms\n"
    )
    assert list(values(run)) == ["throughput"]


def test_exported_times_against_numpy(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    compute = np.sort(generator.gamma(9, 0.3, 250))
    rows = [
        {
            "startEnqMs": 300 + 3 * i,
            "endD2hMs": 302 + 3 * i,
            "h2dMs": 0.5,
            "computeMs": c,
            "d2hMs": 0.25,
            "latencyMs": c + 0.75,
        }
        for i, c in enumerate(compute)
    ]
    found = values(one(tmp_path, json.dumps(rows)))
    assert found["compute_mean"] == pytest.approx(compute.mean() / 1000)
    assert found["compute_median"] == pytest.approx(np.median(compute) / 1000)
    # trtexec's own percentile: index max(n - 1 - int((1 - p) n), 0) of the ascending times.
    assert found["compute_p99"] == compute[250 - 1 - 2] / 1000
    assert found["latency_max"] == pytest.approx((compute[-1] + 0.75) / 1000)
    assert found["throughput"] == pytest.approx(250 / (0.302 + 3 * 0.249 - 0.3))
    assert found["samples"] == 250


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([{"count": 5}, {"name": "a", "timeMs": 1.0}], "layer profile"),
        ({"Layers": [], "Bindings": []}, "layer information"),
        ([{"name": "y", "dimensions": "1x10", "values": [1]}], "outputs"),
        (
            [{"computeMs": 1.0, "latencyMs": 1.0}, {"computeMs": "x", "latencyMs": 1.0}],
            "not a number",
        ),
        ({"title": "Overall statistical evaluation", "value": []}, "holds no run"),
    ],
)
def test_other_json_is_refused_with_the_reason(tmp_path: Path, data: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        runs(tmp_path, json.dumps(data))


def test_real_logs_against_an_independent_reader(shared: Path) -> None:
    folder = shared / "samples" / "trtexec"
    columns = {
        "latency_mean": "latency_mean_ms",
        "latency_median": "latency_median_ms",
        "latency_p99": "latency_p99_ms",
    }
    columns["compute_mean"] = "gpu_compute_mean_ms"
    statuses = {"PASSED": "ok", "FAILED": "failed"}
    for row in csv.DictReader((folder / "index.tsv").open(), delimiter="\t"):
        run = one_of(folder / row["file"])
        found = values(run)
        for name, column in columns.items():
            expected = None if row[column] == "-" else float(row[column]) / 1000
            assert found.get(name) == (
                None if expected is None else pytest.approx(expected, rel=1e-12)
            ), (row["file"], name)
        printed = row["throughput_qps"]
        assert found.get("throughput") == (None if printed in ("-", "0") else float(printed)), row[
            "file"
        ]
        assert run.status == statuses.get(
            row["status"], "failed" if printed == "-" else "incomplete"
        ), row["file"]
        if (
            row["trt_version"][0].isdigit()
            and "x" not in row["trt_version"]
            and row["status"] != "-"
        ):
            assert run.tool_version == row["trt_version"]


def one_of(path: Path) -> Run:
    (run,) = read(path)
    return run


def test_help_texts_are_not_logs(shared: Path) -> None:
    for path in sorted((shared / "samples" / "trtexec_help").iterdir()):
        with pytest.raises(InputError):
            read(path)


def test_real_excerpts(shared: Path) -> None:
    means = {
        "01": 1.8435,
        "03": 5.34373,
        "05": 5.55312,
        "09": 6.17022,
        "11": 0.55392,
        "13": 43.8496,
        "15": 13.8078,
        "17": 4.29297,
        "19": 144.8318,
        "21": 1.52162,
    }
    for number, mean in means.items():
        run = one_of(shared / "samples" / "logs" / f"trtexec_{number}.log")
        assert values(run)["compute_mean"] == pytest.approx(mean / 1000)
        assert run.status == ("ok" if number == "21" else "incomplete")
    wrong = one_of(shared / "samples/logs/trtexec_19.log")
    assert any("compute_mean" in w and "compute_max" in w for w in wrong.warnings)


def test_what_proves_a_bench_is_among_the_facts(tmp_path: Path) -> None:
    """The mode, the shapes that were bound, when the inference began, and what spoilt it."""
    lines = [
        "Compute Capability: 7.5",
        "Data transfers: Disabled",
        "Spin-wait: Enabled",
        "CUDA Graph: Disabled",
        "Created input binding for x:0 with dimensions 8x3x224x224",
        "Input binding for the table with dimensions 8x5 and type fp32 is created.",
        "Starting inference",
        "* GPU compute time is unstable, with coefficient of variance = 3.25%.",
    ]
    warned = "[05/17/2022-15:33:50] [W] The CUDA graph capture on the stream has failed.\n"
    body = "".join(f"{STAMP}{line}\n" for line in lines) + warned + SUMMARY
    facts = one(tmp_path, log(body)).facts
    assert facts["modes"] == {"transfers": False, "spin": True, "graph": False}
    assert facts["bindings"] == {"x:0": "8x3x224x224", "the table": "8x5"}
    assert (facts["started"], facts["variation_percent"]) == ("05/17/2022-15:33:49", 3.25)
    assert (facts["graph_failed"], facts["compute_capability"]) == (True, "7.5")
    advice = f"{STAMP.replace('I', 'W')}* --useCudaGraph may increase the throughput.\n"
    assert "graph_failed" not in one(tmp_path, log(advice + SUMMARY)).facts


def test_the_first_error_is_kept_beside_the_one_that_ended_it(tmp_path: Path) -> None:
    errors = ["3: the reason", "Engine could not be created from network"]
    body = "".join(f"[05/17/2022-15:33:49] [E] {error}\n" for error in errors)
    run = one(tmp_path, log(body, verdict="FAILED"))
    assert (run.status, run.facts["error"]) == ("failed", "3: the reason")
    assert "Engine could not be created" in run.warnings[0]


def test_queries_leave_the_warm_up_out_and_have_trtexecs_own_rate(tmp_path: Path) -> None:
    """Printed by trtexec: queries over the time from the first start to the last end."""
    rows = [
        {
            "startEnqMs": 10.0 * i,
            "startComputeMs": 10.0 * i + 1,
            "endD2hMs": 10.0 * i + 9,
            "computeMs": 5.0 + i,
            "latencyMs": 8.0,
        }
        for i in range(20)
    ]
    path = tmp_path / "times.json"
    path.write_text(json.dumps(rows))
    queries = queries_in(path, warm_up_ms=100)
    assert len(queries.compute_s) == 10
    assert queries.compute_s[0] == pytest.approx(15e-3)
    assert queries.finished_s[-1] == pytest.approx(0.199)
    assert queries.rate == pytest.approx(10 / (0.199 - 0.100))
    assert one(tmp_path, json.dumps(rows)).value("throughput") == pytest.approx(20 / 0.199)
    for wrong in (rows[:1], [{**rows[0], "computeMs": None}, rows[1]], {}, [{"a": 1}] * 3):
        path.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="times of"):
            queries_in(path)


@pytest.mark.parametrize(
    ("shapes", "batch"),
    [
        ("input_ids:384x8,segment_ids:384x8", None),  # words by samples, as BERT's demonstration
        ("ids:128x1", None),
        ("a:64x7,b:64x7", None),
        ("ids:8x128,mask:8x128", 8),
        ("ids:1x128", 1),
        ("image:16x3", 16),
        ("ids:128x8,image:128x3x8x8", 128),
    ],
)
def test_inputs_that_may_be_words_by_samples(
    tmp_path: Path, shapes: str, batch: int | None
) -> None:
    run = one(tmp_path, log(SUMMARY, command=f"trtexec --loadEngine=m.plan --shapes={shapes}"))
    assert run.batch == batch
    assert any("words by samples" in w for w in run.warnings) is (batch is None)


@pytest.mark.parametrize(("kind", "batch"), [("int32", None), ("fp32", 128)])
def test_the_type_of_a_binding_tells_words_from_features(
    tmp_path: Path, kind: str, batch: int | None
) -> None:
    line = f"Input binding for x with dimensions 128x8 and type {kind} is created.\n"
    run = one(tmp_path, log(STAMP + line + SUMMARY, command="trtexec --loadEngine=m.plan"))
    assert run.batch == batch


def test_decimal_commas(tmp_path: Path) -> None:
    import re

    run = one(tmp_path, log(re.sub(r"(?<=\d)\.(?=\d+ (?:ms|qps|s)\b)", ",", SUMMARY)))
    plain = one(tmp_path, log(SUMMARY))
    assert [f.value for f in run.figures] == [f.value for f in plain.figures]
    assert any("decimal commas" in w for w in run.warnings)


def test_an_implicit_batch_whose_totals_say_calls(tmp_path: Path) -> None:
    body = (
        f"{STAMP}Throughput: 500 qps\n{STAMP}GPU Compute Time: min = 1.9 ms, max = 2.1 ms, mean = 2"
        f" ms, median = 2 ms\n{STAMP}Total Host Walltime: 3 s\n"
    )
    command = "trtexec --deploy=a.prototxt --batch=8"
    calls = one(tmp_path, log(body + f"{STAMP}Total GPU Compute Time: 3 s\n", command=command))
    assert calls.value("throughput") is None and "not known" in calls.warnings[0]
    samples = one(
        tmp_path, log(body + f"{STAMP}Total GPU Compute Time: 0.375 s\n", command=command)
    )
    assert samples.figure("throughput", unit="images/s").value == 500
