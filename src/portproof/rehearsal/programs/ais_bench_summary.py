"""The summary of the simulated ``ais_bench``: printed, and as a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import MARK, has_fault
from portproof.rehearsal.device.acl_tensor import MemorySummary
from portproof.rehearsal.programs.ais_bench_many import say


def report(
    options: argparse.Namespace,
    times: Sequence[float],
    batch: float,
    info: dict[str, Any],
    folder: Path | None,
) -> float:
    """Print the summary and write it beside the output folder; the throughput."""
    memory = MemorySummary()
    copies = {"H2D_latency": memory.H2D_time_list, "D2H_latency": memory.D2H_time_list}
    npu = _statistics(times)
    throughput = float(1000 * batch / npu["mean"]) if npu["mean"] else 0
    say("INFO", "-----------------Performance Summary------------------")
    shown = {
        "H2D_latency": copies["H2D_latency"],
        "NPU_compute_time": times,
        "D2H_latency": copies["D2H_latency"],
    }
    for name, values in shown.items():
        if name == "NPU_compute_time" or options.display_all_summary:
            say(
                "INFO",
                f"{name} (ms): "
                + ", ".join(f"{k} = {v}" for k, v in _statistics(values).items() if k != "count"),
            )
    if has_fault("truncated-log", options.device[0]):
        return throughput
    say(
        "INFO",
        f"throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean({npu['mean']}):"
        f" {throughput}",
    )
    say("INFO", "------------------------------------------------------")
    if folder is None:
        return throughput
    args = [f"{MARK}/ais_bench/__main__.py", *sys.argv[1:]]
    summary = {
        "filesinfo": info,
        "args": args,
        "NPU_compute_time": npu,
        **{k: _statistics(v) for k, v in copies.items()},
        "throughput": throughput,
        "npu_compute_time_list": times,
        "pid": os.getpid(),
    }
    Path(f"{folder}_summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return throughput


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {
            "min": 0.0,
            "max": 0.0,
            "mean": 0.0,
            "median": 0.0,
            "percentile(99%)": 0.0,
            "count": 0,
        }
    found = {
        "min": min(values),
        "max": max(values),
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
    }
    return {**found, "percentile(99%)": float(np.percentile(values, 99)), "count": len(values)}
