"""The old spelling of ``bench LABEL=trtexec:ENGINE``."""

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
        "The old spelling of 'bench LABEL=trtexec:ENGINE'. Time engines by trtexec: GPU time (CUDA"
        " graph, spinning, no transfers) and, in runs of their own, with transfers. TensorRT 11"
        " reversed the defaults of all three, so they are always given. Exit code 4 if the clock"
        " cannot be trusted.",
        example=(
            "python infer/trtbench.py t4=engines/model_bs{batch}.plan --batch 1,4,8,16 --out"
            " t4/perf.json"
        ),
    )
    p.add_argument(
        "subject",
        metavar="LABEL=ENGINE",
        help="what to time; ENGINE may hold {batch}; made by convert/onnx2trt.py",
    )
    p.add_values("--batch", type=positive, default=[1], metavar="N", help="batch sizes (default 1)")
    p.add_argument("--device", metavar="D", help="the GPU, as trtexec counts them (default cuda:0)")
    p.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="how long a run times, after 1 s of warm-up (default 3)",
    )
    p.add_argument(
        "--repeats",
        type=positive,
        default=3,
        metavar="N",
        help="runs of each mode, in turn (default 3)",
    )
    p.add_argument(
        "--out",
        required=True,
        metavar="PERF.json",
        help="the measurement file; logs go to bs<N>/logs beside it",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.infer.timing.job import bench
    from portproof.infer.timing.protocol import Plan
    from portproof.infer.timing.show import exit_code, summary

    progress.configure(options.quiet, options.log_json)
    label, _, engine = options.subject.partition("=")
    if not label or not engine:
        raise InputError(
            f"the subject is '{options.subject}', LABEL=ENGINE was expected, as in"
            " t4=engines/model_bs{batch}.plan"
        )
    subject = f"{label}=trtexec:{engine}"
    progress.say(f"trtbench is the old spelling; the new one is: bench {subject} ...")
    plan = Plan(blocks=options.repeats, block_s=options.seconds)
    performance = bench([subject], options.batch, plan=plan, device=options.device, out=options.out)
    print(summary(performance))
    return exit_code(performance)


if __name__ == "__main__":
    run_stage(parser, work)
