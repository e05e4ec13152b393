"""Per-operator time: files of four profilers, two profilers run here, and what differs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError
from portproof.infer.profiling.op_times import OUTSIDE, Operator, Profile, kind_of
from portproof.infer.profiling.take import read_profile
from portproof.infer.profiling.why_slow import as_markdown, why_slow


def event(name: str, ts: float, dur: float, **facts: Any) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": "Node",
        "pid": 1,
        "tid": 1,
        "ts": ts,
        "dur": dur,
        "name": name,
    } | facts


def kernel(name: str, kind: str, ts: float, dur: float) -> dict[str, Any]:
    return event(f"{name}_kernel_time", ts, dur, args={"op_name": kind, "provider": "CPU"})


ORT = json.dumps(
    [
        event("model_loading_uri", 0, 500, cat="Session", args={}),
        event("model_run", 1000, 900, cat="Session", args={}),
        kernel("conv", "Conv", 1001, 800),
        event("model_run", 2000, 100, cat="Session", args={}),
        kernel("conv", "Conv", 2001, 60),
        kernel("out", "Gemm", 2070, 20),
        event("model_run", 3000, 120, cat="Session", args={}),
        kernel("conv", "Conv", 3001, 70),
        kernel("out", "Gemm", 3080, 30),
    ]
)
TORCH = json.dumps(
    {
        "schemaVersion": 1,
        "traceEvents": [
            event("portproof call", 0, 100, cat="user_annotation"),
            event("aten::conv2d", 10, 60, cat="cpu_op"),
            event("aten::mkldnn_convolution", 15, 50, cat="cpu_op"),
            event("aten::empty", 20, 5, cat="cpu_op"),
            event("aten::relu", 75, 10, cat="cpu_op"),
            {"ph": "i", "name": "marker", "ts": 1},
        ],
    }
)
CUDA = json.dumps(
    {
        "schemaVersion": 1,
        "traceEvents": [
            event("aten::mm", 10, 60, cat="cpu_op"),
            event("sm80_gemm_f16", 30, 7, cat="kernel"),
            event("Memcpy HtoD", 40, 3, cat="gpu_memcpy"),
        ],
    }
)
#: The names of layers are not escaped, as trtexec writes them.
TRTEXEC = """\
[
  { "count" : 4 }
, { "name" : "Conv_0 + "Relu_1"", "timeMs" : 6.0, "averageMs" : 1.5, "medianMs" : 1.5, "percentage" : 75 }
, { "name" : "Reformatting CopyNode for Input Tensor 0", "timeMs" : 2.0, "averageMs" : 0.5, "percentage" : 25 }
]
"""
TABLE = """\
&&&& RUNNING TensorRT.trtexec [v101401] # trtexec --dumpProfile
[04/25/2026-00:54:50] [I] === Profile (4 iterations ) ===
[04/25/2026-00:54:50] [I]    Time(ms)     Avg.(ms)   Median(ms)   Time(%)   Layer
[04/25/2026-00:54:50] [I]        6.00       1.5000       1.5000      75.0   Conv_0 + Relu_1
[04/25/2026-00:54:50] [I]        2.00       0.5000       0.5000      25.0   Reformatting CopyNode for Input Tensor 0
[04/25/2026-00:54:50] [I]        8.00       2.0000       2.0000     100.0   Total
"""
SUMMARY = """\
Device_id,Task ID,Op Name,OP Type,Task Type,Task Start Time(us),Task Duration(us),Task Wait Time(us),Input Shapes
0,1,trans_TransData_0,TransData,AI_CORE,"1000\t",5.0,0,"1,3,8,8"
0,2,Conv_0,Conv2D,AI_CORE,"1006\t",30.0,0,"1,3,8,8"
0,3,Cast,N/A,AI_CPU,"1006\t",N/A,0,N/A
0,1,trans_TransData_0,TransData,AI_CORE,"2000\t",7.0,0,"1,3,8,8"
0,2,Conv_0,Conv2D,AI_CORE,"2006\t",34.0,0,"1,3,8,8"
"""
STATISTIC = """\
Device_id,Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)
0,m,Conv2D,AI_CORE,2,64.0,30.0,32.0,34.0,84.2
0,m,TransData,AI_CORE,2,12.0,5.0,6.0,7.0,15.8
"""


@pytest.mark.parametrize(
    ("text", "calls", "wall", "kinds"),
    [
        (ORT, 2, 220e-6, {"convolution": 130e-6, "matrix product": 50e-6, OUTSIDE: 40e-6}),
        (
            TORCH,
            1,
            100e-6,
            {"convolution": 55e-6, OUTSIDE: 30e-6, "activation": 10e-6, "memory": 5e-6},
        ),
        (CUDA, None, None, {"matrix product": 7e-6, "copies and layout": 3e-6}),
        (TRTEXEC, 4, None, {"convolution": 6e-3, "copies and layout": 2e-3}),
        (TABLE, 4, None, {"convolution": 6e-3, "copies and layout": 2e-3}),
        (SUMMARY, 2, None, {"convolution": 64e-6, "copies and layout": 12e-6}),
        (STATISTIC, None, None, {"convolution": 64e-6, "copies and layout": 12e-6}),
    ],
    ids=["ort", "torch", "torch on cuda", "exportProfile", "dumpProfile", "summary", "statistic"],
)
def test_files_of_profilers(
    tmp_path: Path, text: str, calls: int | None, wall: float | None, kinds: dict[str, float]
) -> None:
    (tmp_path / "p").write_text(text)
    found = read_profile("port", str(tmp_path / "p"))
    assert (found.label, found.calls) == ("port", calls)
    assert found.wall_s == (pytest.approx(wall) if wall else None)
    assert found.by_kind() == pytest.approx(kinds)
    assert list(found.by_kind()) == list(kinds)  # the most first


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "is no profile that is known"),
        (ORT[:-40], "not a whole profile of ONNX Runtime"),
        (
            json.dumps([event("model_run", 0, 1, cat="Session", args={})]),
            "without a single operator",
        ),
        (TORCH[:-20], "not a whole trace"),
        ('{"schemaVersion": 1, "traceEvents": []}', "without an operator"),
        ('[\n  { "count" : 4 }\n]', "no layer of trtexec's"),
        (TABLE.partition("[04")[0], "without a layer profile"),
        (SUMMARY.replace("30.0", "soon"), "'soon' under 'task duration"),
        (SUMMARY.partition("\n")[0], "no task with a duration"),
        (SUMMARY[:-40], "the file is cut off"),
        (STATISTIC.replace("64.0", "-64.0"), "'-64.0' under 'total time"),
    ],
)
def test_a_damaged_profile_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "p").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_profile("port", str(tmp_path / "p"))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("convolution", "Conv FusedConv QLinearConv aten::conv2d Conv2D DepthwiseConv2dNative"),
        ("matrix product", "Gemm MatMul FusedMatMul aten::addmm aten::bmm BatchMatMulV2"),
        ("copies and layout", "Cast ReorderInput TransData aten::copy_ aten::_to_copy aten::to"),
        ("quantization", "QuantizeLinear DequantizeLinear AscendQuant"),
        ("normalization", "BatchNormalization LayerNormalization aten::native_batch_norm"),
        ("recurrent", "LSTM DynamicRNN GRU"),
        ("pooling", "MaxPool GlobalAveragePool aten::max_pool2d PoolingD"),
        ("reshaping", "Reshape Transpose Concat aten::view aten::cat StridedSliceD"),
        ("memory", "aten::empty aten::resize_ Memset"),
        ("resize", "Resize aten::upsample_nearest2d"),
        ("other", "__mye26_0_myl7_0 ZzTop"),
    ],
)
def test_kinds_of_work(kind: str, names: str) -> None:
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def profile(label: str, calls: int | None, **seconds: float) -> Profile:
    operators = [
        Operator(name=name, type=name, count=calls or 1, seconds=s) for name, s in seconds.items()
    ]
    return Profile(label=label, source="s", operators=operators, calls=calls)


def test_what_differs_is_by_call_and_comes_first() -> None:
    slow, fast = profile("a", 2, Conv=0.2, Gemm=0.02), profile("b", 4, Conv=0.04, Gemm=0.06)
    found = why_slow([slow, fast])
    assert [(r.kind, r.seconds, r.difference_s) for r in found.rows] == [
        ("convolution", pytest.approx([0.1, 0.01]), pytest.approx(-0.09)),
        ("matrix product", pytest.approx([0.01, 0.015]), pytest.approx(0.005)),
    ]
    text = as_markdown(found)
    assert "a takes 85.000 ms a call longer than b; most of it is convolution (90.000 ms)." in text
    assert "| convolution | 100.000 | 90.9% | 10.000 | 40.0% | -90.000 | 106% |" in text


def test_without_the_number_of_calls_only_shares_are_compared() -> None:
    found = why_slow(
        [profile("a", 2, Conv=0.3, Gemm=0.1), profile("b", None, Conv=1, Gemm=2, Relu=1)]
    )
    assert [r.difference_s for r in found.rows] == [None] * 3
    text = as_markdown(found)
    assert "The shares differ most in convolution: 75% of a, 25% of b." in text
    assert "difference (ms)" not in text


def test_the_log_of_a_real_trtexec(shared: Path) -> None:
    """The shares are those that trtexec prints."""
    log = shared / "samples/trtexec/trt101401_dumpProfile_no_summary.log"
    found = read_profile("t", str(log))
    first = next(o for o in found.operators if o.name == "node_linear_myl7_1")
    assert first.seconds == pytest.approx(0.19458) and first.count == found.calls == 21248
    assert first.seconds / found.total_s == pytest.approx(0.129, abs=0.001)


def test_two_models_profiled_here(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    tiny.save_model("m.onnx", tiny.weight)
    words = ("a=ort:m.onnx", "b=ort:m.onnx", "--batch", 3, "--calls", 5, "--json")
    done = stage("infer/op_profile.py", *words, cwd=tiny.folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == "portproof.profile/1" and found["per_call"] is True
    for side in found["profiles"]:
        assert side["calls"] == 5
        assert {o["type"]: o["count"] for o in side["operators"]}.items() >= {"MatMul": 5}.items()
        assert 0 < sum(o["seconds"] for o in side["operators"]) <= side["wall_s"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["m.onnx"], "LABEL=BACKEND:FILE or LABEL=FILE was expected"),
        (["a=trt:m.plan"], "trtexec --exportProfile"),
        (["a=om:m.om"], "msprof"),
        (["a=absent.json"], "does not exist"),
        (["a=ort:m.onnx", "a=ort:m.onnx"], "give each a label of its own"),
    ],
)
def test_what_cannot_be_profiled_is_refused(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]], words: list[str], reason: str
) -> None:
    tiny.save_model("m.onnx", tiny.weight)
    done = stage("infer/op_profile.py", *words, cwd=tiny.folder)
    assert done.returncode == 2
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_pytorch_profiled_here_and_after_a_bench(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The linear layer is where PyTorch's time for this model must be found."""
    torch = pytest.importorskip("torch")
    torch.save(
        {"1.weight": torch.ones(5, 12), "1.bias": torch.zeros(5)}, tiny.folder / "weights.pth"
    )
    words = ("a=eager:weights.pth", "--model", "card.yaml", "--blocks", 1, "--iterations", 1)
    done = stage("infer/bench.py", *words, "--profile", "--out", "perf.json", cwd=tiny.folder)
    assert done.returncode in (0, 4), done.stderr
    assert "# Why it is slow" in done.stdout
    found = json.loads((tiny.folder / "perf.profile.json").read_text())
    side = found["profiles"][0]
    assert side["calls"] == 10
    assert {o["name"]: o["count"] for o in side["operators"]}["aten::addmm"] == 10
