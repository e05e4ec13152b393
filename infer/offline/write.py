"""Outputs of a batch, written behind the inference by one thread; and one file a sample and output.

Formats of such files: ``bin``, raw little-endian in the output's own dtype, as the benchmark tool
writes; ``txt``, its text form: the values on one line, separated by single spaces, with as many
digits as the dtype needs to come back unchanged; ``npy``, with the shape of one sample.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError
from portproof.infer.offline.file_reader import rows_of
from portproof.proof.journal import Journal, PendingFiles
from portproof.proof.sidecar import FileRecord
from portproof.proof.work import Work

#: Formats of one file a sample and output.
FILES = ("bin", "txt", "npy")
#: How far results may be behind when batches are small.
_SAMPLES_BEHIND, _BYTES_BEHIND = 32, 10_000_000
_DIGITS = {"float16": "%.5g", "float32": "%.9g", "float64": "%.17g"}


class Results(Protocol):
    """Where results go: a folder in the making, which an interrupted run finds again."""

    #: Name, dtype and shape of each output of a sample, as far as an earlier process wrote them.
    outputs: list[dict[str, Any]]

    def __enter__(self) -> Results:
        """Open what is there for more."""

    def __exit__(self, *error: Any) -> None:
        """Close it; what is there stays for the next run."""

    def finished(self, ids: Sequence[str]) -> set[str]:
        """Of all samples, those whose every output is written."""

    def write(self, samples: Sequence[str], arrays: Sequence[Array]) -> None:
        """The outputs of one batch, in C order and little-endian; finished ones are left alone."""

    def end(self) -> list[FileRecord]:
        """Called when all is written; the records of the files."""

    def remove(self) -> None:
        """Delete what only a run in the making needs: called after the sidecar was written."""


class ResultWriter:
    """Writes results, at most two batches behind, or more of small ones: to wait for each by itself
    would take longer than to write it. ``with_nan`` holds the ids of samples with a NaN in an
    output.
    """

    def __init__(self, results: Results, outputs: Sequence[str]) -> None:
        self._results, self._outputs = results, outputs
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: deque[Future[None]] = deque()
        self.with_nan: list[str] = []

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what was handed over, then stop; an error in the block takes precedence."""
        self._pool.shutdown(wait=True)
        if error is None:
            self._wait_for(0)

    def put(self, samples: Sequence[str], results: Mapping[str, Array]) -> None:
        """Hand over one batch: the ids of its samples, and outputs whose first dimension they are.
        Blocks while too many batches wait, until half of them are written.
        """
        self._waiting.append(self._pool.submit(self._write, samples, results))
        size = sum(array.nbytes for array in results.values())
        depth = max(2, min(_SAMPLES_BEHIND // len(samples), _BYTES_BEHIND // max(size, 1)))
        self._wait_for(depth // 2 if len(self._waiting) > depth else depth)

    def _wait_for(self, most: int) -> None:
        """Until so many batches are left; an error is raised as soon as it is there. Batches are
        written in order: who waits for the last one is woken once.
        """
        if len(self._waiting) > most:
            self._waiting[-1 - most].exception()
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()

    def _write(self, samples: Sequence[str], results: Mapping[str, Array]) -> None:
        arrays = [_little(results[name]) for name in self._outputs]
        self.with_nan += [samples[row] for row in rows_with_nan(arrays)]
        self._results.write(samples, arrays)


class ResultFiles:
    """One file a sample and output, in a folder with a journal."""

    def __init__(
        self, work: Work, identity: Mapping[str, Any], outputs: Sequence[str], form: str
    ) -> None:
        self.outputs: list[dict[str, Any]] = []
        self._journal, self._form = Journal(work, identity), form
        self._numbers = range(1, len(outputs) + 1)
        self._pending = PendingFiles(work.artefact, work.root)

    def __enter__(self) -> ResultFiles:
        self._journal.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._journal.__exit__(*error)

    def finished(self, ids: Sequence[str]) -> set[str]:
        """Those with a file for every output."""
        known = self._journal.finished
        return {
            i
            for i in ids
            if known and all(result_name(i, k, self._form) in known for k in self._numbers)
        }

    def write(self, samples: Sequence[str], arrays: Sequence[Array]) -> None:
        """All files of the batch, or none."""
        contents = [encoded_rows(array, self._form) for array in arrays]
        records: list[FileRecord] = []
        try:
            for row, sample in enumerate(samples):
                for number, rows in enumerate(contents, start=1):
                    name = result_name(sample, number, self._form)
                    if name not in self._journal.finished:
                        records.append(self._pending.write(name, rows[row]))
            self._journal.publish(*records)
        except BaseException:
            for record in records:
                self._pending.discard(os.path.basename(record.path))
            raise

    def end(self) -> list[FileRecord]:
        """The files have their names already."""
        return list(self._journal.finished.values())

    def remove(self) -> None:
        """The journal."""
        self._journal.remove()


def rows_with_nan(arrays: Sequence[Array]) -> list[int]:
    """Rows, in order, with a NaN in one of the arrays.

    The least of all values is NaN if any value is, so that one pass without a copy clears a batch.
    """
    suspects = [a for a in arrays if a.dtype.kind == "f" and a.size and np.isnan(a.min())]
    found = [np.isnan(a).reshape(len(a), -1).any(axis=1) for a in suspects]
    return np.flatnonzero(np.logical_or.reduce(found)).tolist() if found else []


def check_batch_first(results: Mapping[str, Array], batch: int) -> None:
    """:class:`InputError` for an output that cannot be cut into samples."""
    for name, array in results.items():
        if array.ndim == 0 or len(array) != batch:
            raise InputError(
                f"output '{name}' has the shape {array.shape} for a batch of {batch}: its first"
                " dimension is not the batch, so it has no part for each sample; export the model"
                " without it"
            )


def check_sizes(results: Mapping[str, Array], known: Sequence[Mapping[str, Any]]) -> None:
    """:class:`InputError` for an output whose samples are of several sizes: whoever reads the
    results could not tell them apart. ``known``: name and shape of a sample of earlier batches.
    """
    for output in known:
        shape = list(results[output["name"]].shape[1:])
        if shape != output["shape"]:
            raise InputError(
                f"output '{output['name']}' has the shape {output['shape']} for some samples and"
                f" {shape} for others: its size depends on the data; export the model up to where"
                " sizes are fixed"
            )


def result_name(sample: str, number: int, form: str) -> str:
    """The file name of a sample's output, numbered from 1 as the benchmark tool does."""
    return f"{sample}_{number}.{form}"


def _little(array: Array) -> Array:
    """The output in C order, little-endian."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def encoded_rows(array: Array, form: str) -> Sequence[bytes | memoryview[int]]:
    """A batch's output, in C order and little-endian, as the bytes of each sample's file.

    >>> encoded_rows(np.array([[0.1, 2]], "<f4"), "txt")
    [b'0.100000001 2\\n']
    """
    if form == "bin":
        return rows_of(array)
    return [encoded(row, form) for row in array]


def encoded(array: Array, form: str) -> bytes:
    """One sample's output as the bytes of its file."""
    if form == "bin":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return _as_npy(array) if form == "npy" else _as_text(array)


def _as_npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _as_text(array: Array) -> bytes:
    values = array.reshape(-1).tolist()
    pattern = " ".join([_DIGITS.get(array.dtype.name, "%d")] * len(values))
    return (pattern % tuple(values) + "\n").encode("ascii")
