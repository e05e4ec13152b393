"""Write the README of a port: what ran, the results and the verdict, from its files."""

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
        "Write the README of a port from its run directory. An existing file is updated in place:"
        " only what is between its '<!-- portproof:begin ... -->' and '<!-- portproof:end ..."
        " -->' lines is replaced.",
        example="python reports/readme.py runs/digits-cpu --lang zh --out README.md",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("--lang", choices=languages(), default="en", help="language (default: en)")
    p.add_argument(
        "--template",
        choices=("readme", "modelzoo"),
        default="readme",
        help=(
            "readme: seven chapters, from the model to its performance; modelzoo: the shorter form"
            " of today's ModelZoo (default: readme)"
        ),
    )
    p.add_argument(
        "--out",
        metavar="FILE",
        help="where to write it (default: RUN_DIR/report/README.md, README.zh.md for zh)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the README; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.port.data import read_run
    from portproof.reports.port.write import write_readme

    progress.configure(options.quiet, options.log_json)
    data = read_run(existing_folder(options.run_dir, "run directory").absolute())
    out = Path(options.out) if options.out else data.root / data.files.readme(options.lang)
    write_readme(data, out, options.lang, options.template)
    progress.say(f"report: wrote {out}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
