"""Modules that are found by name: one file of a package for each of a kind."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from portproof.core.errors import InputError


def names(package: str) -> list[str]:
    """The names of the modules in a package, sorted. Imports none of them, nor the package."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return sorted(m.name for m in pkgutil.iter_modules(folders or []) if not m.ispkg)


def load(package: str, name: str, what: str) -> ModuleType:
    """The module of that name; :class:`InputError` lists the names in the package."""
    if name not in names(package):
        raise InputError(f"there is no {what} '{name}'; there are {', '.join(names(package))}")
    return importlib.import_module(f"{package}.{name}")
