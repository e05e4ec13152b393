"""Compute the figures of a task other than classification: mAP, mIoU, WER and so on."""

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
        "Compute the figures of a task (COCO AP, mIoU, WER ...) of a result folder or of ready"
        " predictions. A missing or foreign sample is an error.",
        example=(
            "python metrics/evaluate.py detections.json instances_val.json --task detection --out"
            " result.json --outcomes outcomes.npz"
        ),
    )
    p.add_argument(
        "result",
        metavar="RESULT",
        help="result folder, ready predictions (COCO results, transcripts ...), or outcomes (.npz)",
    )
    p.add_argument("truth", metavar="TRUTH", help="ground truth: a file or a folder")
    p.add_card_option()
    p.add_argument("--task", metavar="NAME", help="the task, in the place of a card's")
    p.add_argument(
        "--postprocess",
        metavar="FILE",
        help="how results become predictions: a YAML file, its name, or FILE.py:decode",
    )
    p.add_argument("--metric", metavar="NAME", help="the figure to rank samples by")
    p.add_argument("--out", metavar="FILE", help="write result.json here")
    p.add_argument("--outcomes", metavar="FILE", help="write what every sample adds here, as .npz")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument(
        "--allow-missing",
        action="store_true",
        help="leave out samples without a prediction, and say how many",
    )
    p.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of .bin results (default: float32)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.metrics.evaluation.evaluate import evaluate
    from portproof.metrics.evaluation.task_choice import chosen

    progress.configure(options.quiet, options.log_json)
    choice = chosen(options.task, options.model, options.metric, options.postprocess, options.dtype)
    evaluation = evaluate(
        options.result,
        options.truth,
        choice.task,
        metric=choice.metric,
        decoding=choice.decoding,
        allow_missing=options.allow_missing,
        out=options.out,
        outcomes=options.outcomes,
    )
    print(evaluation.to_json().decode().rstrip() if options.json else evaluation.to_text())
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
