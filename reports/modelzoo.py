"""Write what ModelZoo's contribution rules ask for: README, modelzoo_level.txt and a self-test."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, run_stage
from portproof.reports.port.languages import languages


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Write README.md in ModelZoo's form, modelzoo_level.txt and self_test.sh, which ends in"
        " 'Run testcase success!' or 'Run testcase failed!'.",
        example="python reports/modelzoo.py runs/digits-cpu",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("--label", metavar="LABEL", help="which column (default: the first target)")
    p.add_argument("--lang", choices=languages(), default="en", help="language (default: en)")
    p.add_argument("--out", metavar="DIR", help="where to write (default: RUN_DIR/modelzoo)")
    p.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if a status is NOK"
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_FAIL, InputError
    from portproof.core.files import existing_folder
    from portproof.reports.port.data import read_run
    from portproof.reports.zoo.level import NOT_OK, statuses
    from portproof.reports.zoo.write_zoo import write_zoo

    progress.configure(options.quiet, options.log_json)
    data = read_run(existing_folder(options.run_dir, "run directory").absolute())
    if options.label not in (None, *(side.label for side in data.files.compared)):
        known = ", ".join(side.label for side in data.files.compared)
        raise InputError(f"there is no column '{options.label}' in this port; it has {known}")
    found = statuses(data, options.label)
    if data.simulated:
        print("REHEARSAL: nothing was measured, so accuracy and speed are NOK")
    for status in found:
        print(f"{status.key}:{status.value or '(left out)'}  {status.why}")
    if options.check:
        return EXIT_FAIL if any(s.value == NOT_OK for s in found) else EXIT_DONE
    folder = Path(options.out) if options.out else data.root / "modelzoo"
    write_zoo(data, found, folder, options.lang)
    progress.say(f"modelzoo: wrote {folder}")
    return EXIT_DONE


if __name__ == "__main__":
    run_stage(parser, work)
