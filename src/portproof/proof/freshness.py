"""Whether what a sidecar names still holds: one rule for a stage's "up to date", for ``why``, for
what was made on another host, and for ``verify``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from portproof.core.files import sha256_of
from portproof.proof.sidecar import SUFFIX, FileRecord, Proof, proof_of, versions_of

#: The difference of a file that is not there.
MISSING = "is missing"


def difference(record: FileRecord, path: Path, paranoid: bool = False) -> str | None:
    """How a file differs from its record, in words that follow its name; None if it has the same
    bytes. Only a regular file of the right size is read.

    Size, time and inode are trusted; if the time or the inode differ, or with ``paranoid``, the
    file is hashed.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file"
        if status.st_size != record.size:
            return f"has {status.st_size} bytes, it had {record.size}"
        is_same = (status.st_mtime_ns, status.st_ino) == (record.mtime_ns, record.inode)
        if (is_same and not paranoid) or sha256_of(path) == record.sha256:
            return None
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "has other bytes (SHA-256 differs)"


def stale_because(
    proof: Proof,
    root: Path,
    *,
    inputs: Mapping[str, Sequence[Path]] | None = None,
    versions: Mapping[str, str] | None = None,
    paranoid: bool = False,
) -> str | None:
    """Why the artefact of a sidecar is not up to date; None if it is.

    ``root``: of the relative paths in the sidecar. ``inputs``: role -> the files that the stage
    would read now, by default the recorded ones. ``versions``: of the packages now, by default
    those that are installed.
    """
    now = versions_of(proof.versions) if versions is None else versions
    return (
        first_difference(proof.versions, now)
        or _changed_input(proof, root, inputs, paranoid)
        or _changed_output(proof, root, paranoid)
        or (_changed_listing(proof, root) if inputs is None else None)
    )


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """The first key, in their order, whose values differ, with both values."""
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
    return None


def lacking_here(proof: Proof, root: Path) -> str | None:
    """What the stage needs and this host lacks, if its outputs are whole: they are then kept as
    they were made on another host. A file from outside ``root``, or a package.
    """
    if _changed_output(proof, root, paranoid=False):
        return None
    for _, record in _records(proof):
        if Path(record.path).is_absolute() and not Path(record.path).exists():
            return f"'{record.path}'"
    installed = versions_of(proof.versions)
    return next((f"the package '{n}'" for n in proof.versions if n not in installed), None)


def made_from_others(proof: Proof, root: Path) -> str | None:
    """How an input that is here differs from the one that the stage read; None if none does. What
    is not here cannot be compared.

    Files of a folder with a sidecar are compared by what that sidecar says of them.
    """
    known: dict[Path, dict[str, str]] = {}
    for role, record in _records(proof):
        path = root / record.path
        if not path.exists():
            continue
        if path.parent not in known:
            known[path.parent] = _hashes_in(path.parent)
        sha256 = known[path.parent].get(path.name)
        if sha256 != record.sha256 and (sha256 or difference(record, path)):
            return f"{role} '{_shown(path, root)}' changed"
    return None


def _hashes_in(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of what the sidecar of a folder vouches for."""
    proof = proof_of(folder) if folder.name else None
    return {Path(record.path).name: record.sha256 for record in proof.outputs} if proof else {}


def listing_digest(
    folder: Path, heads: Iterable[str], ending: str, seen: bytes | None = None
) -> str:
    """SHA-256 over name, size, time and inode of the files ``<head><ending>`` of a folder: it
    changes if a file is replaced, added or removed. ``seen``: their :func:`identities` in the
    order of their names, where these are known.
    """
    names = sorted(heads)
    digest = hashlib.sha256("\n".join([ending, *names, ""]).encode("utf-8", "surrogateescape"))
    if seen is None:
        seen = identities([os.stat(f"{folder}{os.sep}{name}{ending}") for name in names])
    digest.update(seen)
    return digest.hexdigest()


def identities(files: Sequence[os.stat_result]) -> bytes:
    """Size, time and inode of each file, packed together: many small files pass here."""
    numbers = [n for s in files for n in (s.st_size, s.st_mtime_ns, s.st_ino)]
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _records(proof: Proof) -> Iterator[tuple[str, FileRecord]]:
    return ((role, record) for role, records in proof.inputs.items() for record in records)


def _changed_input(
    proof: Proof, root: Path, inputs: Mapping[str, Sequence[Path]] | None, paranoid: bool
) -> str | None:
    if inputs is None:
        inputs = {role: [root / r.path for r in records] for role, records in proof.inputs.items()}
    for role, paths in inputs.items():
        records = proof.inputs.get(role, [])
        if len(records) != len(paths):
            return f"{role}: there were {len(records)} files, now {len(paths)}"
        for record, path in zip(records, paths, strict=True):
            how = difference(record, path, paranoid)
            if how or Path(record.path).name != path.name:
                return f"{role} '{_shown(path, root)}' {how if how == MISSING else 'changed'}"
    return None


def _changed_output(proof: Proof, root: Path, paranoid: bool) -> str | None:
    for record in proof.outputs:
        how = difference(record, root / record.path, paranoid)
        if how:
            return f"output '{record.path}' {how if how == MISSING else 'was changed since'}"
    return None


def _listings_of(folder: Path) -> set[str]:
    """The digests that a folder may have been known by: of every ending, and of all its files."""
    heads: dict[str, list[str]] = {}
    for name in os.listdir(folder) if folder.is_dir() else ():
        head, mark, ending = name.rpartition("_")
        heads.setdefault(mark + ending, []).append(head)
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    names = [p.relative_to(folder).as_posix() for p in files]
    found = {listing_digest(folder, own, ending) for ending, own in heads.items()}
    return found | {listing_digest(folder, names, "")}


def _changed_listing(proof: Proof, root: Path) -> str | None:
    """A folder that was read as a listing (parameter ``<role> files``); a copy of it is another
    listing. The digest is of all its files, or of those that share an ending such as ``_1.bin``, or
    of several outputs, each with its type.
    """
    for role, record in _records(proof):
        recorded = proof.parameters.get(f"{role} files")
        if recorded is None or not record.path.endswith(SUFFIX):
            continue
        folder = root / record.path.removesuffix(SUFFIX)
        known = {pair[-1] for pair in recorded} if isinstance(recorded, list) else {recorded}
        if not known <= _listings_of(folder):
            return (
                f"{role}: files of '{_shown(folder, root)}' have other times or inodes than when"
                " they were read (was the folder copied?)"
            )
    return None


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
