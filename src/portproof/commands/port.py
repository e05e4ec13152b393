"""Port a model from .pth to a verdict and a report; without --model, a demonstration."""

from __future__ import annotations

import argparse
from pathlib import Path

from portproof.core.arguments import Parser, not_negative, positive, run_stage
from portproof.core.plugins import names


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Export, preprocess, infer, compare and bench a model, and write the report. What is up to"
        " date is not done again.",
        example=(
            "portproof port --target cpu --model resnet50 --weights resnet50.pth --images val/"
            " --labels val_label.txt --run-dir runs/resnet50"
        ),
    )
    p.add_values(
        "--target",
        default=["cpu"],
        help="where the model is ported to, a name in catalog/targets (default: cpu)",
    )
    p.add_card_option()
    _add_data_options(p)
    p.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        help="where everything is written (default: runs/<model>-<target>)",
    )
    p.add_values(
        "--batch",
        type=positive,
        help="batch sizes to bench (default: the model card's, or 1,4,8,16,32)",
    )
    p.add_argument(
        "--margin-pp",
        type=float,
        help="the accuracy loss that may be, in percentage points (default: 1.0)",
    )
    p.add_argument(
        "--starts",
        type=positive,
        metavar="N",
        help="how often a bench starts its processes anew, where sides take turns (default: 10)",
    )
    p.add_argument(
        "--output",
        type=positive,
        metavar="K",
        help="number of the output that is judged, from 1 (default: the model's only one)",
    )
    _add_judging_options(p)
    p.add_argument(
        "--packed",
        action="store_true",
        help="write results as one file an output, not one a sample and output",
    )
    p.add_argument(
        "--workers", type=positive, help="preprocessing processes (default: one a processor)"
    )
    _add_ascend_options(p)
    p.add_progress_options()
    return p


def _add_judging_options(p: Parser) -> None:
    p.add_argument(
        "--gate",
        choices=["accuracy", "speed", "all"],
        default="accuracy",
        help="what decides the exit code (default: accuracy)",
    )
    p.add_argument(
        "--against",
        metavar="BASELINE",
        help="also judge the run against a baseline ('portproof baseline'); its gates decide too",
    )


def _add_data_options(p: Parser) -> None:
    p.add_argument(
        "--example",
        metavar="NAME",
        help="a demonstration, a folder in examples (default: digits, if no model is given)",
    )
    p.add_argument("--weights", metavar="FILE", help="the trained weights, .pth")
    p.add_argument(
        "--images",
        metavar="DIR",
        help="the validation images; texts or recordings where the card has a 'sequence'",
    )
    p.add_values(
        "--samples",
        metavar="INFO_OR_DIR",
        help=(
            "instead of images, samples that are ready: an info list (the inputs of a sample have"
            " one index), or one list or folder of .bin files for each input of the card"
        ),
    )
    p.add_argument(
        "--labels",
        metavar="FILE",
        help="one line an image: file name, class; the truth of another task, a file or a folder",
    )


def _add_ascend_options(p: Parser) -> None:
    group = p.add_argument_group("Ascend targets")
    group.add_argument(
        "--runner",
        choices=["om", *names("portproof.infer.vendor")],
        help="who executes the model (default: om, in-process)",
    )
    p.add_values(
        "--devices",
        type=not_negative,
        metavar="N",
        help="NPU devices, as npu-smi's Device column has them (default: 0)",
    )
    group.add_argument(
        "--tune",
        action="store_true",
        help="also convert and time with operators tuned by aoe, as a column of its own",
    )
    group.add_argument(
        "--rehearse",
        action="store_true",
        help="simulate the device and the vendor's tools; nothing is measured",
    )


def work(options: argparse.Namespace) -> int:
    """Run the port; return the worst of its verdicts."""
    from portproof.core import progress
    from portproof.rundir.execute import port

    progress.configure(options.quiet, options.log_json)
    return port(options)


if __name__ == "__main__":
    run_stage(parser, work)
