"""Packed results: the rows of each output appended to one file, behind the inference.

``output<k>.npy`` and ``ids.txt`` are as :mod:`portproof.packed.results` reads them. While it is
made a file is named ``.<name>.partial``, and after each batch the journal notes how long it is and
the hash of what it holds. A run that was interrupted reads the rows again, takes them if the hashes
agree, and continues behind them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from portproof.backend import Array
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.packed.npy import HEADER, npy_header
from portproof.packed.results import RESULT_IDS, output_file
from portproof.proof.journal import Journal, write_all
from portproof.proof.sidecar import FileRecord, stored_folder
from portproof.proof.work import Work

FORMAT = "pack"

_CHUNK = 1 << 20
#: Kinds of numbers that readers of packed results take (numpy's letters).
_KINDS = "fiub"


class PackedResults:
    """The rows of the samples ``ids``, in that order. :class:`InputError` for ids that a file with
    one a line cannot hold.
    """

    def __init__(
        self, work: Work, identity: Mapping[str, Any], outputs: Sequence[str], ids: Sequence[str]
    ) -> None:
        check_ids(ids)
        self.outputs: list[dict[str, Any]] = []
        self._names, self._ids, self._rows = outputs, ids, 0
        files = [output_file(k) for k in range(1, len(outputs) + 1)]
        self._journal = Journal(work, identity, [partial_name(n) for n in (RESULT_IDS, *files)])
        self._root = work.root
        self._list = RowsFile(work.artefact / RESULT_IDS, work.root)
        self._files = [RowsFile(work.artefact / name, work.root) for name in files]

    def __enter__(self) -> PackedResults:
        """Open the files behind the last whole batch, or new ones."""
        self._take_up()
        self._journal.__enter__()
        self._journal.note_growing(file.record() for file in (self._list, *self._files))
        for file in self._files:
            file.open()
        return self

    def __exit__(self, *error: Any) -> None:
        for file in self._files:
            file.close()
        self._journal.__exit__(*error)

    def finished(self, ids: Sequence[str]) -> set[str]:
        """Those of the rows."""
        return set(ids[: self._rows])

    def write(self, samples: Sequence[str], arrays: Sequence[Array]) -> None:
        """The next rows; :class:`InputError` when they are of another dtype or shape than those
        before.
        """
        end = self._rows + len(samples)
        assert list(samples) == list(self._ids[self._rows : end]), "batches come in order"
        found = [_described(n, a) for n, a in zip(self._names, arrays, strict=True)]
        if self._rows and found != self.outputs:
            raise InputError(
                f"the outputs are {found} for some samples and {self.outputs} for others: export"
                " the model up to where dtypes and sizes are fixed"
            )
        for file, array in zip(self._files, arrays, strict=True):
            if not self._rows:
                file.append(npy_header((len(self._ids), *array.shape[1:]), array.dtype))
            file.append(array.reshape(-1).view(np.uint8).data)
        self.outputs, self._rows = found, end
        self._journal.note_growing(file.record() for file in self._files)

    def end(self) -> list[FileRecord]:
        """Write the ids and give the files their names."""
        self._list.open()
        self._list.append("".join(f"{i}\n" for i in self._ids).encode())
        self._list.close()
        for file in (self._list, *self._files):
            self._journal.take(file.partial, file.final.name, self._root, file.record().sha256)
        return list(self._journal.finished.values())

    def remove(self) -> None:
        """The journal."""
        self._journal.remove()

    def _take_up(self) -> None:
        """Continue behind the rows that the journal vouches for, if they are still those."""
        notes = [self._note_of(file) for file in self._files]
        if not all(note and note.size for note in notes):
            return
        found = [file.take_up(n) for file, n in zip(self._files, notes, strict=True) if n]
        counts = {rows for rows, _, _ in found}
        if len(counts) == 1 and counts != {0}:
            self._rows = counts.pop()
            self.outputs = [
                {"name": name, "dtype": dtype, "shape": shape}
                for name, (_, dtype, shape) in zip(self._names, found, strict=True)
            ]
            return
        progress.warn(
            f"'{self._list.final.parent}' does not hold the rows that were noted: all are made"
            " again"
        )
        for file in self._files:
            file.start_anew()

    def _note_of(self, file: RowsFile) -> FileRecord | None:
        """What the journal says of a file. One that has its name already (a kill before the
        sidecar was written) takes its partial name again.
        """
        named = self._journal.finished.pop(file.final.name, None)
        if named:
            os.replace(file.final, file.partial)
            self._journal.grown[file.partial.name] = msgspec.structs.replace(
                named, path=file.record().path
            )
        return self._journal.grown.get(file.partial.name)


class RowsFile:
    """A file that is appended to under its partial name, and hashed on the way."""

    def __init__(self, final: Path, root: Path) -> None:
        self.final, self.partial = final, final.with_name(partial_name(final.name))
        self._stored = stored_folder(final.parent, root)
        self._descriptor: int | None = None
        self.start_anew()

    def start_anew(self) -> None:
        """Forget what the file holds; :meth:`open` empties it."""
        self._size, self._hash = 0, hashlib.sha256()

    def open(self) -> None:
        """Open it where it ends, or a new one; what is behind that is cut off."""
        self._descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)

    def close(self) -> None:
        """Close it, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def append(self, data: bytes | memoryview[int]) -> None:
        """Write and hash some bytes."""
        assert self._descriptor is not None
        write_all(self._descriptor, data)
        self._hash.update(data)
        self._size += memoryview(data).nbytes

    def record(self) -> FileRecord:
        """What it holds by now, for the journal: its size and hash; its time and inode say
        nothing.
        """
        name = self._stored + self.partial.name
        return FileRecord(name, self._size, 0, 0, self._hash.hexdigest())

    def take_up(self, note: FileRecord) -> tuple[int, str, list[int]]:
        """Read what was noted; the rows, and dtype and shape of one. 0 rows when the file holds
        something else, and when its rows have no bytes, so that nobody can count them.
        """
        with open(self.partial, "rb") as file:
            while self._size < note.size and (
                chunk := file.read(min(_CHUNK, note.size - self._size))
            ):
                self._hash.update(chunk)
                self._size += len(chunk)
            if (self._size, self._hash.hexdigest()) != (note.size, note.sha256):
                return 0, "", []
            file.seek(0)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        row = int(np.prod(shape[1:])) * dtype.itemsize
        return (note.size - HEADER) // row if row else 0, dtype.name, list(shape[1:])


def partial_name(name: str) -> str:
    """The name of a file of packed results while it is made."""
    return f".{name}.partial"


def check_ids(ids: Sequence[str]) -> None:
    """:class:`InputError` for an id that has no line of its own in a UTF-8 file."""
    for name in ids:
        if any(c in name for c in "\n\r\0") or any("\ud800" <= c <= "\udfff" for c in name):
            raise InputError(
                f"the sample id {name!r} holds a line end or bytes that are not UTF-8, which"
                f" {RESULT_IDS} cannot hold: rename the file, or leave --format {FORMAT} out"
            )


def _described(name: str, array: Array) -> dict[str, Any]:
    """Dtype and shape of an output; :class:`InputError` for one that readers do not take."""
    if array.dtype.kind not in _KINDS:
        raise InputError(
            f"output '{name}' is {array.dtype.name}, packed results hold whole numbers, floats and"
            f" truth values: leave --format {FORMAT} out"
        )
    return {"name": name, "dtype": array.dtype.name, "shape": list(array.shape[1:])}
