"""The cards of the parts of a card of several models."""

from __future__ import annotations

from pathlib import Path

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.rundir.parts.part import Part


def part_card(card: Card, part: Part) -> Path:
    """The card of a part: a name, or a file in the folder of the card that lists it.

    :class:`InputError` for a file elsewhere, since it names code of its own.
    """
    if not part.model.endswith((".yaml", ".yml")):
        return find_card(part.model)
    folder = Path(card.path or ".").absolute().parent
    path = (folder / part.model).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(
            f"the model card '{card.path}' names the card '{part.model}' outside its own folder,"
            f" for the part '{part.name}'; that is refused: put it beside the card, or below"
        )
    return find_card(str(folder / part.model))


def card_of_part(card: Card, part: Part) -> Card:
    """The part's card, read; :class:`InputError` for one of several parts itself."""
    own = read_card(part_card(card, part))
    if own.parts:
        raise InputError(
            f"the part '{part.name}' of the card '{card.name}' has parts itself: list them all in"
            " one card"
        )
    return own
