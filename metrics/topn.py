"""Compute Top-1 to Top-n of a result folder against a label file."""

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
        "Compute Top-1 to Top-n of a result folder. A missing, extra or damaged result is an"
        " error.",
        example="python metrics/topn.py result/dumpOutput_device0 val_label.txt --out result.json",
    )
    p.add_argument(
        "result",
        metavar="RESULT_DIR",
        help=(
            "folder of <sample id>_<output>.bin, .txt or .npy files and nothing else, or of packed"
            " results (infer/run.py --format pack)"
        ),
    )
    p.add_argument(
        "labels",
        metavar="LABELS.txt",
        help="label file: '<file name> <class>' lines, the class counted from 0",
    )
    p.add_argument("--n", type=positive, default=5, help="how many ranks to report (default: 5)")
    p.add_argument("--out", metavar="FILE", help="write result.json here")
    p.add_argument(
        "--outcomes", metavar="FILE", help="write the outcome of every sample here, as CSV"
    )
    p.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of .bin results (default: float32)",
    )
    p.add_argument(
        "--classes", type=positive, metavar="N", help="refuse results that do not hold N classes"
    )
    p.add_argument(
        "--output",
        type=not_negative,
        metavar="K",
        help="output number, as in the file names (default: the only one)",
    )
    p.add_argument(
        "--allow-missing",
        action="store_true",
        help="leave out samples without a result, and say how many",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    # numpy starts threads for products of matrices, of which there are none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from portproof.core import progress
    from portproof.metrics.accuracy.score import Reading
    from portproof.metrics.accuracy.topn import topn

    progress.configure(options.quiet, options.log_json)
    reading = Reading(options.dtype, options.classes, options.output, options.allow_missing)
    print(
        topn(
            options.result,
            options.labels,
            reading,
            n=options.n,
            out=options.out,
            outcomes=options.outcomes,
        ).to_text()
    )
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
