"""What every form of result folder can do: the results of one of its outputs."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.accuracy.contents import Logits
from portproof.packed.ids import SampleIds

#: Where in the samples that were asked for a part of the results belongs.
Where = slice | NDArray[np.int64]


class Results(abc.ABC):
    """The results of one ``output`` in a ``folder``, one for each of ``ids``."""

    folder: Path
    output: int
    ids: SampleIds

    @abc.abstractmethod
    def name(self, sample: str) -> str:
        """What a sample's result is called in a sentence."""

    @abc.abstractmethod
    def listing_digest(self) -> str:
        """SHA-256 over name, size, time and inode of every file: it changes with any of them."""

    @abc.abstractmethod
    def class_count(self, dtype: str = "float32", classes: int | None = None) -> int:
        """How many classes each result holds: ``classes`` where given, else what the first holds
        (all are checked as they are read). ``dtype``: of results that do not say it themselves.
        """

    @abc.abstractmethod
    def read(
        self, ids: Sequence[str], classes: int, dtype: str = "float32", digest: Any = None
    ) -> Iterator[tuple[Where, Logits]]:
        """Read the results of ``ids``, all of which are there: yields (where in ``ids``, array of
        shape (results, ``classes``)), part by part, each result once, in the order that is read
        fastest.

        An array is valid until the next one is asked for, and may be changed. ``digest`` (of
        :mod:`hashlib`) is fed every byte that is read. :class:`InputError`, with counts and names,
        when a result does not hold ``classes`` numbers.
        """

    @abc.abstractmethod
    def array(self, sample: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A sample's output, in its shape if it says one; :class:`InputError` if it is damaged."""

    @abc.abstractmethod
    def raw(self, ids: Sequence[str]) -> list[bytes] | None:
        """The bytes of these results; None if they say themselves which numbers they hold."""


def chosen_number(path: Path, numbers: Sequence[int], output: int | None) -> int:
    """The output that is asked for, of those there are."""
    have = ", ".join(map(str, numbers))
    if output is None and len(numbers) > 1:
        raise InputError(
            f"'{path}' holds results of several outputs ({have}); say which with --output"
        )
    wanted = numbers[0] if output is None else output
    if wanted not in numbers:
        raise InputError(
            f"'{path}' holds no result of output {wanted}, only of {have}; give one of these with"
            " --output"
        )
    return wanted


def check_one_axis(shape: Sequence[int], what: str) -> None:
    """Refuse an output with more than one axis: its numbers are not one for every class."""
    if sum(size != 1 for size in shape) > 1:
        raise InputError(
            f"{what} has the shape {tuple(shape)} for one sample, one number for every class was"
            " expected: Top-N is for classifiers; choose a classifier's output with --output, or"
            " use the metric of the model's own task"
        )


def check_count(count: int, what: str) -> int:
    """Refuse an output with fewer numbers than two classes have."""
    if count < 2:
        raise InputError(
            f"{what} holds {count} numbers, one for every class (at least 2) was expected; is"
            " --output right?"
        )
    return count
