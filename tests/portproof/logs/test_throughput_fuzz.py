"""No input may crash a parser, hang it, or make it invent a figure."""

from __future__ import annotations

import json
import math
import random
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.logs.logged import Run, add_card_figures
from portproof.logs.read import families, read
from portproof.logs.show import as_json, as_text
from portproof.logs.summary import summarised
from portproof.reports.claims.audit import audit_document
from portproof.reports.claims.read.plain_text import parse

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FOLDER = tempfile.TemporaryDirectory(prefix="portproof-fuzz-")
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")

#: Pieces that parsers look for, to be put together in any order, whole and damaged.
PIECES = [
    "[e2e] throughputRate: ",
    "[data read] ",
    "[preprocess]",
    "[infer] throughputRate: 1.5, Interface throughputRate: ",
    ", moduleLatency: ",
    "[post] throughputRate: ",
    "# PortProof 0.1.0 boundary=call",
    "latency: 2.81784e+06",
    "ave_throughputRate: ",
    "samples/s, ave_latency: ",
    "Dataset number: 0 finished cost ",
    "Inference average time : ",
    "[INFO] Execute sample success",
    " without first time",
    "NPU_compute_time (ms): min = ",
    ", max = ",
    ", mean = ",
    "throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(",
    "): ",
    "ms",
    "throughput (1000/NPU_compute_time/batchsize): ",
    '"NPU_compute_time": {',
    '"mean": ',
    '"throughput": ',
    "}",
    "i:0 device_0 throughput:",
    "summary throughput:",
    "[ERROR] no",
    "&&&& RUNNING TensorRT.trtexec [TensorRT v8205] # trtexec --onnx=m --shapes=x:4x3",
    "&&&& PASSED TensorRT.trtexec",
    "&&&& FAILED TensorRT.trtexec",
    "[05/17/2022-15:33:49] [I] ",
    "GPU Compute Time: min = ",
    "GPU Compute",
    "Host Latency",
    "min: ",
    " ms",
    "mean: ",
    "percentile: 3 ms at 99%",
    "percentile(99.9%) = ",
    "Throughput: ",
    " qps",
    "throughput: 0 qps",
    "Total Host Walltime: ",
    " s",
    "total compute time: ",
    "Average inference time cost: 5.5 ms",
    "Number of inferences per second: ",
    "Total inference requests: ",
    "[ INFO ] Count:   ",
    "[ INFO ] Throughput: 3.5 FPS",
    "Request concurrency: ",
    "    Throughput: 17 infer/sec",
    "[I] r-N0 | Completed 3 iteration(s) in 4 ms | Average inference time: ",
    "Backend Precision Median(FPS) Median-Latency(ms)",
    "Torch fp16 12.5 ",
    "MLPerf Results Summary",
    "Samples per second: ",
    "Result is : VALID",
    "Mean latency (ns) : ",
    "Scenario : Offline",
    "0",
    "1",
    "263.872",
    "1e400",
    "1e-5",
    "99999999999999999999",
    "1.2.3",
    "inf",
    "nan",
    "-3",
    "٣",
    "，",
    "\n",
    "\n",
    "\r",
    " ",
    "\x1b[0m",
    "\ufffd",
]


