"""Run a port on many hosts: each step where its device is, by Ray."""

from __future__ import annotations

import argparse
from pathlib import Path

from portproof.core.arguments import Parser, not_negative, positive, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Run the steps of a port on the hosts of a Ray cluster, where their devices are, and"
        " collect everything in one run directory with one report, as 'portproof port' writes it."
        " What is up to date is not done again; no file is sent to a host that has it.",
        example="portproof fleet plan.yaml --out runs/regnety --ray-address 10.0.0.1:6379",
    )
    p.add_argument(
        "plan", metavar="PLAN.yaml", help="the port, and what each target claims (docs/fleet.md)"
    )
    p.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the run directory, on this host"
    )
    p.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="a cluster that runs already (default: one of this host alone, which ends with the"
        " command)",
    )
    p.add_argument(
        "--wait",
        type=not_negative,
        default=600,
        metavar="SECONDS",
        help="how long to wait for a device that no host has yet (default: 600)",
    )
    p.add_argument(
        "--attempts",
        type=positive,
        default=3,
        metavar="N",
        help="how often a step is begun whose worker or host is lost (default: 3)",
    )
    p.add_argument(
        "--workers",
        type=positive,
        help="preprocessing threads on each host (default: one a processor)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Run the port; return the worst of its verdicts."""
    from portproof.core import progress
    from portproof.fleet.driver import fleet

    progress.configure(options.quiet, options.log_json)
    return fleet(options)


if __name__ == "__main__":
    run_stage(parser, work)
