"""Entities in a sequence of tags."""

from __future__ import annotations

from collections.abc import Sequence

from portproof.core.errors import InputError

Entity = tuple[str, int, int]


def entities(tags: Sequence[str]) -> list[Entity]:
    """(type, first word, last word) of every entity in IOB1, IOB2, IOE or IOBES tags, read as
    conlleval.pl does and seqeval's default: a tag that does not fit begins an entity.

    >>> entities(["B-PER", "I-PER", "O", "I-LOC"])
    [('PER', 0, 1), ('LOC', 3, 3)]
    """
    found: list[Entity] = []
    begin, before, kind_before = 0, "O", ""
    for at, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        if prefix not in ("O", "B", "I", "E", "S"):
            raise InputError(
                f"the tag '{tag}' is of no known scheme: O, B-, I-, E- and S- were expected"
                " (BILOU's L and U are E and S)"
            )
        kind = kind or "_"
        if _ends(before, prefix, kind_before, kind):
            found.append((kind_before, begin, at - 1))
        if _begins(before, prefix, kind_before, kind):
            begin = at
        before, kind_before = prefix, kind
    return found


def _ends(before: str, prefix: str, kind_before: str, kind: str) -> bool:
    if before in ("E", "S"):
        return True
    if before in ("B", "I") and prefix in ("B", "S", "O"):
        return True
    return before != "O" and kind_before != kind


def _begins(before: str, prefix: str, kind_before: str, kind: str) -> bool:
    if prefix in ("B", "S"):
        return True
    if before in ("E", "S", "O") and prefix in ("E", "I"):
        return True
    return prefix != "O" and kind_before != kind
