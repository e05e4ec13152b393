"""Samples from ``.bin`` files to batches, every byte hashed on the way: checked before anything
runs, read ahead while the model works.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portproof.backend import Array, TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline.native import file_reader
from portproof.manifest import Sample
from portproof.preprocess.pixels.memory import Memory
from portproof.proof.sidecar import FileRecord, stored_folder


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples: their ids, their inputs by name (batch first), and the records of the files
    read for them.
    """

    ids: Sequence[str]
    feeds: dict[str, Array]
    records: list[FileRecord]


def check_files(samples: Sequence[Sample], inputs: Sequence[TensorSpec]) -> str:
    """Check that every file is there with the size that the model takes; :class:`InputError` names
    the first that is not, and both sizes.

    Returns a digest of sizes, times and inodes: while it stays the same, the samples are the same.
    """
    if len(samples[0].files) != len(inputs):
        raise InputError(
            f"the info list gives {len(samples[0].files)} files a sample, the model has"
            f" {len(inputs)} inputs ({', '.join(s.name for s in inputs)})"
        )
    digest = hashlib.sha256()
    wanted = [spec.nbytes(1) or 0 for spec in inputs]
    for sample in samples:
        for path, size, spec in zip(sample.files, wanted, inputs, strict=True):
            found = _stat(path)
            if found.st_size != size:
                raise InputError(_wrong_size(path, found.st_size, spec, size))
            digest.update(
                f"{path}\0{found.st_size} {found.st_mtime_ns} {found.st_ino}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
    return digest.hexdigest()


def _stat(path: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        hint = (
            ""
            if os.path.isabs(path)
            else (
                " (paths in an info list are relative to the working directory, here"
                f" '{os.getcwd()}')"
            )
        )
        raise InputError(f"the sample file '{path}' is missing{hint}") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"the sample '{path}' is a folder, a file was expected")
    return found


def _wrong_size(path: str, size: int, spec: TensorSpec, wanted: int) -> str:
    shape = "x".join(map(str, spec.sample_shape))
    count = wanted // np.dtype(spec.dtype).itemsize
    fitting = [
        name
        for name in ("float32", "float16", "uint8", "float64")
        if count * np.dtype(name).itemsize == size
    ]
    hint = (
        f"; it has the size of {fitting[0]} values: preprocess for this model's dtype"
        if fitting
        else "; preprocess it again for this model"
    )
    return (
        f"the sample file '{path}' has {size} bytes, input '{spec.name}' ({spec.dtype} {shape})"
        f" takes {wanted}{hint}"
    )


class Folders(dict[str, str]):
    """What the stored paths of a folder's files begin with, by the folder with its last slash."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __missing__(self, folder: str) -> str:
        self[folder] = found = stored_folder(folder, self._root)
        return found

    def path(self, path: str) -> str:
        """A file's path as it is stored."""
        name = path.rfind(os.sep) + 1
        return self[path[:name]] + path[name:]


def read_batch(
    samples: Sequence[Sample],
    inputs: Sequence[TensorSpec],
    root: Path,
    memory: Memory | None = None,
) -> Batch:
    """Read some samples into one array an input, and hash each file's bytes as they are read.
    ``memory``: what the arrays lie in.
    """
    memory, stored = memory or Memory(), Folders(root)
    feeds = {s.name: memory.empty((len(samples), *s.sample_shape), s.dtype) for s in inputs}
    columns = [
        _read_rows([s.files[number] for s in samples], feeds[spec.name], spec, stored)
        for number, spec in enumerate(inputs)
    ]
    records = [record for of_sample in zip(*columns, strict=True) for record in of_sample]
    return Batch([s.id for s in samples], feeds, records)


def cut(batch: Batch, sizes: Sequence[int]) -> list[Batch]:
    """Batches of some samples each, without a copy, from one that holds them all."""
    files = len(batch.records) // len(batch.ids)
    spans = [
        range(end - size, end) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)
    ]
    return [
        Batch(
            batch.ids[span.start : span.stop],
            {name: array[span.start : span.stop] for name, array in batch.feeds.items()},
            batch.records[span.start * files : span.stop * files],
        )
        for span in spans
    ]


def _read_rows(
    paths: Sequence[str], array: Array, spec: TensorSpec, stored: Folders
) -> list[FileRecord]:
    """One file into each sample's row; their records."""
    found, wanted = file_reader().read(paths, array), array.nbytes // len(paths)
    wrong = np.flatnonzero(found["got"] != wanted)
    if wrong.size:
        at = int(wrong[0])
        raise InputError(_wrong_size(paths[at], int(found["size"][at]), spec, wanted))
    digests = found["sha256"].tobytes().hex()
    sizes, times, inodes = (found[name].tolist() for name in ("size", "mtime_ns", "inode"))
    return [
        FileRecord(
            stored.path(path), sizes[at], times[at], inodes[at], digests[64 * at : 64 * at + 64]
        )
        for at, path in enumerate(paths)
    ]


def padded(feeds: dict[str, Array], batch: int) -> dict[str, Array]:
    """A short batch filled up to ``batch`` with its own first sample, for a model whose batch is
    fixed (ais_bench pads in the same way).
    """
    return {
        name: np.concatenate([a, np.repeat(a[:1], batch - len(a), axis=0)]) if len(a) < batch else a
        for name, a in feeds.items()
    }
