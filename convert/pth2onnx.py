"""Export trained PyTorch weights to ONNX, checked number by number."""

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
        "Export trained PyTorch weights to ONNX: the file is checked, simplified, and compared with"
        " PyTorch number by number.",
        example=(
            "python convert/pth2onnx.py regnety_016-54367f74.pth regnety_016.onnx --model"
            " regnety_016"
        ),
    )
    p.add_argument(
        "weights",
        metavar="WEIGHTS.pth",
        help="the trained weights (a state dict, or a checkpoint that holds one)",
    )
    p.add_argument(
        "out",
        metavar="OUT.onnx",
        help="the ONNX file to write; OUT.onnx.proof.json is written beside it",
    )
    p.add_card_option(required=True)
    p.add_argument(
        "--opset",
        type=positive,
        default=11,
        help="the ONNX opset (default 11, which every ATC takes)",
    )
    p.add_argument(
        "--batch",
        type=_batch,
        default=None,
        metavar="dynamic|N",
        help="a fixed batch, or 'dynamic' (the default)",
    )
    p.add_argument(
        "--no-simplify",
        action="store_true",
        help="keep the graph as PyTorch exports it; the default folds constants with onnxslim",
    )
    p.add_argument(
        "--fold-normalize",
        action="store_true",
        help="put scale, mean and std into the model, whose input is then raw uint8 pixels",
    )
    p.add_argument(
        "--allow-changed-weights",
        action="store_true",
        help="take weights that loading changes (resampled, filled, cut, of another type)",
    )
    p.add_progress_options()
    return p


def _batch(text: str) -> int | None:
    return None if text == "dynamic" else positive(text)


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.convert.export.export import export
    from portproof.core import progress

    progress.configure(options.quiet, options.log_json)
    export(
        options.weights,
        options.out,
        options.model,
        opset=options.opset,
        batch=options.batch,
        simplify=not options.no_simplify,
        fold_normalize=options.fold_normalize,
        allow_changed_weights=options.allow_changed_weights,
    )
    return 0


if __name__ == "__main__":
    run_stage(parser, work, apart=True)
