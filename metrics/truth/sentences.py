"""Sentences whose words have tags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.metrics.truth import Truth
from portproof.metrics.truth.json_lines import json_lines, named
from portproof.metrics.truth.transcripts import JSON

#: The word at the head of a document in CoNLL 2003, which is no sentence.
_DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Sentence:
    """``words`` and their ``tags`` (``O``, ``B-PER``, ...); ``positions``: for each word the place
    of its first token in the model's input, where the truth says it.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    positions: tuple[int, ...] | None = None

    def given(self) -> Sentence:
        """What post-processing may see."""
        return replace(self, tags=())


def read_sentences(path: Path) -> Truth:
    """CoNLL (a line a word, the word first and the tag last, an empty line between sentences, which
    are called 0, 1, ... unless a line ``# id = NAME`` stands before one), or JSON with ``id``,
    ``words``, ``tags`` and perhaps ``positions``. A sample's truth is a :class:`Sentence`.
    """
    found = _json(path) if path.suffix in JSON else _conll(path)
    return Truth(samples=found, files=[path])


def _conll(path: Path) -> dict[str, Sentence]:
    what = f"sentences '{path}'"
    found: dict[str, Sentence] = {}
    rows: list[list[str]] = []
    name: str | None = None
    text = read_text(path, "sentences")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.startswith("# id"):
            name = line.partition("=")[2].strip() or None
        elif fields := line.split():
            if len(fields) < 2:
                raise InputError(f"{what}, line {number}: a word and its tag were expected")
            rows.append(fields)
        elif rows:
            if rows[0][0] != _DOCUMENT:
                sample = str(len(found)) if name is None else name
                if sample in found:
                    raise InputError(f"{what}, line {number}: the id '{sample}' is there twice")
                found[sample] = Sentence(tuple(r[0] for r in rows), tuple(r[-1] for r in rows))
            rows, name = [], None
    if not found:
        raise InputError(f"{what} are empty: a line a word, word first and tag last, was expected")
    return found


def _json(path: Path) -> dict[str, Sentence]:
    what = f"sentences '{path}'"
    found: dict[str, Sentence] = {}
    for number, entry in json_lines(path, "sentences"):
        words, tags = entry.get("words", []), entry.get("tags", [])
        if not (_texts(words) and _texts(tags) and len(words) == len(tags) > 0):
            raise InputError(
                f"{what}, entry {number}: 'words' and 'tags' with as many texts each were expected"
            )
        positions = entry.get("positions")
        if positions is not None and not (
            isinstance(positions, list)
            and len(positions) == len(words)
            and all(type(p) is int and p >= 0 for p in positions)
        ):
            raise InputError(
                f"{what}, entry {number}: 'positions' with the place of every word's first token,"
                " from 0, was expected"
            )
        places = None if positions is None else tuple(positions)
        found[named(entry, found, what, number)] = Sentence(tuple(words), tuple(tags), places)
    return found


def tags_in(path: Path, kind: str) -> dict[str, list[str]]:
    """Sample id -> tags, of CoNLL, or of JSON with ``id`` and ``tags``."""
    if path.suffix not in JSON:
        return {sample: list(s.tags) for sample, s in _conll(path).items()}
    what = f"{kind} '{path}'"
    found: dict[str, list[str]] = {}
    for number, entry in json_lines(path, kind):
        if not _texts(entry.get("tags")):
            raise InputError(f"{what}, entry {number}: 'tags' with a list of texts was expected")
        found[named(entry, found, what, number)] = list(entry["tags"])
    return found


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text for text in value)
