"""Why a model is slow: the time of each operator, of one subject or of several side by side."""

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
        "Say on what a model spends its time: by ONNX Runtime's or PyTorch's profiler, or from the"
        " file of trtexec (--exportProfile), msprof (op_summary, op_statistic) or either of these.",
        example=(
            "python infer/op_profile.py reference=eager:weights.pth port=ort:model.onnx --model"
            " resnet18"
        ),
    )
    p.add_argument(
        "subjects",
        nargs="+",
        metavar="LABEL=BACKEND:FILE|LABEL=FILE",
        help="a model to profile now (ort, eager, inductor), or a profiler's file",
    )
    p.add_argument("--batch", type=positive, default=1, metavar="N", help="batch (default 1)")
    p.add_card_option()
    p.add_argument("--info", metavar="FILE", help="info list of real inputs (default: random)")
    p.add_argument(
        "--calls", type=positive, default=10, metavar="N", help="profiled calls (default 10)"
    )
    p.add_argument("--device", metavar="D", help="cpu or cuda:N (default cpu)")
    p.add_argument("--threads", type=positive, metavar="N", help="threads of the runtime")
    p.add_argument("--out", metavar="FILE.json", help="write all operators and kinds there")
    p.add_argument("--json", action="store_true", help="print the same in place of the table")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.files import write_text
    from portproof.infer.profiling.take import Asked, profiles_of
    from portproof.infer.profiling.why_slow import as_json, as_markdown, why_slow
    from portproof.infer.timing.subject import Subject

    progress.configure(options.quiet, options.log_json)
    asked = Asked(options.batch, options.model, options.calls, info=options.info)
    common = Subject("", "", "", options.device, None, options.threads)
    found = why_slow(profiles_of(options.subjects, asked, common))
    if options.out:
        write_text(options.out, as_json(found))
    print(as_json(found) if options.json else as_markdown(found), end="")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
