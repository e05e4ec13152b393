"""What a port would do again in a run directory, and why: from its sidecars and ``port.yaml``,
without running anything.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from portproof.core.errors import InputError
from portproof.proof.lineage import Stage, makers, sidecars_in
from portproof.proof.sidecar import SUFFIX, is_same_file, read_proof, versions_of
from portproof.rundir.plan import steps
from portproof.rundir.settings import read_settings
from portproof.rundir.step import Step

State = Literal["up to date", "would run", "may run"]

#: Commands that look at the host and write nothing.
_WITHOUT_SIDECAR = ("npu_check",)

#: Options of a command that decide no byte, and whether a value follows.
_WITHOUT_EFFECT = {"--quiet": 0, "--log-json": 0, "--workers": 1}


class Answer(msgspec.Struct, frozen=True):
    """What would become of one artefact (relative to the run directory; of a step that was never
    done, the step's name), and why.

    ``may run``: an input would be made again, and the stage runs only if other bytes come out.
    """

    artefact: str
    stage: str
    state: State
    why: str


def answers(run_dir: Path) -> list[Answer]:
    """An answer for every sidecar, in the order in which the stages ran, and for every step of the
    plan that has none.

    Raises :class:`InputError` when the folder is no run directory.
    """
    plan, unknown = _plan(run_dir)
    stages, damaged = _readable(run_dir)
    made = makers(stages)
    reasons = {
        s.artefact: _other_command(s, plan, run_dir) or _difference(s, run_dir) for s in stages
    }
    found = [_answer(stage, reasons, made) for stage in stages]
    later = (
        [
            Answer(
                "(later steps)",
                "",
                "may run",
                f"they are known only after the steps before them: {unknown}",
            )
        ]
        if unknown
        else []
    )
    return [*damaged, *found, *_never_done(plan, stages), *later]


def _readable(run_dir: Path) -> tuple[list[Stage], list[Answer]]:
    """The stages whose sidecars can be read, in the order in which they began, and answers for the
    other ones.
    """
    stages, damaged = [], []
    for path in sidecars_in(run_dir):
        artefact = path.relative_to(run_dir).as_posix().removesuffix(SUFFIX)
        try:
            stages.append(Stage(artefact, read_proof(path)))
        except InputError as error:
            damaged.append(Answer(artefact, "", "would run", str(error)))
    return sorted(stages, key=lambda stage: stage.proof.started), damaged


def _answer(stage: Stage, reasons: Mapping[str, str | None], made: Mapping[str, Stage]) -> Answer:
    reason = reasons[stage.artefact]
    if reason:
        return Answer(stage.artefact, stage.proof.stage, "would run", reason)
    stale = _stale_input(stage, reasons, made, {stage.artefact})
    if stale:
        return Answer(
            stage.artefact, stage.proof.stage, "may run", f"'{stale}' would be made again"
        )
    return Answer(stage.artefact, stage.proof.stage, "up to date", "")


def _stale_input(
    stage: Stage, reasons: Mapping[str, str | None], made: Mapping[str, Stage], seen: set[str]
) -> str | None:
    """The first artefact that would be made again among those which the stage was made from,
    however far back.
    """
    for maker in {
        made[r.path].artefact: made[r.path] for _, r in stage.records if r.path in made
    }.values():
        if maker.artefact in seen:
            continue
        seen.add(maker.artefact)
        found = (
            maker.artefact if reasons[maker.artefact] else _stale_input(maker, reasons, made, seen)
        )
        if found:
            return found
    return None


def _plan(run_dir: Path) -> tuple[list[Step], str]:
    """The steps that leave a sidecar, as far as they are known before they run, and why no further
    ones are (empty: these are all).
    """
    settings, plan = read_settings(run_dir), []
    try:
        for step in steps(settings, run_dir, None):
            if (
                not step.reports
                and not step.command.endswith(".py")
                and step.command not in _WITHOUT_SIDECAR
            ):
                plan.append(step)
    except InputError as error:
        return plan, str(error)
    return plan, ""


def _difference(stage: Stage, run_dir: Path) -> str | None:
    """What no longer is as the sidecar says: a version, an input, an output."""
    proof = stage.proof
    now = versions_of(proof.versions)
    for name, version in proof.versions.items():
        if now.get(name) != version:
            return f"{name} was {version}, now {now.get(name, 'not installed')}"
    for role, record in stage.records:
        path = run_dir / record.path
        if not is_same_file(record, path):
            return f"{role} '{record.path}' " + ("changed" if path.exists() else "is missing")
    for record in proof.outputs:
        path = run_dir / record.path
        if not is_same_file(record, path):
            return f"output '{record.path}' " + (
                "was changed since" if path.exists() else "is missing"
            )
    return _other_listing(stage, run_dir)


def _other_listing(stage: Stage, run_dir: Path) -> str | None:
    """A folder that was read as a listing of sizes, times and inodes (parameter ``<role> files``):
    a copy of it is another listing.
    """
    for role, record in stage.records:
        listed = stage.proof.parameters.get(f"{role} files")
        if listed is None or not record.path.endswith(SUFFIX):
            continue
        folder = record.path.removesuffix(SUFFIX)
        # By name, as commands are found: the spine knows no stage.
        results = importlib.import_module("portproof.metrics.accuracy.results")
        reading = stage.proof.parameters.get(f"{role} reading", {})
        try:
            digest = results.list_results(run_dir / folder, reading.get("output")).listing_digest()
        except InputError as error:
            return str(error)
        if digest != listed:
            return (
                f"{role}: files of '{folder}' have other times or inodes than when they were read"
                " (was the folder copied?)"
            )
    return None


def _other_command(stage: Stage, plan: list[Step], run_dir: Path) -> str | None:
    """How the plan's command for this artefact differs from the one that made it."""
    for step in plan:
        if _makes(step, stage):
            was, now = _effective(stage.command[2:]), _effective(list(step.arguments))
            same = [os.path.normpath(run_dir / word) for word in was] == [
                os.path.normpath(run_dir / word) for word in now
            ]
            return None if same else f"its arguments were '{' '.join(was)}', now '{' '.join(now)}'"
    return None


def _makes(step: Step, stage: Stage) -> bool:
    if stage.command[:2] != ["portproof", step.command]:
        return False
    places = (stage.artefact, os.path.dirname(stage.artefact))
    # A folder for every batch is written with {batch} in its name.
    patterns = [
        re.escape(word).replace(re.escape("{batch}"), r"\d+")
        for word in step.arguments
        if "{batch}" in word
    ]
    return stage.artefact in step.arguments or any(
        re.fullmatch(pattern, place) for pattern in patterns for place in places
    )


def _effective(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _WITHOUT_EFFECT:
            for _ in range(_WITHOUT_EFFECT[word]):
                next(words, None)
        else:
            kept.append(word)
    return kept


def _never_done(plan: list[Step], stages: list[Stage]) -> Iterator[Answer]:
    for step in plan:
        if not any(_makes(step, stage) for stage in stages):
            yield Answer(step.name, step.command, "would run", "it has not been done yet")
