"""Texts by sample: transcripts of speech, of text in images, and translations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.manifest import sample_id
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import refuse_doubles
from portproof.metrics.truth.json_lines import json_lines, named

JSON = (".json", ".jsonl")
_QUOTED = re.compile(r'^(\S+), "(.*)"$')
_FORM = "'<file name><tab or blank><text>' for every sample"


def read_transcripts(path: Path) -> Truth:
    """A text a sample: lines ``<file name><tab or blank><text>`` (with tabs, names may have
    blanks), ICDAR's ``<file name>, "<text>"``, or JSON lines with ``id`` (or ``file``) and
    ``text``. A sample's truth is its text.
    """
    return Truth(samples=texts_in(path, "transcripts"), files=[path])


def read_references(path: Path) -> Truth:
    """As :func:`read_transcripts`, and JSON lines may have ``references``, a list of equally good
    texts, in the place of ``text``. A sample's truth is a tuple of texts.
    """
    if path.suffix not in JSON:
        samples = {sample: (text,) for sample, text in texts_in(path, "references").items()}
        return Truth(samples=samples, files=[path])
    what = f"references '{path}'"
    found: dict[str, tuple[str, ...]] = {}
    for line, entry in json_lines(path, "references"):
        texts = entry.get("references", [entry.get("text")])
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            raise InputError(f"{what}, entry {line}: 'text', or 'references' as a list, is missing")
        found[named(entry, found, what, line)] = tuple(texts)
    return Truth(samples=found, files=[path])


def texts_in(path: Path, kind: str) -> dict[str, str]:
    """Sample id -> text; :class:`InputError` for a file of another form, or with nothing in it."""
    what = f"{kind} '{path}'"
    if path.suffix in JSON:
        found: dict[str, str] = {}
        for line, entry in json_lines(path, kind):
            text = entry.get("text")
            if not isinstance(text, str):
                raise InputError(f"{what}, entry {line}: 'text' with a text is missing")
            found[named(entry, found, what, line)] = text
        return found
    lines = [
        (number, line.rstrip("\r"))
        for number, line in enumerate(read_text(path, kind).split("\n"), start=1)
        if line.strip()
    ]
    if not lines:
        raise InputError(f"{what} are empty: {_FORM} was expected")
    rows = _rows([line for _, line in lines])
    bad = next((number for (number, _), (name, _) in zip(lines, rows, strict=True) if not name), 0)
    if bad:
        raise InputError(f"{what}, line {bad}: {_FORM} was expected")
    ids = [sample_id(name) for name, _ in rows]
    refuse_doubles(ids, what)
    return {i: text for i, (_, text) in zip(ids, rows, strict=True)}


def _rows(lines: Sequence[str]) -> list[tuple[str, str]]:
    """(file name, text) of every line; all lines are of one form."""
    quoted = [_QUOTED.match(line) for line in lines]
    if all(quoted):
        return [(m[1], m[2].replace('\\"', '"')) for m in quoted if m]
    if any("\t" in line for line in lines):
        pairs = [line.partition("\t") for line in lines]
        # a blank in a line without a tab was meant to part name and text: no name stands there
        return [
            ("" if not tab and len(name.split()) > 1 else name.strip(), text)
            for name, tab, text in pairs
        ]
    parts = [line.strip().split(None, 1) for line in lines]
    return [(part[0], part[1] if len(part) > 1 else "") for part in parts]
