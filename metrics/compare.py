"""Compare a port's results with its reference's, sample by sample, and give a verdict.

Exit code 0 is PASS, 1 FAIL, 4 UNDECIDED.
"""

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
        "Compare a port's results with its reference's, sample by sample: PASS (exit code 0) when"
        " the loss of Top-1 accuracy is proved to be under the margin, FAIL (1) when it is surely"
        " over, else UNDECIDED (4). With --outputs the same without labels, for any model.",
        example=(
            "python metrics/compare.py eager/bs1/result 310p/bs1/result val_label.txt"
            " --margin-pp 1.0"
        ),
    )
    p.add_argument(
        "reference",
        metavar="REFERENCE_RESULT",
        help="result folder, or table of outcomes (.csv), of the reference",
    )
    p.add_argument("port", metavar="PORT_RESULT", help="the same of the port")
    p.add_argument(
        "labels",
        nargs="?",
        metavar="LABELS.txt",
        help=(
            "label file: '<file name> <class>' lines, the class counted from 0; the truth of"
            " another task"
        ),
    )
    p.add_argument(
        "--margin-pp",
        type=float,
        metavar="M",
        help="the loss allowed, in percentage points (default: 1.0)",
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--out", metavar="FILE", help="write the JSON here too")
    p.add_argument(
        "--allow-missing",
        action="store_true",
        help="leave out samples that a side lacks, and say how many",
    )
    p.add_argument(
        "--classes", type=positive, metavar="N", help="refuse results that do not hold N classes"
    )
    for side in ("reference", "port"):
        p.add_argument(
            f"--{side}-dtype",
            choices=("float32", "float16"),
            default="float32",
            help="of .bin results (default: float32)",
        )
        p.add_argument(
            f"--{side}-output",
            type=not_negative,
            metavar="K",
            help="output number, as in the file names (default: the only one)",
        )
    _add_task_options(p)
    _add_output_options(p)
    p.add_progress_options()
    return p


def _add_task_options(parser: Parser) -> None:
    p = parser.add_argument_group("of a task other than classification")
    p.add_argument("--task", metavar="NAME", help="detection, semantic_segmentation and so on")
    p.add_argument("--model", metavar="CARD", help="a model card that names the task")
    p.add_argument(
        "--postprocess",
        metavar="FILE",
        help="how results become predictions: a YAML file, its name, or FILE.py:decode",
    )
    p.add_argument("--metric", metavar="NAME", help="the figure to judge (default: the task's)")
    p.add_argument(
        "--margin",
        type=float,
        metavar="M",
        help="the loss allowed, in the unit of a figure that is no share (dB)",
    )


def _add_output_options(parser: Parser) -> None:
    p = parser.add_argument_group("without labels")
    p.add_argument(
        "--outputs",
        action="store_true",
        help=(
            "without labels, for any model: compare the outputs themselves, with what the reference"
            " loses when it is rounded to the port's precision as the tolerance"
        ),
    )
    p.add_argument("--model-file", metavar="MODEL.onnx", help="the reference's ONNX file")
    p.add_argument("--info", metavar="FILE", help="the info list of the samples")
    p.add_argument(
        "--precision",
        choices=("fp32", "fp16", "bf16", "int8"),
        default="fp16",
        help="the port's (default: fp16)",
    )
    p.add_argument(
        "--limit",
        type=positive,
        default=64,
        metavar="N",
        help="samples that the reference is run on (default: 64)",
    )


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import InputError

    progress.configure(options.quiet, options.log_json)
    way = _way(options)
    _refuse_other_options(options, way)
    if way == "outputs":
        return _by_outputs(options)
    if way == "task":
        return _by_task(options)
    if options.labels is None:
        raise InputError(
            "a label file was expected after the two results; without labels compare the outputs"
            " themselves with --outputs"
        )
    return _by_labels(options)


def _way(options: argparse.Namespace) -> str:
    """By ``labels`` (classification), by ``outputs``, or by the metric of a ``task``."""
    if options.outputs:
        return "outputs"
    if options.task is None and options.model is None:
        return "labels"
    from portproof.metrics.evaluation.task_choice import is_classification

    return "labels" if is_classification(options.task, options.model) else "task"


#: Options that have a meaning for only some ways.
_OF_WAYS = {
    "margin_pp": ("labels", "task"),
    "allow_missing": ("labels", "task"),
    "classes": ("labels",),
    "reference_output": ("labels",),
    "port_output": ("labels",),
    "task": ("labels", "task"),
    "model": ("labels", "task"),
    "postprocess": ("task",),
    "metric": ("task",),
    "margin": ("task",),
    "model_file": ("outputs",),
    "info": ("outputs",),
    "precision": ("outputs",),
    "limit": ("outputs",),
}


def _refuse_other_options(options: argparse.Namespace, way: str) -> None:
    """Refuse options that have no meaning for the way that was asked for."""
    from portproof.core.errors import InputError

    usual = parser().parse_args(["reference", "port"])
    given = [
        name
        for name, ways in _OF_WAYS.items()
        if way not in ways and getattr(options, name) != getattr(usual, name)
    ]
    if given:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        words = {"outputs": "with --outputs", "labels": "without --outputs", "task": "with a task"}
        raise InputError(f"{names} has no meaning {words[way]}: leave it out")


def _by_outputs(options: argparse.Namespace) -> int:
    from pathlib import Path

    from portproof.core.errors import InputError
    from portproof.metrics.outputs.compare import Ruler, compare_outputs

    if options.labels is not None:
        raise InputError("--outputs compares without labels: leave the label file out")
    if options.model_file is None or options.info is None:
        raise InputError(
            "--outputs measures its tolerance on the reference: give its ONNX file with"
            " --model-file and the samples with --info"
        )
    ruler = Ruler(Path(options.model_file), Path(options.info), options.precision, options.limit)
    comparison = compare_outputs(
        options.reference,
        options.port,
        ruler,
        reference_dtype=options.reference_dtype,
        port_dtype=options.port_dtype,
        out=options.out,
    )
    print(comparison.to_json().decode().rstrip() if options.json else comparison.to_text())
    return comparison.verdict.exit_code


def _by_task(options: argparse.Namespace) -> int:
    from portproof.core.errors import InputError
    from portproof.metrics.evaluation.task_choice import chosen
    from portproof.metrics.paired.by_task import Margin, compare_by_task

    if options.labels is None:
        raise InputError("the ground truth of the task was expected after the two results")
    sides = [
        chosen(options.task, options.model, options.metric, options.postprocess, dtype)
        for dtype in (options.reference_dtype, options.port_dtype)
    ]
    comparison = compare_by_task(
        options.reference,
        options.port,
        options.labels,
        sides[0].task,
        metric=sides[0].metric,
        margin=Margin(options.margin_pp, options.margin, sides[0].margin),
        decoding=sides[0].decoding,
        port_decoding=sides[1].decoding,
        allow_missing=options.allow_missing,
        out=options.out,
    )
    print(comparison.to_json().decode().rstrip() if options.json else comparison.to_text())
    return comparison.verdict.exit_code


def _by_labels(options: argparse.Namespace) -> int:
    from portproof.metrics.accuracy.score import Reading
    from portproof.metrics.paired.compare import compare

    comparison = compare(
        options.reference,
        options.port,
        options.labels,
        1.0 if options.margin_pp is None else options.margin_pp,
        reference_reading=Reading(
            options.reference_dtype, options.classes, options.reference_output
        ),
        port_reading=Reading(options.port_dtype, options.classes, options.port_output),
        allow_missing=options.allow_missing,
        out=options.out,
    )
    print(comparison.to_json().decode().rstrip() if options.json else comparison.to_text())
    return comparison.verdict.exit_code


if __name__ == "__main__":
    run_stage(parser, work)
