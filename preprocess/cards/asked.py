"""The recipe that the options of a command ask for. Standard library only until it is asked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from portproof.core.arguments import Parser
from portproof.core.errors import InputError

if TYPE_CHECKING:
    from portproof.recipe import Recipe


def add_recipe_options(parser: Parser, dtype_note: str = "") -> None:
    """Add ``--model``, ``--recipe``, ``--dtype`` and ``--layout``."""
    parser.add_card_option()
    text = "recipe's YAML file or name, instead of the card's recipe"
    parser.add_argument("--recipe", metavar="RECIPE", help=text)
    text = f"type of the samples, instead of the recipe's{dtype_note}"
    parser.add_argument("--dtype", choices=("float32", "float16", "uint8"), help=text)
    text = "layout of the samples, instead of the recipe's"
    parser.add_argument("--layout", choices=("NCHW", "NHWC"), help=text)


def recipe_asked_for(options: argparse.Namespace) -> Recipe:
    """The recipe of these options; :class:`InputError` without a card and a recipe."""
    from portproof.preprocess.cards.resolve import resolve_card
    from portproof.recipe import find_recipe, with_output

    if not options.model and not options.recipe:
        raise InputError("which preprocessing? --model CARD or --recipe RECIPE was expected")
    named = options.recipe
    recipe = find_recipe(named) if named else resolve_card(options.model).preprocessing
    return with_output(recipe, options.dtype, options.layout)
