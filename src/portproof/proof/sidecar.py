"""The sidecar ``<artefact>.proof.json``: what a stage read and wrote, and the only meaning of
"done".

A stage reads files, writes files, and last of all writes its sidecar, atomically. "The sidecar
exists and matches" is what makes a stage do nothing the second time; whatever does not match is the
reason that it gives for running again. Stages use it like this::

    work = Work("export", Path("m.onnx"), inputs={"weights": [Path("w.pth")]},
                parameters={"opset": 11}, packages=("torch", "onnx"))
    if work.is_done():  # prints "m.onnx is up to date" or "running because opset was 11, now 13"
        return
    work.begin()        # removes the old sidecar: a kill from here on leaves nothing finished
    ...                 # write m.onnx
    work.finish(outputs=[Path("m.onnx")], facts={"max_difference": 1e-6})
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

import portproof
from portproof import rehearsal
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import sha256_of, write_bytes
from portproof.core.jsonfile import read_record
from portproof.host import cann

SCHEMA = "portproof.proof/1"
SUFFIX = ".proof.json"


class FileRecord(msgspec.Struct, frozen=True):
    """One file as it was when it was hashed. ``path`` is relative to the run directory's root when
    inside it, else absolute.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str


class Proof(msgspec.Struct, kw_only=True):
    """The content of a sidecar. ``simulated`` marks a rehearsal; ``facts`` is what the stage
    measured or found out.
    """

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
    """Where the sidecar of a file or a folder stands: beside it."""
    path = Path(artefact)
    return path.with_name(path.name + SUFFIX)


def root_of(artefact: str | os.PathLike[str]) -> Path:
    """What a sidecar's relative paths are relative to: the run directory (it holds ``port.yaml``)
    or else the artefact's own folder.
    """
    folder = Path(artefact).absolute().parent
    return next((p for p in (folder, *folder.parents) if (p / "port.yaml").is_file()), folder)


def read_proof(sidecar: str | os.PathLike[str]) -> Proof:
    """Read a sidecar; :class:`InputError` if it is damaged or of another schema version."""
    return read_record(sidecar, Proof, SCHEMA, "sidecar", "delete it and run the stage again")


def proof_of(artefact: str | os.PathLike[str]) -> Proof | None:
    """The sidecar of an artefact, or None when there is none."""
    sidecar = sidecar_of(artefact)
    return read_proof(sidecar) if sidecar.is_file() else None


def record_of(path: str | os.PathLike[str], root: Path, sha256: str | None = None) -> FileRecord:
    """Hash a file (unless its hash is given by who just wrote or read it) and note its size, time
    and inode.
    """
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


def stored_path(path: Path, root: Path) -> str:
    """A path as sidecars store it: relative to the root when inside it, so that a copied run
    directory still verifies, else absolute.
    """
    absolute = Path(os.path.abspath(path))
    return (
        absolute.relative_to(root).as_posix()
        if absolute.is_relative_to(root)
        else absolute.as_posix()
    )


