"""The benches that people compare with: each as its tool prints it, its boundary, and its traps.

The texts follow the public samples that each reader's module names.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.logged import Run
from portproof.logs.read import read

PERF_TEST = """Setting intra_op_num_threads to 1
Session creation time cost: 0.217932 s
First inference time cost: 196 ms
Total inference time cost: 0.49481 s
Total inference requests: 5
Average inference time cost total: 98.962 ms
Total inference run time: 0.494854 s
Number of inferences per second: 10.104
Avg CPU usage: 11 %
Peak working set size: 271122432 bytes
Runs:5
Min Latency: 0.0958204 s
Max Latency: 0.101519 s
P50 Latency: 0.0995086 s
P90 Latency: 0.101519 s
P99 Latency: 0.101519 s
P999 Latency: 0.101519 s
"""
PERF_TEST_2019 = """Total time cost: 58.8053
Total iterations: 1000
Average time cost: 58.8053 ms
Total run time: 58.8102 s
Min Latency is 0.0559777 sec
P50 Latency is 0.0587108 sec
"""
BENCHMARK_APP = """[Step 2/11] Loading OpenVINO Runtime
[ INFO ] OpenVINO:
[ INFO ] Build ................................. 2023.3.0-13775-ceeafaf64f3-releases/2023/3
[Step 5/11] Resizing model to match image sizes and given batch
[ INFO ] Model batch size: 4
[Step 10/11] Measuring performance (Start inference asynchronously, 12 inference requests, limits: 15000 ms duration)
[ INFO ] Benchmarking in inference only mode (inputs filling are not included in measurement loop).
[ INFO ] First inference took 2.83 ms
[Step 11/11] Dumping statistics report
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            22122 iterations
[ INFO ] Duration:         15003.02 ms
[ INFO ] Latency:
[ INFO ]    Median:        1.85 ms
[ INFO ]    Average:       1.86 ms
[ INFO ]    Min:           1.17 ms
[ INFO ]    Max:           8.69 ms
[ INFO ] Throughput:   5898.01 FPS
"""
ANALYZER = """*** Measurement Settings ***
  Batch size: 17
  Measurement window: 5000 msec
  Using synchronous calls for inference

Request concurrency: 1
  Client:
    Request count: 5
    Throughput: 17 infer/sec
    Avg latency: 969643 usec (standard deviation 26043 usec)
    p50 latency: 963543 usec
    p99 latency: 1014324 usec
    Avg HTTP time: 953630 usec (send/recv 239915 usec + response wait 713715 usec)
  Server:
    Inference count: 102
    Avg request latency: 695450 usec (overhead 4 usec + queue 134 usec)
Request concurrency: 2
  Client:
    Request count: 9
    Throughput: 30.6 infer/sec
    Avg latency: 1101000 usec (standard deviation 26043 usec)
Inferences/Second vs. Client Average Batch Latency
Concurrency: 1, throughput: 17 infer/sec, latency 969643 usec
Concurrency: 2, throughput: 30.6 infer/sec, latency 1101000 usec
"""
POLYGRAPHY = """[I] trt-runner-N0-01/14/26-20:49:11     | Activating and starting inference
[I] trt-runner-N0-01/14/26-20:49:11
    ---- Inference Input(s) ----
    {images [dtype=float32, shape=(8, 3, 640, 480)]}
[I] trt-runner-N0-01/14/26-20:49:11  | Running 10 warm-up run(s)
[I] trt-runner-N0-01/14/26-20:49:11  | Finished 10 warm-up run(s)
[I] trt-runner-N0-01/14/26-20:49:11
    ---- Inference Output(s) ----
    {output0 [dtype=float32, shape=(2, 84, 6300)]}
