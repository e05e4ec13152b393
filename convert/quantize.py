"""Make an int8 or fp16 ONNX file from an fp32 one, checked by running both."""

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
        "Make a model of lower precision for ONNX Runtime, OpenVINO and TensorRT; int8 is"
        " calibrated on preprocessed samples. Not for atc, which takes the fp32 file and reduces"
        " the precision itself.",
        example=(
            "python convert/quantize.py model.onnx model_int8.onnx --precision int8 --info"
            " prep.info"
        ),
    )
    p.add_argument("model_file", metavar="MODEL.onnx", help="the fp32 model")
    p.add_argument("out", metavar="OUT.onnx", help="the file that is written")
    p.add_argument("--precision", choices=("int8", "fp16"), default="int8", help="default int8")
    p.add_argument(
        "--info",
        metavar="FILE",
        help=(
            "info list of real samples: int8 is calibrated on them, fp16 checked (default: on"
            " random values)"
        ),
    )
    p.add_argument(
        "--samples",
        type=positive,
        default=128,
        metavar="N",
        help="int8: how many of them, evenly spread (default 128)",
    )
    p.add_argument(
        "--method",
        choices=("minmax", "entropy", "percentile"),
        default="minmax",
        help="int8: how ranges are found (default minmax)",
    )
    p.add_values(
        "--keep-fp32",
        default=[],
        metavar="NODE|FILE",
        help=(
            "nodes that stay float32, by name or by what they compute, or a file with one a line"
            " (metrics/layers.py --repair writes one)"
        ),
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.convert.precision.kept import names_given
    from portproof.convert.precision.reduce import ReduceRequest, reduce
    from portproof.core import progress

    progress.configure(options.quiet, options.log_json)
    info = Path(options.info) if options.info else None
    reduce(
        ReduceRequest(
            Path(options.model_file),
            Path(options.out),
            options.precision,
            info,
            options.samples,
            options.method,
            names_given(options.keep_fp32),
        )
    )
    return 0


if __name__ == "__main__":
    run_stage(parser, work, apart=True)
