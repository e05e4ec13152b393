"""Explain a drop of accuracy: find the usual mistake that gives the port's outputs."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, not_negative, positive, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Explain a drop of accuracy: look for results of other samples or runs, for labels and"
        " classes in another order, run the reference with every usual mistake of preprocessing,"
        " and say which explanation fits the port's outputs best, how to mend it, and what the"
        " accuracy would be then. Exit code 1 when something is wrong, 0 when nothing is, 4 when"
        " there are too few samples to say.",
        example=(
            "python metrics/diagnose.py --model regnety_016 --reference model.onnx --images val"
            " --labels val_label.txt --result 310p/bs1/result"
        ),
    )
    p.add_argument(
        "--model",
        required=True,
        metavar="CARD",
        help="the model card: its recipe is what should have been done",
    )
    p.add_argument(
        "--reference",
        required=True,
        metavar="FILE",
        help="the model that is right: an ONNX file, or weights",
    )
    p.add_argument("--images", required=True, metavar="DIR", help="the images of the data set")
    p.add_argument(
        "--labels",
        required=True,
        metavar="FILE",
        help="label file: '<file name> <class>' lines, the class counted from 0",
    )
    p.add_argument("--result", required=True, metavar="DIR", help="the port's result folder")
    p.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="how many images to run the reference on (default: all up to 1000, else 1000 in runs"
        " over the whole data set); results are read whole",
    )
    p.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the port's .bin results (default: float32)",
    )
    p.add_argument(
        "--output",
        type=not_negative,
        metavar="K",
        help="output number, as in the file names (default: the only one)",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.metrics.accuracy.score import Reading
    from portproof.metrics.diagnosis.explain import diagnose
    from portproof.metrics.evaluation.task_choice import is_classification

    progress.configure(options.quiet, options.log_json)
    if not is_classification(None, options.model):
        return of_task(options)
    reading = Reading(dtype=options.dtype, output=options.output)
    diagnosis = diagnose(
        options.model,
        options.reference,
        options.images,
        options.labels,
        options.result,
        limit=options.limit,
        reading=reading,
    )
    print(diagnosis.to_json() if options.json else diagnosis.to_text())
    return diagnosis.verdict.exit_code


def of_task(options: argparse.Namespace) -> int:
    """The same for a card with a task of its own."""
    from portproof.metrics.diagnosis.tasks.explain import diagnose_task

    diagnosis = diagnose_task(
        options.model,
        options.reference,
        options.images,
        options.labels,
        options.result,
        limit=options.limit,
        dtype=options.dtype,
    )
    print(diagnosis.to_json() if options.json else diagnosis.to_text())
    return diagnosis.verdict.exit_code


if __name__ == "__main__":
    run_stage(parser, work)
