"""Write the report of a port as one self-contained HTML page, with plots and tables."""

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
        "Write the report of a port as one HTML page that loads nothing from elsewhere. Its only"
        " script sorts tables and switches language and colours.",
        example="python reports/html.py runs/digits-cpu --out report.html",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument(
        "--out", metavar="FILE", help="where to write it (default: RUN_DIR/report/report.html)"
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the page; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder, write_text
    from portproof.reports.page.html_page import html_page
    from portproof.reports.port.data import read_run

    progress.configure(options.quiet, options.log_json)
    run_dir = existing_folder(options.run_dir, "run directory").absolute()
    out = Path(options.out) if options.out else run_dir / "report" / "report.html"
    write_text(out, html_page(read_run(run_dir)))
    progress.say(f"report: wrote {out}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
