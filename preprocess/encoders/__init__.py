"""Text and sound as inputs of a model: one file for each kind of :mod:`portproof.sequence`.

Each has ``SUFFIXES``, those of its files in a folder, and ``encoder(sequence, folder)``, which
makes a function from one source
(:class:`portproof.preprocess.dataset.sequence_files.Source`) to :class:`Encoded`; it raises
:class:`portproof.core.errors.InputError`, to be prefixed with the sample. ``folder``: where the
names of files begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoded:
    """The arrays of one sample by the names of parts, and whether its end was cut off."""

    arrays: Mapping[str, NDArray[Any]]
    cut: bool = False
