"""A model card with everything that was looked up for it, as a file of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from portproof.card import find_card, read_card
from portproof.convert.pytorch.models import Named, builder_of
from portproof.core import progress
from portproof.core.files import write_text
from portproof.core.yamlfile import as_data
from portproof.preprocess.cards.resolve import resolve_card
from portproof.proof.work import Work


def write_card(text: str, out: Path) -> None:
    """Write the card that ``text`` stands for, with its recipe, to ``out``, unless that is done.

    Raises :class:`portproof.core.errors.InputError` for an unknown card.
    """
    named = _without_lookup(text)
    builder = builder_of(named)
    work = Work(
        "card",
        out,
        inputs={
            "card": [Path(named.path)] if named.path else [],
            "builder": builder.files(named),
        },
        parameters={"card": text},
        packages=builder.PACKAGES or ("torch",),  # a user's file imports it
    )
    if work.is_done():
        return
    work.begin()
    card = resolve_card(text)
    card = msgspec.structs.replace(
        card, recipe=card.preprocessing if card.recipe else None, path=None
    )
    data = {key: value for key, value in as_data(card).items() if value is not None}
    write_text(out, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    read_card(out)
    work.finish([out])
    progress.say(f"card: {card.name} in {out}")


class _Text(msgspec.Struct, frozen=True):
    """A card that has no file: its text names its builder."""

    name: str
    builder: str
    path: str | None = None


def _without_lookup(text: str) -> Named:
    if ":" in text and not text.endswith((".yaml", ".yml")):
        return _Text(text, text)
    return read_card(find_card(text))
