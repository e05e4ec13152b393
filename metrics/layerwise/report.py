"""What the comparison of layers found, for programs and for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

#: Shares that are named, and from which a layer is counted among those that lose the error.
_SHARES_SHOWN, _SMALL_SHARE = 5, 0.01


class Layer(msgspec.Struct, frozen=True):
    """One tensor compared. ``relative_error``: root of the summed squares of the difference over
    those of A's values, all runs together; ``input_error``: the largest of what it is computed
    from. Null where B holds NaN or infinity and A does not. ``counterpart``: its name in B;
    ``explained``: the relative error that the rounding of B's precision explains.
    """

    name: str
    op: str
    node: str
    relative_error: float | None
    max_abs_error: float | None
    input_error: float | None
    counterpart: str
    explained: float

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


class Fault(msgspec.Struct, frozen=True):
    """A layer whose inputs agree and whose result does not. ``output_error``: the error that the
    outputs keep when B goes on with A's result of this layer and of the faults before it; null
    where that cannot be run.
    """

    name: str
    op: str
    node: str
    counterpart: str
    output_error: float | None


class Repair(msgspec.Struct, frozen=True):
    """``kept``: nodes to keep in fp32. ``files``: what was written, ``model`` among them the port's
    precision made again with these in fp32. ``before`` and ``after``: relative errors of the
    outputs; ``gone``: whether what is left is allowed. Null where this host cannot make the model.
    """

    kept: list[str]
    files: list[str]
    model: str | None
    before: float | None
    after: float | None
    gone: bool | None

    def to_text(self) -> str:
        """One sentence."""
        kept = ", ".join(f"'{name}'" for name in self.kept[:_SHARES_SHOWN])
        more = len(self.kept) - _SHARES_SHOWN
        nodes = f"repair: kept in fp32: {kept}{f' and {more} more' if more > 0 else ''}"
        if self.gone is None:
            return f"{nodes}; not proven, since the model cannot be made again here"
        change = f"the error of the outputs goes from {number(self.before)} to {number(self.after)}"
        return f"{nodes}; {change}: {'the loss is gone' if self.gone else 'that is NOT enough'}"


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """``first``: the first layer whose inputs agree and whose result does not, null when there is
    none or when the outputs agree all the same; ``faults`` holds it, and further ones. ``shares``:
    where the error is lost, the largest part first. ``layers`` are in the order of computation;
    ``unmatched`` counts tensors of A without a counterpart. ``tolerance`` is null where each layer
    may lose what rounding to ``precision`` explains, ``allowed`` times.
    """

    first: str | None
    faults: list[Fault]
    shares: list[Share]
    output_error: float | None
    output_explained: float
    tolerance: float | None
    allowed: float
    precision: str
    agree: bool
    samples: int
    unmatched: int
    layers: list[Layer]
    repair: Repair | None = None
    bundle: str | None = None

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """The report for people: the layers around the first that fails, or the worst ones."""
        lines = [
            f"{len(self.layers)} layers compared on {self.samples} samples, {self.unmatched}"
            f" without a counterpart; error of the outputs: {number(self.output_error)},"
            f" {self._limit()}",
            "",
        ]
        at = next((i for i, layer in enumerate(self.layers) if layer.name == self.first), None)
        worst = sorted(
            self.layers,
            key=lambda layer: -(math.inf if layer.relative_error is None else layer.relative_error),
        )[:10]
        for layer in worst if at is None else self.layers[max(0, at - 3) : at + 4]:
            mark = "->" if layer.name == self.first else "  "
            other = "" if layer.counterpart == layer.name else f" ({layer.counterpart})"
            lines.append(
                f"{mark} {number(layer.relative_error):>10} (reads {number(layer.input_error):>10})"
                f"  {layer.op:20s} {layer.name}{other}"
            )
        lines += ["", *self._conclusions()]
        if self.bundle:
            lines.append(f"bundle: {self.bundle}; unzip it and run python check.py")
        return "\n".join([*lines, *([self.repair.to_text()] if self.repair else [])])

    def _limit(self) -> str:
        if self.tolerance is not None:
            return f"tolerance {self.tolerance:g}"
        return (
            f"rounding to {self.precision} explains {number(self.output_explained)},"
            f" {self.allowed:g} times as much is allowed"
        )

    def _conclusions(self) -> list[str]:
        if self.agree:
            return [f"the outputs agree: their error is not over {number(self._most())}"]
        if not self.first:
            return [self._spread()]
        lines = [f"the error grows first at '{self.first}'{self._proof(self.faults[0])}"]
        return lines + [
            f"a further fault is at '{fault.name}' ({fault.op}){self._proof(fault)}"
            for fault in self.faults[1:]
        ]

    def _most(self) -> float:
        if self.tolerance is not None:
            return self.tolerance
        return self.allowed * self.output_explained

    def _proof(self, fault: Fault) -> str:
        if fault.output_error is None:
            return ""
        gone = fault.output_error <= self._most()
        return (
            f"; with the right result there, the error of the outputs is"
            f" {number(fault.output_error)}{': nothing else is wrong' if gone else ''}"
        )

    def _spread(self) -> str:
        if not self.shares:
            return (
                "no layer's inputs agree where its result does not, and none of those compared"
                " adds to the error of the outputs: it is lost in layers without a counterpart"
            )
        parts = ", ".join(
            f"{s.share:.0%} at '{s.name}' ({s.op})" for s in self.shares[:_SHARES_SHOWN]
        )
        return (
            f"the error of the outputs, {number(self.output_error)}, is spread: no layer's alone"
            " explains it. It is lost in"
            f" {sum(s.share >= _SMALL_SHARE for s in self.shares)} layers with"
            f" {_SMALL_SHARE:.0%} or more each; the largest parts: {parts}"
        )


def number(error: float | None) -> str:
    """An error in three digits."""
    return "not finite" if error is None else f"{error:.2e}"


def shares_of(layers: Sequence[Layer]) -> list[Share]:
    """The layers that add error, the largest part first."""
    total = sum(layer.added for layer in layers)
    found = [Share(la.name, la.op, la.added / total) for la in layers if total and la.added]
    return sorted(found, key=lambda share: -share.share)
