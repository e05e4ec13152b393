"""Sentences that come from elsewhere (the reasons of gates, the remarks of a table) in the language
of a report.

They are made in English where something is found, and kept so in files. A language's words hold
under ``sentences`` their patterns and what these become: ``{a}`` stands for a word, ``{a*}`` for
several. What no pattern knows stays English.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_GAP = re.compile(r"\{([a-z])(\*?)\}")
_WORD, _SEVERAL = r"[^\s;]+", ".+?"


def translated(text: str, words: dict[str, Any]) -> str:
    """A text with every part that a pattern knows in the language of the words.

    >>> translated("5 of 7 are wrong", {"sentences": {"{a} of {b} are wrong": "{b} 中 {a} 错误"}})
    '7 中 5 错误'
    """
    patterns: dict[str, str] = words.get("sentences") or {}
    for pattern, becomes in patterns.items():
        text = _compiled(pattern).sub(functools.partial(_filled, becomes), text)
    return text


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts, at = [], 0
    for gap in _GAP.finditer(pattern):
        name, several = gap.groups()
        parts.append(re.escape(pattern[at : gap.start()]))
        parts.append(f"(?P<{name}>{_SEVERAL if several else _WORD})")
        at = gap.end()
    return re.compile("".join([*parts, re.escape(pattern[at:])]))


def _filled(becomes: str, found: re.Match[str]) -> str:
    return _GAP.sub(lambda gap: found[gap[1]], becomes)
