"""A port compared with its reference by its task's own metric: difference, interval, verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_bytes
from portproof.core.text import listed
from portproof.metrics.accuracy.score import is_simulated
from portproof.metrics.evaluation.contributions import About, Contributions
from portproof.metrics.evaluation.evaluate import figures_of
from portproof.metrics.evaluation.origin import (
    Decoding,
    Ground,
    contributions_from,
    source_inputs,
)
from portproof.metrics.paired.influence import influences
from portproof.metrics.paired.losses import Loss, loss_of
from portproof.metrics.paired.spread import METHOD, RESAMPLES, SEED
from portproof.metrics.paired.task_figures import BothSides, Interval, TaskComparison
from portproof.metrics.tasks import Figure, figure_of
from portproof.proof.work import Work

_WORST_SHOWN = 10
#: Percentage points, for a share without a margin.
USUAL_MARGIN_PP = 1.0


@dataclass(frozen=True)
class Margin:
    """The loss allowed: ``pp`` percentage points for a share, ``amount`` in the figure's unit for
    another; the card's has no kind of its own.
    """

    pp: float | None = None
    amount: float | None = None
    card: float | None = None

    def of(self, figure: Figure) -> float:
        """The margin in the figure's unit; :class:`InputError` for none, or of the wrong kind."""
        given, other = (self.pp, self.amount) if figure.is_share else (self.amount, self.pp)
        if other is not None:
            right = "--margin-pp (points)" if figure.is_share else f"--margin (in {figure.unit})"
            raise InputError(
                f"{figure.name} is {'a share' if figure.is_share else f'in {figure.unit}'}: give"
                f" its margin with {right}"
            )
        value = given if given is not None else self.card
        if value is None and figure.is_share:
            value = USUAL_MARGIN_PP
        if value is None:
            raise InputError(
                f"{figure.name} is in {figure.unit} and no loss of it is usually allowed: give the"
                " margin with --margin or in the card"
            )
        if not 0 < value < (100 if figure.is_share else float("inf")):
            raise InputError(
                f"the margin is {value:g}, more than 0"
                f"{' and less than 100 points' if figure.is_share else ''} was expected"
            )
        return value / 100 if figure.is_share else value


@dataclass(frozen=True)
class TaskSides:
    """What is compared: the same forms as of ``evaluate``."""

    reference: Path
    port: Path
    ground: Ground
    decoding: Decoding
    port_decoding: Decoding

    def paired(self, simulated: bool) -> tuple[Contributions, Contributions, int, bool]:
        """The contributions of both sides of the same samples, in one order; how many samples of
        the truth are left out; and whether a side is a rehearsal's.
        """
        one, about = contributions_from(self.reference, self.ground, self.decoding, simulated)
        other, about_port = contributions_from(
            self.port, self.ground, self.port_decoding, simulated
        )
        one, other = self._same_samples(one, other)
        self._check_columns(one, other)
        simulated = simulated or about.simulated or about_port.simulated
        return one, other, _truth_samples(about, about_port) - len(one), simulated

    def _same_samples(
        self, one: Contributions, other: Contributions
    ) -> tuple[Contributions, Contributions]:
        if one.ids == other.ids:
            return one, other
        at = {sample: position for position, sample in enumerate(other.ids)}
        lacking = sorted(set(one.ids) ^ set(other.ids))
        if lacking and not self.ground.allow_missing:
            raise InputError(
                f"{len(lacking)} samples are in only one of '{self.reference}' and '{self.port}'"
                f" ({listed(lacking)}); a paired comparison needs the same samples on both sides:"
                " finish the inference, or leave these out with --allow-missing"
            )
        both = [position for position, sample in enumerate(one.ids) if sample in at]
        if not both:
            raise InputError(
                f"'{self.reference}' and '{self.port}' have no sample in common: results of the"
                " same samples were expected"
            )
        return one.take(both), other.take([at[one.ids[position]] for position in both])

    def _check_columns(self, one: Contributions, other: Contributions) -> None:
        """Outcomes of another version hold other columns."""
        for name in one.values.keys() | other.values.keys():
            ours, theirs = one.values.get(name), other.values.get(name)
            if ours is None or theirs is None or ours.shape[1:] != theirs.shape[1:]:
                raise InputError(
                    f"'{self.reference}' and '{self.port}' do not hold the same columns ('{name}'):"
                    " make both outcomes with the same version of 'portproof evaluate'"
                )


def _truth_samples(about: About, other: About) -> int:
    return max(about.truth_samples, other.truth_samples)