[I] trt-runner-N0-01/14/26-20:49:11     | Completed 100 iteration(s) in 1600 ms | Average inference time: 16 ms.
[I] PASSED | Runtime: 1.037s | Command: polygraphy run yolov8n.onnx --trt
"""
TABLE = """Model Summary: vgg16
|   Backend        | Precision   |   Batch size |   Median(FPS) |   Mean(FPS) |   Median-Latency(ms) |   Mean-Latency(ms) |
|:---------------|:------------|--------------:|--------------:|------------:|---------------------:|-------------------:|
| Torch          | fp32        | 2 |       117.516 |     118.689 |           17.0190 |         16.9261 |
| Torch-TensorRT | fp32        | 2 |       140.318 |     140.942 |           14.2533 |         14.2339 |
"""


def runs(tmp_path: Path, text: str) -> list[Run]:
    (tmp_path / "log").write_text(text)
    return read(tmp_path / "log")


@pytest.mark.parametrize(
    ("text", "family", "batch", "boundary", "expected"),
    [
        (
            PERF_TEST,
            "onnxruntime_perf_test",
            None,
            "call",
            {
                ("throughput", "batches/s"): 10.104,
                ("latency_mean", "s"): 0.098962,
                ("latency_median", "s"): 0.0995086,
                ("latency_p99.9", "s"): 0.101519,
                ("latency_min", "s"): 0.0958204,
                ("samples", "1"): 5,
                ("walltime", "s"): 0.494854,
            },
        ),
        (
            PERF_TEST_2019,
            "onnxruntime_perf_test",
            None,
            "call",
            {("latency_mean", "s"): 0.0588053, ("latency_median", "s"): 0.0587108},
        ),
        (
            BENCHMARK_APP,
            "benchmark_app",
            4,
            "call",
            {
                ("throughput", "images/s"): 5898.01,
                ("latency_median", "s"): 0.00185,
                ("latency_mean", "s"): 0.00186,
                ("samples", "1"): 22122,
            },
        ),
        (
            ANALYZER,
            "perf_analyzer",
            17,
            "call",
            {
                ("throughput", "images/s"): 17,
                ("latency_mean", "s"): 0.969643,
                ("latency_p99", "s"): 1.014324,
                ("samples", "1"): 5,
            },
        ),
        (
            POLYGRAPHY,
            "polygraphy",
            8,
            "call",
            {
                ("throughput", "batches/s"): 62.5,
                ("throughput", "images/s"): 500,
                ("latency_mean", "s"): 0.016,
            },
        ),
        (
            TABLE,
            "torch_tensorrt",
            2,
            "device",
            {
                ("throughput", "images/s"): 118.689,
                ("throughput_median", "images/s"): 117.516,
                ("latency_median", "s"): 0.017019,
            },
        ),
    ],
    ids=["perf_test", "perf_test of 2019", "benchmark_app", "perf_analyzer", "polygraphy", "table"],
)
def test_its_figures(
    tmp_path: Path,
    text: str,
    family: str,
    batch: int | None,
    boundary: str,
    expected: dict[tuple[str, str], float],
) -> None:
    run = runs(tmp_path, text)[0]
    assert (run.family, run.batch, run.status, run.warnings) == (family, batch, "ok", [])
    for (name, unit), value in expected.items():
        figure = run.figure(name, unit=unit)
        assert figure is not None and figure.value == pytest.approx(value)
    assert {f.boundary for f in run.figures} == {boundary}


def test_a_run_for_each_concurrency_and_row(tmp_path: Path) -> None:
    first, second = runs(tmp_path, ANALYZER)
    assert (first.value("throughput"), second.value("throughput")) == (17, 30.6)
    one, two = runs(tmp_path, TABLE)
    assert (one.facts["label"], two.facts["label"]) == ("Torch", "Torch-TensorRT")
    assert two.facts["model"] == "vgg16"


def test_a_summary_alone_and_its_percentile(tmp_path: Path) -> None:
    text = "Inferences/Second vs. Client p95 Batch Latency\nConcurrency: 1, throughput: 482.8 infer/sec, latency 12613 usec\n"
    (run,) = runs(tmp_path, text)
    assert (run.batch, run.value("throughput"), run.value("latency_p95")) == (None, 482.8, 0.012613)


def test_a_batch_that_only_the_figures_tell(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, BENCHMARK_APP.replace("[ INFO ] Model batch size: 4\n", ""))
    assert (run.batch, run.batch_source) == (4, "FPS x duration / iterations")
    (run,) = runs(tmp_path, BENCHMARK_APP.replace("batch size: 4", "batch size: 1"))
    assert "are 1474.5" in run.warnings[0]


def test_times_that_fill_the_inputs_too(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, BENCHMARK_APP.replace("inference only", "full"))
    assert "filling" in run.warnings[0]


def test_a_rate_that_its_requests_refute(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, PERF_TEST.replace("second: 10.104", "second: 20.104"))
    assert "5 requests in 0.494854 s are 10.104" in run.warnings[0]


def test_what_was_not_stable_is_no_result(tmp_path: Path) -> None:
    text = ANALYZER.split("  Client:")[0] + (
        "Failed to obtain stable measurement within 10 measurement windows for concurrency 1.\n"
    )
    (run,) = runs(tmp_path, text)
    assert run.status == "failed" and "stable" in run.warnings[0]


def test_one_inference_is_no_measurement_of_speed(tmp_path: Path) -> None:
    text = (
        "[I] onnxrt-runner-N0-11/21/25-13:22:08  | Completed 1 iteration(s) in 59.11 ms | Average"
        " inference time: 59.11 ms.\n"
    )
    (run,) = runs(tmp_path, text)
    assert "--warm-up" in run.warnings[0] and run.figure("throughput", unit="images/s") is None


def test_a_speed_of_wrong_answers_is_none(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, POLYGRAPHY + "[E] FAILED | Output Validation\n")
    assert (run.status, run.figures) == ("failed", []) and "FAILED" in run.warnings[-1]


def test_words_by_samples_or_samples_by_words(tmp_path: Path) -> None:
    text = POLYGRAPHY.replace(
        "dtype=float32, shape=(8, 3, 640, 480)", "dtype=int32, shape=(128, 8)"
    )
    (run,) = runs(tmp_path, text)
    assert run.batch is None and "length of sequences" in run.warnings[0]


def test_a_table_in_seconds_below_ms(tmp_path: Path) -> None:
    text = TABLE.replace("17.0190", "0.0170190").replace("16.9261", "0.0169261")
    run = runs(tmp_path, text)[0]
    assert run.value("latency_median") == pytest.approx(0.017019)
    assert "say ms and hold seconds" in run.warnings[0]


def test_the_table_as_pandas_and_as_csv(tmp_path: Path) -> None:
    for text in (
        "  Backend Precision  Batch size  Median(FPS)  Mean(FPS)  Median-Latency(ms)\n"
        "0   Torch      fp16           8       1600.0     1601.5                 5.0\n",
        ",Backend,Precision,Batch size,Median(FPS),Mean(FPS),Median-Latency(ms)\n"
        "0,Torch,fp16,8,1600.0,1601.5,5.0\n",
    ):
        (run,) = runs(tmp_path, text)
        assert (run.batch, run.value("throughput_median")) == (8, 1600)
        assert run.facts["precision"] == "fp16"


@pytest.mark.parametrize("text", [PERF_TEST, BENCHMARK_APP, ANALYZER, POLYGRAPHY, TABLE])
def test_infinite_and_cut_figures(tmp_path: Path, text: str) -> None:
    big = re.sub(r"\d+\.\d+|\b\d{2,}\b", "1e999", text)
    (tmp_path / "log").write_text(big)
    try:
        for run in read(tmp_path / "log"):
            assert all(f.value is None or f.value < 1e300 for f in run.figures)
    except InputError:
        pass
    for end in range(0, len(text), 7):
        (tmp_path / "log").write_text(text[:end])
        try:
            read(tmp_path / "log")
        except InputError:
            continue
