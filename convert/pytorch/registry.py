"""Models that a user's own file registers, by the decorator :func:`register_model`.

It stands over a function that builds a model, or over an engine loader: a class with ``name``,
``load_pytorch_module()`` and ``load_example_inputs()``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_found: dict[str, Any] = {}


def register_model(thing: T) -> T:
    """Register a class or function under its ``name``, or else the name that it was defined with.

    >>> with collected() as found:
    ...     @register_model
    ...     def net(): ...
    >>> list(found)
    ['net']
    """
    _found[str(getattr(thing, "name", None) or getattr(thing, "__name__", thing))] = thing
    return thing


@contextlib.contextmanager
def collected() -> Iterator[dict[str, Any]]:
    """What is registered inside the block, by name, in order."""
    outer = dict(_found)
    _found.clear()
    inner: dict[str, Any] = {}
    try:
        yield inner
    finally:
        inner.update(_found)
        _found.clear()
        _found.update(outer)