def compare_by_task(
    reference: str | os.PathLike[str],
    port: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    task: str,
    *,
    metric: str | None = None,
    margin: Margin | None = None,
    decoding: Decoding | None = None,
    port_decoding: Decoding | None = None,
    allow_missing: bool = False,
    out: str | os.PathLike[str] | None = None,
    simulated: bool = False,
) -> TaskComparison:
    """Compare two sides of the same samples by a figure of a task.

    Pairs by sample id. :class:`InputError` as of
    :func:`portproof.metrics.evaluation.origin.contributions_from`, and for sides with other samples
    (unless ``allow_missing``). Writes the JSON to ``out``, with its sidecar, when given; asked
    again with the same inputs it says so and returns what it wrote.
    """
    ground = Ground(task, Path(truth), allow_missing)
    figure = figure_of(ground.module, metric)
    allowed = (margin or Margin()).of(figure)
    decoding = decoding or Decoding()
    sides = TaskSides(Path(reference), Path(port), ground, decoding, port_decoding or decoding)
    if sides.reference.resolve() == sides.port.resolve():
        progress.warn(
            f"the reference and the port are the same, '{port}': this comparison proves nothing"
        )
    simulated = simulated or is_simulated(sides.reference) or is_simulated(sides.port)
    if out is None:
        return _comparison(sides, figure, allowed, simulated)
    work = _work(sides, figure, allowed, Path(out), simulated)
    if work.is_done():
        return msgspec.json.decode(Path(out).read_bytes(), type=TaskComparison)
    work.begin()
    comparison = _comparison(sides, figure, allowed, simulated)
    write_bytes(out, comparison.to_json())
    work.finish([Path(out)], facts={"verdict": comparison.verdict})
    return comparison


def _work(sides: TaskSides, figure: Figure, margin: float, out: Path, simulated: bool) -> Work:
    task = sides.ground.module
    inputs = {
        "truth": sides.ground.files(),
        "postprocess": sides.decoding.files(task),
        "port postprocess": sides.port_decoding.files(task),
    }
    parameters = {
        "decoding": sides.decoding.parameters(task),
        "port decoding": sides.port_decoding.parameters(task),
        "task": sides.ground.task,
        "metric": figure.name,
        "margin": margin,
        "allow_missing": sides.ground.allow_missing,
    }
    for role, path in (("reference", sides.reference), ("port", sides.port)):
        files, facts = source_inputs(role, path)
        inputs |= files
        parameters |= facts
    return Work(
        "compare_task",
        out,
        inputs=inputs,
        parameters=parameters,
        packages=("numpy", *getattr(sides.ground.module, "PACKAGES", ())),
        simulated=simulated,
    )


def _comparison(sides: TaskSides, figure: Figure, margin: float, simulated: bool) -> TaskComparison:
    one, other, left_out, simulated = sides.paired(simulated)
    task = sides.ground.module
    loss = loss_of(task, figure, one, other, margin)
    ours, theirs = figures_of(task, one), figures_of(task, other)
    shares = influences(task, figure, one, other)
    sign = 1.0 if figure.higher_is_better else -1.0
    gains = [sign * sample.share for sample in shares]
    difference = None if loss.value is None else 0.0 - sign * loss.value
    ci95 = _interval(loss, sign)
    points = 100.0 if figure.is_share else None
    return TaskComparison(
        verdict=loss.verdict(margin),
        task=sides.ground.task,
        metric=figure.name,
        unit=figure.unit,
        higher_is_better=figure.higher_is_better,
        reference_value=loss.reference,
        port_value=loss.port,
        difference=difference,
        ci95=ci95,
        gate_bound=loss.upper,
        loss_lower_bound=loss.lower,
        margin=margin,
        difference_pp=points * difference if points and difference is not None else None,
        ci95_pp=(points * ci95[0], points * ci95[1]) if points and ci95 else None,
        gate_bound_pp=points * loss.upper if points and loss.upper is not None else None,
        margin_pp=points * margin if points else None,
        samples=len(one),
        better=sum(gain > 0 for gain in gains),
        worse=sum(gain < 0 for gain in gains),
        equal=sum(gain == 0 for gain in gains),
        figures=[BothSides(f.name, ours[f.name], theirs[f.name], f.unit) for f in task.FIGURES],
        worst=sorted((s for s in shares if sign * s.share < 0), key=lambda s: sign * s.share)[
            :_WORST_SHOWN
        ],
        interval=Interval(METHOD, RESAMPLES, SEED),
        doubt=loss.doubt,
        samples_needed=loss.samples_needed(margin, len(one)),
        left_out=left_out,
        reference=str(sides.reference),
        port=str(sides.port),
        truth=str(sides.ground.truth),
        simulated=simulated,
    )


def _interval(loss: Loss, sign: float) -> tuple[float, float] | None:
    if loss.low is None or loss.high is None:
        return None
    ends = sorted((-sign * loss.low, -sign * loss.high))
    return ends[0], ends[1]
