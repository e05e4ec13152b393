"""Write all reports of a run directory, last report.json, which seals them."""

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
        "Write every report of a port into RUN_DIR/report; 'portproof verify RUN_DIR' derives all"
        " of it again.",
        example="python reports/report.py runs/digits-cpu",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the reports; return the exit code."""
    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.port.write import write_reports

    progress.configure(options.quiet, options.log_json)
    run_dir = existing_folder(options.run_dir, "run directory").absolute()
    data = write_reports(run_dir)
    progress.say(f"report: {data.judgement.word}, in {run_dir / 'report'}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
