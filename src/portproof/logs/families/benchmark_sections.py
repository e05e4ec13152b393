"""The sections of a perf file of the benchmark tool, and the fields in the text of one."""

from __future__ import annotations

import math
import re

from portproof.logs.consistency import near
from portproof.logs.lines import NUMBER, Line

ORDER = ("e2e", "read", "preprocess", "infer", "post")
#: A section's name as it is written -> its name here.
NAMES = {
    "e2e": "e2e",
    "data read": "read",
    "preprocess": "preprocess",
    "inference": "infer",
    "infer": "infer",
    "postprocess": "post",
    "post": "post",
}
#: Not after a quotation mark: that is a program's text and not a log.
SECTION = re.compile(rf"(?<![\"'])\[{{1,2}}\s?({'|'.join(NAMES)})\s?\]\s?")
_SIGNIFICANT = 6
#: How far a product of two figures of six digits may be off.
ROUNDING = 1.1e-5


def _label(name: str) -> str:
    """A pattern for a field's name with a stray blank anywhere in it (``Interface th roughputRate``
    is real).
    """
    return r"\s?".join(name)


_FIELD = re.compile(
    rf"(?P<name>(?:{_label('Interface')}\s{{0,3}})?{_label('throughputRate')}"
    rf"|{_label('moduleLatency')}|{_label('latency')})"
    rf"\s{{0,4}}[:：=\ufffd]{{1,3}}\s{{0,4}}(?P<value>{NUMBER})"
)
_KEYS = {
    "interfacethroughputrate": "interface",
    "throughputrate": "rate",
    "modulelatency": "latency",
    "latency": "latency",
}


class Section:
    """The fields of one section: name -> (value, line)."""

    def __init__(self) -> None:
        self.fields: dict[str, tuple[float, int]] = {}


def _is_whole(number: str, rate: float) -> bool:
    """Whether a number that ends the file has all its digits: six, or so few that it would not fit
    its section's rate (their product is one second) if more were cut off.
    """
    digits = len(re.sub(r"[^0-9]", "", number).lstrip("0"))
    if digits >= _SIGNIFICANT:
        return "." in number
    return digits <= _SIGNIFICANT - 2 and near(rate * float(number), 1000, ROUNDING)


def fields_of(text: str, line: Line, ends_file: bool) -> tuple[Section, list[str]]:
    """The fields of a section's text, and a warning for one that the file's end cut."""
    cut = []
    section = Section()
    for match in _FIELD.finditer(text):
        number, key = match["value"], _KEYS[re.sub(r"\s", "", match["name"]).lower()]
        rate = section.fields.get("rate", (0.0, 0))[0] if key == "latency" else 0.0
        if ends_file and match.end() == len(text) and not _is_whole(number, rate):
            cut.append(
                f"the file ends within '{match['name']}: {number}' (line {line.number}), which"
                " may be cut and is left out"
            )
            continue
        value = float(number)
        if math.isfinite(value) and value > 0:
            section.fields.setdefault(key, (value, line.number))
    return section, cut
