"""Write down that a port was run on a device, as a file for docs/attestations."""

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
        "Write down that a port was run on a device: its versions, verdicts and the hash of its"
        " report. The run directory must verify, and be no rehearsal. Name and date are a claim.",
        example=(
            "python reports/attest.py runs/resnet50-310p --who 'A. Porter' --out"
            " docs/attestations/310p_resnet50.yaml"
        ),
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("--who", required=True, metavar="NAME", help="who ran it")
    p.add_argument("--note", metavar="TEXT", help="what else a reader must know")
    p.add_argument("--out", required=True, metavar="FILE.yaml", help="the file, a new one")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the file; return the exit code."""
    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.attestations.record import attest, write_attestation

    progress.configure(options.quiet, options.log_json)
    run_dir = existing_folder(options.run_dir, "run directory").absolute()
    write_attestation(options.out, attest(run_dir, options.who, options.note))
    progress.say(f"attest: wrote {options.out}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
