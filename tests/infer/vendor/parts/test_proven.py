"""A tool's run is believed only as far as the reader of its log proves it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from portproof.core.errors import ToolError
from portproof.core.shell import Finished
from portproof.infer.vendor import ToolJob
from portproof.infer.vendor.benchmark import _checked
from portproof.infer.vendor.parts.proven import proven, times_of

CALLS = "".join(f"Inference time: {ms}ms\n" for ms in (2.5, 2.0, 3.0))
MSAME = CALLS + "Inference average time : 2.5 ms\n[INFO] Execute sample success\n"
COSTS = "".join(f"[INFO] Dataset number: {i} finished cost {i + 2}.5ms\n" for i in range(3))
PURE = COSTS + "[INFO] ave_throughputRate: 440.606samples/s, ave_latency: 2.304ms\n"
AIS = (
    "[INFO] NPU_compute_time (ms): min = 3.9, max = 4.2, mean = 4.0, median = 4.0\n"
    "[INFO] throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(4.0): 1000.0\n"
)


def finished(folder: Path, text: str) -> Finished:
    log = folder / "tool.log"
    log.write_text(text)
    return Finished(("tool", "--loop", "3"), 0, log, 1.0)


@pytest.mark.parametrize(
    ("family", "text"), [("msame", MSAME), ("pureinfer", PURE), ("ais_bench", AIS)]
)
def test_a_whole_log_is_believed_and_one_that_is_cut_is_not(
    tmp_path: Path, family: str, text: str
) -> None:
    done = finished(tmp_path, text)
    assert proven(done, done.log, family, "no end").status == "ok"
    for lines in range(len(text.splitlines())):
        cut = finished(tmp_path, "".join(text.splitlines(keepends=True)[:lines]))
        with pytest.raises(ToolError, match="no end, so it did not finish"):
            proven(cut, cut.log, family, "no end")
    twice = finished(tmp_path, text * 2)
    with pytest.raises(ToolError, match=f"holds 2 runs of {family}, 1 was expected"):
        proven(twice, twice.log, family, "no end")


def test_a_tool_that_says_that_it_failed_is_believed(tmp_path: Path) -> None:
    done = finished(tmp_path, MSAME.replace("success", "fail"))
    with pytest.raises(ToolError, match="the tool says that it failed"):
        proven(done, done.log, "msame", "no end")


@pytest.mark.parametrize(("family", "text"), [("msame", MSAME), ("pureinfer", PURE)])
def test_the_executions_are_counted(tmp_path: Path, family: str, text: str) -> None:
    done = finished(tmp_path, text)
    run = proven(done, done.log, family, "no end")
    assert sum(times_of(run, 3, done)) == pytest.approx(0.0075 if family == "msame" else 0.0105)
    with pytest.raises(ToolError, match="asked for 4 executions and gives the times of 3"):
        times_of(run, 4, done)


def perf_file(folder: Path, samples: int, batch: int, name: int) -> Path:
    """A perf file as the tool writes it, worked out from its definition: rates of samples a second,
    but for [post], which counts batches.
    """
    total_s, infer_s = 2.0, 1.25
    rates = {"read": samples / 0.5, "preprocess": samples / 0.5, "infer": samples / infer_s}
    rates["post"] = math.ceil(samples / batch) / infer_s
    names = {"read": "data read", "preprocess": "preprocess", "infer": "infer", "post": "post"}
    interface = f"Interface throughputRate: {samples / 1.2:.6g}, "
    lines = [f"[e2e] throughputRate: {samples / total_s:.6g}, latency: {1000 * total_s:.6g}"]
    lines += [
        f"[{names[k]}] throughputRate: {rate:.6g}, {interface if k == 'infer' else ''}"
        f"moduleLatency: {1000 / rate:.6g}"
        for k, rate in rates.items()
    ]
    path = folder / f"perf_vision_batchsize_{name}_device_0.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("samples", [6, 1003, 50000])
def test_a_perf_file_of_other_samples_or_of_another_batch_is_refused(
    tmp_path: Path, samples: int
) -> None:
    done = finished(tmp_path, "")
    job = ToolJob(tmp_path / "m.om", 4, 0, tmp_path, done.log)
    rate, checks = _checked(perf_file(tmp_path, samples, 4, 4), done, samples, job)
    assert rate == pytest.approx(samples / 1.2, rel=1e-5)
    assert checks == {"samples_by_rates": pytest.approx(samples, rel=2e-5), "batch_by_rates": 4}
    with pytest.raises(ToolError, match=f"{samples + samples // 6} were given"):
        _checked(perf_file(tmp_path, samples, 4, 4), done, samples + samples // 6, job)
    with pytest.raises(ToolError, match="4 was expected; the name says batch 4"):
        _checked(perf_file(tmp_path, samples, 1, 4), done, samples, job)
