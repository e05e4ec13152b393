"""One stage's work, done once: what decides its bytes, whether they are still right, and the
sidecar that is written last.

A stage reads files, writes files, and last of all writes its sidecar, atomically. If the sidecar
exists and matches, the stage does nothing; what does not match is the reason that it gives for
running again. Stages use it like this::

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
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec

import portproof
from portproof import rehearsal
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.proof.freshness import first_difference, stale_because
from portproof.proof.sidecar import (
    SCHEMA,
    FileRecord,
    Proof,
    environment,
    read_proof,
    record_of,
    root_of,
    sidecar_of,
    versions_of,
    write_proof,
)


def journal_of(folder: Path) -> Path:
    """The place of the journal of a folder in the making (:mod:`portproof.proof.journal`)."""
    return folder.with_name(f".{folder.name}.journal")


class Paths(Sequence[Path]):
    """Texts as paths, each made when it is asked for: to make one takes longer than to read a small
    file, and most of the work needs none.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, at: int) -> Path: ...

    @overload
    def __getitem__(self, at: slice) -> Paths: ...

    def __getitem__(self, at: int | slice) -> Path | Paths:
        return Paths(self._texts[at]) if isinstance(at, slice) else Path(self._texts[at])


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
        self.inputs: dict[str, Sequence[Path]] = {
            role: paths
            if isinstance(paths, Paths)
            else [p if isinstance(p, Path) else Path(p) for p in paths]
            for role, paths in inputs.items()
        }
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
        return self._difference(proof) or stale_because(
            proof, self.root, inputs=self.inputs, versions=self.versions, paranoid=paranoid
        )

    def is_done(self, paranoid: bool = False) -> bool:
        """Whether there is nothing to do; says so, or says why there is. What is done needs no
        journal: one that a kill right after the sidecar left is removed.
        """
        reason = self.why(paranoid)
        if reason is None and journal_of(self.artefact).is_file():
            journal_of(self.artefact).unlink(missing_ok=True)
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
        write_proof(self.sidecar, proof)
        return proof

    def _difference(self, proof: Proof) -> str | None:
        if proof.stage != self.stage or proof.revision != self.revision:
            return (
                f"its sidecar was written by {proof.stage} revision {proof.revision}, this is"
                f" {self.stage} revision {self.revision}"
            )
        if proof.simulated != self.simulated:
            return "it was a rehearsal" if proof.simulated else "this is a rehearsal and it was not"
        return first_difference(proof.parameters, self.parameters)

    def _check_inputs_unchanged(self) -> None:
        for role, records in self._records.items():
            for record, path in zip(records, self.inputs[role], strict=True):
                stat = path.stat()
                if (stat.st_size, stat.st_mtime_ns) != (record.size, record.mtime_ns):
                    raise InputError(
                        f"{role} '{path}' changed while {self.stage} was running; start it again"
                    )
