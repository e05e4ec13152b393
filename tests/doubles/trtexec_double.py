"""A double of trtexec: it knows which flags its version has, builds plans for the double of
TensorRT, and prints the log of queries of 1 ms.

``TRTEXEC_DOUBLE`` is its version (default 10.16.1), ``TRTEXEC_DOUBLE_FAULT`` one of ``oom``,
``no-verdict``, ``no-engine``, ``hang``, ``fp32`` (its layers compute in float32 whatever is asked),
``capture``, ``ignored`` (the flag for graphs), ``shapes``, ``no-queries``, ``no-start``, ``zero``
(qps). With ``TRTEXEC_DOUBLE_SLOWLY`` it takes the time that it says.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

VERSION = os.environ.get("TRTEXEC_DOUBLE", "10.16.1")
NUMBERS = tuple(map(int, VERSION.split(".")))
FAULT = os.environ.get("TRTEXEC_DOUBLE_FAULT", "")
COMMON = {
    "onnx",
    "saveEngine",
    "loadEngine",
    "shapes",
    "minShapes",
    "optShapes",
    "maxShapes",
    "noTF32",
    "timingCacheFile",
    "percentile",
    "exportTimes",
    "warmUp",
    "duration",
    "iterations",
    "device",
}
SINCE = {
    "memPoolSize": (8, 4),
    "skipInference": (8, 6),
    "profilingVerbosity": (8, 2),
    "exportLayerInfo": (8, 2),
    "stronglyTyped": (9, 0),
    "noCudaGraph": (11, 0),
    "noSpinWait": (11, 0),
    "includeDataTransfers": (11, 0),
}
UNTIL = {
    "workspace": (10, 0),
    "buildOnly": (10, 0),
    "fp16": (11, 0),
    "int8": (11, 0),
    "calib": (11, 0),
    "useCudaGraph": (12, 0),
    "useSpinWait": (12, 0),
    "noDataTransfers": (12, 0),
}


def banner(word: str) -> str:
    number = (
        NUMBERS[0] * 10000 + NUMBERS[1] * 100 + NUMBERS[2]
        if NUMBERS[0] >= 10
        else NUMBERS[0] * 1000 + NUMBERS[1] * 100 + NUMBERS[2]
    )
    return f"&&&& {word} TensorRT.trtexec [TensorRT v{number}] # {' '.join(sys.argv)}"


def say(text: str, kind: str = "I") -> None:
    stamp = time.strftime("%m/%d/%Y-%H:%M:%S")
    print(f"[{stamp}] [{kind}] {text}", file=sys.stderr if kind in "WE" else sys.stdout, flush=True)


def shapes_of(text: str) -> dict[str, list[int]]:
    return {
        item.rpartition(":")[0]: [int(d) for d in item.rpartition(":")[2].split("x")]
        for item in text.split(",")
        if item
    }


def main() -> int:
    given = {w.removeprefix("--").partition("=")[0]: w.partition("=")[2] for w in sys.argv[1:]}
    print(banner("RUNNING"), flush=True)
    if "help" in given:
        return 0
    for name in given:
        known = (
            name in COMMON
            or NUMBERS[:2] >= SINCE.get(name, (99, 0))
            or (name in UNTIL and NUMBERS[:2] < UNTIL[name])
        )
        if not known:
            say(f"Unknown option: --{name} {given[name]}", "E")
            print(banner("FAILED"))
            return 1
    say("Compute Capability: 7.5")
    code = build(given) if "onnx" in given else bench(given)
    if FAULT != "no-verdict":
        print(banner("FAILED" if code else "PASSED"))
    return code


def build(given: dict[str, str]) -> int:
    import onnx
    from tensorrt_plans import write_plan

    if FAULT == "oom":
        say(
            "Error[1]: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of"
            " memory)",
            "E",
        )
        say("Engine could not be created from network", "E")
        return 1
    if FAULT == "no-engine":
        return 0
    if FAULT == "hang":
        for name in ("saveEngine", "timingCacheFile", "exportLayerInfo"):
            Path(given[name]).write_bytes(b"half of")
        time.sleep(120)
    model = onnx.load(given["onnx"])
    dynamic = [
        v.name for v in model.graph.input if any(d.dim_param for d in v.type.tensor_type.shape.dim)
    ]
    inputs = {
        v.name: [None if d.dim_param else d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in model.graph.input
    }
    texts = (
        [given[f"{k}Shapes"] for k in ("min", "opt", "max")]
        if "minShapes" in given
        else [given.get("shapes", "")] * 3
    )
    profile = [shapes_of(t) for t in texts]
    assert all(set(p) == set(dynamic) for p in profile), (dynamic, profile)
    half = "fp16" in given or any(
        w.data_type == onnx.TensorProto.FLOAT16 for w in model.graph.initializer
    )
    int8 = any(n.op_type == "QuantizeLinear" for n in model.graph.node)
    kind = "Float" if FAULT == "fp32" else "Int8" if int8 else "Half" if half else "Float"
    layers = [
        {"Name": n.name, "Outputs": [{"Name": n.output[0], "Format/Datatype": kind}]}
        for n in model.graph.node
    ]
    profiles = [{name: [p[name] for p in profile] for name in dynamic}] if dynamic else []
    write_plan(
        Path(given["saveEngine"]),
        Path(given["onnx"]).resolve(),
        version=VERSION,
        profiles=profiles,
        layers=layers,
        inputs=inputs,
    )
    Path(given["timingCacheFile"]).write_bytes(b"cache")
    if "exportLayerInfo" in given:
        Path(given["exportLayerInfo"]).write_text(json.dumps({"Layers": layers, "Bindings": []}))
    say("Engine built in 0.1 sec.")
    return 0


def bench(given: dict[str, str]) -> int:
    plan_bytes = Path(given["loadEngine"]).read_bytes()
    if tuple(plan_bytes[24:27]) != NUMBERS[:3]:
        say(
            "IRuntime::deserializeCudaEngine: Error Code 1: The engine plan file is not compatible"
            " with this version of TensorRT",
            "E",
        )
        return 1
    plan = json.loads(plan_bytes[28:].rpartition(b"\0")[2])
    asked = shapes_of(given.get("shapes", "")) if FAULT != "shapes" else {}
    graph = (NUMBERS[0] >= 11 and "noCudaGraph" not in given) or "useCudaGraph" in given
    transfers = (
        "includeDataTransfers" in given if NUMBERS[0] >= 11 else "noDataTransfers" not in given
    )
    spin = (NUMBERS[0] >= 11 and "noSpinWait" not in given) or "useSpinWait" in given
    for name, on in (("Data transfers", transfers), ("Spin-wait", spin), ("CUDA Graph", graph)):
        say(f"{name}: {'Enabled' if on else 'Disabled'}")
    for name, known in plan["inputs"].items():
        shape = asked.get(name) or [d or 1 for d in known]
        if name not in asked and None in known:
            shown = "x".join(map(str, shape))
            say(
                f"Shape missing for input with dynamic shape: {name}Automatically setting shape to:"
                f" {shown}",
                "W",
            )
        say(
            f"Input binding for {name} with dimensions {'x'.join(map(str, shape))} and type fp32 is"
            " created."
        )
    if "TRTEXEC_DOUBLE_SLOWLY" in os.environ:
        time.sleep(0.6)  # loading the engine
    if FAULT != "no-start":
        say("Starting inference")
    if FAULT == "capture" and graph:
        say("The CUDA graph capture on the stream has failed.", "W")
    if FAULT == "ignored" and graph:
        say(
            "The specified --useCudaGraph flag has been ignored. The inference will be launched"
            " without using CUDA graph launch.",
            "W",
        )
    if "TRTEXEC_DOUBLE_SLOWLY" in os.environ:
        time.sleep(1 + float(given["duration"]))
    rows, count = [], 120
    began = (
        time.perf_counter() - 1 + (0.001 if NUMBERS < (8, 5) else 0)
    )  # the first millisecond is of the warm-up, which old versions list too
    for _ in range(count):
        start = 1e3 * (time.perf_counter() - began)
        time.sleep(0.0005)
        compute = 1.0
        copy = 0.01 if transfers else 0.0
        rows.append(
            {
                "startEnqMs": start,
                "endEnqMs": start,
                "startComputeMs": start + copy,
                "endComputeMs": start + copy + compute,
                "startH2dMs": start,
                "endH2dMs": start + copy,
                "startD2hMs": start + copy + compute,
                "endD2hMs": start + 2 * copy + compute,
                "h2dMs": copy,
                "computeMs": compute,
                "d2hMs": copy,
                "latencyMs": compute + 2 * copy,
            }
        )
    if FAULT == "no-queries":
        rows = rows[:1]
    wall = (rows[-1]["endD2hMs"] - rows[0]["startEnqMs"]) / 1e3
    Path(given["exportTimes"]).write_text(json.dumps(rows))
    summary(rows, wall)
    return 0


def summary(rows: list[dict[str, float]], wall: float) -> None:
    say(
        "* Throughput may be bound by Enqueue Time rather than GPU Compute and the GPU may be"
        " under-utilized.",
        "W",
    )
    say(
        "  If not already in use, --useCudaGraph (utilize CUDA graphs where possible) may increase"
        " the throughput.",
        "W",
    )
    say(f"Timing trace has {len(rows)} queries over {wall:g} s")
    say("=== Performance summary ===")
    say(f"Throughput: {0 if FAULT == 'zero' else len(rows) / wall:g} qps")
    for title, key in (
        ("Latency", "latencyMs"),
        ("H2D Latency", "h2dMs"),
        ("GPU Compute Time", "computeMs"),
        ("D2H Latency", "d2hMs"),
    ):
        values = [r[key] for r in rows]
        mean, middle = sum(values) / len(values), sorted(values)[len(values) // 2]
        say(
            f"{title}: min = {min(values):g} ms, max = {max(values):g} ms, mean = {mean:g} ms,"
            f" median = {middle:g} ms, percentile(99%) = {max(values):g} ms"
        )
    say(f"Total Host Walltime: {wall:g} s")
    say(f"Total GPU Compute Time: {sum(r['computeMs'] for r in rows) / 1e3:g} s")


if __name__ == "__main__":
    sys.exit(main())
