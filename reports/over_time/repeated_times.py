"""How long the steps before and after the inference take: a part of them, timed several times.

A step is timed in turn with a control whose work never changes (SHA-256 over a fixed buffer), and
what is compared over time is the quotient: a host that is slower today is slower in both.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from portproof.core import progress
from portproof.core.errors import InputError, PortProofError
from portproof.metrics.accuracy.score import Reading, score
from portproof.metrics.evaluation.evaluate import evaluate
from portproof.metrics.evaluation.task_choice import chosen
from portproof.preprocess.dataset.stream import stream
from portproof.recipe import Recipe
from portproof.reports.port.data import RunData
from portproof.rundir.layout import CLASSIFICATION, REFERENCE, Side

#: Times of each step; images of a preprocessing.
TURNS, _IMAGES = 9, 64
_CONTROL = bytes(32 << 20)


class StepTimes(msgspec.Struct, frozen=True):
    """A step's processor-bound work on ``samples`` samples: the seconds of each turn, and of the
    control beside it.
    """

    name: str
    samples: int
    seconds: list[float]
    control: list[float]

    @property
    def quotients(self) -> list[float]:
        """The step's seconds over the control's, turn by turn."""
        return [mine / control for mine, control in zip(self.seconds, self.control, strict=True)]


def time_steps(data: RunData) -> list[StepTimes]:
    """The steps of a run directory that this host can do again; one line says which it cannot."""
    found = []
    for name, prepared in (("preprocessing", _preprocessing), ("post-processing", _judging)):
        try:
            samples, work = prepared(data)
            found.append(_timed(name, samples, work))
        except (PortProofError, OSError) as error:
            progress.say(f"the {name} is not timed: {error}")
    return found


def _timed(name: str, samples: int, work: Callable[[], object]) -> StepTimes:
    times = StepTimes(name, samples, [], [])
    with progress.silenced():
        work()  # warm: files in the cache, packages imported
        for _ in range(TURNS):
            times.control.append(_seconds(lambda: hashlib.sha256(_CONTROL).digest()))
            times.seconds.append(_seconds(work))
    return times


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 9)


def _preprocessing(data: RunData) -> tuple[int, Callable[[], object]]:
    """The first images by one worker, nothing written."""
    stage = data.stage(data.files.prep)
    if stage is None or "recipe" not in stage.proof.parameters:
        raise InputError("the run has no preprocessing of images")
    recipe = msgspec.convert(stage.proof.parameters["recipe"], Recipe)
    images = data.root / data.settings.images

    def samples() -> Iterator[object]:
        return islice(stream(images, recipe, workers=1), _IMAGES)

    return sum(1 for _ in samples()), lambda: [None for _ in samples()]


def _judging(data: RunData) -> tuple[int, Callable[[], object]]:
    """The figures of the reference's results."""
    files, settings = data.files, data.settings
    result = data.root / files.result(Side(REFERENCE), files.accuracy_batch)
    truth = data.root / settings.labels
    if settings.task == CLASSIFICATION:
        reading = Reading(output=settings.output)
        return len(score(result, truth, reading).outcomes), lambda: score(result, truth, reading)
    choice = chosen(settings.task, _card(data), None, None, "float32")

    def work() -> int:
        return evaluate(result, truth, choice.task, decoding=choice.decoding).samples

    return work(), work


def _card(data: RunData) -> str:
    """The card's name or file, as seen from here."""
    inside = data.root / data.settings.model
    return str(inside) if Path(inside).is_file() else data.settings.model
