"""Make samples of texts or recordings, as the ``sequence`` of a model card says."""

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
        "Turn texts or WAV files into .bin files, one for each input of the model (<id>.bin,"
        " <id>.2.bin ...), and write the info list.",
        example="python preprocess/encode.py texts.tsv --model card.yaml --out prep prep.info",
    )
    p.add_argument(
        "given",
        metavar="FILE_OR_DIR",
        help=(
            "texts: lines '<name><tab><text>' (.txt, .tsv) or JSON lines with id, text and pair"
            " (.jsonl), or a folder of .txt files; recordings: a folder of .wav files"
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
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.preprocess.cards.resolve import resolve_card
    from portproof.preprocess.dataset.sequence_files import encode_files

    progress.configure(options.quiet, options.log_json)
    if options.model is None:
        raise InputError("how do texts become inputs? a card with 'sequence' was expected: --model")
    folder, info = map(Path, options.out)
    encode_files(Path(options.given), resolve_card(options.model), folder, info)
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
