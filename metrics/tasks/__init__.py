"""Tasks other than classification: one file each, found by the task's name.

A task's module imports nothing heavy at its top, and has:

``PREDICTION``
    the kind of prediction that it takes: a module of ``metrics/predictions``, which reads ready
    predictions of that kind, and what post-processing has to give;
``FIGURES``
    a tuple of :class:`Figure`; the first is judged unless the card or ``--metric`` names another;
``read_truth(path)``
    the ground truth, a :class:`portproof.metrics.truth.Truth`; :class:`InputError` in one sentence;
``contribution(prediction, truth)``
    what one sample adds to the figures, a :data:`Contribution`: small, storable, and all that the
    figures need (``truth`` is the sample's own entry of ``Truth.samples``);
``figures(contributions, counts)``
    the figures by name, for :class:`portproof.metrics.evaluation.contributions.Contributions` of
    which sample *i* counts ``counts[i]`` times (all 1 for the figures themselves; others for the
    bootstrap). Counts of k give what k copies of the sample would give. None: not defined for
    these samples.

It may also have:

``figure(name, contributions, counts)``
    one of the figures alone, where that is much faster;
``stakes(name, contributions)``
    an array: what each sample's truth carries of the figure, in the figure's unit, that is, what
    the figure loses when the prediction of this sample becomes worthless (words of a sentence over
    all words, for the word error rate). Without it every sample carries the same. It decides what
    few samples can prove: :mod:`portproof.metrics.paired.spread`;
``chance(name, contributions)``
    what guessing reaches, where :attr:`Figure.chance` cannot say it;
``join(predictions, truth)``
    predictions that need each other, made one for each sample of the truth (a query with the
    gallery that it is looked for in);
``ALSO``
    other kinds of predictions that ``contribution`` takes from post-processing;
``PACKAGES``
    the distributions whose version decides the figures, for sidecars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core import plugins
from portproof.core.errors import InputError

#: What one sample adds: arrays by name. The same names for every sample; a number (no axis), or
#: rows along the first axis, as many as the sample has; the other axes are the same for every
#: sample.
Contribution = Mapping[str, NDArray[Any] | np.generic]

_PACKAGE = "portproof.metrics.tasks"


@dataclass(frozen=True)
class Figure:
    """A figure of a task. ``unit`` is ``1`` for a share (reported in percent, margins in percentage
    points), else the unit of value and margin (``dB``).

    ``chance``: what a model that guesses reaches, for a share that is better when higher 0.
    ``span``: what is lost at most, all samples together, in the figure's unit.
    """

    name: str
    unit: str = "1"
    higher_is_better: bool = True
    chance: float | None = None
    span: float = 1.0

    @property
    def is_share(self) -> bool:
        """Whether it is reported in percent."""
        return self.unit == "1"

    def text(self, value: float | None) -> str:
        """A value for people.

        >>> Figure("AP").text(0.3712), Figure("PSNR", "dB").text(31.257)
        ('37.12 %', '31.26 dB')
        """
        if value is None:
            return "not defined"
        return f"{100 * value:.2f} %" if self.is_share else f"{value:.4g} {self.unit}"


def shares(parts: NDArray[Any]) -> NDArray[np.float64]:
    """Each part over their sum, for stakes; zeros where the sum is 0.

    >>> shares(np.array([1, 3])).tolist()
    [0.25, 0.75]
    """
    own = parts.astype(np.float64)
    total = float(own.sum())
    return np.asarray(own / total if total else np.zeros_like(own), np.float64)


def task_names() -> list[str]:
    """The tasks there are."""
    return plugins.names(_PACKAGE)


def load_task(name: str) -> ModuleType:
    """The module of a task; :class:`InputError` lists the names there are."""
    return plugins.load(_PACKAGE, name, "task")


def figure_of(task: ModuleType, name: str | None) -> Figure:
    """The figure of that name, the first without one; :class:`InputError` lists the names."""
    known: dict[str, Figure] = {f.name: f for f in task.FIGURES}
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise InputError(
            f"the task {task.__name__.rpartition('.')[2]} has no figure '{name}'; it has"
            f" {', '.join(known)}"
        )
    return known[name]
