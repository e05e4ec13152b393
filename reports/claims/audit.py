"""Audit a port's README: re-derive every figure that it states from what it shows itself."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache

from portproof.core.text import listed
from portproof.reports.claims import rules
from portproof.reports.claims.agreement import Answer, Audit, Unchecked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.figure_columns import figures_in
from portproof.reports.claims.read.plain_text import Document, read

#: A table with fewer is one of settings or links.
_FEWEST_FIGURES = 2
Check = Callable[[DocumentFacts], Iterable[Answer]]


@cache
def checks() -> dict[str, Check]:
    """The checks by module name: modules of :mod:`.rules` with a function ``check``."""
    modules = (
        importlib.import_module(f"{rules.__name__}.{info.name}")
        for info in pkgutil.iter_modules(rules.__path__)
    )
    return {
        module.__name__.rpartition(".")[2]: module.check
        for module in modules
        if hasattr(module, "check")
    }


def audit(path: str | os.PathLike[str]) -> Audit:
    """Audit one README, in Chinese or English.

    Raises :class:`~portproof.core.errors.InputError` when the file is not there; whatever its bytes
    are, they are read.
    """
    return audit_document(read(path), os.fspath(path))


def audit_document(document: Document, name: str) -> Audit:
    """Audit a document that is already read; ``name`` is what the report calls it."""
    facts = DocumentFacts(document)
    result = Audit(name)
    for line, why in document.cut + [(1, why) for why in facts.left_out]:
        result.add(Unchecked(line, why))
    for check in checks().values():
        for outcome in check(facts):
            result.add(outcome)
    _note_tables(facts, result)
    return result


def _note_tables(facts: DocumentFacts, result: Audit) -> None:
    """Name every table with figures of which none was checked: silence is no approval."""
    checked = result.lines_checked()
    noted = {note.line for note in result.unchecked}
    for grid in facts.grids:
        lines = {cell.line + 1 for row in grid.rows for cell in row}
        count, titles = figures_in(grid)
        if count < _FEWEST_FIGURES or lines & checked:
            continue
        result.tables_not_read += 1
        if grid.line + 1 not in noted:
            why = f"none of the {count} figures of this table was checked"
            result.add(Unchecked(grid.line + 1, f"{why} (columns: {listed(titles)})"))
