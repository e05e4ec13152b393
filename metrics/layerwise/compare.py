"""Two ONNX files compared layer by layer: where does the second begin to differ from the first?"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from portproof.backend import Array
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.infer.offline.read import check_files, padded, read_batch
from portproof.manifest import Sample, read_info
from portproof.metrics.layerwise.probe import Probe, ProbedTensor

#: A layer's error has grown when it is so many times that of what the layer reads.
_GROWTH = 10.0
#: Shares that are named, and from which a layer is counted among those that lose the error.
_SHARES_SHOWN, _SMALL_SHARE = 5, 0.01


class Layer(msgspec.Struct, frozen=True):
    """One tensor compared. ``relative_error``: root of the summed squares of the difference over
    those of A's values, all samples together; ``input_error``: the largest of what the node reads.
    Null where B holds NaN or infinity and A does not.
    """

    name: str
    op: str
    node: str
    relative_error: float | None
    max_abs_error: float | None
    input_error: float | None

    def grew(self, tolerance: float) -> bool:
        """Whether the error is over the tolerance here and far below it in all inputs."""
        if self.input_error is None:
            return False
        return self.relative_error is None or (
            self.relative_error > tolerance and self.relative_error > _GROWTH * self.input_error
        )

    @property
    def added(self) -> float:
        """The square of the relative error that the layer adds to what it reads: independent errors
        add up in squares.
        """
        if self.relative_error is None or self.input_error is None:
            return 0.0
        return max(0.0, self.relative_error**2 - self.input_error**2)


class Share(msgspec.Struct, frozen=True):
    """A layer's part, a fraction, of all the error that layers add (:attr:`Layer.added`)."""

    name: str
    op: str
    share: float


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """``first``: the first layer whose error grew over the tolerance, null when there is none or
    when the outputs agree all the same. ``shares``: where the error is lost, the largest part
    first. ``layers`` are in the order of computation; ``unmatched`` counts tensors of A that B
    lacks, or has in another shape.
    """

    first: str | None
    shares: list[Share]
    output_error: float | None
    tolerance: float
    samples: int
    unmatched: int
    layers: list[Layer]

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """The report for people: the layers around the first that grew, or the worst ones."""
        head = (
            f"{len(self.layers)} layers compared on {self.samples} samples, {self.unmatched}"
            " without a counterpart; error of the outputs: "
        )
        lines = [head + _number(self.output_error), ""]
        at = next((i for i, layer in enumerate(self.layers) if layer.name == self.first), None)
        worst = sorted(
            self.layers,
            key=lambda layer: -(math.inf if layer.relative_error is None else layer.relative_error),
        )[:10]
        for layer in worst if at is None else self.layers[max(0, at - 3) : at + 4]:
            mark = "->" if layer.name == self.first else "  "
            lines.append(
                f"{mark} {_number(layer.relative_error):>9} (reads {_number(layer.input_error):>9})"
                f"  {layer.op:20s} {layer.name}"
            )
        return "\n".join([*lines, "", self._conclusion()])

    def _conclusion(self) -> str:
        if self.first:
            return f"the error grows first at '{self.first}'"
        if self.output_error is not None and self.output_error <= self.tolerance:
            return f"the outputs agree: their error is not over {self.tolerance:g}"
        if not self.shares:
            return (
                f"no layer's error grows over {self.tolerance:g}, and none of those compared adds"
                " to the error of the outputs: it is lost in layers without a counterpart"
            )
        shown = self.shares[:_SHARES_SHOWN]
        parts = ", ".join(f"{share.share:.0%} at '{share.name}' ({share.op})" for share in shown)
        return (
            f"the error of the outputs, {_number(self.output_error)}, is spread: no layer's alone"
            f" grows over {self.tolerance:g} and {_GROWTH:g}-fold. It is lost in"
            f" {sum(s.share >= _SMALL_SHARE for s in self.shares)} layers with"
            f" {_SMALL_SHARE:.0%} or more each; the largest parts: {parts}"
        )


def _number(error: float | None) -> str:
    return "not finite" if error is None else f"{error:.2e}"


def compare_layers(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    info: str | os.PathLike[str],
    *,
    limit: int = 4,
    tolerance: float = 1e-2,
    card: str | None = None,
) -> LayerReport:
    """Run both models on the first ``limit`` samples of an info list and compare every tensor that
    both compute.

    Tensors are matched by name; when fewer than half have one, and both models have the same
    operators in the same order, by position. :class:`InputError` when neither is possible or the
    models' inputs differ. Tensors are looked at in groups, so memory stays bounded.
    """
    one, other = Probe(Path(a), card), Probe(Path(b), card)
    if [s.sample_shape for s in one.inputs] != [s.sample_shape for s in other.inputs]:
        raise InputError(
            f"'{a}' and '{b}' take different inputs: {_shapes(one)} and {_shapes(other)}"
        )
    samples = read_info(info)[:limit]
    check_files(samples, one.inputs)
    pairs = _match(one, other)
    sums = {name: _Sum() for name in pairs}
    with progress.meter("layers", len(pairs), "layers") as meter:
        for names in one.groups(list(pairs)):
            _compare_group(one, other, {name: pairs[name] for name in names}, samples, sums)
            meter.advance(len(names))
    layers = _layers(one.tensors, {name: s for name, s in sums.items() if s.comparable})
    if not layers:
        raise InputError(
            f"'{a}' and '{b}' have no tensor of one name and shape in common; compare exports of"
            " one model"
        )
    finals = [layer.relative_error for layer in layers if layer.name in one.outputs]
    output_error = (
        None if None in finals else max((e for e in finals if e is not None), default=None)
    )
    agree = bool(finals) and output_error is not None and output_error <= tolerance
    first = None if agree else next((layer.name for layer in layers if layer.grew(tolerance)), None)
    return LayerReport(
        first=first,
        shares=_shares(layers),
        output_error=output_error,
        tolerance=tolerance,
        samples=len(samples),
        unmatched=len(one.tensors) - len(layers),
        layers=layers,
    )


