"""Questions about a text, with their answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.manifest import sample_id
from portproof.metrics.truth import Truth
from portproof.metrics.truth.json_lines import json_lines, named

_FORM = "SQuAD's JSON, or JSON with 'id' and 'answers' (a list of texts, empty for no answer)"


@dataclass(frozen=True)
class Question:
    """``answers``: equally good texts, none where there is no answer. ``offsets``: for each token
    of the model's input the first place in ``context`` and the one behind its last, None outside.
    """

    answers: tuple[str, ...]
    context: str = ""
    offsets: tuple[tuple[int, int] | None, ...] | None = None

    def given(self) -> Question:
        """What post-processing may see."""
        return replace(self, answers=())


def read_questions(path: Path) -> Truth:
    """SQuAD 1.1 or 2.0, or JSON with ``id``, ``answers``, and perhaps ``context`` and ``offsets``.
    A sample's truth is a :class:`Question`.
    """
    what = f"questions '{path}'"
    try:
        whole = json_in(read_file(path, "questions"))
    except ValueError:
        whole = None  # JSON lines are no JSON document
    if isinstance(whole, dict) and "data" in whole:
        found = _squad(whole["data"], what)
    else:
        found = {}
        for number, entry in json_lines(path, "questions"):
            where = f"{what}, entry {number}"
            found[named(entry, found, what, number)] = _question(entry, where)
    if not found:
        raise InputError(f"{what} holds no question; {_FORM} was expected")
    return Truth(samples=found, files=[path])


def _squad(data: Any, what: str) -> dict[str, Question]:
    found: dict[str, Question] = {}
    try:
        for article in data:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [] if asked.get("is_impossible") else asked["answers"]
                    entry = {
                        "answers": [answer["text"] for answer in answers],
                        "context": paragraph["context"],
                        "offsets": asked.get("offsets"),
                    }
                    sample = sample_id(asked["id"])
                    if sample in found:
                        raise InputError(f"{what}: the question '{sample}' is there twice")
                    found[sample] = _question(entry, f"{what}, question '{sample}'")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{what}: {_FORM} was expected (no {error})") from error
    return found


def _question(entry: dict[str, Any], where: str) -> Question:
    answers, context = entry.get("answers"), entry.get("context", "")
    offsets = entry.get("offsets")
    if not isinstance(answers, list) or not all(isinstance(a, str) for a in answers):
        raise InputError(f"{where}: 'answers' with a list of texts was expected; {_FORM}")
    if not isinstance(context, str):
        raise InputError(f"{where}: 'context' with a text was expected")
    if offsets is None:
        return Question(tuple(answers), context)
    if not isinstance(offsets, list) or not all(_is_offset(o, len(context)) for o in offsets):
        raise InputError(
            f"{where}: 'offsets' with [first, behind the last] inside the context, or null, for"
            " every token was expected"
        )
    places = tuple(None if o is None else (o[0], o[1]) for o in offsets)
    return Question(tuple(answers), context, places)


def _is_offset(value: Any, length: int) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) == 2
        and all(type(v) is int for v in value)
        and 0 <= value[0] <= value[1] <= length
    )
