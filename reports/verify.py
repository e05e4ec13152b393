"""Derive every number of a report again, down to the weights and the images."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage

if TYPE_CHECKING:
    from portproof.reports.evidence.challenge import Asked


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Derive every number of a port's report again from the raw artefacts, hash every file, and"
        " make every report anew. Exit code 1 when anything is not as it was, 4 when a report of"
        " other versions cannot be made again; what cannot be derived again here is listed.",
        example="python reports/verify.py runs/digits-cpu",
    )
    p.add_argument(
        "run_dir",
        metavar="RUN_DIR",
        help="the run directory of 'portproof port', a copy of it, or a parcel of 'portproof pack'",
    )
    p.add_argument(
        "--signer", metavar="KEY.pem", help="the public key that a parcel must be signed with"
    )
    p.add_argument(
        "--max-gib",
        type=float,
        metavar="G",
        help="the most that a parcel may unpack to (default 20)",
    )
    group = p.add_argument_group("run again")
    group.add_argument(
        "--challenge",
        nargs="?",
        type=positive,
        const=20,
        metavar="K",
        help=(
            "run K samples (20), drawn by the hash of the report, from the images through PyTorch"
            " and the models again, and time what was timed on this host"
        ),
    )
    group.add_argument("--replay", action="store_true", help="the same with all, and export again")
    group.add_argument(
        "--nonce",
        default="",
        metavar="TEXT",
        help="words of yours for the draw, which the sender did not know",
    )
    for name in ("images", "labels", "weights"):
        group.add_argument(f"--{name}", metavar="PATH", help=f"your own copy of the {name}")
    group.add_argument(
        "--run-code",
        action="store_true",
        help="run the Python file that a card names; it came with the directory, read it first",
    )
    group.add_argument("--no-bench", action="store_true", help="time nothing again")
    p.add_argument("--json", action="store_true", help="the findings as one JSON object on stdout")
    p.add_progress_options()
    return p


def _asked(options: argparse.Namespace) -> Asked | None:
    """The challenge that the options ask for."""
    from portproof.core.errors import InputError
    from portproof.core.files import existing_file, existing_folder
    from portproof.reports.evidence.challenge import Asked

    own = {
        name: (existing_folder if name == "images" else existing_file)(path, f"--{name}")
        for name in ("images", "labels", "weights")
        if (path := getattr(options, name))
    }
    if options.challenge is None and not options.replay:
        if own or options.nonce or options.run_code:
            raise InputError("your own files, words and --run-code go with --challenge or --replay")
        return None
    count = None if options.replay else options.challenge
    return Asked(
        count, options.nonce, runs_code=options.run_code, times=not options.no_bench, **own
    )


def work(options: argparse.Namespace) -> int:
    """Print what was found; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED, InputError
    from portproof.core.files import existing_folder
    from portproof.core.text import printable
    from portproof.reports.evidence.run_dir import verify

    progress.configure(options.quiet, options.log_json)
    path, asked, origin = Path(options.run_dir).absolute(), _asked(options), list[str]()
    if path.is_file():
        from portproof.reports.parcels.verify_parcel import verify_parcel

        signer = Path(options.signer) if options.signer else None
        most = int((options.max_gib or 20.0) * 2**30)
        origin, found = verify_parcel(path, most, signer, asked)
    elif options.signer or options.max_gib:
        raise InputError("--signer and --max-gib go with a parcel, a file of 'portproof pack'")
    else:
        found = verify(existing_folder(path, "run directory"), asked)
    for line in origin:
        progress.say(printable(line)) if options.json else print(printable(line))
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
