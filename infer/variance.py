"""Build one model several times and say how far accuracy, speed and verdict depend on the build."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, not_negative, positive, run_stage, seconds


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "The same model, built several times: a compiler that times kernels chooses others each"
        " time. Every build runs the same samples and is timed in alternation. With --labels and"
        " --reference every build gets its verdict: exit code 0 if all PASS, 1 if all FAIL, 4 if"
        " the verdict depends on the build or is undecided.",
        example=(
            "python infer/variance.py model.onnx --info prep.info --builds 6 --labels val_label.txt"
            " --reference eager/bs1/result --out variance"
        ),
    )
    p.add_argument("model_file", metavar="MODEL.onnx", help="the model")
    p.add_argument("--info", required=True, metavar="FILE", help="info list of the samples")
    p.add_argument("--out", required=True, metavar="DIR", help="builds, results, variance.json")
    p.add_argument(
        "--by",
        choices=("ort", "atc", "trtexec", "rehearsal"),
        default="ort",
        help=(
            "who builds: ONNX Runtime's levels and threads (default), atc or trtexec with one"
            " command, or simulated builds (REHEARSAL)"
        ),
    )
    p.add_argument("--builds", type=positive, default=6, metavar="N", help="how many (default 6)")
    p.add_argument("--batch", type=positive, default=1, metavar="N", help="batch size (default 1)")
    p.add_card_option()
    p.add_argument("--labels", metavar="FILE", help="label file, for verdicts")
    p.add_argument("--reference", metavar="RESULT_DIR", help="the reference's results")
    p.add_argument(
        "--margin-pp", type=float, default=1.0, metavar="M", help="the loss allowed (default 1.0)"
    )
    p.add_argument("--target", default="310p", metavar="T", help="of atc (default 310p)")
    p.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of trtexec"
    )
    p.add_argument(
        "--seed", type=not_negative, default=0, metavar="N", help="of simulated builds (default 0)"
    )
    p.add_argument("--no-speed", action="store_true", help="time nothing")
    p.add_argument(
        "--blocks", type=positive, metavar="N", help="timed blocks a build (default: bench's)"
    )
    p.add_argument(
        "--block-seconds", type=seconds, metavar="S", help="of a block (default: bench's)"
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.infer.repeated.report import VarianceRequest, variance

    progress.configure(options.quiet, options.log_json)
    found = variance(
        VarianceRequest(
            model=options.model_file,
            info=options.info,
            out=options.out,
            builder=options.by,
            count=options.builds,
            batch=options.batch,
            card=options.model,
            labels=options.labels,
            reference=options.reference,
            margin_pp=options.margin_pp,
            target=options.target,
            precision=options.precision,
            seed=options.seed,
            timed=not options.no_speed,
            blocks=options.blocks,
            block_s=options.block_seconds,
        )
    )
    print(found.to_json() if options.json else found.to_text())
    return found.exit_code


if __name__ == "__main__":
    run_stage(parser, work)
