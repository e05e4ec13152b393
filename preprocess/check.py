"""Check that a folder of prepared samples is what a model card asks for."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, not_negative, positive, run_stage
from portproof.preprocess.cards.asked import add_recipe_options, recipe_asked_for


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Recompute a random sample of a folder of .bin files that any script made. Report whether"
        " they are what the card asks for; if not, which single change of the recipe explains them."
        " Exit code 1 when they are not.",
        example="python preprocess/check.py prep --model regnety_016 --images imagenet/val",
    )
    p.add_argument("prep", metavar="PREP_DIR", help="folder of .bin files, or a packed folder")
    add_recipe_options(p)
    p.add_argument(
        "--images",
        metavar="IMAGES_DIR",
        help="the images; without it, those that the folder's sidecar names",
    )
    p.add_argument(
        "--samples",
        type=positive,
        default=32,
        metavar="N",
        help="how many samples to recompute (default: 32)",
    )
    p.add_argument(
        "--seed", type=not_negative, default=0, metavar="N", help="which ones (default: 0)"
    )
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Recompute, compare, explain."""
    import json
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import EXIT_DONE, EXIT_FAIL
    from portproof.preprocess.mistakes.explain import check_folder, sentence_of

    progress.configure(options.quiet, options.log_json)
    recipe = recipe_asked_for(options)
    result = check_folder(Path(options.prep), recipe, options.images, options.samples, options.seed)
    print(json.dumps(result, indent=1) if options.json else sentence_of(result))
    return EXIT_DONE if result["verdict"] == "PASS" else EXIT_FAIL


if __name__ == "__main__":
    run_stage(parser, work)
