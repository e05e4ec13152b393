"""The witness of a worker: asks a session what its answers are judged by, and keeps them.

It speaks before the timed blocks and hears the first call of the last block, which is not counted;
between timed calls it does nothing. Equal rows must have equal answers, in whatever batch, place
and call they stand, so that each call is told from the others by the keys of its rows.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from portproof.backend import Array, Feeds, Session
from portproof.core.errors import PortProofError
from portproof.infer.timing.answers.rows import one_row, strong_rows, taken, turned

if TYPE_CHECKING:
    from portproof.measurement import Boundary

#: Where a row comes from, its number there, and the kinds of its inputs' dtypes: those of a model
#: that takes pixels have nothing to do with those of one that takes floats.
Key = tuple[Literal["timed", "made"], int, str]
#: ``first``: the call after loading; ``last``: that before the last block. ``mixed``: strongly
#: different rows, the last of three or more a copy of the first; ``turned``: the same, a place
#: further; ``alike``: the same row everywhere. ``single``: batches of one.
Name = Literal["first", "last", "mixed", "turned", "alike", "single", "anew"]

#: Elements of a row's output that are kept, so that a segmenter's answers fit through a pipe; where
#: there are more, a random choice that is always the same.
_KEPT = 4096
#: Rows that are asked for alone: timed ones and made ones.
_SINGLES = 2, 3


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a call. ``values``: (rows, kept elements), None where the first dimension is
    not the batch; ``nan``: which rows hold NaN, in any element.
    """

    name: str
    sample_shape: tuple[int, ...]
    values: Array | None
    nan: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its name, its rows in order, and what was answered."""

    name: Name
    keys: tuple[Key, ...]
    outputs: tuple[Output, ...]

    @property
    def batch(self) -> int:
        """The rows of the call."""
        return len(self.keys)


@dataclass(slots=True)
class Evidence:
    """What a worker's session answered, the extra calls that it took, and their seconds."""

    calls: list[Call] = field(default_factory=list)
    extra_calls: int = 0
    seconds: float = 0.0


class Listening:
    """A session whose last answer is kept. Only calls that are not counted go through it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.boundaries: tuple[Boundary, ...] = session.boundaries
        self.heard: dict[str, Array] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch."""
        self.heard = self._session.run(feeds)
        return self.heard


class Witness:
    """Of one session at one batch. ``ring``: the batches that are timed; ``numbers``: of their rows
    one after the other, equal for equal rows. ``fixed``: the session takes no other batch.
    """

    def __init__(
        self, session: Session, ring: Sequence[Feeds], numbers: Sequence[int], *, fixed: bool
    ) -> None:
        self._session, self._ring, self._fixed = session, ring, fixed
        self._batch = len(numbers) // len(ring)
        kinds = "".join(array.dtype.kind for array in ring[0].values())
        self._timed: list[Key] = [("timed", number, kinds) for number in numbers]
        self._made: list[Key] = [("made", i, kinds) for i in range(max(self._batch, _SINGLES[1]))]
        self.evidence = Evidence()

    @property
    def _first(self) -> dict[str, Array]:
        """The first row that is timed."""
        return one_row(self._ring[0], 0)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """The seconds of what is done inside are part of the evidence."""
        began = time.perf_counter()
        yield
        self.evidence.seconds += time.perf_counter() - began

    def hear(self, name: Name, outputs: dict[str, Array]) -> None:
        """Keep the answers to the first timed batch, before the next call is made."""
        with self._counted():
            self._keep(name, self._timed[: self._batch], outputs)

    def ask(self) -> list[float]:
        """The calls before the warm-up, which warm the session like any others; their seconds. Of
        a model that cannot take the made rows, the timed ones one place further.
        """
        before = len(self.evidence.calls)
        with self._counted():
            try:
                return self._ask_singles() if self._batch == 1 else self._ask_batches()
            except PortProofError:
                del self.evidence.calls[before:]
            keys = self._timed[: self._batch]
            return [self._call("turned", [keys[-1], *keys[:-1]], turned(self._ring[0]))]

    def _ask_batches(self) -> list[float]:
        rows, order = self._mixed()
        seconds = [
            self._call("mixed", [self._made[i] for i in order], rows),
            self._call("turned", [self._made[i] for i in [order[-1], *order[:-1]]], turned(rows)),
        ]
        if self._fixed:
            keys, same = [self._made[0]] * self._batch, [0] * self._batch
            seconds.append(self._call("alike", keys, taken(rows, same)))
        return seconds

    def ask_singles(self) -> bool:
        """Ask a session of a larger batch for rows alone; False where it does not take one row."""
        if self._fixed or self._batch == 1:
            return self._batch == 1
        before = len(self.evidence.calls)
        with self._counted(), contextlib.suppress(PortProofError):
            self._ask_singles()
            return True
        del self.evidence.calls[before:]
        return False

    def ask_anew(self, session: Session) -> None:
        """Ask a session that was just loaded for the made rows first."""
        self._session = session
        rows, order = self._mixed()
        with self._counted():
            self._call("anew", [self._made[i] for i in order], rows)

    def _mixed(self) -> tuple[dict[str, Array], list[int]]:
        order = list(range(self._batch))
        if self._batch > 2:
            order[-1] = 0
        return taken(strong_rows(self._first, self._batch), order), order

    def _ask_singles(self) -> list[float]:
        """Some timed rows, some made ones, and the first of these once more."""
        timed, made = _SINGLES
        rows = [
            (self._timed[i], one_row(self._ring[i // self._batch], i % self._batch))
            for i in range(min(timed, len(self._timed)))
        ]
        strong = strong_rows(self._first, made)
        rows += [(self._made[i], one_row(strong, i)) for i in [*range(made), 0]]
        return [self._call("single", [key], row) for key, row in rows]

    def _call(self, name: Name, keys: Sequence[Key], feeds: Feeds) -> float:
        began = time.perf_counter()
        outputs = self._session.run(feeds)
        seconds = time.perf_counter() - began
        self._keep(name, keys, outputs)
        self.evidence.extra_calls += 1
        return seconds

    def _keep(self, name: Name, keys: Sequence[Key], outputs: dict[str, Array]) -> None:
        kept = tuple(_kept(output, array, len(keys)) for output, array in outputs.items())
        self.evidence.calls.append(Call(name, tuple(keys), kept))


def _kept(name: str, array: Array, rows: int) -> Output:
    """A copy of an output's rows, as far as they are kept."""
    array = np.asarray(array)
    if not array.ndim or len(array) != rows:
        anywhere = bool(np.isnan(array).any()) if array.dtype.kind == "f" else False
        return Output(name, array.shape, None, (anywhere,) * rows)
    flat = array.reshape(rows, -1)
    # Choosing elements copies them, as is needed: the session may use its memory again.
    nan: Array = np.zeros(rows, np.bool_)
    if array.dtype.kind == "f":
        nan = np.asarray(np.isnan(flat).any(axis=1))
    return Output(name, array.shape[1:], flat[:, kept_places(flat.shape[1])], tuple(nan.tolist()))


def kept_places(size: int) -> Array:
    """The places of a row's elements that are kept."""
    if size <= _KEPT:
        return np.arange(size)
    return np.unique(np.random.default_rng(size).integers(0, size, _KEPT))
