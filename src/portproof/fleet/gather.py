"""From what hosts made to the files of one run: they get their places in the run directory, and
their sidecar is written here, last of all, as one run would have written it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.core.errors import InputError, ToolError
from portproof.core.files import flush_to_disk, write_bytes, write_text
from portproof.fleet.needed import Hashes, Part
from portproof.fleet.node import OUTSIDE
from portproof.proof.journal import Journal
from portproof.proof.sidecar import (
    FileRecord,
    Proof,
    read_proof,
    record_of,
    sidecar_of,
    write_proof,
)
from portproof.proof.work import Work
from portproof.rundir.layout import RunDir
from portproof.rundir.step import Step

#: Facts of a sidecar that are sums over the parts, and those that are rates of one process.
_SUMS = ("samples", "clipped_to_8_bits", "samples_with_nan", "continued_from")
_RATES = ("end_to_end", "rate")


@dataclass(frozen=True)
class Arrived:
    """What a host made of a part. ``folder``: where it is here. ``key``: the name of the folder
    there, inside ``jobs``. ``catalog``: the host's own.
    """

    part: Part
    names: tuple[str, ...]
    folder: Path
    host: str
    jobs: str
    key: str
    catalog: str


class Gathering:
    """The files of one step, of one or several hosts."""

    def __init__(self, run: RunDir, step: Step, arrived: Sequence[Arrived], hashes: Hashes) -> None:
        self.run, self.step, self.arrived, self.hashes = run, step, arrived, hashes
        self.flags: tuple[str, ...] = ()

    def finish(self, flags: Iterable[str], catalog: str) -> None:
        """Put everything in its place. ``flags``: of the command, that decide no byte;
        ``catalog``: of this host.
        """
        self.flags = tuple(flags)
        wholes = {make: self._whole(make, catalog) for make in self.step.makes}
        for make in self.step.makes:
            sidecar_of(self.run.root / make).unlink(missing_ok=True)
        of_makes = {r.path for proof in wholes.values() for r in proof.outputs}
        of_makes |= {str(sidecar_of(make)) for make in self.step.makes}
        for name in self.arrived[0].names:
            if name not in of_makes:
                self._move(self.arrived[0], name)
        for make, whole in wholes.items():
            self._publish(make, whole)

    def _publish(self, make: str, whole: Proof) -> None:
        root = self.run.root
        owner = {name: a for a in reversed(self.arrived) for name in a.names}
        if not (self.arrived[0].folder / make).is_dir():
            for record in whole.outputs:
                self._move(owner[record.path], record.path)
            self._seal(make, whole)
            return
        work = Work(
            whole.stage,
            root / make,
            inputs={},
            parameters=whole.parameters,
            revision=whole.revision,
            simulated=whole.simulated,
        )
        work.versions = whole.versions
        with Journal(work, {"fleet": [a.key for a in self.arrived]}) as journal:
            for record in whole.outputs:
                path = root / record.path
                if path.parent != root / make:  # beside the folder: the rate of a run
                    self._move(owner[record.path], record.path)
                elif path.name not in journal.finished:
                    file = owner[record.path].folder / record.path
                    journal.take(file, path.name, root, record.sha256)
            flush_to_disk()
        self._seal(make, whole)
        journal.remove()

    def _seal(self, make: str, whole: Proof) -> None:
        root = self.run.root
        outputs = [record_of(root / r.path, root, r.sha256) for r in whole.outputs]
        self.hashes.believe(outputs, root)
        write_proof(sidecar_of(root / make), msgspec.structs.replace(whole, outputs=outputs))

    def _move(self, arrived: Arrived, name: str) -> None:
        place = self.run.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (arrived.folder / name).is_file():
            os.replace(arrived.folder / name, place)

    def _whole(self, make: str, catalog: str) -> Proof:
        """The sidecar of the whole; its outputs still lack the places' times and inodes."""
        proofs = []
        for arrived in self.arrived:
            path = sidecar_of(arrived.folder / make)
            if not path.is_file():
                raise ToolError(f"{arrived.host} made no '{make}', though its step ended well")
            proofs.append(self._restored(read_proof(path), arrived, catalog))
        first = proofs[0]
        self._refuse_other_bits(proofs)
        outputs = [record for proof in proofs for record in proof.outputs]
        rate = [r for r in outputs if len(proofs) > 1 and Path(r.path).parent != Path(make)]
        outputs = [r for r in outputs if r not in rate]
        self._refuse_doubles(r.path for r in outputs)
        if rate:
            outputs.append(self._without_rate(rate[0].path))
        return msgspec.structs.replace(
            first,
            command=[f"portproof {self.step.command}", *self.step.words, *self.flags],
            directory=str(self.run.root),
            started=min(proof.started for proof in proofs),
            seconds=max(proof.seconds for proof in proofs),
            inputs=_joined_inputs(proofs),
            outputs=outputs,
            facts=self._facts(proofs),
        )

    def _facts(self, proofs: Sequence[Proof]) -> dict[str, Any]:
        hosts = [
            {"host": a.host, "samples": a.part.samples, "seconds": p.seconds}
            for a, p in zip(self.arrived, proofs, strict=True)
        ]
        if len(proofs) == 1:
            return proofs[0].facts | {"hosts": hosts}
        facts = joined_facts([(a.host, p.facts) for a, p in zip(self.arrived, proofs, strict=True)])
        return facts | {"hosts": hosts}

    def _restored(self, proof: Proof, arrived: Arrived, catalog: str) -> Proof:
        """The sidecar with the paths of this host, and the records of the files here."""
        inputs = {
            role: [self._input(role, record, arrived, catalog) for record in records]
            for role, records in proof.inputs.items()
        }
        there = f"{arrived.jobs}/{arrived.key}"
        return msgspec.structs.replace(
            proof,
            inputs=inputs,
            parameters=_with_paths_here(proof.parameters, there, self.run.root),
            facts=_with_paths_here(proof.facts, there, self.run.root),
            outputs=[self._output(record, arrived, there) for record in proof.outputs],
        )

    def _output(self, record: FileRecord, arrived: Arrived, there: str) -> FileRecord:
        """The record of a file that was made; a measurement names the model files that it timed,
        which gets the names that they have here.
        """
        if not record.path.endswith(".json"):
            return record
        path = arrived.folder / record.path
        if not path.is_file():  # an earlier driver, which was killed, moved it already
            path = self.run.root / record.path
        text = path.read_text(encoding="utf-8")
        write_text(path, path_here(text, there, self.run.root))
        return msgspec.structs.replace(record_of(path, self.run.root), path=record.path)

    def _input(self, role: str, record: FileRecord, arrived: Arrived, catalog: str) -> FileRecord:
        path = record.path
        sent = arrived.part.files.get(path)
        if sent is None:
            own = Path(catalog) / os.path.relpath(path, arrived.catalog)
            if not own.is_file() or self.hashes.of(own) != record.sha256:
                raise InputError(
                    f"{arrived.host} read the {role} '{path}', which is none of the files that it"
                    " was sent and is not the same here; install the same version on both"
                )
            return record_of(own, self.run.root, record.sha256)
        if self.hashes.of(sent) != record.sha256:
            raise InputError(
                f"{role} '{sent}' changed while {self.step.name} was running; start it again"
            )
        here = self.run.root / path if path == self.run.info else sent
        return record_of(here, self.run.root, self.hashes.of(here))

    def _without_rate(self, name: str) -> FileRecord:
        """The file of the rate with its first line alone: a rate of several hosts is none of the
        device in its name.
        """
        path = self.arrived[0].folder / name
        write_bytes(path, path.read_bytes().split(b"\n")[0] + b"\n")
        return msgspec.structs.replace(record_of(path, self.run.root), path=name)

    def _refuse_other_bits(self, proofs: Sequence[Proof]) -> None:
        for arrived, proof in zip(self.arrived, proofs, strict=True):
            for what in ("stage", "revision", "portproof", "parameters", "versions", "simulated"):
                one, other = getattr(proofs[0], what), getattr(proof, what)
                if one != other:
                    raise _other(self.arrived[0].host, one, arrived.host, other, what)

    def _refuse_doubles(self, paths: Iterable[str]) -> None:
        seen: set[str] = set()
        for path in paths:
            if path in seen:
                raise InputError(
                    f"two hosts made '{path}': two inputs have the same name before the first dot;"
                    " rename one"
                )
            seen.add(path)


