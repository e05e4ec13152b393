"""The journal of a folder in the making: which of its files are finished, so that a killed stage
continues and never mixes two runs.

The journal ``.<folder>.journal`` is beside the folder until the sidecar takes its place. Its
first line is the fingerprint of the run (inputs, parameters, versions); every other line is the
record of one finished file; the lines of files that are finished together are one write. A file
counts as finished when its line is there and the file still has the size and time of that line.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import atomic_writer
from portproof.core.jsonfile import json_in
from portproof.core.text import listed
from portproof.proof.sidecar import (
    FileRecord,
    proof_of,
    record_of,
    stored_folder,
    stored_path,
)
from portproof.proof.work import Work, journal_of


class Journal:
    """Opens the journal of ``work.artefact`` (a folder), which is created when it is not there.

    Files of an earlier run with another fingerprint are removed first, and only those: a folder
    with files that nobody vouches for is refused (:class:`InputError`). ``finished`` maps base
    names to records of this run's finished files. ``identity`` is what else decides the bytes
    beside the inputs, parameters and versions of ``work`` (JSON values). Call before
    ``work.begin()``, which drops the sidecar.

    ``growing``: base names of files that are appended to. ``grown`` maps those that are there to
    what they held when they were last noted (size and hash); whoever appends checks that.
    """

    def __init__(
        self,
        work: Work,
        identity: Mapping[str, Any] | None = None,
        growing: Collection[str] = (),
    ) -> None:
        self.folder = work.artefact
        self.path = journal_of(self.folder)
        self._fingerprint = _fingerprint(work, identity or {})
        self.finished: dict[str, FileRecord] = {}
        self.grown: dict[str, FileRecord] = {}
        self._file: IO[bytes] | None = None
        earlier, same_run = self._read()
        proof = proof_of(self.folder)
        vouched = set(earlier) | ({Path(r.path).name for r in proof.outputs} if proof else set())
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_others(vouched)
        if same_run:
            self.grown = {
                name: earlier[name]
                for name in growing
                if name in earlier and (self.folder / name).is_file()
            }
            self.finished = {
                name: r
                for name, r in earlier.items()
                if name not in growing and _still_there(self.folder / name, r)
            }
        for name in vouched - set(self.finished) - set(self.grown):
            (self.folder / name).unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        """Rewrite the journal with what is finished, and keep it open for more. The old one is
        replaced by a whole one: without it, nobody would vouch for the files after a kill.
        """
        first = {"fingerprint": self._fingerprint}
        with atomic_writer(self.path, durable=False) as file:
            file.write(_lines([first, *self.finished.values(), *self.grown.values()]))
        self._file = open(self.path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; the journal stays until :meth:`remove`."""
        if self._file:
            self._file.close()

    def publish(self, *records: FileRecord) -> None:
        """Note files that :class:`PendingFiles` wrote, then give them their final names: a kill in
        between leaves nothing that nobody vouches for.

        The lines of one call are one write. A line whose file has no name yet counts for nothing.
        """
        folder = os.fspath(self.folder)
        for name in self._note(records):
            os.replace(f"{folder}/{_pending_name(name)}", f"{folder}/{name}")

    def take(self, file: Path, name: str, root: Path, sha256: str | None = None) -> None:
        """Note a finished file from another folder on the same file system as ``name``, then move
        it there.
        """
        final = self.folder / name
        record = record_of(file, root, sha256)
        self._note([msgspec.structs.replace(record, path=stored_path(final, root))])
        os.replace(file, final)

    def note_growing(self, records: Iterable[FileRecord]) -> None:
        """Note what files that are appended to hold by now. A file is noted before it is made."""
        self._write(_lines(records))

    def _note(self, records: Sequence[FileRecord]) -> list[str]:
        """Write the lines; the base names."""
        self._write(_lines(records))
        names = [r.path[r.path.rfind(os.sep) + 1 :] for r in records]
        self.finished.update(zip(names, records, strict=True))
        return names

    def remove(self) -> None:
        """Delete the journal: called after the sidecar was written."""
        self.path.unlink(missing_ok=True)

    def _write(self, lines: bytes) -> None:
        assert self._file is not None
        self._file.write(lines)
        self._file.flush()

    def _read(self) -> tuple[dict[str, FileRecord], bool]:
        """Records of the journal on disk, and whether it is of this run. A cut line is left out."""
        if not self.path.is_file():
            return {}, False
        first, *rest = self.path.read_bytes().split(b"\n")[:-1] or [b"{}"]
        records: dict[str, FileRecord] = {}
        try:
            same = json_in(first).get("fingerprint") == self._fingerprint
            for line in rest:
                record = msgspec.convert(json_in(line), FileRecord)
                records[Path(record.path).name] = record
        except (ValueError, AttributeError, msgspec.ValidationError):
            same = False
        return records, same

    def _refuse_others(self, vouched: set[str]) -> None:
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        others = sorted(p.name for p in self.folder.iterdir() if p.name not in vouched)
        if others:
            raise InputError(
                f"'{self.folder}' holds {len(others)} files that this command did not write"
                f" ({listed(others)}); give an empty or a new folder, or remove them"
            )


def _lines(values: Iterable[object]) -> bytes:
    return msgspec.json.Encoder().encode_lines(values)


def pending(final: Path) -> Path:
    """The name of a file that is not yet noted as finished; the journal removes such files when a
    run begins.
    """
    return final.with_name(_pending_name(final.name))


def _pending_name(name: str) -> str:
    return f".{name.rpartition('.')[0] or name}.tmp"


class PendingFiles:
    """Writes files of one folder under their pending names, with the least work for each: system
    calls on text paths, since thousands of small files pass here.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._stored = f"{folder}/", stored_folder(folder, root)

    def write(self, name: str, data: bytes | memoryview[int]) -> FileRecord:
        """Write and hash ``data``; the record of the file that ``name`` will be."""
        temporary = self._folder + _pending_name(name)
        try:
            stat = _written(temporary, data)
        except BaseException:
            self.discard(name)
            raise
        return FileRecord(
            self._stored + name,
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ino,
            hashlib.sha256(data).hexdigest(),
        )

    def discard(self, name: str) -> None:
        """Delete the pending file of ``name``, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._folder + _pending_name(name))


def _written(path: str, data: bytes | memoryview[int]) -> os.stat_result:
    """As ``Path.write_bytes``, without what it asks the system beside: open, write, close; what the
    system says of the file, before it is closed, since no path is looked up then.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        write_all(descriptor, data)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview[int]) -> None:
    """Write all of ``data``; OSError when the disk is full."""
    whole = memoryview(data).nbytes
    written = os.write(descriptor, data)
    while written < whole:  # a disk that gets full, or more than 2 GiB
        written += os.write(descriptor, bytes(data)[written:])


def _fingerprint(work: Work, identity: Mapping[str, Any]) -> str:
    facts = {
        "stage": work.stage,
        "revision": work.revision,
        "parameters": work.parameters,
        "versions": work.versions,
        "simulated": work.simulated,
        "identity": identity,
    }
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def _still_there(path: Path, record: FileRecord) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (record.size, record.mtime_ns)
