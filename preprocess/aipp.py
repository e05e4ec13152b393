"""Write the AIPP configuration that normalises uint8 images inside an .om."""

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
        "Write the AIPP configuration (atc --insert_op_conf) for a model card: the .om then reads"
        " raw uint8 NHWC pixels, as 'imagenet.py --dtype uint8 --layout NHWC' writes them, and"
        " normalises them itself. The same text serves 310 and 310P.",
        example="python preprocess/aipp.py --model regnety_016 --out aipp.config",
    )
    p.add_card_option(required=True)
    p.add_argument(
        "--prepared-by",
        metavar="RECIPE",
        help="uint8 recipe of larger samples, such as resnet_aipp: AIPP crops them then",
    )
    p.add_argument("--out", metavar="FILE", help="file to write (default: print it)")
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write or print the configuration."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.preprocess.cards.resolve import resolve_card
    from portproof.preprocess.pixels.aipp_file import aipp_config, write_aipp
    from portproof.recipe import find_recipe, with_output

    progress.configure(options.quiet, options.log_json)
    recipe = resolve_card(options.model).preprocessing
    prepared = (
        find_recipe(options.prepared_by)
        if options.prepared_by
        else with_output(recipe, "uint8", "NHWC")
    )
    if options.out:
        write_aipp(Path(options.out), recipe, prepared)
    else:
        print(aipp_config(recipe, prepared), end="")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
