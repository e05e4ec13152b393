"""Build the cross-device comparison table, with ratios, from measurements and vendors' logs."""

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
        "Compare devices: images per second per card by batch, the best of each, and ratios within"
        " one timing boundary.",
        example=(
            "python reports/table.py 310=logs_310/ 310P=perf_vision_batchsize_1_device_0.txt"
            " T4=t4_bs1.log,t4_bs4.log --boundary device"
        ),
    )
    p.add_argument(
        "column",
        metavar="LABEL=PERF_OR_LOGS",
        nargs="+",
        help=(
            "a perf.json, logs separated by commas, or a folder of logs; a label that is a target's"
            " name brings its chips per card"
        ),
    )
    p.add_values(
        "--chips",
        metavar="LABEL=N",
        default=[],
        help="chips on a card, where the target's file does not name them",
    )
    p.add_values(
        "--over",
        metavar="LABEL",
        default=[],
        help=(
            "ratios: of every other column over each of these (default: the 310P, or else the first"
            " column, over each other one)"
        ),
    )
    p.add_argument(
        "--boundary",
        choices=("device", "device+copies", "call", "end_to_end"),
        help="compare the rates of this timing boundary",
    )
    p.add_argument(
        "--allow-mixed",
        action="store_true",
        help="show columns timed at different boundaries, without ratios across them",
    )
    p.add_argument(
        "--allow-incomplete",
        action="store_true",
        help="take figures from logs that are cut off before their verdict",
    )
    _add_output_options(p)
    _add_judging_options(p)
    p.add_progress_options()
    return p


def _add_output_options(p: Parser) -> None:
    p.add_argument(
        "--format",
        choices=("text", "md", "csv", "json", "html"),
        default="text",
        help="what to print (default: text, which is md with nothing escaped)",
    )
    p.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="json",
        help="the same as --format json",
    )
    p.add_argument(
        "--out",
        metavar="FILE",
        help="also write it: to a .md, .csv, .json or .html file; without an ending, all four",
    )


def _add_judging_options(p: Parser) -> None:
    p.add_values(
        "--policy",
        default=[],
        help="judge the best rates: names in catalog/policies, or files; exit code 1 when not met",
    )
    p.add_argument(
        "--accuracy",
        metavar="MEASURED/PUBLISHED",
        help="judge an accuracy too, both in percent: 77.85/77.862",
    )
    p.add_argument(
        "--level-file", metavar="FILE", help="write what the policies found as a modelzoo_level.txt"
    )


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.reports.cross_device.assemble import run

    progress.configure(options.quiet, options.log_json)
    return run(options)


if __name__ == "__main__":
    run_stage(parser, work)
