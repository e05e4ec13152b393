"""Verify a run directory: the hashes back to the weights and the images, every figure from what
lies below it, and every report again.

Three layers, each compared with the one below: the files against their sidecars' hashes
(:mod:`portproof.reports.evidence.chain`), the stages' figures against the raw artefacts
(:mod:`portproof.reports.evidence.rechecks`), and the reports against the stages' files. The last
layer needs no trust in ``report.json``: it is made again from the run directory, and compared
figure by figure.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

import portproof
from portproof.core.errors import InputError, PortProofError
from portproof.core.files import sha256_of
from portproof.core.text import listed
from portproof.proof.freshness import MISSING
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import SUFFIX, versions_of
from portproof.reports.evidence import rechecks
from portproof.reports.evidence.broken_seals import broken_seals, doubled_names, sealed_in
from portproof.reports.evidence.chain import uncovered, walk
from portproof.reports.evidence.challenge import Asked, Challenge, Course
from portproof.reports.evidence.findings import (
    Finding,
    changed,
    differences,
    not_derived,
    unverified,
)
from portproof.reports.evidence.rerender import Check, report_files
from portproof.reports.port.data import RunData, read_run
from portproof.reports.port.seal import OWN_LOG, RENDERERS, REPORT, UNSEALED, decoded, report_of
from portproof.rundir.settings import FILE, read_settings

#: What damaged bytes make of reading them: each becomes a finding, since a verification goes on.
_UNREADABLE = (
    PortProofError,
    OSError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    ArithmeticError,
    msgspec.MsgspecError,
)


#: The parts of the report that must be what the run directory gives.
_DERIVED = (
    *("schema", "model", "verdict", "simulated"),
    *("gates", "origins", "versions", "environment"),
)

#: How many files of one folder with the same finding are listed.
_SHOWN = 10


class Verification(msgspec.Struct, frozen=True):
    """What was found. ``verdict``: ``CHANGED``, ``UNVERIFIED`` (a report could not be made again)
    or ``UNCHANGED``; ``checked``: how much was looked at, by kind; ``challenge``: what was run
    again.
    """

    verdict: str
    checked: dict[str, int]
    changed: list[Finding]
    unverified: list[Finding]
    not_derived: list[Finding]
    challenge: Challenge | None = None

    @property
    def text(self) -> str:
        """The findings for people, a line each, the verdict last."""
        lines = list(_grouped(self.changed))
        lines += [f"UNVERIFIED   {f.file}: {f.what}" for f in self.unverified]
        lines += [f"not derived  {f.file}: {f.what}" for f in self.not_derived]
        lines += self.challenge.lines if self.challenge else ()
        counts = ", ".join(f"{count} {name}" for name, count in self.checked.items())
        verdict = f"{len(self.changed)} changes" if self.changed else "nothing was changed"
        if self.unverified:
            verdict += f", but {len(self.unverified)} reports were not verified"
        return "\n".join([*lines, f"verify: {verdict}; checked: {counts}"])


def _grouped(findings: list[Finding]) -> Iterator[str]:
    """A line a finding; of many files of one folder with one finding, the first few and how many
    more: a lost folder is thousands of lines.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((str(Path(finding.file).parent), finding.what), []).append(finding)
    for (folder, what), found in groups.items():
        yield from (f"CHANGED      {f.file}: {f.what}" for f in found[:_SHOWN])
        if len(found) > _SHOWN:
            yield f"CHANGED      {len(found) - _SHOWN} more files in '{folder}': {what}"


def verify(
    run_dir: Path, asked: Asked | None = None, left_out: Collection[str] = ()
) -> Verification:
    """Verify a run directory; :class:`InputError` if the folder is not one. ``asked``: a challenge,
    whose samples go through the port again first. ``left_out``: files that may be missing, since
    the parcel that it came in does not hold them.
    """
    findings = list(_settings(run_dir))
    chain = walk(run_dir, left_out)
    challenge = None
    if asked:
        course = Course(run_dir, chain.stages, read_settings(run_dir), asked)
        challenge = course.run()
        findings += course.findings
    findings += [*chain.findings, *doubled_names(run_dir), *_rechecked(chain.stages, run_dir)]
    checked = {"files": chain.hashed, "stages": len(chain.stages)}
    stated, problem = _stated(run_dir)
    if stated is None:
        findings.append(changed(REPORT, problem))
    else:
        findings += broken_seals(stated, run_dir)
        findings += _uncovered(chain.stages, stated, run_dir)
        checked["figures"] = len(stated.get("figures") or [])
    lost = [f.file for f in chain.findings if f.kind == "changed" and f.what == f"it {MISSING}"]
    if lost:
        findings = [f for f in findings if not _follows(f, set(lost))]
        findings.append(
            not_derived(REPORT, f"the reports were not made again, since {listed(lost)} is missing")
        )
    else:
        try:
            data = read_run(run_dir)
            checks = report_files(data)
            findings += _reports(data, checks, stated or {}, run_dir)
            checked["reports"] = len(checks) + 1
        except _UNREADABLE as error:
            findings.append(changed(REPORT, f"the reports cannot be made again: {error}"))
    repeated = {one.file for one in challenge.again} if challenge else set()
    findings += _not_run_again([s for s in chain.stages if s.artefact not in repeated])
    unique = list(dict.fromkeys(findings))
    changes, doubts, rest = (
        [f for f in unique if f.kind == kind] for kind in ("changed", "unverified", "not derived")
    )
    verdict = "CHANGED" if changes else "UNVERIFIED" if doubts else "UNCHANGED"
    return Verification(verdict, checked, changes, doubts, rest, challenge)


