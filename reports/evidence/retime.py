"""A short bench of what was timed on this host, against the ratio that is stated."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from portproof.core import progress
from portproof.core.errors import PortProofError
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.subject import Subject
from portproof.measurement import Performance, Ratio, read_performance
from portproof.proof.lineage import Stage
from portproof.reports.evidence.repeat import Again, code_of, is_this_host

if TYPE_CHECKING:
    from portproof.reports.evidence.challenge import Course

#: How far a short bench's ratio may be from the stated one, where their intervals do not meet.
_SPEED = 0.10


def timed_again(course: Course) -> Iterator[Again]:
    """A short bench of what was timed on this host. A time of another device stays a claim."""
    for stage in course.made_by("bench"):
        performance = read_performance(course.run_dir / stage.artefact)
        why = _reason_not_to_time(course, stage, performance)
        if why:
            course.unprovable(stage.artefact, f"its times cannot be proved here: {why}")
            continue
        stated = max(performance.ratios, key=lambda r: r.batch)
        subjects = [
            _subject(course.run_dir, s)
            for s in stage.proof.parameters["subjects"]
            if s["label"] in (stated.a, stated.b)
        ]
        try:
            with progress.silenced():
                fresh = bench(
                    subjects,
                    [stated.batch],
                    card=stage.proof.parameters["card"],
                    plan=Plan(blocks=6),
                    over=[stated.b],
                ).ratios
        except PortProofError as error:
            course.unprovable(stage.artefact, f"its times cannot be proved here: {error}")
            continue
        now = next(r for r in fresh if r.boundary == stated.boundary)
        text = f"{stated.a} / {stated.b} at batch {stated.batch} is {_interval(now)} now"
        if _speeds_differ(stated, now):
            what = f"{text}, it states {_interval(stated)}: was the machine as idle?"
            course.unprovable(stage.artefact, what)
        yield Again("bench", stage.artefact, f"timed again: {text}", 1, 0)


def _reason_not_to_time(course: Course, stage: Stage, performance: Performance) -> str | None:
    if stage.proof.simulated:
        return "they are simulated"
    if not performance.ratios:
        return "it states no ratio of two subjects that took turns"
    if not is_this_host(performance.environment):
        return "this is another host"
    return code_of(course, stage.proof.parameters["card"])


def _subject(run_dir: Path, stated: dict[str, Any]) -> Subject:
    subject = msgspec.convert(stated, Subject)
    return dataclasses.replace(subject, file=os.path.join(run_dir, subject.file))


def _interval(ratio: Ratio) -> str:
    if ratio.ci95 is None:
        return f"{ratio.ratio:.3f}"
    return f"{ratio.ratio:.3f} ({ratio.ci95[0]:.3f} to {ratio.ci95[1]:.3f})"


def _speeds_differ(stated: Ratio, now: Ratio) -> bool:
    """Whether the intervals do not meet, and the ratios differ by more than a host may drift."""
    if stated.ci95 is None or now.ci95 is None:
        return False
    apart = stated.ci95[0] > now.ci95[1] or now.ci95[0] > stated.ci95[1]
    return apart and abs(now.ratio / stated.ratio - 1) > _SPEED
