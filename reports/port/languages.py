"""The languages of a port's reports: one ``words.<language>.yaml`` each. Standard library only."""

from __future__ import annotations

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def languages() -> list[str]:
    """The languages that there are words for, sorted."""
    return sorted(p.suffixes[0].lstrip(".") for p in TEMPLATES.glob("words.*.yaml"))
