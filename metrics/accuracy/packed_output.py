"""One output of packed results: rows of a file, by the ids in another."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.accuracy.contents import Logits
from portproof.metrics.accuracy.one_output import Results, Where, check_count, check_one_axis
from portproof.packed.ids import SampleIds
from portproof.packed.npy import Rows
from portproof.proof.freshness import listing_digest

#: Bytes of rows that are read at once: they are still in the processor's cache when judged.
_TOGETHER = 1 << 20


@dataclass(frozen=True)
class PackedOutput(Results):
    """Row *i* of ``rows`` is the result of sample ``ids[i]``."""

    folder: Path
    output: int
    ids: SampleIds
    rows: Rows

    def name(self, sample: str) -> str:
        """The sample and the file."""
        return f"{sample} in {self.rows.path.name}"

    def listing_digest(self) -> str:
        """Over all files: ids are in one of their own."""
        return listing_digest(self.folder, os.listdir(self.folder), "")

    def class_count(self, dtype: str = "float32", classes: int | None = None) -> int:
        """The file says the type and the shape of every row."""
        rows = self.rows
        if rows.dtype.kind not in "fiu":
            raise InputError(f"'{rows.path}' holds {rows.dtype}, real numbers were expected")
        check_one_axis(rows.shape, f"'{rows.path}'")
        count = math.prod(rows.shape)
        if classes is not None and classes != count:
            raise InputError(
                f"'{rows.path}' holds {count} numbers a sample, {classes} (classes) were expected;"
                " are --classes and --output right, and is it of this model?"
            )
        return check_count(count, f"the row of a sample in '{rows.path}'")

    def read(
        self, ids: Sequence[str], classes: int, dtype: str = "float32", digest: Any = None
    ) -> Iterator[tuple[Where, Logits]]:
        """In the order of the file; with a ``digest`` the whole file, its header too."""
        self.class_count(classes=classes)
        wanted = SampleIds.of(ids)
        where = None if wanted == self.ids else self.ids.places_in(wanted)
        count = max(1, _TOGETHER // self.rows.nbytes)
        with self.rows.open() as reader:
            if digest is not None:
                digest.update(reader.header())
            for first in range(0, len(self.ids), count):
                last = min(first + count, len(self.ids))
                place: Where = slice(first, last) if where is None else where[first:last]
                asked = None if isinstance(place, slice) else np.flatnonzero(place >= 0)
                if digest is None and asked is not None and not len(asked):
                    continue
                part = reader.read(first, last - first)
                if digest is not None:
                    digest.update(part.data.cast("B"))
                if asked is not None and not isinstance(place, slice):
                    part, place = part[asked], place[asked]
                if len(part):
                    yield place, _flat(part, classes)

    def array(self, sample: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Of the file's own type."""
        place = self.ids.find(sample)
        if place < 0:
            raise InputError(f"'{self.folder}' has no result of the sample '{sample}'")
        with self.rows.open() as reader:
            row: NDArray[Any] = reader.read(place, 1)[0]
        return row

    def raw(self, ids: Sequence[str]) -> list[bytes] | None:
        """None: the file says what it holds."""
        return None


def _flat(part: NDArray[Any], classes: int) -> Logits:
    """The numbers of each row, of the types that results in files are read as."""
    kind = np.float32 if part.dtype.str[1:] in ("f2", "f4") else np.float64
    return part.reshape(len(part), classes).astype(kind, copy=False)
