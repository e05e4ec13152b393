"""The sidecar ``<artefact>.proof.json``: what a stage read and wrote; it means "done"."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import sha256_of, write_bytes
from portproof.core.jsonfile import read_record
from portproof.host import cann

SCHEMA = "portproof.proof/1"
SUFFIX = ".proof.json"
#: The file that makes a folder the root of the relative paths in its sidecars.
ROOT_MARK = "port.yaml"


class FileRecord(msgspec.Struct, frozen=True, gc=False):
    """One file as it was when hashed. ``path``: relative to the run directory, or absolute."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str


class Proof(msgspec.Struct, kw_only=True):
    """The content of a sidecar. ``simulated``: a rehearsal; ``facts``: what was found."""

    schema: str
    stage: str
    revision: int
    portproof: str
    command: list[str]
    directory: str
    started: str
    seconds: float
    parameters: dict[str, Any]
    versions: dict[str, str]
    environment: dict[str, str]
    inputs: dict[str, list[FileRecord]]
    outputs: list[FileRecord]
    facts: dict[str, Any]
    simulated: bool = False


def sidecar_of(artefact: str | os.PathLike[str]) -> Path:
    """The place of the sidecar of a file or a folder: beside it."""
    path = Path(artefact)
    return path.with_name(path.name + SUFFIX)


def root_of(artefact: str | os.PathLike[str]) -> Path:
    """What a sidecar's relative paths are relative to: the run directory (it holds ``port.yaml``)
    or else the artefact's own folder.
    """
    folder = Path(artefact).absolute().parent
    return next((p for p in (folder, *folder.parents) if (p / ROOT_MARK).is_file()), folder)


def read_proof(sidecar: str | os.PathLike[str]) -> Proof:
    """Read a sidecar; :class:`InputError` if it is damaged or of another schema version."""
    return read_record(sidecar, Proof, SCHEMA, "sidecar", "delete it and run the stage again")


def write_proof(sidecar: str | os.PathLike[str], proof: Proof) -> None:
    """Write a sidecar, atomically: what it vouches for counts as done from then on."""
    write_bytes(sidecar, msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n")


def proof_of(artefact: str | os.PathLike[str]) -> Proof | None:
    """The sidecar of an artefact, or None if it has none."""
    sidecar = sidecar_of(artefact)
    return read_proof(sidecar) if sidecar.is_file() else None


def record_of(path: str | os.PathLike[str], root: Path, sha256: str | None = None) -> FileRecord:
    """Hash a file, unless its hash is given, and note its size, time and inode."""
    p = Path(path)
    before = p.stat()
    digest = sha256 if sha256 is not None else sha256_of(p)
    after = p.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(
            f"'{p}' changed while it was read; wait until whoever writes it has finished, then"
            " start again"
        )
    return FileRecord(stored_path(p, root), after.st_size, after.st_mtime_ns, after.st_ino, digest)


def stored_path(path: str | os.PathLike[str], root: Path) -> str:
    """A path as sidecars store it: relative to the root when inside it, so that a copied run
    directory still verifies, else absolute.

    Made of text, since a :class:`Path` costs more than reading a small file does.
    """
    absolute, inside = os.path.abspath(path), os.path.join(root, "")
    if absolute.startswith(inside) and len(absolute) > len(inside):
        return absolute[len(inside) :]
    return "." if absolute == os.fspath(root) else absolute


def stored_folder(folder: str | os.PathLike[str], root: Path) -> str:
    """What the stored paths of a folder's files begin with, before their names."""
    stored = stored_path(folder, root)
    return "" if stored == "." else os.path.join(stored, "")


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, without importing them; others are left out."""
    # 0.07 s of imports, which many a command needs only when there is something to do
    import importlib.metadata

    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """The host as far as it changes numbers: system, processor, Python, and CANN."""
    host = {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cpus": str(os.cpu_count()),
    }
    found = cann.version()
    return host | ({"cann": found} if found else {})


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()  # starts a program
