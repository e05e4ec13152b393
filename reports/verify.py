"""Derive every number of a report again, down to the weights and the images."""

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
        "Derive every number of a port's report again from the raw artefacts, hash every file, and"
        " make every report anew. Exit code 1 when anything is not as it was, 4 when a report of"
        " other versions cannot be made again; what cannot be derived again here is listed.",
        example="python reports/verify.py runs/digits-cpu",
    )
    p.add_argument(
        "run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port', or a copy of it"
    )
    p.add_argument("--json", action="store_true", help="the findings as one JSON object on stdout")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Print what was found; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED
    from portproof.core.files import existing_folder
    from portproof.core.text import printable
    from portproof.reports.evidence.run_dir import verify

    progress.configure(options.quiet, options.log_json)
    found = verify(existing_folder(options.run_dir, "run directory").absolute())
    if options.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        print("\n".join(printable(line) for line in found.text.splitlines()))
    if found.changed:
        return EXIT_FAIL
    return EXIT_UNDECIDED if found.unverified else EXIT_DONE


if __name__ == "__main__":
    run_stage(parser, work)
