"""Samples from ``.bin`` files to batches, every byte hashed on the way: checked before anything
runs, read ahead while the model works.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from portproof.backend import Array, TensorSpec
from portproof.core.errors import InputError
from portproof.manifest import Sample
from portproof.proof.sidecar import FileRecord, stored_path

T = TypeVar("T")
R = TypeVar("R")


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
            stat = _stat(path)
            if stat.st_size != size:
                raise InputError(_wrong_size(path, stat.st_size, spec, size))
            digest.update(
                f"{path}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
    return digest.hexdigest()


def _stat(path: str) -> os.stat_result:
    try:
        stat = os.stat(path)
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
    if os.path.isdir(path):
        raise InputError(f"the sample '{path}' is a folder, a file was expected")
    return stat


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


def read_batch(samples: Sequence[Sample], inputs: Sequence[TensorSpec], root: Path) -> Batch:
    """Read some samples into one array an input, and hash each file's bytes as they are read."""
    feeds = {s.name: np.empty((len(samples), *s.sample_shape), s.dtype) for s in inputs}
    records = [
        _read_into(feeds[spec.name][row : row + 1], path, spec, root)
        for row, sample in enumerate(samples)
        for path, spec in zip(sample.files, inputs, strict=True)
    ]
    return Batch([s.id for s in samples], feeds, records)


def _read_into(array: Array, path: str, spec: TensorSpec, root: Path) -> FileRecord:
    """One file into one sample's row; its record."""
    view = array.reshape(-1).view(np.uint8).data
    with open(path, "rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        got = 0
        while got < len(view) and (count := file.readinto(view[got:])):
            got += count
        if got != len(view) or file.read(1):
            raise InputError(_wrong_size(path, stat.st_size, spec, len(view)))
    return FileRecord(
        stored_path(Path(path), root),
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ino,
        hashlib.sha256(view).hexdigest(),
    )


def padded(feeds: dict[str, Array], batch: int) -> dict[str, Array]:
    """A short batch filled up to ``batch`` with its own first sample, for a model whose batch is
    fixed (ais_bench pads in the same way).
    """
    return {
        name: np.concatenate([a, np.repeat(a[:1], batch - len(a), axis=0)]) if len(a) < batch else a
        for name, a in feeds.items()
    }
