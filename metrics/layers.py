"""Compare two models layer by layer, say where the error begins, and what keeps it out."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage

_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Compare two models layer by layer on real samples, and name the first layer whose inputs"
        " agree and whose result does not. Either side is an ONNX file (run by ONNX Runtime on the"
        " CPU, float16 rounded as a device rounds it), PyTorch weights with --model, or layer"
        " dumps: a folder of msprobe's, of an Ascend device's (acl.json), or what Polygraphy saved"
        " with --save-outputs.",
        example="python metrics/layers.py model.onnx model_fp16.onnx --info prep.info",
    )
    p.add_argument("a", metavar="A", help="the model that is right")
    p.add_argument("b", metavar="B", help="the model that is asked about")
    p.add_argument(
        "--info",
        metavar="FILE",
        help="info list of samples (may be left out where a dump holds its inputs)",
    )
    p.add_argument(
        "--limit",
        type=positive,
        default=4,
        metavar="N",
        help="how many samples to run (default: 4)",
    )
    _add_arithmetic(p)
    p.add_card_option(
        note="; for PyTorch weights, and when an input has a dynamic size beside the batch"
    )
    p.add_argument(
        "--om-json",
        metavar="FILE",
        help="the compiled model of an Ascend dump (atc --mode=1 --om=MODEL.om --json=FILE)",
    )
    p.add_argument(
        "--repair",
        metavar="DIR",
        help=(
            "write there what atc, TensorRT and quantize.py take to keep the lossy layers in fp32;"
            " where A is an ONNX file, make B's precision again so, and compare again"
        ),
    )
    p.add_argument(
        "--bundle",
        metavar="FILE.zip",
        help="pack the first faulty part of B with inputs, right results and a check that fails",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_progress_options()
    return p


def _add_arithmetic(p: Parser) -> None:
    p.add_argument(
        "--tolerance",
        type=float,
        metavar="E",
        help="relative error below which no layer is named (default: what rounding explains)",
    )
    p.add_argument(
        "--precision",
        choices=_PRECISIONS,
        help="what B may compute in, which says what rounding explains (default: B's own)",
    )
    p.add_argument(
        "--emulate",
        choices=("fp16", "bf16"),
        help="round every result of the ONNX file B to this, as a device that computes in it",
    )


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.metrics.repair.request import LayersRequest, compare_and_repair

    progress.configure(options.quiet, options.log_json)
    answer = compare_and_repair(
        LayersRequest(
            options.a,
            options.b,
            options.info,
            limit=options.limit,
            tolerance=options.tolerance,
            card=options.model,
            precision=options.precision,
            emulate=options.emulate,
            repair=options.repair,
            bundle=options.bundle,
            om_json=options.om_json,
        )
    )
    print(answer.to_json() if options.json else answer.to_text())
    return 1 if answer.repair and answer.repair.gone is False else 0


if __name__ == "__main__":
    run_stage(parser, work)
