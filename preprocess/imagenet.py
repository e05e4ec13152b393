"""Preprocess a folder of images into the .bin files that a model reads."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage
from portproof.preprocess.cards.asked import add_recipe_options, recipe_asked_for


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Preprocess images (a flat folder, or ImageNet's class folders) exactly as a model's recipe"
        " says; write PREP_DIR/<id>.bin.",
        example="python preprocess/imagenet.py imagenet/val prep --model regnety_016",
    )
    p.add_argument(
        "images",
        metavar="IMAGES_DIR",
        help="folder of images, or of class folders such as n01440764/",
    )
    p.add_argument(
        "prep",
        metavar="PREP_DIR",
        help="folder to write, new or left by an interrupted run, which is continued",
    )
    add_recipe_options(p, "; uint8 leaves the normalisation to the model")
    p.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="threads that decode and resize (default: one a processor); as many hash and write",
    )
    p.add_argument(
        "--pack",
        action="store_true",
        help="write PREP_DIR/samples.npy and ids.txt instead of one file a sample",
    )
    p.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out images that cannot be read, and list them in the sidecar",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Preprocess the folder."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.preprocess.dataset.make import make_bins
    from portproof.preprocess.dataset.pack import make_packed
    from portproof.preprocess.dataset.stream import default_workers
    from portproof.proof.lock import locked_artefact
    from portproof.recipe import describe

    progress.configure(options.quiet, options.log_json)
    recipe = recipe_asked_for(options)
    print(f"recipe: {describe(recipe)}", flush=True)
    make = make_packed if options.pack else make_bins
    with locked_artefact(Path(options.prep), "PREP_DIR"):
        make(
            Path(options.images),
            Path(options.prep),
            recipe,
            workers=options.workers or default_workers(),
            skip_bad=options.skip_bad,
            model=options.model,
        )
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
