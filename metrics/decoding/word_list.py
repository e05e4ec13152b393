"""Files with one symbol, token or name a line: alphabets, vocabularies, tags."""

from __future__ import annotations

from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text


def read_words(path: Path, what: str) -> tuple[str, ...]:
    """The lines in order, without their line ends; a line may be a single blank.

    :class:`InputError` for no line at all, and for an empty one, which nobody can see.
    """
    lines = [line.rstrip("\r") for line in read_text(path, what).split("\n")]
    if lines and lines[-1] == "":
        lines.pop()
    if not lines:
        raise InputError(f"{what} '{path}' is empty: one line for every class was expected")
    if "" in lines:
        raise InputError(
            f"{what} '{path}', line {lines.index('') + 1}: it is empty, one symbol a line was"
            " expected (a blank is one space)"
        )
    return tuple(lines)
