"""The parts of a port of several models, as data: ``parts`` of a model card.

An encoder and its decoder, a detector and the recogniser of what it found: each part is a model
with a card of its own, and the card that lists them says how each is fed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

#: Name of an input or output -> ``PART.NAME``, an output or an input of a part, of the same sample.
Links: TypeAlias = dict[str, str]

# The forms are checked here and not by patterns of the types: msgspec 0.22 breaks down at the end
# of a process that has a dict and a text with a pattern in one union.
_REFERENCE = re.compile(r"[A-Za-z0-9][\w-]*\..+")
_FUNCTION = re.compile(r".+\.py:[A-Za-z_]\w*")


class Part(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One model of several.

    ``model``: its card, a name or a file in the folder of the card that lists it (or below).
    ``weights``: its file in the folder of weights (default: ``<name>.pth``).

    ``feeds``: where its samples come from. The first part's are made from the data by its own card,
    so it has none. A later part has a value ``PART.NAME`` for each input, or a function
    ``FILE.py:NAME``, which is given a sample with the answers of the parts before
    (:class:`portproof.metrics.composed.glue.Given`) and returns the inputs, or a list of them when
    one sample becomes several.

    ``loop``: a function ``FILE.py:NAME`` that calls the model as often as it likes: it is given
    ``run`` and the feeds of a batch. What it returns is named by the inputs that the part feeds to
    itself (``tokens: decoder.tokens``).
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][\w-]*$")]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    weights: Annotated[str, msgspec.Meta(pattern=r"^[^/\\]+$")] | None = None
    feeds: Links | str | None = None
    loop: str | None = None

    def __post_init__(self) -> None:
        check_form(self.feeds, "feeds")
        check_form(self.loop, "loop")

    @property
    def weights_file(self) -> str:
        """The name of its weights file."""
        return self.weights or f"{self.name}.pth"

    @property
    def own_inputs(self) -> tuple[str, ...]:
        """The inputs that its loop makes."""
        links = self.feeds if isinstance(self.feeds, dict) else {}
        return tuple(name for name, source in links.items() if part_of(source) == self.name)


def part_of(reference: str) -> str:
    """The part that a reference names.

    >>> part_of("encoder.memory")
    'encoder'
    """
    return reference.partition(".")[0]


def check_form(value: Links | str | None, field: str) -> None:
    """:class:`ValueError` for a value that is neither links nor a function."""
    if isinstance(value, str) and not _FUNCTION.fullmatch(value):
        raise ValueError(f"`{field}`: '{value}' is no function: FILE.py:NAME was expected")
    for name, source in value.items() if isinstance(value, dict) else ():
        if not name or not _REFERENCE.fullmatch(source):
            raise ValueError(
                f"`{field}`: '{name}' comes from '{source}', PART.NAME was expected: an output or"
                " an input of a part"
            )


def check_parts(parts: Sequence[Part]) -> None:
    """:class:`ValueError` when a part is fed by one that does not come before it."""
    known: list[str] = []
    for at, part in enumerate(parts):
        place = f"`parts[{at}]"
        if part.name in known:
            raise ValueError(f"{place}.name`: two parts are named '{part.name}'")
        if (part.feeds is None) != (at == 0):
            raise ValueError(
                f"{place}.feeds`: the first part is fed with the data, so it has none"
                if at == 0
                else f"{place}.feeds` is missing: '{part.name}' comes after '{known[-1]}'"
            )
        for name, source in (part.feeds if isinstance(part.feeds, dict) else {}).items():
            own = source == f"{part.name}.{name}"
            if not own and part_of(source) not in known:
                raise ValueError(
                    f"{place}.feeds`: '{name}' comes from '{source}', which is of no part before"
                    f" '{part.name}' ({', '.join(known)})"
                )
        if bool(part.own_inputs) != (part.loop is not None):
            raise ValueError(
                f"{place}.loop`: a part with a loop feeds one input at least to itself (tokens:"
                f" {part.name}.tokens), and a part without a loop none"
            )
        known.append(part.name)


def check_links(links: Links, parts: Sequence[Part]) -> None:
    """:class:`ValueError` when a link of ``gather`` names no part."""
    names = [part.name for part in parts]
    for name, source in links.items():
        if part_of(source) not in names:
            raise ValueError(
                f"`gather`: '{name}' comes from '{source}', the parts are {', '.join(names)}"
            )
