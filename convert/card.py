"""Write the model card that CARD stands for as a file, for hosts that cannot look it up."""

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
        "Write the model card that CARD stands for as a YAML file: inputs, outputs, recipe and"
        " published accuracy, for a host without the packages that CARD is looked up in.",
        example="portproof card timm:resnet18.a1_in1k card.yaml",
    )
    p.add_argument(
        "card",
        metavar="CARD",
        help="a model card's name or path, timm:NAME, torchvision:NAME or FILE.py:CALLABLE",
    )
    p.add_argument("out", metavar="OUT.yaml", help="the file to write")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.convert.pytorch.card_file import write_card
    from portproof.core import progress

    progress.configure(options.quiet, options.log_json)
    write_card(options.card, Path(options.out))
    return 0


if __name__ == "__main__":
    run_stage(parser, work, apart=True)
