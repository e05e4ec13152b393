"""Convert an ONNX model to TensorRT engines, with trtexec or TensorRT's Python API."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Build TensorRT engines on the GPU that will run them: one a batch size,"
        " OUT_DIR/<model>_bs<N>.plan, or one with a range of shapes.",
        example="python convert/onnx2trt.py model.onnx engines --batch 1,4,8,16 --precision fp16",
    )
    p.add_argument(
        "model_file",
        metavar="MODEL.onnx",
        help="the model; int8, and from TensorRT 11 fp16, are a matter of the file (quantize.py)",
    )
    p.add_argument(
        "out",
        metavar="OUT_DIR",
        help="where the engines are written; may hold {batch}, as in t4/bs{batch}",
    )
    p.add_values("--batch", type=positive, default=[], metavar="N", help="batch sizes (default 1)")
    p.add_argument(
        "--shapes",
        nargs="+",
        default=[],
        metavar="NAME:MIN,OPT,MAX",
        help=(
            "one engine for a range of shapes instead, as in"
            " image:1x3x224x224,8x3x224x224,32x3x224x224"
        ),
    )
    p.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="precision of the arithmetic (default fp32, TF32 off)",
    )
    p.add_argument(
        "--calib",
        metavar="CACHE",
        help=(
            "int8 by TensorRT 8 or 10 with the ranges of its own calibration cache (default: those"
            " of the file)"
        ),
    )
    p.add_argument(
        "--via",
        choices=("trtexec", "python"),
        default="trtexec",
        help="who builds (default trtexec)",
    )
    p.add_argument(
        "--timeout",
        type=float,
        default=7200.0,
        metavar="S",
        help="seconds that one build by trtexec may take (default 7200)",
    )
    p.add_argument(
        "--dry-run", action="store_true", help="print the exact commands and build nothing"
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.convert.nvidia.engines import EngineRequest, convert
    from portproof.core import progress
    from portproof.core.errors import InputError

    progress.configure(options.quiet, options.log_json)
    if options.batch and options.shapes:
        raise InputError(
            "--batch makes one engine a size and --shapes one for a range: give one of them"
        )
    batches = tuple(dict.fromkeys(options.batch or [1]))
    calibration = Path(options.calib) if options.calib else None
    request = EngineRequest(
        Path(options.model_file),
        options.out,
        batches,
        options.precision,
        options.via,
        tuple(options.shapes),
        calibration=calibration,
    )
    convert(request, timeout_s=options.timeout, dry_run=options.dry_run)
    return 0


if __name__ == "__main__":
    run_stage(parser, work, apart=True)
