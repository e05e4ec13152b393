"""Compare two ONNX files layer by layer and say where the error grows first."""

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
        "Compare two ONNX files layer by layer on real samples, by ONNX Runtime on the CPU, and say"
        " where the error grows first.",
        example="python metrics/layers.py model.onnx model_fp16.onnx --info prep.info",
    )
    p.add_argument("a", metavar="A.onnx", help="the model that is right")
    p.add_argument("b", metavar="B.onnx", help="the model that is asked about")
    p.add_argument("--info", required=True, metavar="FILE", help="info list of samples")
    p.add_argument(
        "--limit",
        type=positive,
        default=4,
        metavar="N",
        help="how many samples to run (default: 4)",
    )
    p.add_argument(
        "--tolerance",
        type=float,
        default=1e-2,
        metavar="E",
        help="relative error below which no layer is named (default: 0.01)",
    )
    p.add_argument(
        "--model",
        metavar="CARD",
        help="model card; needed when an input has a dynamic size beside the batch",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.metrics.layerwise.compare import compare_layers

    progress.configure(options.quiet, options.log_json)
    report = compare_layers(
        options.a,
        options.b,
        options.info,
        limit=options.limit,
        tolerance=options.tolerance,
        card=options.model,
    )
    print(report.to_json() if options.json else report.to_text())
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
