"""Take samples that are ready, of one input or several, into a folder, checked against a card."""

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
        "Copy .bin files that are ready for the model into one folder, <id>.bin of the first input,"
        " <id>.2.bin of the second and so on, and write the info list. Every file must have the"
        " size of its input.",
        example="python preprocess/samples.py ids/ mask/ --model card.yaml --out prep prep.info",
    )
    p.add_argument(
        "given",
        nargs="+",
        metavar="INFO_OR_DIR",
        help=(
            "an info list, in which the lines of a sample have one index; or one info list or"
            " folder of .bin files for each input, in the card's order, joined by file name up to"
            " the first dot"
        ),
    )
    p.add_card_option()
    p.add_argument(
        "--out",
        nargs=2,
        required=True,
        metavar=("DIR", "OUT.info"),
        help="the folder and the list that are written",
    )
    p.add_argument(
        "--root",
        metavar="DIR",
        default=".",
        help="where relative paths in the lists begin (default: the working directory)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.preprocess.cards.resolve import resolve_card
    from portproof.preprocess.dataset.given_samples import take_samples

    progress.configure(options.quiet, options.log_json)
    if options.model is None:
        raise InputError("which inputs has the model? a card was expected with --model")
    folder, info = map(Path, options.out)
    given = [Path(name) for name in options.given]
    take_samples(given, Path(options.root), resolve_card(options.model), folder, info)
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
