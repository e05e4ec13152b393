"""The inputs of a bench: random, zeros, or real samples, the same for every subject."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from portproof.backend import Array, TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline.read import check_files, read_batch
from portproof.manifest import read_info

Kind = Literal["random", "zeros", "real"]
KINDS: tuple[Kind, ...] = ("random", "zeros", "real")

_SEED = 20200
#: Calls go round several batches, since identical inputs may be cached; as many as fit, at most so
#: many.
_RING_BYTES, _RING = 64 << 20, 4


@dataclass(frozen=True, slots=True)
class Feeding:
    """Which inputs: the kind, the info list of real ones, and the card's sample shapes."""

    kind: Kind
    info: str | None
    sample_shapes: dict[str, tuple[int, ...]]

    def batches(self, inputs: Sequence[TensorSpec], batch: int) -> list[dict[str, Array]]:
        """The batches to go round, at least one."""
        size = sum(s.nbytes(batch) or 0 for s in inputs)
        count = max(1, min(_RING, _RING_BYTES // max(size, 1)))
        if self.kind == "real":
            return self._real(inputs, batch, count)
        if self.kind == "zeros":
            return [{s.name: np.zeros((batch, *s.sample_shape), s.dtype) for s in inputs}]
        # A generator an input, so that row n is the same at every batch size.
        generators = {s.name: np.random.default_rng((_SEED, at)) for at, s in enumerate(inputs)}
        return [
            {s.name: _random(generators[s.name], (batch, *s.sample_shape), s) for s in inputs}
            for _ in range(count)
        ]

    def numbers(self, rows: int) -> list[int]:
        """Of the first rows that go round, a number each: equal rows have equal ones, at every
        batch.
        """
        if self.kind == "zeros":
            return [0] * rows
        samples = len(read_info(self.info)) if self.kind == "real" and self.info else rows
        return [row % samples for row in range(rows)]

    def _real(self, inputs: Sequence[TensorSpec], batch: int, count: int) -> list[dict[str, Array]]:
        """The first samples of the info list, from the beginning again when there are too few."""
        if self.info is None:
            raise InputError("real inputs need an info list: give one with --info")
        samples = read_info(self.info)[: batch * count]
        check_files(samples, inputs)
        endless = itertools.cycle(samples)
        return [
            read_batch(list(itertools.islice(endless, batch)), inputs, Path()).feeds
            for _ in range(count)
        ]


def _random(generator: np.random.Generator, shape: tuple[int, ...], spec: TensorSpec) -> Array:
    """Standard normal floats; bytes over their whole range; 0 or 1 for other integers, which token
    ids, masks and segments all may be.
    """
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return generator.standard_normal(shape, dtype="float32").astype(dtype)
    if dtype.kind in "iub":
        return generator.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)
    raise InputError(
        f"input '{spec.name}' is {spec.dtype}: there are no random values for that; use --inputs"
        " real"
    )
