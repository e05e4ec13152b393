"""Freeze a finished run, so that later versions of it can be judged against it."""

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
        "Copy what a later run is judged by: settings, sidecars, outcomes, figures and times, with"
        " a hash of each, and time the steps before and after the inference. 'portproof port"
        " --against FOLDER' and 'portproof against' judge a run by it.",
        example="python reports/baseline.py runs/resnet50-310p --out baselines/resnet50-cann8.0",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("--out", required=True, metavar="FOLDER", help="the baseline, a new folder")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the baseline; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.over_time.freeze import freeze

    progress.configure(options.quiet, options.log_json)
    run_dir = existing_folder(options.run_dir, "run directory").absolute()
    baseline = freeze(run_dir, Path(options.out).absolute())
    print(f"{options.out}: {baseline.model} of {baseline.made}, {len(baseline.files)} files")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
