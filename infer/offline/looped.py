"""A model that a user's function calls as often as it likes for one batch, such as a decoder that
is fed its own last word.

The function is ``loop(run, feeds) -> made``: ``feeds`` are the arrays of a batch that are on the
disk, ``run(feeds)`` calls the model with all its inputs and returns its outputs, and ``made`` are
the inputs that the loop made, by name, as they were at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array, Feeds, Session, TensorSpec, check_feeds, complete
from portproof.core.errors import InputError
from portproof.core.usercode import imported_files, load_callable, own_folder, source_of
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.measurement import Boundary


@dataclass(frozen=True)
class Loop:
    """What was asked for: ``FILE.py:NAME``, and the inputs that it makes."""

    function: str
    makes: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides the results, for the sidecar."""
        return {"loop": Path(self.function).name, "loop_makes": list(self.makes)}

    def load(self) -> tuple[Callable[..., Any], Path]:
        """The function, and its file."""
        source, name = source_of(self.function)
        with own_folder(source):
            function, _ = load_callable(source, name)
        return function, source

    def files(self) -> list[Path]:
        """The user's files that decide the results."""
        return imported_files(self.load()[1])


class Looped:
    """A session whose run is a loop over another's. Its outputs are the inputs that the loop makes;
    ``calls`` counts the calls of the model, and ``batches`` those of the loop.
    """

    def __init__(self, session: Session, inputs: Sequence[TensorSpec], loop: Loop) -> None:
        self._session, self._all, self._loop = session, tuple(inputs), loop
        self._function, self._source = loop.load()
        names = [spec.name for spec in inputs]
        if unknown := [name for name in loop.makes if name not in names]:
            raise InputError(
                f"--loop-makes names '{unknown[0]}', the model's inputs are {', '.join(names)}"
            )
        self.inputs = tuple(spec for spec in inputs if spec.name not in loop.makes)
        self.outputs = tuple(spec for spec in inputs if spec.name in loop.makes)
        self.device, self.precision = session.device, session.precision
        self.provider = session.provider
        self.boundaries: tuple[Boundary, ...] = ()
        self.calls = self.batches = 0
        if not self.inputs:
            raise InputError("--loop-makes names every input, one at least comes from the samples")

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch through the loop."""
        self.batches += 1
        with own_folder(self._source):
            made = self._function(self._call, dict(feeds))
        return self._checked(made)

    def _call(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The model, once; outputs are copies, since a backend may use their memory again."""
        self.calls += 1
        given = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        check_feeds(given, self._all)
        return {name: np.array(array) for name, array in self._session.run(given).items()}

    def _checked(self, made: Any) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        if not isinstance(made, Mapping) or set(made) != set(names):
            what = ", ".join(map(str, made)) if isinstance(made, Mapping) else type(made).__name__
            raise InputError(
                f"the loop {self._loop.function} returned {what}, a dict of {', '.join(names)} was"
                " expected"
            )
        found = {name: np.ascontiguousarray(made[name]) for name in names}
        check_feeds(found, self.outputs)
        return found

    def sync(self) -> None:
        """As the model's."""
        self._session.sync()

    def reported_s(self, boundary: Boundary) -> float:
        """A loop has no clock of its own; it lists no boundaries."""
        raise InputError(f"a loop does not report the boundary '{boundary}'")

    def close(self) -> None:
        """As the model's."""
        self._session.close()


def loop_files(loop: Loop | None) -> dict[str, list[Path]]:
    """The user's files, by their role in the sidecar."""
    return {"loop": loop.files()} if loop else {}


def in_loop(
    session: Session, card: str | None, loop: Loop | None
) -> tuple[Session, tuple[TensorSpec, ...]]:
    """The session, in its loop if there is one, and its inputs with all dimensions known."""
    incomplete = any(s.nbytes(1) is None for s in session.inputs)
    inputs = complete(session.inputs, sample_shapes(card) if incomplete else {})
    looped = Looped(session, inputs, loop) if loop else None
    return (looped, looped.inputs) if looped else (session, inputs)


def loop_facts(session: Session, continued: bool) -> dict[str, Any]:
    """How often the loop called the model for a batch, for the sidecar; None where ``continued``
    says that an earlier process did some; nothing of a session without a loop.
    """
    if not isinstance(session, Looped):
        return {}
    known = session.batches and not continued
    return {"calls_a_batch": session.calls / session.batches if known else None}
