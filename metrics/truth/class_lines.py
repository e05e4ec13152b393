"""One class a sample: label files."""

from __future__ import annotations

from pathlib import Path

from portproof.core.errors import InputError
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.truth import Truth
from portproof.metrics.truth.json_lines import json_lines, named
from portproof.metrics.truth.transcripts import JSON


def read_classes(path: Path) -> Truth:
    """Lines ``<file name> <class>``, the class counted from 0, or JSON with ``id`` and ``label`` (a
    number, or a name: names are numbered in the order of the alphabet). A sample's truth is its
    class.
    """
    if path.suffix not in JSON:
        return Truth(samples=read_labels(path), files=[path], facts={"names": {}})
    labels = _labels(path, "labels")
    names = sorted({label for label in labels.values() if isinstance(label, str)})
    if names and not all(isinstance(label, str) for label in labels.values()):
        raise InputError(f"labels '{path}': some are numbers and some are names; use one of them")
    ids = {name: i for i, name in enumerate(names)}
    samples = {i: _class(label, ids, f"labels '{path}'") for i, label in labels.items()}
    return Truth(samples=samples, files=[path], facts={"names": ids})


def classes_in(path: Path, kind: str, ids: dict[str, int]) -> dict[str, int]:
    """Sample id -> class; ``ids``: the classes of the truth's names, where it has names."""
    if path.suffix not in JSON:
        return read_labels(path)
    what = f"{kind} '{path}'"
    return {i: _class(label, ids, what) for i, label in _labels(path, kind).items()}


def _labels(path: Path, kind: str) -> dict[str, int | str]:
    what = f"{kind} '{path}'"
    found: dict[str, int | str] = {}
    for number, entry in json_lines(path, kind):
        label = entry.get("label")
        if isinstance(label, bool) or not isinstance(label, int | str):
            raise InputError(f"{what}, entry {number}: 'label' with a number or a name is missing")
        found[named(entry, found, what, number)] = label
    return found


def _class(label: int | str, ids: dict[str, int], what: str) -> int:
    if isinstance(label, int):
        return label
    if label not in ids:
        raise InputError(
            f"{what} have the label '{label}', which the truth does not have; it has"
            f" {', '.join(ids) or 'numbers only'}"
        )
    return ids[label]
