"""Bench several models with the same subjects, and write one table of all of them."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage, seconds


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Bench the models of a suite, each in a folder and a process of its own, and write"
        " OUT/README.md in the form of the table that the suite stands for; started again, it"
        " continues.",
        example="python infer/suite.py poros --models ResNet50 --batch 1,2 --out poros",
    )
    p.add_argument(
        "suite",
        metavar="SUITE",
        help=(
            "a suite's name or file, a configuration in Blade's fields, or a folder with"
            " config.yaml and load.py"
        ),
    )
    p.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder for the models, measurements and the table",
    )
    p.add_values(
        "--models", metavar="CARD", help="only these of its models, as the suite names them"
    )
    p.add_values(
        "--batch", type=positive, metavar="N", help="these batch sizes in place of the suite's"
    )
    _add_length(p)
    p.add_progress_options()
    return p


def _add_length(p: Parser) -> None:
    """Add the options that say for how long."""
    p.add_argument(
        "--iterations",
        type=positive,
        metavar="N",
        help="counted calls a subject and batch (default: the suite's, or what fills the blocks)",
    )
    p.add_argument(
        "--blocks",
        type=positive,
        metavar="N",
        help="blocks a subject and batch (default 10)",
    )
    p.add_argument(
        "--block-seconds",
        type=seconds,
        metavar="S",
        help="how long a block should last (default 0.1)",
    )
    p.add_argument(
        "--starts",
        type=positive,
        metavar="N",
        help="how often the processes of the subjects are started anew (default 10)",
    )
    for name, what in (("clients", "clients of a subject"), ("requests", "requests in all")):
        p.add_argument(
            f"--{name}",
            type=positive,
            metavar="N",
            help=f"{what}, of a suite under load (default: the suite's)",
        )


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code: 3 when a model failed, 1 when one answered wrongly."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_TOOL
    from portproof.core.text import printable
    from portproof.infer.suites.perform import run_suite

    progress.configure(options.quiet, options.log_json)
    length = {
        "blocks": options.blocks,
        "block_s": options.block_seconds,
        "iterations": options.iterations,
        "starts": options.starts,
    }
    found = run_suite(
        options.suite,
        Path(options.out),
        options.models,
        length,
        batches=options.batch,
        clients=options.clients,
        requests=options.requests,
    )
    for why in found.wrong:
        print(f"wrong answers: {printable(why)}")
    print(f"the table is {Path(options.out) / 'README.md'}")
    return EXIT_TOOL if found.failed else EXIT_FAIL if found.wrong else EXIT_DONE


if __name__ == "__main__":
    run_stage(parser, work)