def joined_facts(each: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The facts of all parts, with the hosts' names: sums, lists one after the other, and what is
    the same in all; rates are left out. :class:`InputError` for what two hosts found differently.
    """
    (first_host, first), whole = each[0], {}
    for name, value in first.items():
        values = [facts.get(name) for _, facts in each]
        if name in _RATES:
            continue
        if name in _SUMS:
            whole[name] = None if None in values else sum(v for v in values if v is not None)
        elif name == "skipped":
            whole[name] = [item for items in values for item in items or ()]
        elif name == "device":
            whole[name] = ", ".join(dict.fromkeys(map(str, values)))
        else:
            for (host, _), other in zip(each, values, strict=True):
                if other != value:
                    raise _other(first_host, value, host, other, name)
            whole[name] = value
    return whole


def _other(host: str, one: object, other_host: str, other: object, what: str) -> InputError:
    return InputError(
        f"{host} and {other_host} do not make the same bits: {what} is {one!r} on one and"
        f" {other!r} on the other; install the same packages on both, or place the step on one"
    )


def _joined_inputs(proofs: Sequence[Proof]) -> dict[str, list[FileRecord]]:
    """Every input once, in the order of the parts."""
    return {
        role: list({r.path: r for proof in proofs for r in proof.inputs.get(role, [])}.values())
        for role in proofs[0].inputs
    }


def _with_paths_here(data: Any, there: str, root: Path) -> Any:
    """Texts with the paths of a host replaced by those here."""
    if isinstance(data, str):
        return path_here(data, there, root)
    if isinstance(data, Mapping):
        return {name: _with_paths_here(value, there, root) for name, value in data.items()}
    if isinstance(data, list):
        return [_with_paths_here(value, there, root) for value in data]
    return data


def path_here(text: str, there: str, root: Path) -> str:
    """A text with the paths of a host replaced by those here.

    >>> path_here("'.outside/w.pth' and '/s/jobs/k/prep'", "/s/jobs/k", Path("/run"))
    "'/w.pth' and '/run/prep'"
    """
    for given in (f"{there}/{OUTSIDE}/", f"{OUTSIDE}/"):
        text = text.replace(given, "/")
    return text.replace(there, str(root))
