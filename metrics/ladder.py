"""Run the same samples through every form of a model and name the form that loses accuracy."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "The ladder of loss: PyTorch, ONNX, simplified, fp16 or int8, engine, with AIPP, with"
        " post-processing. Each rung is compared with the one before and with the first: classes"
        " that flip, accuracy lost, and whether rounding explains it. Exit code 1 names a rung at"
        " fault, 0 says that none is.",
        example=(
            "python metrics/ladder.py resnet50 --weights resnet50.pth --info prep.info --labels"
            " val_label.txt --precision int8 engine=resnet50_bs1.om"
        ),
    )
    p.add_argument("card", metavar="CARD|RUN_DIR", help="a model card, or a finished port's folder")
    p.add_argument(
        "rungs",
        nargs="*",
        metavar="LABEL=SOURCE",
        help=(
            "a rung of one's own, or instead of a usual one (torch, onnx, simplified, fp16, int8,"
            " engine, aipp, post): a model file, a folder of results, or FILE.py:FUNCTION on the"
            " numbers of the rung before; ',int8' behind it says what it computes in"
        ),
    )
    p.add_argument(
        "--weights", metavar="FILE", help="weights of the card: makes the usual rungs from them"
    )
    p.add_argument("--info", metavar="FILE", help="info list of the samples")
    p.add_argument(
        "--info-of",
        action="append",
        default=[],
        metavar="LABEL=FILE",
        help="another list for one rung: with AIPP it takes uint8 pixels; may be repeated",
    )
    p.add_argument("--labels", metavar="FILE", help="label file; without it flips are counted only")
    p.add_argument(
        "--precision", choices=("fp16", "int8"), help="make the rung of this precision too"
    )
    p.add_argument(
        "--rehearse", action="store_true", help="make the engine with the simulated atc (REHEARSAL)"
    )
    p.add_argument("--aipp", metavar="FILE", help="AIPP configuration of one more simulated engine")
    p.add_argument(
        "--out",
        default="ladder",
        metavar="DIR",
        help="where files, results and ladder.json are kept (default: ladder)",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.metrics.rungs.ladder_report import LadderRequest, ladder

    progress.configure(options.quiet, options.log_json)
    found = ladder(
        LadderRequest(
            card=options.card,
            rungs=tuple(options.rungs),
            weights=options.weights,
            info=options.info,
            infos=tuple(options.info_of),
            labels=options.labels,
            out=options.out,
            precision=options.precision,
            rehearse=options.rehearse,
            aipp=options.aipp,
        )
    )
    print(found.to_json() if options.json else found.to_text())
    return 1 if found.faults else 0


if __name__ == "__main__":
    run_stage(parser, work)