def _follows(finding: Finding, lost: set[str]) -> bool:
    """Whether a finding only says again that a file is missing: its figures, or its sidecar's."""
    about_lost = finding.file in lost or finding.file.removesuffix(SUFFIX) in lost
    return about_lost and finding.kind == "changed" and finding.what != f"it {MISSING}"


def _settings(run_dir: Path) -> Iterator[Finding]:
    """Damaged settings are a change if the folder has a report; else it is no run directory."""
    try:
        read_settings(run_dir)
    except InputError as error:
        if not (run_dir / REPORT).is_file():
            raise
        yield changed(FILE, str(error))


def _stated(run_dir: Path) -> tuple[dict[str, Any] | None, str]:
    path = run_dir / REPORT
    if not path.is_file():
        return None, "it is missing ('portproof report' writes it)"
    try:
        return decoded(path.read_bytes()), ""
    except ValueError as error:
        return None, f"it is not JSON any more ({error})"


def _rechecked(stages: list[Stage], run_dir: Path) -> Iterator[Finding]:
    """Each stage's figures from what lies below; without a module it has only hashes."""
    for stage in stages:
        recheck = _recheck_of(stage)
        if recheck is None:
            continue
        try:
            yield from recheck(stage, run_dir)
        except _UNREADABLE as error:
            yield changed(
                stage.sidecar,
                f"its figures cannot be derived again ({type(error).__name__}: {error})",
            )


def _recheck_of(stage: Stage) -> Callable[[Stage, Path], Iterator[Finding]] | None:
    """The function that derives a stage's figures again. The name comes from a sidecar, so nothing
    but a file of that folder is imported.
    """
    known = {m.name for m in pkgutil.iter_modules(rechecks.__path__)}
    if stage.proof.stage not in known:
        return None
    return getattr(
        importlib.import_module(f"portproof.reports.evidence.rechecks.{stage.proof.stage}"),
        "recheck",
        None,
    )


def _not_run_again(stages: list[Stage]) -> Iterator[Finding]:
    """What only running a stage again could show: its outputs are held by their hashes alone."""
    for stage in stages:
        if _recheck_of(stage) is None:
            yield not_derived(
                stage.artefact,
                f"'{stage.proof.stage}' was not run again; its inputs and outputs are held by their"
                " hashes",
            )


def _uncovered(stages: list[Stage], stated: dict[str, Any], run_dir: Path) -> Iterator[Finding]:
    name, text = OWN_LOG
    if (run_dir / name).is_file() and (run_dir / name).read_bytes() != text:
        yield changed(name, "it is not what the step that wrote the reports prints")
    for name in uncovered(stages, [*sealed_in(stated), *UNSEALED], run_dir):
        yield not_derived(name, "it is no part of the report: no sidecar and no seal names it")


def _reports(
    data: RunData, checks: Mapping[str, Check], stated: dict[str, Any], run_dir: Path
) -> Iterator[Finding]:
    """Every report made again. What the judged file says of its versions only chooses the words for
    one that differs: it is never left out.
    """
    yield from _card(data, run_dir)
    if stated:
        derived = msgspec.json.decode(msgspec.json.encode(report_of(data)))
        for key in _DERIVED:
            yield from differences(REPORT, stated.get(key), derived[key], key)
        yield from _figures(stated, derived)
    for name, check in checks.items():
        if (run_dir / name).is_file():
            found = list(check(run_dir / name))
            yield from found if _same_makers(stated, name) else _of_others(name, found, stated)
        elif stated:
            yield changed(name, "it is missing")


def _same_makers(stated: dict[str, Any], name: str) -> bool:
    """Whether this version must give the same bytes: texts depend on PortProof's version only,
    pages and plots on what draws them too.
    """
    if stated and stated.get("portproof") != portproof.__version__:
        return False
    drawn = Path(name).suffix in (".html", ".svg")
    return not (stated and drawn) or stated.get("renderers") == versions_of(RENDERERS)


def _of_others(name: str, found: list[Finding], stated: dict[str, Any]) -> Iterator[Finding]:
    """A report that differs, and says that other versions wrote it: nobody knows which it is."""
    if found:
        made = {"PortProof": stated.get("portproof"), **_texts(stated.get("renderers"))}
        versions = ", ".join(f"{package} {version}" for package, version in made.items())
        yield unverified(
            name,
            "it is not what this version makes of the run directory. Its report says that"
            f" {versions} wrote it: verify with these, or write the reports again",
        )


def _texts(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _figures(stated: dict[str, Any], derived: dict[str, Any]) -> Iterator[Finding]:
    """The figures by their ids."""
    figures = stated.get("figures")
    stated_figures = figures if isinstance(figures, list) else []
    one = {str(f.get("id")): f for f in stated_figures if isinstance(f, dict)}
    other = {f["id"]: f for f in derived["figures"]}
    for name in dict.fromkeys([*other, *one]):
        if name in one and name in other:
            yield from differences(REPORT, one[name], other[name], f"figure {name}")
        else:
            where = "the report" if name in one else "the run directory"
            yield changed(REPORT, f"figure {name} is only in {where}")


def _card(data: RunData, run_dir: Path) -> Iterator[Finding]:
    """The kept model card against the one that the export read."""
    copy = run_dir / data.files.card_copy
    if copy.is_file() and sha256_of(copy) not in data.cards_read:
        yield changed(data.files.card_copy, "it is not the model card that the export read")
