"""Measure models on this host's NVIDIA GPU: PyTorch eager in fp32 (TF32 off) and fp16,
torch.compile in fp16, ONNX Runtime on CUDA if installed.

All sides of a model and batch are timed in turn, block by block, in processes of their own; weights
are random. A part is one model at one batch; a sitting does parts until 8 minutes are nearly over
and leaves with code 75 when there are more, so ``benchmarks/gpu.sh`` calls it again. Measurements
and the table (the form of Poros' benchmark) are in ``benchmarks/results/gpu/<device>/``.

Examples: ``bash benchmarks/gpu.sh``, ``python benchmarks/gpu.py --check`` (CUDA events and profiler
against the bench), ``python benchmarks/gpu.py --profile resnet50 --batch 32`` (time by operator).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from gpu_clocks import CHECKED, check, profile
from gpu_parts import BATCHES, MODELS, Part, parts, random_weights, sit, table

from portproof.core.arguments import Parser, positive
from portproof.core.errors import EXIT_DONE, InputError, ToolError, exit_with
from portproof.core.files import write_text

ORT = "ort fp32"


def run_part(part: Part, seconds: float) -> str | None:
    """A part in a process of its own, which a hang cannot outlive."""
    print(f"{part.model}, batch {part.batch}", flush=True)
    command = [
        sys.executable,
        __file__,
        "--models",
        part.model,
        "--batch",
        str(part.batch),
        "--out",
        str(part.folder),
        "--part",
    ]
    try:
        done = subprocess.run(
            command, timeout=max(1.0, seconds), stderr=subprocess.PIPE, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return "time"
    if done.returncode in (EXIT_DONE, 4) and part.file.is_file():
        return None
    print(done.stderr, file=sys.stderr)
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def measure(part: Part) -> None:
    """Bench one part; without ONNX Runtime, and with a warning, if its build has CUDA and cannot
    use it.
    """
    from portproof.infer.timing.job import bench
    from portproof.infer.timing.protocol import Plan

    sides, plan = subjects(part), Plan(blocks=10, block_s=0.3)
    try:
        bench(sides, [part.batch], card=MODELS[part.model], plan=plan, out=part.file)
    except ToolError as error:
        if not str(error).startswith(f"{ORT}: "):
            raise
        print(f"measured without ONNX Runtime ({error})", flush=True)
        bench(
            [s for s in sides if s.label != ORT],
            [part.batch],
            card=MODELS[part.model],
            plan=plan,
            out=part.file,
        )


def subjects(part: Part) -> list[Any]:
    """The sides: PyTorch's three, and ONNX Runtime where its build has CUDA."""
    from portproof.infer.timing.subject import Subject

    weights = random_weights(part)
    sides = [
        Subject("eager fp32", "eager", str(weights), "cuda:0", "fp32"),
        Subject("eager fp16", "eager", str(weights), "cuda:0", "fp16"),
        Subject("inductor fp16", "inductor", str(weights), "cuda:0", "fp16"),
    ]
    try:
        import onnxruntime
    except ImportError:
        return sides
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return sides
    from portproof.convert.export.export import export

    model = weights.with_suffix(".onnx")
    export(
        weights,
        model,
        MODELS[part.model],
        opset=17,
        simplify=importlib.util.find_spec("onnxslim") is not None,
    )
    return [*sides, Subject(ORT, "ort", str(model), "cuda:0", options={"provider": "cuda"})]


def device_name() -> str:
    """The GPU; :class:`InputError` where PyTorch has none. Asked in a process of its own: one that
    has a GPU open beside those that are timed would be counted as somebody else.
    """
    code = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(
            "this benchmark needs PyTorch for CUDA, and torch cannot be imported:"
            f" {(done.stderr.strip().splitlines() or ['?'])[-1]}"
        )
    name = (done.stdout.strip().splitlines() or [""])[-1]
    if not name:
        raise InputError(
            "this benchmark needs an NVIDIA GPU, and PyTorch sees none here; nothing is measured on"
            " another device"
        )
    return name


def host_facts() -> dict[str, str]:
    """Versions of what decides the figures."""
    import torch

    found = {
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),
        "Python": sys.version.split()[0],
        "PyTorch": torch.__version__,
    }
    return {name: str(value) for name, value in found.items()}


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Measure models on this host's GPU.",
        example="bash benchmarks/gpu.sh --models resnet50,vgg16 --batch 1,8,32",
    )
    p.add_values(
        "--models",
        default=list(MODELS),
        metavar="NAME",
        help=f"of {', '.join(MODELS)} (default: all)",
    )
    p.add_values(
        "--batch",
        type=positive,
        default=list(BATCHES),
        metavar="N",
        help="batch sizes (default 1 to 64)",
    )
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="results (default: benchmarks/results/gpu/<device>)"
    )
    work = p.add_mutually_exclusive_group()
    work.add_argument(
        "--check",
        action="store_true",
        help=f"compare {', '.join(CHECKED)} with CUDA events and the profiler, after measuring",
    )
    work.add_argument(
        "--profile", metavar="MODEL", help="GPU time by operator of one model, at the first --batch"
    )
    work.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    return p


def main() -> int:
    """Run what the command line asks for."""
    options = parser().parse_args()
    unknown = sorted(
        {*options.models, *([options.profile] if options.profile else [])} - set(MODELS)
    )
    if unknown:
        raise InputError(f"there is no model '{unknown[0]}'; there are {', '.join(MODELS)}")
    if options.part:
        measure(Part(options.models[0], options.batch[0], options.out))
        return EXIT_DONE
    gpu = device_name()
    folder = (
        options.out or ROOT / "benchmarks/results/gpu" / gpu.replace(" ", "_").replace(os.sep, "_")
    ).absolute()
    if options.profile:
        return profile(Part(options.profile, options.batch[0], folder))
    if options.check:
        return check([m for m in CHECKED if m in options.models], folder)
    code = sit(parts(options.models, options.batch, folder), run_part)
    write_text(
        folder / "README.md", table(options.models, options.batch, folder, gpu, host_facts())
    )
    print(f"the table is {folder / 'README.md'}")
    return code


if __name__ == "__main__":
    exit_with(main)
