"""What every sample adds to the figures of a task, in columns, and the file ``outcomes.npz``.

The file is numpy's own, not compressed and without pickles: for every name of a contribution an
array ``value/<name>`` (the rows of all samples, one after the other) and ``rows/<name>`` (how many
are each sample's; -1 for a plain number), and ``about``, a JSON text with the task, the sample ids
and the digest of the truth.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_file, write_bytes
from portproof.core.jsonfile import json_in, record_from
from portproof.manifest import check_unique
from portproof.metrics.tasks import Contribution

SCHEMA = "portproof.task_outcomes/1"
_PLAIN = -1
_REMEDY = "make it again with 'portproof evaluate --outcomes'"

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Contributions:
    """The contributions of the samples ``ids``.

    ``values[name]``: the rows of all samples; ``lengths[name]``: how many are each sample's, -1
    for a plain number (which is one row). ``cache`` holds what a task works out once (see
    :meth:`once`).
    """

    ids: tuple[str, ...]
    values: Mapping[str, NDArray[Any]]
    lengths: Mapping[str, NDArray[np.int64]]
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, ids: Sequence[str], parts: Sequence[Contribution]) -> Contributions:
        """From one contribution a sample."""
        names = list(parts[0])
        for part in parts:
            if list(part) != names:
                raise ValueError(f"contributions have different names: {names} and {list(part)}")
        columns = {name: [np.asarray(part[name]) for part in parts] for name in names}
        values = {n: np.concatenate([np.atleast_1d(a) for a in c]) for n, c in columns.items()}
        lengths = {
            n: np.array([len(a) if a.ndim else _PLAIN for a in c], np.int64)
            for n, c in columns.items()
        }
        return cls(tuple(ids), values, lengths)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, name: str) -> NDArray[Any]:
        """The rows of all samples, one after the other."""
        return self.values[name]

    def owners(self, name: str) -> NDArray[np.int64]:
        """For each row of :meth:`rows`, the position of its sample."""
        return np.repeat(np.arange(len(self)), np.abs(self.lengths[name]))

    def table(self, name: str) -> NDArray[Any]:
        """An array whose first axis is the samples, of a name with as many rows for each of them,
        or of plain numbers.
        """
        lengths, values = self.lengths[name], self.values[name]
        if len(set(lengths.tolist())) > 1:
            raise ValueError(f"'{name}' has another number of rows from sample to sample")
        plain = not len(lengths) or lengths[0] == _PLAIN
        return values if plain else values.reshape(len(self), -1, *values.shape[1:])

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, worked out the first time only."""
        if key not in self.cache:
            self.cache[key] = make()
        found: T = self.cache[key]
        return found

    def take(self, positions: Sequence[int] | NDArray[np.int64]) -> Contributions:
        """The samples at these positions, in this order."""
        at = np.asarray(positions, np.int64)
        values = {}
        for name, lengths in self.lengths.items():
            sizes = np.abs(lengths)
            starts = np.concatenate([[0], np.cumsum(sizes)])
            rows = [np.arange(starts[i], starts[i + 1]) for i in at]
            values[name] = self.values[name][np.concatenate([np.zeros(0, np.int64), *rows])]
        return Contributions(
            tuple(self.ids[i] for i in at.tolist()),
            values,
            {name: lengths[at] for name, lengths in self.lengths.items()},
        )

    def beside(self, other: Contributions) -> Contributions:
        """These samples, and then those of the other side."""
        return Contributions(
            (*self.ids, *other.ids),
            {n: np.concatenate([self.values[n], other.values[n]]) for n in self.values},
            {n: np.concatenate([self.lengths[n], other.lengths[n]]) for n in self.lengths},
        )

    def part(self, position: int) -> dict[str, bytes]:
        """The bytes of one sample's contribution, to see whether two are the same."""
        found = {}
        for name, lengths in self.lengths.items():
            ends = self.once(f"ends/{name}", lambda n=lengths: np.cumsum(np.abs(n)))  # type: ignore[misc]
            end = int(ends[position])
            rows = self.values[name][end - int(abs(lengths[position])) : end]
            found[name] = rows.tobytes()
        return found


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of outcomes says of itself. ``truth``: digest of the ground truth, which has
    ``truth_samples``; ``left_out``: those of them that had no prediction.
    """

    task: str
    ids: list[str]
    truth: str
    truth_samples: int
    left_out: list[str] = []
    simulated: bool = False
    schema: Literal["portproof.task_outcomes/1"] = "portproof.task_outcomes/1"


def write_outcomes(
    path: str | os.PathLike[str], contributions: Contributions, about: About
) -> None:
    """Write ``outcomes.npz``, atomically; equal contributions give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in contributions.values.items():
        arrays[f"value/{name}"] = values
        arrays[f"rows/{name}"] = contributions.lengths[name]
    text = np.frombuffer(msgspec.json.encode(about), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, about=text, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_outcomes(path: str | os.PathLike[str]) -> tuple[Contributions, About]:
    """Read ``outcomes.npz``; :class:`InputError` if it is damaged."""
    arrays = _arrays(read_file(path, "outcomes"), f"outcomes '{os.fspath(path)}'")
    what = f"outcomes '{os.fspath(path)}'"
    try:
        data = json_in(arrays.pop("about").tobytes())
    except (KeyError, ValueError):
        data = None
    about = record_from(data, About, SCHEMA, what, _REMEDY)
    check_unique(about.ids, what)
    names = [n.removeprefix("value/") for n in arrays if n.startswith("value/")]
    values = {n: arrays[f"value/{n}"] for n in names}
    lengths = {n: arrays.get(f"rows/{n}", np.zeros(0)) for n in names}
    if (
        not names
        or not about.ids
        or not all(_fits(values[n], lengths[n], len(about.ids)) for n in names)
    ):
        raise InputError(f"{what} are damaged (their columns do not fit together); {_REMEDY}")
    found = Contributions(
        tuple(about.ids), values, {n: rows.astype(np.int64) for n, rows in lengths.items()}
    )
    return found, about


def _arrays(data: bytes, what: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist()):
                raise ValueError("compressed")  # the size of what is read stays that of the file
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    # numpy and zipfile read what they are given: damage ends in many kinds of errors
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{what} are no whole .npz file ({reason}); {_REMEDY}") from error


def _fits(values: NDArray[Any], lengths: NDArray[Any], samples: int) -> bool:
    return (
        values.ndim >= 1
        and values.dtype.kind in "fiub"
        and lengths.shape == (samples,)
        and lengths.dtype.kind == "i"
        and bool((lengths >= _PLAIN).all())
        and int(np.abs(lengths).sum()) == len(values)
    )
