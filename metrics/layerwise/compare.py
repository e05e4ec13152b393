"""Two models compared layer by layer: where does the second begin to differ from the first?"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from portproof.backend import Array
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.metrics.dumped.kinds import open_sides
from portproof.metrics.layerwise import sketch
from portproof.metrics.layerwise.counterparts import counterparts
from portproof.metrics.layerwise.graph import Layered
from portproof.metrics.layerwise.limits import Difference, Judged, Limits
from portproof.metrics.layerwise.noise import MOST_EXPLAINED, UNITS, by_depth, rounded_side
from portproof.metrics.layerwise.probe import Probe
from portproof.metrics.layerwise.report import Fault, Layer, LayerReport, shares_of
from portproof.metrics.layerwise.stimuli import Dumped, Feeding
from portproof.metrics.layerwise.walk import Walk
from portproof.metrics.outputs.judge import ALLOWED

#: So many faults are looked for; more are a loss that is spread.
_MOST_FAULTS = 3
#: One that takes away so much of the outputs' error is named although more is lost elsewhere.
_MAIN_FAULT = 0.5


def compare_layers(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    info: str | os.PathLike[str] | None = None,
    *,
    limit: int = 4,
    tolerance: float | None = None,
    card: str | None = None,
    precision: str | None = None,
    emulate: str | None = None,
    om_json: str | None = None,
) -> LayerReport:
    """Run both models on the first ``limit`` samples of an info list and compare every tensor that
    both compute. Either may be an ONNX file, PyTorch weights with ``card``, or layer dumps, which
    are read instead of run.

    ``precision`` is what B is allowed to compute in (its own by default), ``emulate`` rounds an
    ONNX file B to it, ``om_json`` is the graph that ATC compiled, of an Ascend dump.
    :class:`InputError` when the models' inputs differ or nothing matches.
    Tensors are looked at in groups, so memory stays bounded.
    """
    one, other = open_sides(a, b, card, emulate, om_json)
    return Comparison(one, other, info, limit, card).report(
        Limits(tolerance, precision or precision_of(one, other))
    )


def precision_of(a: Layered, b: Layered) -> str:
    """What B computes in, or what its weights alone were rounded to where A's were not; or what a
    dump A was rounded to, where B is not.
    """
    if isinstance(a, Dumped) and b.precision == "fp32" != a.precision:
        return a.precision
    if b.precision == "fp32" and isinstance(b, Probe) and b.hidden:
        hidden = a.hidden if isinstance(a, Probe) else None
        return b.precision if hidden or a.precision != "fp32" else b.hidden
    return b.precision


@dataclass
class _Sums:
    port: dict[str, Difference] = field(default_factory=dict)
    noise: dict[str, Difference] = field(default_factory=dict)


class Comparison:
    """Two sides, what they are run on, and which tensor is which."""

    def __init__(
        self,
        a: Layered,
        b: Layered,
        info: str | os.PathLike[str] | None,
        limit: int = 4,
        card: str | None = None,
    ) -> None:
        self.a, self.b, self._card = a, b, card
        self.feeding = Feeding(a, b, info, limit)
        sketches = [self._sketches(side) for side in (a, b)]
        self.pairs = counterparts(a, b, *sketches)
        if not self.pairs:
            raise InputError(
                f"'{a.path}' and '{b.path}' have no tensor of one name and shape in common;"
                " compare two forms of one model"
            )
        by_b = not isinstance(b, Dumped) or isinstance(a, Dumped)
        self.walk = Walk(self.pairs, (b if by_b else a).tensors, by_b)

    def _sketches(self, side: Layered) -> dict[str, sketch.Sketch]:
        found: dict[str, sketch.Sketch] = {}
        names = [t.name for t in side.tensors]
        with progress.meter("sketches", len(names), "tensors") as meter:
            for group in side.groups(names):
                run = side.opened(group)
                for number, feeds in self.feeding:
                    sketch.add(found, group, run(number, self.feeding.named(feeds, side)))
                meter.advance(len(group))
        whole = self.feeding.count
        return {name: s for name, s in found.items() if len(s.cells) == whole}

    def report(self, limits: Limits) -> LayerReport:
        """Compare, find the faults, and tell."""
        with rounded_side(self.a, limits.precision, self.feeding.samples, self._card) as noisy:
            sums = self._sums(noisy, {})
        explained = self._explained(sums, limits.precision)
        layers = self._layers(sums.port, explained)
        judged = Judged(layers, limits, [n for n in self.a.outputs if n in layers])
        if not judged.finals:
            raise InputError(
                f"the outputs of '{self.a.path}' and '{self.b.path}' cannot be compared: they have"
                " other shapes; compare two forms of one model"
            )
        faults = [] if judged.agree() else self._faults(judged, explained, limits)
        error = judged.output_error()
        named = bool(faults) and (
            faults[-1].output_error is None
            or judged.within(faults[-1].output_error)
            or error is None
            or (faults[0].output_error or 0.0) <= _MAIN_FAULT * error
        )
        return LayerReport(
            first=faults[0].name if named else None,
            faults=faults if named else [],
            shares=shares_of(list(layers.values())),
            output_error=error,
            output_explained=max(layers[n].explained for n in judged.finals),
            tolerance=limits.tolerance,
            allowed=ALLOWED,
            precision=limits.precision,
            agree=judged.agree(),
            samples=self.feeding.count,
            unmatched=len(self.a.tensors) - len(layers),
            layers=list(layers.values()),
        )

    def _faults(
        self, judged: Judged, explained: Mapping[str, float], limits: Limits
    ) -> list[Fault]:
        """The faults one after the other: each is put right before the next is looked for."""
        found: list[Fault] = []
        while len(found) < _MOST_FAULTS:
            order = {name: at for at, name in enumerate(judged.layers)}
            failing = sorted(
                self.walk.failing(judged.finals, judged.differs), key=order.__getitem__
            )
            right = {fault.name for fault in found}
            new = next((n for n in failing if judged.grew(n) and n not in right), None)
            if new is None:
                break
            layer = judged.layers[new]
            if not isinstance(self.b, Probe) or isinstance(self.a, Dumped):
                found.append(Fault(new, layer.op, layer.node, layer.counterpart, None))
                break
            sums = self._sums(None, {name: self.pairs[name] for name in (*right, new)})
            judged = Judged(self._layers(sums.port, explained), limits, judged.finals)
            error = judged.output_error()
            found.append(Fault(new, layer.op, layer.node, layer.counterpart, error))
            if judged.agree():
                break
        return found

    def _sums(self, noisy: Layered | None, right: Mapping[str, str]) -> _Sums:
        """Differences of all pairs; with ``right``, B goes on with A's values of these."""
        sums = _Sums()
        names_of_noisy = {t.name for t in noisy.tensors} if noisy else set()
        with progress.meter("layers", len(self.pairs), "layers") as meter:
            for group in self.a.groups(list(self.pairs)):
                self._compare(group, noisy, names_of_noisy, right, sums)
                meter.advance(len(group))
        return sums

    def _compare(
        self,
        group: Sequence[str],
        noisy: Layered | None,
        names_of_noisy: Collection[str],
        right: Mapping[str, str],
        sums: _Sums,
    ) -> None:
        asked = [*group, *(name for name in right if name not in group)]
        run_a = self.a.opened(asked)
        names = [self.pairs[name] for name in group]
        run_b = None if right else self.b.opened(names)
        patched = (
            self.b.patched(list(right.values()), names)
            if right and isinstance(self.b, Probe)
            else None
        )
        rounded = [name for name in group if name in names_of_noisy]
        run_noisy = noisy.opened(rounded) if noisy and rounded else None
        for number, feeds in self.feeding:
            left = dict(zip(asked, run_a(number, self.feeding.named(feeds, self.a)), strict=True))
            mine = self.feeding.named(feeds, self.b)
            if run_b is not None:
                values = run_b(number, mine)
            else:
                given = {y: left[x] for x, y in right.items()}
                answer = dict(zip(group, patched(mine, given) if patched else (), strict=True))
                values = [left[n] if n in right else answer[n] for n in group]
            _add(sums.port, group, left, values)
            if run_noisy and noisy:
                ruler = run_noisy(number, self.feeding.named(feeds, noisy))
                _add(sums.noise, rounded, left, ruler)

    def _explained(self, sums: _Sums, precision: str) -> dict[str, float]:
        """The relative error that rounding explains, by tensor of A."""
        found = by_depth(self.a.tensors, precision)
        errors = {n: d.errors()[0] for n, d in sums.noise.items() if d.comparable}
        lost: set[str] = set()
        for tensor in self.a.tensors:
            # What comes after an overflow is not rounding, however little of it shows.
            if errors.get(tensor.name, 0.0) is None or lost.intersection(tensor.reads):
                lost.add(tensor.name)
            found[tensor.name] = (
                errors.get(tensor.name) if tensor.name not in lost else None
            ) or found[tensor.name]
        return {n: min(max(e, UNITS[precision]), MOST_EXPLAINED) for n, e in found.items()}

    def _layers(
        self, sums: Mapping[str, Difference], explained: Mapping[str, float]
    ) -> dict[str, Layer]:
        """The compared tensors with the error of what they are computed from."""
        errors = {n: s.errors() for n, s in sums.items() if s.comparable and s.seen}
        ops = {t.name: t for t in self.a.tensors}
        layers = {}
        for name, (error, largest) in errors.items():
            reads = [errors[n][0] for n in self.walk.before(name) if n in errors]
            before = (
                None if None in reads else max((e for e in reads if e is not None), default=0.0)
            )
            layers[name] = Layer(
                name, ops[name].op, ops[name].node, error, largest, before, self.pairs[name],
                explained[name],
            )  # fmt: skip
        return layers


def _add(
    sums: dict[str, Difference],
    names: Sequence[str],
    right: Mapping[str, Array | None],
    values: Sequence[Array | None],
) -> None:
    for name, value in zip(names, values, strict=True):
        if value is None and right[name] is None:
            continue
        sums.setdefault(name, Difference()).add(right[name], value)