def written(text: str | bytes) -> Path:
    path = Path(FOLDER.name) / "fuzz.log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def read_or_refuse(path: Path) -> list[Run]:
    try:
        runs = read(path)
    except InputError as error:
        assert str(error)
        return []
    as_text(runs)
    json.loads(as_json(runs), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    return runs


def assert_nothing_is_invented(runs: list[Run], text: str) -> None:
    """Every figure that is not marked as derived stands in the text, in its own or in a thousandth
    or billionth of its unit.
    """
    numbers = {float(n) for n in NUMBER.findall(text)}
    for run in runs:
        assert run.status != "failed" or not run.figures
        for figure in run.figures:
            assert figure.value is None or (math.isfinite(figure.value) and figure.value >= 0)
            if figure.value is not None and figure.derived is None:
                assert any(
                    math.isclose(figure.value, n / scale, rel_tol=1e-12)
                    for n in numbers
                    for scale in (1, 1e3, 1e9)
                ), figure


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    read_or_refuse(written(data))


@QUICK
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    assert_nothing_is_invented(read_or_refuse(written(text)), text)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_pieces_in_any_order(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert_nothing_is_invented(read_or_refuse(written(text)), text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "NPU_compute_time",
                    "throughput",
                    "mean",
                    "args",
                    "npu_compute_time_list",
                    "filesinfo",
                    "computeMs",
                    "latencyMs",
                    "schema",
                    "measurements",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@QUICK
@given(JSON)
def test_any_json(data: object) -> None:
    read_or_refuse(written(json.dumps(data)))
    for schema in ("portproof.perf/1", "portproof.perf/9"):
        read_or_refuse(written(json.dumps({"schema": schema, "measurements": data})))


@QUICK
@given(st.dictionaries(st.sampled_from(["min", "max", "mean", "median"]), JSON), JSON, JSON, JSON)
def test_any_summary(
    times: dict[str, object], throughput: object, arguments: object, values: object
) -> None:
    data = {
        "NPU_compute_time": times,
        "throughput": throughput,
        "args": arguments,
        "npu_compute_time_list": values,
    }
    read_or_refuse(written(json.dumps(data)))


@pytest.mark.parametrize(
    "mark", sorted({mark for family in families() for mark in getattr(family, "MARKS", ())})
)
def test_long_lines_take_linear_time(mark: str) -> None:
    """Quadratic patterns would take minutes on these."""
    for filler in (" ", "0", "a", ",", "[", "=", mark, mark + " 1"):
        read_or_refuse(written((mark + filler * 20000)[:60000] + "\n"))


def mutate(text: str, generator: random.Random) -> str:
    """One or two of the accidents that logs meet."""
    for _ in range(generator.randint(1, 2)):
        a, b = sorted(generator.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + 200)
        text = generator.choice(
            [
                lambda t, a, b: t[:a] + t[b:],
                lambda t, a, b: t[:a],
                lambda t, a, b: t[b:],
                lambda t, a, b: t[:b] + t[a:b] + t[b:],
                lambda t, a, b: t.replace("\n", ""),
                lambda t, a, b: t.replace(", ", "，"),
                lambda t, a, b: t.replace(" ", ""),
                lambda t, a, b: t[:a] + "\n" + t[a:],
                lambda t, a, b: t[:a] + chr(generator.randrange(1, 0xD7FF)) + t[a:],
                lambda t, a, b: t.upper(),
            ]
        )(text, a, b)
    return text


def test_mutated_samples(shared: Path) -> None:
    generator = random.Random(20260517)
    samples = [
        p
        for kind in ("logs/*.log", "trtexec/*.log", "loadgen/*.txt", "ais_bench/*/*")
        for p in sorted(shared.glob(f"samples/{kind}"))
    ]
    texts = [
        p.read_text(encoding="utf-8", errors="replace")
        for p in samples
        if p.is_file() and p.stat().st_size < 20000
    ]
    assert len(texts) > 150
    for text in texts:
        for _ in range(6):
            damaged = mutate(text, generator)
            if not damaged.lstrip().startswith(("{", "[{")):
                assert_nothing_is_invented(read_or_refuse(written(damaged)), damaged)
            else:
                read_or_refuse(written(damaged))


EXTREME = ["1e999", "1e308", "1e-320", "0.0", "1e17", "9" * 400, "-1", "nan", "inf"]


def test_infinite_and_tiny_figures_in_any_place(shared: Path) -> None:
    """Whatever is printed in place of numbers: runs of finite figures, or one sentence."""
    random.seed(18)
    paths = sorted((shared / "samples").rglob("*.log"))[::7]
    for path in paths:
        text = path.read_text(errors="replace")[:40_000]
        for _ in range(4):
            share = random.random()
            changed = re.sub(
                r"\d+(?:\.\d+)?",
                lambda m, share=share: random.choice(EXTREME) if random.random() < share else m[0],
                text,
            )
            for run in read_or_refuse(written(changed)):
                add_card_figures(run, 4)
                values = [v for f in run.figures for v in (f.value, f.recovered) if v is not None]
                assert all(map(math.isfinite, values))
                summarised(run)
            audit_document(parse(changed.encode()), "x")
