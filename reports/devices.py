"""Make the page of what was really run where from attestations."""

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
        "Make the page of what was really run where, by whom and with which versions, from a folder"
        " of attestations.",
        example="python reports/devices.py docs/attestations --out docs/devices.md",
    )
    p.add_argument("folder", metavar="ATTESTATIONS_DIR", help="the files of 'portproof attest'")
    p.add_argument("--out", metavar="FILE.md", help="write it here (default: print it)")
    return p


def work(options: argparse.Namespace) -> int:
    """Write or print the page; return the exit code."""
    from portproof.core.files import existing_folder, write_text
    from portproof.reports.attestations.page import devices_page
    from portproof.reports.attestations.record import read_attestations

    folder = existing_folder(options.folder, "attestations")
    page = devices_page(read_attestations(folder))
    if options.out:
        write_text(options.out, page)
    else:
        print(page, end="")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
