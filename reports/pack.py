"""Pack a finished run directory into one file, signed if a key is given."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, not_negative, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Pack reports, figures, results, logs, and some samples with their images, so that"
        " 'portproof verify PARCEL' derives every number again. Model files stay behind.",
        example=(
            "python reports/pack.py runs/resnet50-310p -o resnet50-310p.tar.zst --key key.pem --who"
            " 'A. Porter'"
        ),
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument("-o", "--out", required=True, metavar="FILE", help="the parcel, a .tar.zst")
    p.add_argument("--key", metavar="KEY.pem", help="an Ed25519 private key that signs it")
    p.add_argument("--who", metavar="NAME", help="who packed it: a claim, and called so")
    p.add_argument(
        "--samples",
        type=not_negative,
        default=20,
        metavar="K",
        help="samples and images to take along, drawn by the hash of the report (default 20)",
    )
    p.add_argument("--models", action="store_true", help="take the model files along")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the parcel; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.files import existing_folder
    from portproof.reports.parcels.write_parcel import pack

    progress.configure(options.quiet, options.log_json)
    out = Path(options.out).absolute()
    manifest = pack(
        existing_folder(options.run_dir, "run directory").absolute(),
        out,
        key=Path(options.key) if options.key else None,
        who=options.who,
        samples=options.samples,
        models=options.models,
    )
    print(
        f"{options.out}: {len(manifest.files)} files, {out.stat().st_size / 2**20:.1f} MiB;"
        f" {len(manifest.left_out)} samples, images and models stay behind"
    )
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
