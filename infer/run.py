"""Run a model over samples and write its results: one file a sample and output, or packed."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage
from portproof.infer.runtimes.load_options import (
    VENDOR_TOOLS,
    add_backend_options,
    add_npu_options,
    backend_options,
)

if TYPE_CHECKING:
    from portproof.infer.offline.looped import Loop


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Run a model over samples and write RESULT_DIR/<id>_<k>.bin, one file a sample and output,"
        " k from 1; with --format pack, one file an output. The rate it prints is end to end (file"
        " to result) and never comparable with a bench.",
        example=(
            "python infer/run.py model.onnx --info prep.info --out result --backend ort --batch 16"
        ),
    )
    p.add_argument(
        "model_file", metavar="MODEL_FILE", help=".onnx, .om, .plan, or .pth (then with --model)"
    )
    _add_samples(p)
    _add_results(p)
    p.add_argument(
        "--backend",
        metavar="NAME",
        help="what executes the model (default: by the model file's suffix)",
    )
    p.add_argument(
        "--batch", type=positive, default=1, metavar="N", help="samples a call (default 1)"
    )
    p.add_card_option()
    p.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="threads that preprocess --images (default: one a processor)",
    )
    p.add_argument(
        "--loop",
        metavar="FILE.py:NAME",
        help="a function loop(run, feeds) that calls the model as often as it likes",
    )
    p.add_values(
        "--loop-makes", metavar="INPUT", help="inputs that the loop makes and returns: the results"
    )
    add_backend_options(p)
    add_npu_options(
        p, f"who executes .om models: om (this process, default), {', '.join(VENDOR_TOOLS)}"
    )
    p.add_progress_options()
    return p


def _add_samples(p: Parser) -> None:
    """Add the two ways of giving samples."""
    samples = p.add_mutually_exclusive_group(required=True)
    samples.add_argument(
        "--info",
        metavar="FILE",
        help="info list (its paths are relative to the working directory), or a packed folder",
    )
    samples.add_argument(
        "--images",
        metavar="DIR",
        help="images, preprocessed on the way by the card's recipe; no sample file is written",
    )


def _add_results(p: Parser) -> None:
    """Add where results go, and in which form."""
    p.add_argument(
        "--out",
        required=True,
        metavar="RESULT_DIR",
        help="result folder: of one model only, without other files",
    )
    p.add_argument(
        "--format",
        choices=("bin", "txt", "npy", "pack"),
        default="bin",
        help="raw little-endian (default), text, or NumPy; or pack: output<k>.npy of all samples,"
        " and ids.txt",
    )
    p.add_argument(
        "--perf-file",
        metavar="FILE",
        help="write the end-to-end rate there too, in the benchmark tool's form",
    )


def work(options: argparse.Namespace) -> int:
    """Do the work, alone in the result folder; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.proof.lock import locked_artefact

    progress.configure(options.quiet, options.log_json)
    with locked_artefact(Path(options.out), "--out"):
        _run(options)
    return 0


def _run(options: argparse.Namespace) -> None:
    """Run by several devices, by a vendor's tool, or in this process."""
    loop = _loop(options)
    if options.devices:
        from portproof.infer.offline.shards import run_on_devices

        run_on_devices(options)
        return
    if options.runner not in (None, "om"):
        from portproof.infer.offline.by_tool import run_by_tool

        run_by_tool(options)
        return
    from portproof.infer.offline.inference import run

    run(
        options.model_file,
        options.info,
        options.out,
        images=options.images,
        backend=options.backend,
        batch=options.batch,
        card=options.model,
        form=options.format,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        options=backend_options(options),
        workers=options.workers,
        perf_file=options.perf_file,
        loop=loop,
    )


def _loop(options: argparse.Namespace) -> Loop | None:
    """The loop that was asked for; it calls the model in this process, on one device."""
    from portproof.core.errors import InputError
    from portproof.infer.offline.looped import Loop

    if bool(options.loop) != bool(options.loop_makes):
        raise InputError("--loop and --loop-makes go together: give both, or neither")
    if not options.loop:
        return None
    if options.devices or options.runner not in (None, "om"):
        raise InputError(
            "--loop calls the model in this process, on one device: leave --devices and --runner"
            " out"
        )
    return Loop(options.loop, tuple(options.loop_makes))


if __name__ == "__main__":
    run_stage(parser, work)
