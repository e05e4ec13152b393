"""The blocks of a generated document, between ``<!-- portproof:begin NAME -->`` and ``<!--
portproof:end NAME -->``, each on a line.

The text outside them is its author's, and is left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portproof.core.errors import InputError

_MARKER = re.compile(r"^<!-- portproof:(begin|end) (\w+) -->[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True)
class MarkedBlock:
    """A block: its name, and its place in the text, markers included."""

    name: str
    start: int
    end: int


def blocks_in(text: str, where: str) -> list[MarkedBlock]:
    """The blocks of a document, in order; :class:`InputError` names the marker that has no partner
    or occurs twice.
    """
    found: list[MarkedBlock] = []
    begun: re.Match[str] | None = None
    for marker in _MARKER.finditer(text):
        line = text.count("\n", 0, marker.start()) + 1
        kind, name = marker.groups()
        if (kind == "begin") is (begun is not None) or (begun and begun[2] != name):
            raise InputError(
                f"{where}, line {line}: the marker '{kind} {name}' has no partner; begin and end of"
                " a block stand in pairs"
            )
        if begun is None:
            begun = marker
            continue
        if name in {block.name for block in found}:
            raise InputError(
                f"{where}, line {line}: the block '{name}' occurs twice; remove one of them"
            )
        found.append(MarkedBlock(name, begun.start(), marker.end()))
        begun = None
    if begun is not None:
        raise InputError(
            f"{where}: the block '{begun[2]}' has no end; add '<!-- portproof:end {begun[2]} -->'"
            " on a line of its own"
        )
    return found


def updated(existing: str, fresh: str, where: str) -> str:
    """The existing document with the blocks of the fresh one in the place of its own.

    A block that the author removed stays removed. A document without any block gets all of them at
    its end.
    """
    new = {
        block.name: fresh[block.start : block.end] for block in blocks_in(fresh, "the new report")
    }
    old = blocks_in(existing, where)
    if not old:
        return f"{existing.rstrip()}\n\n{fresh}" if existing.strip() else fresh
    if not any(block.name in new for block in old):
        raise InputError(
            f"{where} holds another kind of report ({', '.join(b.name for b in old)}); give another"
            " --out, or remove its blocks"
        )
    text = existing
    for block in reversed(old):
        if block.name in new:
            text = text[: block.start] + new[block.name] + text[block.end :]
    return text
