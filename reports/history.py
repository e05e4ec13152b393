"""Show the runs of a port over time."""

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
        "Accuracy, speed and changed versions of the runs of one model, from the oldest to the"
        " newest: a table, and with --out its JSON and plots.",
        example="python reports/history.py baselines/resnet50-* runs/resnet50-310p --out history",
    )
    p.add_argument("folders", nargs="+", metavar="DIR", help="run directories or baselines")
    p.add_argument("--out", metavar="FOLDER", help="write history.md, history.json and plots here")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Show the history; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.over_time.history import as_markdown, history_of, write_history

    progress.configure(options.quiet, options.log_json)
    folders = [existing_folder(folder, "run or baseline").absolute() for folder in options.folders]
    history = history_of(folders)
    print(as_markdown(history), end="")
    if options.out:
        write_history(history, Path(options.out))
        progress.say(f"history: written into {options.out}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
