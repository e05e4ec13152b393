"""Make the samples of one model of several from the answers of those before it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, run_stage

if TYPE_CHECKING:
    from portproof.card import Card
    from portproof.metrics.composed.answers import PartAnswers


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Make the samples of one part of a card with several models from the answers of the parts"
        " before it, as its 'feeds' say; without --to, the outputs of the whole, as 'gather' says.",
        example=(
            "python metrics/feed.py reader.yaml --parts detector=prep.info=detector/result --images"
            " images --to recogniser --out prep_crops crops.info"
        ),
    )
    p.add_argument("card", metavar="CARD", help="the model card that has 'parts'")
    p.add_values(
        "--parts",
        required=True,
        metavar="PART=INFO=RESULT",
        help="of each part before: its name, the list of its samples, and its result folder",
    )
    p.add_argument("--images", metavar="DIR", help="the images of the data, for a function")
    p.add_argument("--to", metavar="PART", help="the part that is fed (default: the whole's end)")
    p.add_values("--without", metavar="INPUT", help="inputs of it that its loop makes")
    p.add_argument(
        "--out",
        nargs="+",
        required=True,
        metavar=("DIR", "OUT.info"),
        help="the folder that is written, and with --to the list",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from pathlib import Path

    from portproof.card import find_card, read_card
    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.metrics.composed.supply import Fed, Known, feed_part, gather, images_in
    from portproof.rundir.parts.part_card import card_of_part

    progress.configure(options.quiet, options.log_json)
    card = read_card(find_card(options.card))
    if not card.parts:
        raise InputError(f"the model card '{card.name}' has no 'parts': there is nothing to feed")
    if len(options.out) != (2 if options.to else 1):
        raise InputError("--out takes a folder and a list with --to, and a folder alone without it")
    answers = _answers(card, options.parts)
    results = {
        name: Path(text.split("=")[2]) for name, text in zip(answers, options.parts, strict=True)
    }
    known = Known(answers, results, images_in(options.images))
    if options.to is None:
        gather(card, known, Path(options.out[0]))
        return 0
    part = next((p for p in card.parts[1:] if p.name == options.to), None)
    if part is None:
        raise InputError(
            f"--to names '{options.to}', the parts that are fed are"
            f" {', '.join(p.name for p in card.parts[1:])}"
        )
    fed = Fed(part, card_of_part(card, part).inputs, options.without or ())
    feed_part(card, fed, known, *map(Path, options.out))
    return 0


def _answers(card: Card, texts: list[str]) -> dict[str, PartAnswers]:
    """The answers of the parts that were named."""
    from pathlib import Path

    from portproof.core.errors import InputError
    from portproof.metrics.composed.answers import read_answers
    from portproof.rundir.parts.part_card import card_of_part

    known = {part.name: part for part in card.parts}
    found = {}
    for text in texts:
        name, *places = text.split("=")
        if len(places) != 2 or name not in known:
            raise InputError(
                f"--parts '{text}' was given, PART=INFO=RESULT was expected, with PART one of"
                f" {', '.join(known)}"
            )
        own = card_of_part(card, known[name])
        found[name] = read_answers(known[name], own, Path(places[0]), Path(places[1]))
    return found


if __name__ == "__main__":
    run_stage(parser, work)
