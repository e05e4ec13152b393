"""What a diagnosis looks at: which samples, their images and labels, and the port's results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.manifest import sample_id
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.one_output import Results, Where
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import Reading
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.numbers.form import Form
from portproof.preprocess.dataset.images import find_images

#: The reference is run on so many images at most, unless more are asked for.
MOST = 1000
#: Of more images, runs of neighbours are compared: a shift is seen in neighbours only.
_RUNS = 20
#: Results of a form of their own that are read together.
_TOGETHER = 256

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """The samples that are compared with the reference, a part of all of them.

    ``every``: the ids of all samples, in their order; ``labels``, ``finite`` and ``blank`` (results
    of zeros) are of all of them. ``at``: the places of those compared in ``every``; ``images`` and
    ``port`` (rows, classes) are of these.
    """

    every: list[str]
    labels: NDArray[np.int64]
    finite: Mask
    blank: Mask
    at: NDArray[np.int64]
    images: list[Path]
    port: Rows

    @property
    def ids(self) -> list[str]:
        """The ids of the samples that are compared."""
        return [self.every[i] for i in self.at]

    @property
    def truth(self) -> NDArray[np.int64]:
        """The labels of the samples that are compared."""
        return self.labels[self.at]

    def only(self, kept: Mask) -> Compared:
        """The same with fewer samples compared."""
        images = [path for path, keep in zip(self.images, kept, strict=True) if keep]
        return replace(self, at=self.at[kept], images=images, port=self.port[kept])


@dataclass(frozen=True)
class Chosen:
    """The samples that have an image, a label and a result, before results are read. ``at``: which
    of ``every`` are compared; ``images`` are of these.
    """

    files: Results
    every: list[str]
    labels: NDArray[np.int64]
    at: NDArray[np.int64]
    images: list[Path]

    @property
    def ids(self) -> list[str]:
        """The ids of the samples that are compared."""
        return [self.every[i] for i in self.at]

    def read(self, reading: Reading, form: Form | None) -> Compared:
        """Read every result, in a ``form`` of its own where there is one."""
        finite, blank, port = _read(self.files, self.every, self.at, reading, form)
        return Compared(self.every, self.labels, finite, blank, self.at, self.images, port)


def choose(
    images: Path,
    labels: str | os.PathLike[str],
    result: str | os.PathLike[str],
    reading: Reading,
    limit: int | None,
) -> Chosen:
    """The samples, and which of them are compared: all up to ``limit``, which is :data:`MOST` by
    default, else runs of neighbours over the whole data set.
    """
    files, truth = list_results(result, reading.output), read_labels(labels)
    known = [(sample_id(path), path) for path in find_images(images) if sample_id(path) in truth]
    chosen = [(i, path) for i, path in known if i in files.ids]
    if not chosen:
        raise InputError(
            f"images in '{images}', labels in '{labels}' and results in '{files.folder}' have no"
            " sample in common; are they of one data set?"
        )
    if missing := [i for i, _ in known if i not in files.ids]:
        progress.warn(f"{len(missing)} images have a label and no result ({listed(missing)})")
    every = [i for i, _ in chosen]
    at = spread(len(every), min(limit or MOST, len(every)))
    return Chosen(
        files,
        every,
        np.array([truth[i] for i in every], dtype=np.int64),
        at,
        [chosen[i][1] for i in at],
    )


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """``wanted`` of ``count`` places: runs of neighbours, evenly spread, the first and the last
    among them.

    >>> spread(3, 3).tolist(), spread(100, 40)[[0, 1, 2, 37, 38, 39]].tolist()
    ([0, 1, 2], [0, 1, 5, 94, 98, 99])
    """
    if wanted >= count:
        return np.arange(count)
    runs = min(_RUNS, max(min(wanted, 2), wanted // 2))
    sizes = np.diff(np.linspace(0, wanted, runs + 1).round().astype(int))
    first = np.linspace(0, count - sizes[-1], runs).round().astype(int) if runs > 1 else [0]
    return np.unique(
        np.concatenate([np.arange(f, f + s) for f, s in zip(first, sizes, strict=True)])
    )


def _read(
    files: Results,
    every: Sequence[str],
    at: NDArray[np.int64],
    reading: Reading,
    form: Form | None,
) -> tuple[Mask, Mask, Rows]:
    finite, blank = np.empty(len(every), bool), np.empty(len(every), bool)
    place_of = np.full(len(every), -1)
    place_of[at] = np.arange(len(at))
    port: Rows = np.empty((0, 0))
    for where, rows in _parts(files, every, reading, form):
        finite[where], blank[where] = np.isfinite(rows).all(axis=1), ~rows.any(axis=1)
        if not port.size:
            port = np.empty((len(at), rows.shape[1]))
        place = place_of[where]
        port[place[place >= 0]] = rows[place >= 0]
    return finite, blank, port


def _parts(
    files: Results, every: Sequence[str], reading: Reading, form: Form | None
) -> Iterator[tuple[Where, NDArray[Any]]]:
    """All results, some at a time, with their places."""
    if form is None:
        classes = files.class_count(reading.dtype, reading.classes)
        yield from files.read(every, classes, reading.dtype)
        return
    for first in range(0, len(every), _TOGETHER):
        part = every[first : first + _TOGETHER]
        yield slice(first, first + len(part)), form.rows(files, part)
