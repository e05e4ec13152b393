"""Audit a port's README: re-derive every figure that it states from what it shows itself."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache

from portproof.reports.claims import rules
from portproof.reports.claims.agreement import Answer, Audit, Unchecked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.plain_text import Document, read

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
    return result