def _shares(layers: Sequence[Layer]) -> list[Share]:
    """The layers that add error, the largest part first."""
    total = sum(layer.added for layer in layers)
    found = [Share(la.name, la.op, la.added / total) for la in layers if total and la.added]
    return sorted(found, key=lambda share: -share.share)


def _shapes(probe: Probe) -> str:
    return ", ".join(f"{s.name} {s.sample_shape}" for s in probe.inputs)


def _match(a: Probe, b: Probe) -> dict[str, str]:
    """Tensor of A -> tensor of B. The models' outputs match by position."""
    names_of_b = {tensor.name for tensor in b.tensors}
    pairs = {tensor.name: tensor.name for tensor in a.tensors if tensor.name in names_of_b}
    if 2 * len(pairs) < len(a.tensors) and [t.op for t in a.tensors] == [t.op for t in b.tensors]:
        return {x.name: y.name for x, y in zip(a.tensors, b.tensors, strict=True)}
    if len(a.outputs) == len(b.outputs):
        pairs |= dict(zip(a.outputs, b.outputs, strict=True))
    order = {tensor.name: at for at, tensor in enumerate(a.tensors)}
    return {
        name: pairs[name] for name in sorted(pairs.keys() & order.keys(), key=order.__getitem__)
    }


@dataclass
class _Sum:
    """Squares summed over samples, and the largest difference. ``comparable`` is False once shapes
    or kinds differ.
    """

    difference: float = 0.0
    values: float = 0.0
    largest: float = 0.0
    comparable: bool = True

    def add(self, a: object, b: object) -> None:
        if (
            not isinstance(a, np.ndarray)
            or not isinstance(b, np.ndarray)
            or a.shape != b.shape
            or a.dtype.kind not in "fiub"
        ):
            self.comparable = False
            return
        if not a.size:
            return
        x, y = a.astype(np.float64), b.astype(np.float64)
        with np.errstate(invalid="ignore"):
            distance = np.where(x == y, 0.0, np.abs(x - y))  # equal infinities do not differ
        if np.isnan(x).any():
            # What A has no value for proves nothing of B.
            distance = np.where(np.isnan(x), 0.0, distance)
        finite = x[np.isfinite(x)]
        self.difference += float(np.sum(distance * distance))
        self.values += float(np.sum(finite * finite))
        self.largest = (
            max(self.largest, float(distance.max())) if not np.isnan(distance).any() else math.nan
        )

    def errors(self) -> tuple[float | None, float | None]:
        """Relative error and largest difference; None where B is not finite."""
        if not math.isfinite(self.difference) or not math.isfinite(self.largest):
            return None, None
        if self.difference == 0:
            return 0.0, 0.0
        return (
            math.sqrt(self.difference / max(self.values, np.finfo(np.float64).tiny)),
            self.largest,
        )


def _compare_group(
    one: Probe,
    other: Probe,
    pairs: Mapping[str, str],
    samples: Sequence[Sample],
    sums: Mapping[str, _Sum],
) -> None:
    sessions = one.session(list(pairs)), other.session(list(pairs.values()))
    for sample in samples:
        feeds = read_batch([sample], one.inputs, Path()).feeds
        left = sessions[0].run(None, _batched(feeds, one))
        right = sessions[1].run(None, _batched(other.feeds(feeds, one.inputs), other))
        for name, x, y in zip(pairs, left, right, strict=True):
            sums[name].add(x, y)


def _batched(feeds: dict[str, Array], probe: Probe) -> dict[str, Array]:
    """The sample repeated as often as a model with a fixed batch needs."""
    return padded(feeds, probe.inputs[0].shape[0] or 1)


def _layers(tensors: Sequence[ProbedTensor], sums: Mapping[str, _Sum]) -> list[Layer]:
    """The compared tensors with the error of what their nodes read; a tensor without a counterpart
    passes on what its own node reads.
    """
    known: dict[str, float | None] = {}
    layers = []
    for tensor in tensors:
        reads = [known.get(name, 0.0) for name in tensor.reads]
        before = None if None in reads else max((e for e in reads if e is not None), default=0.0)
        if tensor.name in sums:
            known[tensor.name], largest = sums[tensor.name].errors()
            layers.append(
                Layer(tensor.name, tensor.op, tensor.node, known[tensor.name], largest, before)
            )
        else:
            known[tensor.name] = before
    return layers
