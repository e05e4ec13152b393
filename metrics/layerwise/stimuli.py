"""What both sides are run on: samples of an info list, or the inputs that a dump holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from portproof.backend import Array, Feeds, TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline.read import check_files, padded, read_batch
from portproof.manifest import Sample, read_info
from portproof.metrics.layerwise.graph import Layered

#: The inputs of a dump are those of the samples up to such a relative error (float16 storage).
_SAME_INPUTS = 2e-3


@runtime_checkable
class Dumped(Protocol):
    """A side that was run elsewhere: how many runs it holds, and the inputs of one by position,
    None where it does not hold them.
    """

    path: Path
    runs: int

    def given(self, run: int) -> list[Array] | None:
        """The inputs of one run."""


class Feeding:
    """The runs, the same for both sides. ``samples`` is 0 where a dump's own inputs are used."""

    def __init__(
        self, a: Layered, b: Layered, info: str | os.PathLike[str] | None, limit: int
    ) -> None:
        self._runnable = [side for side in (a, b) if not isinstance(side, Dumped)]
        self._dumps = [side for side in (a, b) if isinstance(side, Dumped)]
        self.specs: tuple[TensorSpec, ...] = self._runnable[0].inputs if self._runnable else ()
        self._check_inputs()
        self.samples: list[Sample] = read_info(info)[:limit] if info is not None else []
        if self.samples and self._runnable:
            check_files(self.samples, self.specs)
        self.rows = max((s.inputs[0].shape[0] or 1 for s in self._runnable), default=1)
        self.count = min([side.runs for side in self._dumps] or [len(self.samples)])
        if self._runnable and self._dumps:
            self._check_dumped()
        if not self.count:
            raise InputError(
                "there is nothing to run the models on: give an info list of samples with --info"
            )

    def _check_inputs(self) -> None:
        shapes = [[s.sample_shape for s in side.inputs] for side in self._runnable]
        if len(shapes) == 2 and shapes[0] != shapes[1]:
            one, other = self._runnable
            raise InputError(
                f"'{one.path}' and '{other.path}' take different inputs: {_shapes(one)} and"
                f" {_shapes(other)}"
            )

    def _check_dumped(self) -> None:
        """The dump was made of the samples; :class:`InputError` if it was not, or if nothing says
        what it was made of.
        """
        if not self.samples:
            if any(side.given(0) is None for side in self._dumps):
                raise InputError(
                    f"'{self._dumps[0].path}' does not hold the inputs it was made of: give the"
                    " info list of the samples with --info, in the order of the runs"
                )
            return
        self.count = min(self.count, len(self.samples))
        for run in range(self.count):
            for side in self._dumps:
                given = side.given(run)
                if given is not None and not self._same(given, self._read(run)):
                    raise InputError(
                        f"run {run} of '{side.path}' was made of other inputs than sample"
                        f" '{self.samples[run].id}': give the info list that the dump was made of"
                    )

    def _same(self, given: Sequence[Array], feeds: Feeds) -> bool:
        for name, array in self._chosen(given).items():
            mine = feeds[name].reshape(-1).astype(np.float64)
            other = array.reshape(-1).astype(np.float64)
            if mine.size != other.size:
                return False
            gap, norm = float(np.linalg.norm(mine - other)), float(np.linalg.norm(mine))
            if gap > _SAME_INPUTS * norm:
                return False
        return True

    def _chosen(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The model's inputs among what a dump read from outside: the first that fits each."""
        left, found = list(range(len(arrays))), {}
        for spec in self.specs:
            at = next((i for i in left if arrays[i].shape[1:] == spec.sample_shape), None)
            if at is not None:
                left.remove(at)
                found[spec.name] = np.ascontiguousarray(arrays[at].astype(spec.dtype))
        return found

    def _read(self, run: int) -> dict[str, Array]:
        return read_batch([self.samples[run]], self.specs, Path()).feeds

    def __iter__(self) -> Iterator[tuple[int, dict[str, Array]]]:
        """The number and the inputs of every run, by the names of the first side that runs."""
        for run in range(self.count):
            if not self._runnable:
                yield run, {}
            elif self.samples:
                yield run, padded(self._read(run), self.rows)
            else:
                yield run, self._dumped(run)

    def _dumped(self, run: int) -> dict[str, Array]:
        feeds = self._chosen(self._dumps[0].given(run) or [])
        missing = [spec for spec in self.specs if spec.name not in feeds]
        if missing:
            raise InputError(
                f"'{self._dumps[0].path}' holds no input of the shape {missing[0].sample_shape}, as"
                f" '{missing[0].name}' of '{self._runnable[0].path}' takes it: give the info list"
                " of the samples with --info"
            )
        return feeds

    def named(self, feeds: Feeds, side: Layered) -> dict[str, Array]:
        """The inputs in a side's own names and types, by position."""
        return {
            mine.name: feeds[its.name].astype(mine.dtype, copy=False)
            for mine, its in zip(side.inputs, self.specs, strict=False)
            if its.name in feeds
        }


def _shapes(side: Layered) -> str:
    return ", ".join(f"{s.name} {s.sample_shape}" for s in side.inputs)
