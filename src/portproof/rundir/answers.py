"""What a port would do again in a run directory, and why; nothing is run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.proof.freshness import lacking_here, made_from_others, stale_because
from portproof.proof.lineage import Stage, makers, readable_stages
from portproof.proof.sidecar import proof_of
from portproof.rundir.layout import RunDir, open_run
from portproof.rundir.plan import steps
from portproof.rundir.step import Step

State = Literal["up to date", "would run", "may run"]

#: Options of a command that decide no byte, and whether a value follows.
_WITHOUT_EFFECT = {"--quiet": 0, "--log-json": 0, "--workers": 1}


class Answer(msgspec.Struct, frozen=True):
    """What would happen to one artefact (relative to the run directory; of a step that was never
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

    Raises :class:`InputError` if the folder is not a run directory.
    """
    run = open_run(run_dir)
    plan, unknown = _plan(run)
    stages, damaged = readable_stages(run_dir)
    makes = {artefact: step for step in plan for artefact in step.makes}
    kept = {s.artefact: _kept(s, makes.get(s.artefact), run) for s in stages}
    reasons = {
        s.artefact: None if kept[s.artefact] else _reason(s, makes.get(s.artefact), run)
        for s in stages
    }
    made = makers(stages)
    answered = [
        *(Answer(artefact, "", "would run", why) for artefact, why in damaged.items()),
        *(_answer(stage, kept[stage.artefact], reasons, made) for stage in stages),
        *_never_done(plan, {*reasons, *damaged}, run.root),
    ]
    if unknown:
        why = f"they are known only after the steps before them: {unknown}"
        answered.append(Answer("(later steps)", "", "may run", why))
    return answered


def kept_from_elsewhere(step: Step, root: Path) -> str | None:
    """What this host lacks to make a step's artefacts, if they were made on another host, are whole
    and were made from what is here; None if the step runs.
    """
    lacking, changed = _elsewhere(step, root)
    return None if changed else lacking


def cannot_be_made_here(step: Step, root: Path) -> str | None:
    """Why a step that must run cannot run on this host, but on another one, in a sentence; None if
    it can.
    """
    made = ", ".join(step.makes)
    lacking, changed = _elsewhere(step, root)
    missing = next((f"the package {n}" for n in step.imports if not _is_installed(n)), None)
    if lacking and changed:
        why = f"was made from other inputs ({changed})"
    elif missing:
        why, lacking = "is not here for these settings", missing
    else:
        return None
    return (
        f"{made} {why}, and this host cannot make it, since {lacking} is not on it: make it on the"
        f" host where the port was begun ({step.spelled}, or the same 'portproof port'), then copy"
        " the run directory again"
    )


def _elsewhere(step: Step, root: Path) -> tuple[str | None, str | None]:
    """What this host lacks to make the step's artefacts, which are whole, and which of their inputs
    are others than those here.
    """
    proofs = [proof_of(root / artefact) for artefact in step.makes] if step.portable else []
    there = [proof for proof in proofs if proof]
    lacking = [lacking_here(proof, root) for proof in there]
    given = [Path(name) for name in step.reads if os.path.isabs(name) and os.path.exists(name)]
    if not there or len(there) < len(proofs) or not all(lacking) or any(map(os.path.isdir, given)):
        return None, None  # with a folder that is here, the stage itself finds out what changed
    known = {r.sha256 for proof in there for records in proof.inputs.values() for r in records}
    other = next((path for path in given if sha256_of(path) not in known), None)
    if other:
        return lacking[0], f"not from '{other}'"
    return lacking[0], next(filter(None, (made_from_others(p, root) for p in there)), None)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


def _plan(run: RunDir) -> tuple[list[Step], str]:
    """The steps, as far as they are known before they run, and why no further ones are (empty:
    these are all).
    """
    plan = []
    try:
        for step in steps(run):
            plan.append(step)
    except InputError as error:
        return plan, str(error)
    return plan, ""


def _kept(stage: Stage, step: Step | None, run: RunDir) -> str:
    lacking = kept_from_elsewhere(step, run.root) if step else None
    return f"kept as it was made elsewhere: {lacking} is not on this host" if lacking else ""


def _reason(stage: Stage, step: Step | None, run: RunDir) -> str | None:
    stale = other_command(stage, step, run.root) or stale_because(stage.proof, run.root)
    return (stale and step and cannot_be_made_here(step, run.root)) or stale


def other_command(stage: Stage, step: Step | None, run_dir: Path) -> str | None:
    """How the plan's command for this artefact differs from the one that made it."""
    if step is None or step.is_script:
        return None
    if stage.command[:2] != ["portproof", step.command]:
        return f"'{' '.join(stage.command[:2])}' made it, now 'portproof {step.command}' does"
    was, now = _effective(stage.command[2:]), _effective(list(step.words))
    if [os.path.normpath(run_dir / w) for w in was] == [os.path.normpath(run_dir / w) for w in now]:
        return None
    return f"its arguments were '{' '.join(was)}', now '{' '.join(now)}'"


def _effective(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word in _WITHOUT_EFFECT:
            for _ in range(_WITHOUT_EFFECT[word]):
                next(rest, None)
        else:
            kept.append(word)
    return kept


def _answer(
    stage: Stage, kept: str, reasons: Mapping[str, str | None], made: Mapping[str, Stage]
) -> Answer:
    reason = reasons[stage.artefact]
    if reason:
        return Answer(stage.artefact, stage.proof.stage, "would run", reason)
    stale = None if kept else _stale_input(stage, reasons, made, {stage.artefact})
    if stale:
        why = f"'{stale}' would be made again"
        return Answer(stage.artefact, stage.proof.stage, "may run", why)
    return Answer(stage.artefact, stage.proof.stage, "up to date", kept)


def _stale_input(
    stage: Stage, reasons: Mapping[str, str | None], made: Mapping[str, Stage], seen: set[str]
) -> str | None:
    """The first artefact that would be made again among those which the stage was made from,
    however far back.
    """
    sources = {made[r.path].artefact: made[r.path] for _, r in stage.records if r.path in made}
    for artefact, source in sources.items():
        if artefact in seen:
            continue
        seen.add(artefact)
        stale = artefact if reasons[artefact] else _stale_input(source, reasons, made, seen)
        if stale:
            return stale
    return None


def _never_done(plan: list[Step], there: set[str], root: Path) -> Iterator[Answer]:
    for step in plan:
        if step.makes and not there & set(step.makes):
            why = cannot_be_made_here(step, root) or "it has not been done yet"
            yield Answer(step.name, step.command, "would run", why)
