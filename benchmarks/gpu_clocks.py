"""Other clocks beside the bench, on the GPU: CUDA events of its own, and the profiler's time in
kernels.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpu_parts import MODELS, Part, parts, random_weights

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, InputError, ToolError
from portproof.core.files import write_text
from portproof.measurement import read_performance

CHECKED = ("resnet50", "vgg16", "vit_base_patch16_224")
#: CUDA events and the bench agree within this, at these batches.
AGREEMENT, CHECK_BATCHES, REPEATS = 0.02, (32, 64), 30


def prepared(part: Part, precision: str) -> tuple[Any, Callable[[], Any]]:
    """torch, and a forward pass of the model on the GPU with inputs that are there already."""
    import torch

    from portproof.backend import LoadRequest
    from portproof.infer.runtimes.torch_session import load_module

    request = LoadRequest(
        batch=part.batch, device="cuda:0", precision=precision, card=MODELS[part.model]
    )
    module, card, device, _ = load_module(random_weights(part), request)
    dtype = next(module.parameters()).dtype
    inputs = []
    for spec in card.inputs:
        shape = (part.batch, *spec.shape)
        floating = spec.dtype.startswith("float")
        inputs.append(
            torch.randn(shape, device=device, dtype=dtype)
            if floating
            else torch.randint(0, 2, shape, device=device)
        )

    def forward() -> Any:
        with torch.inference_mode():
            return module(*inputs)

    for _ in range(REPEATS):
        forward()
    torch.cuda.synchronize()
    return torch, forward


def check(models: Sequence[str], folder: Path) -> int:
    """Compare the bench with two other clocks: CUDA events around passes whose inputs are there
    already, and the profiler's time in kernels.
    """
    rows = [
        (
            "| Model | Batch size | bench, device (ms) | CUDA events (ms) | difference | kernels,"
            " profiler (ms) | verdict |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    right = True
    for part in parts(models, CHECK_BATCHES, folder):
        if not part.file.is_file():
            raise InputError(
                f"'{part.file}' is not measured yet: run benchmarks/gpu.sh first (--models"
                f" {part.model} --batch {part.batch})"
            )
        measured = next(
            m
            for m in read_performance(part.file).measurements
            if (m.label, m.boundary) == ("eager fp16", "device")
        )
        bench_ms = 1e3 * (measured.median_s or 0.0)
        torch, forward = prepared(part, "fp16")
        events_ms, kernels_ms = (
            _events_ms(torch, forward),
            sum(time_ms for _, _, time_ms in _operators(torch, forward)),
        )
        gap = events_ms / bench_ms - 1
        holds = abs(gap) <= AGREEMENT and kernels_ms < min(events_ms, bench_ms)
        right &= holds
        rows.append(
            f"| {part.model} | {part.batch} | {bench_ms:.3f} | {events_ms:.3f} | {gap:+.1%} |"
            f" {kernels_ms:.3f} | {'ok' if holds else 'NOT'} |"
        )
    write_text(folder / "check.md", "\n".join(rows) + "\n")
    print("\n".join(rows))
    return EXIT_DONE if right else EXIT_FAIL


def profile(part: Part) -> int:
    """Time by operator of one model, eager fp16, as a table."""
    torch, forward = prepared(part, "fp16")
    found = _operators(torch, forward)
    total = sum(time_ms for _, _, time_ms in found)
    if not total:
        raise ToolError(
            "the profiler saw no kernel; check that CUPTI is installed and that profiling is"
            " allowed"
        )
    rows = [
        f"# {part.model}, batch {part.batch}, eager fp16",
        "",
        "| Operator | Calls a pass | GPU time (ms) | share |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {name} | {calls:g} | {time_ms:.3f} | {time_ms / total:.1%} |"
        for name, calls, time_ms in found
        if time_ms > 0
    ]
    text = "\n".join([*rows, f"| all | | {total:.3f} | |"]) + "\n"
    write_text(part.folder / f"profile_{part.model}_bs{part.batch}.md", text)
    print(text)
    return EXIT_DONE


def _events_ms(torch: Any, forward: Callable[[], Any]) -> float:
    """Median time of a pass, each between two CUDA events on an idle GPU, as a call of the bench
    meets it: passes in a row would hide the launches.
    """
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        forward()
        end.record()
        torch.cuda.synchronize()
        times.append(float(start.elapsed_time(end)))
    return statistics.median(times)


def _operators(torch: Any, forward: Callable[[], Any]) -> list[tuple[str, float, float]]:
    """Operator, calls a pass, and ms a pass in its own kernels, the longest first."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(REPEATS):
            forward()
        torch.cuda.synchronize()
    found = [
        (e.key, e.count / REPEATS, e.self_device_time_total / 1e3 / REPEATS)
        for e in profiler.key_averages()
        if e.device_type == torch.autograd.DeviceType.CPU
    ]
    return sorted(found, key=lambda row: -row[2])
