"""The faults that ``answers.py`` plants between a runtime and the bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Fault = Callable[[Arrays, dict[str, Any]], Arrays]


def each(outputs: Arrays, change: Callable[[Any], Any]) -> Arrays:
    """Every output changed, as a copy."""
    return {name: change(np.array(array)) for name, array in outputs.items()}


def swap(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first two rows in each other's place."""
    return each(outputs, lambda a: a[[1, 0, *range(2, len(a))]] if len(a) > 1 else a)


def swap_far(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first row and the last in each other's place."""
    return each(outputs, lambda a: a[[-1, *range(1, len(a) - 1), 0]] if len(a) > 1 else a)


def backwards(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """All rows the other way round."""
    return each(outputs, lambda a: a[::-1])


def mean_leak(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The mean of the batch subtracted."""
    return each(outputs, lambda a: a - a.mean(axis=0))


def small_leak(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """A tenth of the row before added."""
    return each(outputs, lambda a: a + 0.1 * np.roll(a, 1, axis=0) if len(a) > 1 else a)


def last_row_repeats(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The last row has the answer of the one before."""
    return each(outputs, lambda a: a[[*range(len(a) - 1), len(a) - 2]] if len(a) > 1 else a)


def first_cached(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first answer to everything of one shape."""
    return state.setdefault(str(len(next(iter(outputs.values())))), each(outputs, np.copy))


def before(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The answers of the call before, where that had the shape."""
    now = each(outputs, np.copy)
    old = state.get("old", now)
    state["old"] = now
    same = all(old[n].shape == now[n].shape for n in now)
    return old if same else now


def random_row(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """One row of noise as large as the answers."""
    generator = state.setdefault("generator", np.random.default_rng(1))

    def change(a: Any) -> Any:
        row = len(a) // 2
        a[row] = generator.normal(a.mean(), a.std() + 1e-6, a[row].shape)
        return a

    return each(outputs, change)


def nan_above(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """NaN above batch 2."""
    return each(outputs, lambda a: a * np.nan if len(a) > 2 else a)


def empty(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """Rows of the second half stay empty."""
    return each(outputs, lambda a: a * (np.arange(len(a)) <= len(a) // 2)[:, None])


def dropout(outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """A tenth of the answers are dropped, others each time."""
    generator = state.setdefault("generator", np.random.default_rng(2))
    return each(outputs, lambda a: a * (generator.random(a.shape) > 0.1))


FAULTS: tuple[Fault, ...] = (
    *(swap, swap_far, backwards, mean_leak, small_leak, last_row_repeats),
    *(first_cached, before, random_row, nan_above, empty, dropout),
)


class Faulty:
    """A session whose answers are changed on their way; ``acted`` counts where they were."""

    def __init__(self, session: Any, fault: Fault, acted: dict[int, int]) -> None:
        self._session, self._fault, self._acted = session, fault, acted
        self._state: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, feeds: Any) -> Arrays:
        """One batch."""
        right = each(self._session.run(feeds), np.copy)
        answers = self._fault(right, self._state)
        batch = len(next(iter(feeds.values())))
        self._acted[batch] = self._acted.get(batch, 0) + any(
            not np.array_equal(answers[n], right[n]) for n in right
        )
        return answers
