"""Judge a finished run against a baseline."""

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
        "Judge a run with new versions (CANN, TensorRT, driver, model) against a baseline: the same"
        " samples paired, speed beyond the noise, the steps around the inference, what changed in"
        " versions. Writes against/against.json and junit.xml. Exit code 1 FAIL, 4 UNDECIDED.",
        example="python reports/against.py runs/resnet50-310p baselines/resnet50-cann8.0",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("baseline", metavar="BASELINE", help="a folder of 'portproof baseline'")
    p.add_argument("--line", action="store_true", help="print one line, for a chat")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Judge; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.over_time.against import judge_against
    from portproof.reports.over_time.against_record import write_judged

    progress.configure(options.quiet, options.log_json)
    run_dir = existing_folder(options.run_dir, "run directory").absolute()
    baseline = existing_folder(options.baseline, "baseline").absolute()
    judged = judge_against(run_dir, baseline)
    write_judged(judged, Path(run_dir))
    print(judged.line if options.line else judged.text)
    return judged.exit_code


if __name__ == "__main__":
    run_stage(parser, work)
