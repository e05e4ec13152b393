"""Time models against each other in alternating blocks, and write every call's seconds to
perf.json.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if (
    not __package__
):  # run from a clone: make `portproof` importable, and nothing else of the checkout
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage
from portproof.infer.offline.elsewhere import (
    add_runner_option,
    bench_by_tool,
    bench_on_devices,
    wants_tool,
)
from portproof.infer.runtimes.options import add_backend_options, backend_options

if TYPE_CHECKING:
    from portproof.measurement import Performance


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Time models against each other in alternating blocks, one worker process a subject; exit"
        " code 4 when the clock cannot be trusted.",
        example=(
            "python infer/bench.py port=ort:model.onnx reference=eager:weights.pth --model resnet18"
            " --batch 1,4,8 --out perf.json"
        ),
    )
    p.add_argument(
        "subjects",
        nargs="+",
        metavar="LABEL=BACKEND:FILE",
        help="what to time; FILE may hold {batch}; ratios are of the first",
    )
    p.add_values("--batch", type=positive, default=[1], metavar="N", help="batch sizes (default 1)")
    p.add_argument(
        "--model",
        metavar="CARD",
        help="model card: name, path, timm:NAME, torchvision:NAME or FILE.py:CALLABLE",
    )
    p.add_argument(
        "--inputs",
        choices=("random", "zeros", "real"),
        default="random",
        help="default random; real needs --info",
    )
    p.add_argument("--info", metavar="FILE", help="info list of the real inputs")
    p.add_argument(
        "--iterations",
        type=positive,
        metavar="N",
        help="counted calls a subject, batch and client (default: as many as fill the blocks)",
    )
    p.add_argument(
        "--warmup",
        type=positive,
        metavar="N",
        help="warm-up calls (default: until the calls no longer become faster)",
    )
    p.add_argument(
        "--blocks",
        type=positive,
        default=10,
        metavar="N",
        help="blocks a subject and batch (default 10; 4 give an interval)",
    )
    p.add_argument(
        "--block-seconds",
        type=float,
        default=0.1,
        metavar="S",
        help="how long a block should last (default 0.1)",
    )
    p.add_argument(
        "--clients",
        type=positive,
        default=1,
        metavar="N",
        help="processes a subject that call at the same time (default 1)",
    )
    p.add_argument("--out", required=True, metavar="PERF.json", help="the measurement file")
    add_backend_options(p)
    add_runner_option(p)
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_UNDECIDED
    from portproof.infer.timing.show import table

    progress.configure(options.quiet, options.log_json)
    if options.devices:
        from portproof.infer.timing.board import summary

        performance = bench_on_devices(options)
        print(summary(performance))
        return EXIT_DONE if performance.status == "ok" else EXIT_UNDECIDED
    performance = bench_by_tool(options) if wants_tool(options) else bench_here(options)
    print(table(performance))
    return EXIT_DONE if performance.status == "ok" else EXIT_UNDECIDED


def bench_here(options: argparse.Namespace) -> Performance:
    """Bench by backends, in worker processes."""
    from portproof.infer.timing.alternating import Plan, bench

    return bench(
        options.subjects,
        options.batch,
        card=options.model,
        inputs=options.inputs,
        info=options.info,
        plan=Plan(
            options.blocks,
            options.block_seconds,
            options.iterations,
            options.warmup,
            options.clients,
        ),
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        options=backend_options(options),
        out=options.out,
    )


if __name__ == "__main__":
    run_stage(parser, work)
