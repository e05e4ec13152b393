"""Which layers are to be kept in fp32, and whether the loss is gone then: the port's precision is
made again with them in fp32, and compared again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from portproof.convert.precision.int8 import OPERATORS
from portproof.convert.precision.reduce import ReduceRequest, reduce
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.metrics.layerwise.compare import Comparison
from portproof.metrics.layerwise.graph import Layered, Tensor
from portproof.metrics.layerwise.limits import Difference, Limits
from portproof.metrics.layerwise.probe import Probe
from portproof.metrics.layerwise.report import LayerReport, Repair
from portproof.metrics.repair.lists import write_lists

#: So many times the file is made again, each time with more layers in fp32.
_MOST_TRIALS = 6
_LARGEST_HALF = 65504.0


def repair(
    comparison: Comparison, report: LayerReport, folder: Path, info: str | None, card: str | None
) -> Repair:
    """Find the layers, write the vendors' files for them, and prove it where this host can.

    :class:`InputError` where nothing is to be repaired, or fp32 would not.
    """
    if report.agree:
        raise InputError(
            "there is nothing to repair: the outputs agree; give --tolerance if less loss is wanted"
        )
    if report.precision == "fp32":
        raise InputError(
            f"'{comparison.b.path}' computes in fp32 already: keeping layers in fp32 mends nothing,"
            " the fault is in the file; make it again (--emulate fp16 shows what a device loses)"
        )
    source = comparison.a if isinstance(comparison.a, Probe) else comparison.b
    if not isinstance(source, Probe):
        raise InputError(
            "the names that a converter takes are those of an ONNX file: give one as A or as B"
        )
    if isinstance(comparison.a, Probe) and report.precision in ("fp16", "int8"):
        return _Mending(comparison, report, folder, info, card).done()
    tensors = {t.name: t for t in source.tensors}
    layers = {la.name: la.counterpart for la in report.layers}
    names = [n if source is comparison.a else layers[n] for n in _ordered(report)[:1]]
    nodes = [tensors[n] for n in names]
    return Repair(_names(nodes), write_lists(folder, nodes), None, report.output_error, None, None)


def _names(nodes: Sequence[Tensor]) -> list[str]:
    return [n.node or n.name for n in nodes]


def _ordered(report: LayerReport) -> list[str]:
    """The tensors whose layers lose most, faults first."""
    return list(dict.fromkeys([f.name for f in report.faults] + [s.name for s in report.shares]))


class _Mending:
    """Trials with more and more layers in fp32."""

    def __init__(
        self,
        comparison: Comparison,
        report: LayerReport,
        folder: Path,
        info: str | None,
        card: str | None,
    ) -> None:
        self._comparison, self._report, self._folder = comparison, report, folder
        self._info, self._card = info, card
        self._tensors = {t.name: t for t in comparison.a.tensors}
        self._out = folder / f"model_{report.precision}.onnx"
        self._target = (
            report.tolerance
            if report.tolerance is not None
            else report.allowed * report.output_explained
        )

    def done(self) -> Repair:
        """Try until the loss is within what is allowed; the files of the last trial."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._fitting(self._beyond() + [f.name for f in self._report.faults])
        ordered = self._fitting(_ordered(self._report))
        kept = kept or ordered[:1]
        after: float | None = None
        with progress.meter("repair", _MOST_TRIALS, "trials") as meter:
            for trial in range(_MOST_TRIALS):
                after = self._tried(kept)
                meter.advance(1)
                if after is not None and after <= self._target:
                    break
                if trial + 1 < _MOST_TRIALS:
                    more = self._more(kept) or [n for n in ordered if n not in kept][: len(kept)]
                    if not more:
                        break
                    kept += more
        gone = after is not None and after <= self._target
        if not gone:
            self._out.unlink(missing_ok=True)
            Path(f"{self._out}.proof.json").unlink(missing_ok=True)
        nodes = [self._tensors[name] for name in kept]
        files = write_lists(self._folder, nodes)
        return Repair(
            _names(nodes),
            sorted([*files, self._out.name] if gone else files),
            self._out.name if gone else None,
            self._report.output_error,
            after,
            gone,
        )

    def _fitting(self, names: Sequence[str]) -> list[str]:
        """Without what this precision does not touch."""
        quantized = self._report.precision == "int8"
        return [
            n
            for n in dict.fromkeys(names)
            if n in self._tensors and (not quantized or self._tensors[n].op in OPERATORS)
        ]

    def _beyond(self) -> list[str]:
        """For fp16 the results beyond its range, and those of the nodes that read them."""
        if self._report.precision != "fp16":
            return []
        a, feeding = self._comparison.a, self._comparison.feeding
        large: set[str] = set()
        for group in a.groups([t.name for t in a.tensors]):
            run = a.opened(group)
            for number, feeds in feeding:
                for name, value in zip(group, run(number, feeding.named(feeds, a)), strict=True):
                    if value is not None and value.dtype.kind == "f" and value.size:
                        largest = float(np.max(np.abs(value)))
                        if _LARGEST_HALF < largest < math.inf:
                            large.add(name)
        return [t.name for t in a.tensors if t.name in large or large & set(t.reads)]

    def _tried(self, kept: Sequence[str]) -> float | None:
        """The error of the outputs with these layers in fp32; None where the file is not finite, or
        does not pass its own checks.
        """
        request = ReduceRequest(
            Path(self._comparison.a.path),
            self._out,
            self._report.precision,
            Path(self._info) if self._info else None,
            kept=tuple(kept),
        )
        try:
            reduce(request)
        except ToolError as error:
            progress.say(f"repair: {error}")
            return None
        return output_error(self._comparison, Probe(self._out, self._card))

    def _more(self, kept: Sequence[str]) -> list[str]:
        """The faults of the file just made, with what they read."""
        if not self._out.exists():
            return []
        again = Comparison(
            self._comparison.a, Probe(self._out, self._card), self._info, self._report.samples
        )
        report = again.report(Limits(self._report.tolerance, self._report.precision))
        faults = [self._tensors[f.name] for f in report.faults if f.name in self._tensors]
        around = [name for t in faults for name in (t.name, *t.reads)]
        return [name for name in self._fitting(around) if name not in kept]


def output_error(comparison: Comparison, side: Layered) -> float | None:
    """The relative error of another form of B, over all outputs the largest; None if not finite."""
    a, feeding = comparison.a, comparison.feeding
    sums = [Difference() for _ in a.outputs]
    right, mine = a.opened(a.outputs), side.opened(side.outputs)
    for number, feeds in feeding:
        left = right(number, feeding.named(feeds, a))
        for sum_, x, y in zip(sums, left, mine(number, feeding.named(feeds, side)), strict=True):
            sum_.add(x, y)
    errors = [s.errors()[0] for s in sums]
    return None if None in errors else max(e for e in errors if e is not None)