def is_same_file(record: FileRecord, path: Path, paranoid: bool = False) -> bool:
    """Whether a file still has the recorded bytes: size, mtime and inode are trusted; when they
    differ, or with ``paranoid``, it is hashed.
    """
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != record.size:
        return False
    if not paranoid and (stat.st_mtime_ns, stat.st_ino) == (record.mtime_ns, record.inode):
        return True
    return sha256_of(path) == record.sha256


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, read without importing them; an absent one is
    left out.
    """
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
    """The host as far as it can change a number: system, processor, Python, and CANN where it is
    installed.
    """
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
            return next(
                (line.split(":", 1)[1].strip() for line in file if line.startswith("model name")),
                platform.processor(),
            )
    except OSError:
        return platform.processor()


class Work:
    """One stage's work on one artefact (a file or a folder), done once.

    ``inputs``: role -> files read. ``parameters``: what else decides the bytes (JSON values).
    ``packages``: distributions whose version decides them too. ``revision``: raised by a stage
    whose code comes to write other bytes. ``simulated``: a rehearsal, as everything made during one
    is.
    """

    def __init__(
        self,
        stage: str,
        artefact: Path,
        *,
        inputs: Mapping[str, Sequence[Path]],
        parameters: Mapping[str, Any],
        packages: Sequence[str] = (),
        revision: int = 1,
        simulated: bool = False,
    ) -> None:
        self.stage, self.artefact, self.revision, self.simulated = (
            stage,
            artefact,
            revision,
            simulated or rehearsal.is_active(),
        )
        self.inputs = {role: [Path(p) for p in paths] for role, paths in inputs.items()}
        # A round trip through JSON, so that what is compared is what is stored (tuples become
        # lists, and so on).
        self.parameters: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(parameters)))
        self.versions = versions_of(packages)
        self.sidecar = sidecar_of(artefact)
        self.root = root_of(artefact)
        self._records: dict[str, list[FileRecord]] = {}
        self._started = 0.0

    def why(self, paranoid: bool = False) -> str | None:
        """Why the stage must run, in words; None when the artefact is up to date."""
        if not self.sidecar.is_file():
            return "it has not been done yet"
        try:
            proof = read_proof(self.sidecar)
        except InputError as error:
            return str(error)
        return (
            self._difference(proof)
            or self._changed_inputs(proof, paranoid)
            or self._changed_outputs(proof, paranoid)
        )

    def is_done(self, paranoid: bool = False) -> bool:
        """Whether there is nothing to do; says so, or says why there is."""
        reason = self.why(paranoid)
        progress.say(
            f"{self.stage}: {self.artefact} is up to date"
            if reason is None
            else f"{self.stage}: running because {reason}"
        )
        return reason is None

    def begin(self, hashed_later: Collection[str] = ()) -> None:
        """Hash the inputs and remove the old sidecar. Roles of ``hashed_later`` are hashed while
        they are read, and given to :meth:`finish`.
        """
        self._started = time.time()
        self._records = {
            role: [record_of(p, self.root) for p in paths]
            for role, paths in self.inputs.items()
            if role not in hashed_later
        }
        self.sidecar.unlink(missing_ok=True)

    def finish(
        self,
        outputs: Iterable[Path] | Iterable[FileRecord],
        facts: Mapping[str, Any] | None = None,
        extra_inputs: Mapping[str, list[FileRecord]] | None = None,
    ) -> Proof:
        """Hash the outputs and write the sidecar. Records of files that were hashed while they were
        written or read may be given instead.
        """
        self._check_inputs_unchanged()
        records = [
            item if isinstance(item, FileRecord) else record_of(item, self.root) for item in outputs
        ]
        proof = Proof(
            schema=SCHEMA,
            stage=self.stage,
            revision=self.revision,
            portproof=portproof.__version__,
            command=list(sys.argv),
            directory=str(Path.cwd()),
            started=datetime.datetime.fromtimestamp(
                self._started or time.time(), datetime.UTC
            ).isoformat(timespec="seconds"),
            seconds=round(time.time() - self._started, 3) if self._started else 0.0,
            parameters=self.parameters,
            versions=self.versions,
            environment=environment(),
            inputs=self._records | dict(extra_inputs or {}),
            outputs=records,
            facts=dict(facts or {}),
            simulated=self.simulated,
        )
        write_bytes(self.sidecar, msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n")
        return proof

    def _difference(self, proof: Proof) -> str | None:
        if proof.stage != self.stage or proof.revision != self.revision:
            return (
                f"its sidecar was written by {proof.stage} revision {proof.revision}, this is"
                f" {self.stage} revision {self.revision}"
            )
        if proof.simulated != self.simulated:
            return "it was a rehearsal" if proof.simulated else "this is a rehearsal and it was not"
        return _first_difference(proof.parameters, self.parameters) or _first_difference(
            proof.versions, self.versions
        )

    def _changed_inputs(self, proof: Proof, paranoid: bool) -> str | None:
        for role, paths in self.inputs.items():
            records = proof.inputs.get(role, [])
            if len(records) != len(paths):
                return f"{role}: there were {len(records)} files, now {len(paths)}"
            for record, path in zip(records, paths, strict=True):
                if Path(record.path).name != path.name or not is_same_file(record, path, paranoid):
                    return f"{role} '{path}' " + ("changed" if path.exists() else "is missing")
        return None

    def _changed_outputs(self, proof: Proof, paranoid: bool) -> str | None:
        for record in proof.outputs:
            path = self.root / record.path
            if not is_same_file(record, path, paranoid):
                return f"output '{path}' " + (
                    "was changed since" if path.exists() else "is missing"
                )
        return None

    def _check_inputs_unchanged(self) -> None:
        for role, records in self._records.items():
            for record, path in zip(records, self.inputs[role], strict=True):
                stat = path.stat()
                if (stat.st_size, stat.st_mtime_ns) != (record.size, record.mtime_ns):
                    raise InputError(
                        f"{role} '{path}' changed while {self.stage} was running; start it again"
                    )


def _first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            return f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
    return None
