"""An attestation: somebody's claim that a port was run on a device, with the report's hash."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import yaml

from portproof.core.errors import InputError
from portproof.core.files import read_file, sha256_of, write_text
from portproof.core.yamlfile import load_yaml
from portproof.proof.lock import locked_artefact
from portproof.reports.evidence.run_dir import verify
from portproof.reports.port.data import read_run
from portproof.reports.port.devices import devices_of
from portproof.reports.port.seal import REPORT, decoded

SCHEMA = "portproof.attestation/1"


class Attestation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One run. ``who`` and ``date`` are the signer's claim. ``targets``: of the port; ``devices``:
    what executed it; ``emulated``: that no real device did, and how; ``verdicts``: the gates, a
    line each; ``report_sha256``: of ``report.json``, null where there was no port; ``note``: what
    else a reader must know.
    """

    schema: str = SCHEMA
    who: str
    date: str
    targets: tuple[str, ...]
    devices: tuple[str, ...]
    model: str
    verdicts: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    host: dict[str, str] = {}
    emulated: str | None = None
    report_sha256: str | None = None
    note: str | None = None


def attest(run_dir: Path, who: str, note: str | None = None) -> Attestation:
    """The attestation of a finished port. :class:`InputError` for a rehearsal, which ran on no
    device, and for a directory that does not verify.
    """
    data = read_run(run_dir)
    if data.files.settings.rehearse:
        raise InputError(
            f"'{run_dir}' is a rehearsal: it ran on no device, and there is nothing to attest"
        )
    found = verify(run_dir)
    if found.changed:
        first = found.changed[0]
        raise InputError(
            f"'{run_dir}' does not verify ({first.file}: {first.what}): attest what"
            " 'portproof verify' finds unchanged"
        )
    report = decoded(read_file(run_dir / REPORT, "report"))
    return Attestation(
        who=who,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        targets=data.files.settings.targets,
        devices=tuple(devices_of(data) or [f"the processor: {report['environment']['processor']}"]),
        model=report["model"],
        verdicts=tuple(f"{g['label']} {g['name']} {g['verdict']}" for g in report["gates"]),
        versions=report["versions"] | {"portproof": report["portproof"]},
        host=report["environment"],
        report_sha256=sha256_of(run_dir / REPORT),
        note=note,
    )


def write_attestation(path: str | os.PathLike[str], attestation: Attestation) -> None:
    """Write the YAML file; :class:`InputError` if there is one already, which is a record, or if
    another process writes it.
    """
    fields = {k: v for k, v in msgspec.to_builtins(attestation).items() if v not in (None, [], {})}
    with locked_artefact(Path(path), "--out"):
        if Path(path).exists():
            raise InputError(
                f"'{path}' is there already: an attestation is not changed, name another"
            )
        write_text(path, yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def read_attestations(folder: Path) -> list[Attestation]:
    """Every ``.yaml`` file of a folder, the oldest first; :class:`InputError` names a wrong one."""
    found = [load_yaml(path, Attestation, "attestation") for path in sorted(folder.glob("*.yaml"))]
    return sorted(found, key=lambda a: (a.date, a.targets))
