"""Backend ``null``: answers zeros at once, so that what remains is the harness itself.

The option ``delay_s`` makes every run take that many seconds.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.core.errors import InputError
from portproof.measurement import Boundary

SUFFIXES: tuple[str, ...] = ()
DEFAULT_FOR: tuple[str, ...] = ()
PACKAGES: tuple[str, ...] = ()
#: Its answers mean nothing, so a bench does not judge them.
HARNESS_ONLY = True


class NullSession:
    """Zeros in the shapes of the card's outputs."""

    device = "cpu"
    precision = "fp32"
    provider = None
    boundaries: tuple[Boundary, ...] = ()

    def __init__(
        self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], delay_s: float
    ) -> None:
        self.inputs, self.outputs, self._delay_s = inputs, outputs, delay_s

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Zeros for every output."""
        if self._delay_s:
            time.sleep(self._delay_s)
        batch = next(iter(feeds.values())).shape[0]
        return {s.name: np.zeros((batch, *s.sample_shape), s.dtype) for s in self.outputs}

    def sync(self) -> None:
        """Nothing runs."""

    def reported_s(self, boundary: Boundary) -> float:
        """Never asked: it knows no boundary of its own."""
        raise NotImplementedError(boundary)

    def close(self) -> None:
        """Nothing to free."""


def load(model: Path, request: LoadRequest) -> NullSession:
    """A session with the inputs and outputs of the model card; the model file is not opened."""
    from portproof.preprocess.cards.resolve import resolve_card

    request.refuse_other_options("null", ("delay_s",))
    if request.card is None:
        raise InputError(
            "the backend 'null' takes inputs and outputs from a model card: give one with --model"
        )
    card = resolve_card(request.card)
    unshaped = [o.name for o in card.outputs if o.shape is None]
    if unshaped:
        raise InputError(
            f"the card '{request.card}' has no shape for the output '{unshaped[0]}', which the"
            " backend 'null' needs"
        )
    try:
        delay_s = float(request.options.get("delay_s", 0.0))
    except ValueError as error:
        raise InputError(
            f"the option delay_s is {request.options['delay_s']!r}, seconds were expected"
        ) from error
    return NullSession(
        tuple(TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in card.inputs),
        tuple(TensorSpec(o.name, o.dtype, (None, *(o.shape or ()))) for o in card.outputs),
        delay_s,
    )
