"""``report/report.json``: the report for machines, which also seals the run directory.

It holds every figure at full precision with its file, the verdict with its gates, where the port
began (weights, images, labels), and the SHA-256 of every file that no sidecar vouches for: the
sidecars themselves, the settings, the logs, and the reports. It has no time stamp of its own, so it
is a function of the run directory's other files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

import portproof
from portproof.core.files import sha256_of
from portproof.core.jsonfile import json_in
from portproof.proof.lineage import makers
from portproof.proof.sidecar import SUFFIX, versions_of
from portproof.reports.port.data import RunData
from portproof.reports.port.figures import ReportFigure, figures_of
from portproof.rundir.layout import RunDir

SCHEMA = "portproof.report/1"
REPORT = RunDir.report

#: The log of the step that writes this file, which is there only afterwards; its text is known
#: beforehand.
OWN_LOG = (RunDir.report_log, b"$ portproof report .\n")
UNSEALED = (REPORT, OWN_LOG[0])

#: Packages whose version decides the bytes of the rendered reports.
RENDERERS = ("Jinja2", "matplotlib", "PyYAML")


class GateResult(msgspec.Struct, frozen=True):
    """A gate: of which label, what was asked, the verdict (null: not judged), and why."""

    label: str
    name: str
    verdict: Literal["PASS", "FAIL", "UNDECIDED", "UNSTABLE"] | None
    reason: str


class Origin(msgspec.Struct, frozen=True):
    """Files that the port began with, of one role. ``sha256``: of the file; of several, of the
    lines ``<sha256>  <path>`` in their order.
    """

    role: str
    files: int
    path: str
    sha256: str


class SealedFile(msgspec.Struct, frozen=True):
    """A file as it was when the report was written; ``path`` is relative to the directory."""

    path: str
    size: int
    sha256: str


class Report(msgspec.Struct, kw_only=True):
    """The content of ``report.json``."""

    schema: str = SCHEMA
    portproof: str
    model: str
    verdict: str
    simulated: bool
    gates: list[GateResult]
    figures: list[ReportFigure]
    origins: list[Origin]
    versions: dict[str, str]
    environment: dict[str, str]
    renderers: dict[str, str]
    files: list[SealedFile]


def report_of(data: RunData) -> Report:
    """The report of a run directory as it is now."""
    return Report(
        portproof=portproof.__version__,
        model=data.model_name,
        verdict=data.judgement.word,
        simulated=data.simulated,
        gates=[
            GateResult(g.label, g.name, g.verdict.value if g.verdict else None, g.reason)
            for g in data.judgement.gates
        ],
        figures=figures_of(data),
        origins=list(origins_of(data)),
        versions=data.versions,
        environment=data.stages[-1].proof.environment if data.stages else {},
        renderers=versions_of(RENDERERS),
        files=[
            SealedFile(path, (data.root / path).stat().st_size, sha256_of(data.root / path))
            for path in sealed_paths(data.root)
        ],
    )


def sealed_paths(run_dir: Path) -> list[str]:
    """What the report seals, sorted: sidecars, settings, logs and earlier reports."""
    sidecars = [p.relative_to(run_dir).as_posix() for p in run_dir.rglob(f"*{SUFFIX}")]
    found = [*run_dir.rglob("logs/*"), *(run_dir / REPORT).parent.rglob("*")]
    others = [p.relative_to(run_dir).as_posix() for p in found if p.is_file()]
    chosen = {RunDir.settings_file, *sidecars, *others} - set(UNSEALED)
    return sorted(path for path in chosen if not Path(path).name.startswith("."))


def origins_of(data: RunData) -> Iterator[Origin]:
    """Inputs that no stage here made, by role and in the order in which stages read them."""
    made = makers(data.stages)
    found: dict[str, dict[str, str]] = {}
    for stage in data.stages:
        for role, record in stage.records:
            if record.path not in made:
                found.setdefault(role, {}).setdefault(record.path, record.sha256)
    for role, files in found.items():
        path, sha256 = next(iter(files.items()))
        if len(files) > 1:
            lines = "".join(f"{digest}  {name}\n" for name, digest in files.items())
            path, sha256 = (
                str(Path(path).parent),
                hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest(),
            )
        yield Origin(role, len(files), path, sha256)


def decoded(data: bytes) -> dict[str, Any]:
    """``report.json`` as it is; :class:`ValueError` when it is not a JSON object."""
    value = json_in(data)
    if not isinstance(value, dict):
        raise ValueError("a JSON object was expected")
    return value
