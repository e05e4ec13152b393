"""What may be wrong inside a model: which change of the reference gives the port's outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.likeness import Rows, unlikeness
from portproof.metrics.diagnosis.model import changes
from portproof.metrics.diagnosis.model.changes import Changed, Variant
from portproof.metrics.diagnosis.model.damage import Seen, damages
from portproof.metrics.diagnosis.model.network import Array, Bend, Layer, Network, network_of
from portproof.metrics.diagnosis.model.operators import operators
from portproof.metrics.diagnosis.model.origin import weights_of

#: Single layers are tried on so few samples, batch normalisation on so many, for so long at most.
_FEW, _BATCHES, _SECONDS, _DAMAGE_SECONDS = 4, 64, 30.0, 15.0
#: What folded batch normalisation is made of is known in part only: so little must be left of it.
_FOLDED = 0.2
#: An explanation that leaves so little ends the search.
_ENOUGH = 1e-3
_SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Tried:
    """A change, the share of the difference that it leaves, and how unlike the reference's it makes
    the answers.
    """

    changed: Changed
    left: float
    moved: float = 0.0


@dataclass
class Trial:
    """The samples in the order of ids, and what the port answers to them. ``measure`` makes rows
    comparable; ``neighbours``: so many of the samples are neighbours from the first.
    """

    reference: Path
    card: str
    make: Callable[[], Array]
    port: Rows
    plain: Rows
    measure: Callable[[Rows], Rows]
    neighbours: int
    network: Network | None = None
    samples: Array = field(default_factory=lambda: np.zeros(0))
    tried: list[Tried] = field(default_factory=list)

    def all(self) -> list[Tried]:
        """Everything but single weights that there was time for, best first. Nothing if the model
        cannot be taken apart, which is said.
        """
        self._until = time.monotonic() + _SECONDS
        try:
            self.network, self.samples = network_of(self.reference, self.card), self.make()
            self._whole()
            if self._best() > _ENOUGH and not self._likeliest().changed.fault.startswith("bn-"):
                self._places()
        except (InputError, ToolError) as error:
            progress.warn(f"not tried: faults inside the model; {error}")
        return sorted(self.tried, key=lambda t: t.left)

    def first(self) -> list[Tried]:
        """The first layer alone, which may be scaled in the place of its input."""
        try:
            self.network, self.samples = network_of(self.reference, self.card), self.make()
            for layer in self.network.layers[:1]:
                self._layer(layer, self.samples[self._rows(_FEW)])
        except (InputError, ToolError):
            return []
        return [t for t in self.tried if t.changed.fault == "layer-weights"]

    def damaged(self) -> list[Tried]:
        """One number among the weights that is another, after :meth:`all`."""
        if self.network is None:
            return []
        before, at = len(self.tried), self._rows(2 * _FEW)
        until = time.monotonic() + _DAMAGE_SECONDS
        seen = Seen(self.samples[at], self.port[at], self.plain[at], self.measure)
        for changed in damages(self.network, seen, until):
            self._add(changed, at)
        return sorted(self.tried[before:], key=lambda t: t.left)

    def _best(self) -> float:
        return min((t.left for t in self.tried), default=1.0)

    def _likeliest(self) -> Tried:
        best = min(self.tried, key=lambda t: t.left)
        return best if best.left <= _FOLDED else Tried(Changed("", "", lambda s: s), 1.0)

    def _late(self) -> bool:
        late = time.monotonic() > self._until
        if late:
            progress.say("diagnose: layers were tried in part: it took too long")
        return late

    def _rows(self, count: int) -> NDArray[np.int64]:
        """The samples that differ most, and some of all: a fault may show in few of them."""
        n = len(self.samples)
        if n <= count:
            return np.arange(n)
        most = np.argsort(-unlikeness(self.port, self.plain), kind="stable")[: count // 2]
        rest = np.setdiff1d(np.linspace(0, n - 1, count).round().astype(int), most)
        return np.concatenate([most, rest[: count - len(most)]])

    def _left(self, rows: Rows, at: NDArray[np.int64]) -> float:
        """What is left of the difference of some samples."""
        before = float(unlikeness(self.port[at], self.plain[at]).mean())
        after = float(unlikeness(self.port[at], self.measure(rows)).mean())
        return after / max(before, 1e-300) if np.isfinite(after) else 1e9

    def _add(self, changed: Changed, at: NDArray[np.int64]) -> None:
        """Try a change of the whole model."""
        if changed.batch > self.neighbours and changed.fault == "bn-batch":
            return
        parts = range(0, len(at), changed.batch)
        rows = [changed.run(self.samples[at[i : i + changed.batch]]) for i in parts]
        made = np.concatenate(rows)
        moved = float(unlikeness(self.measure(made), self.plain[at]).mean())
        self.tried.append(Tried(changed, self._left(made, at), moved))

    def _whole(self) -> None:
        """Changes of several layers at once."""
        assert self.network is not None
        network, many = self.network, min(_BATCHES, len(self.samples))
        for changed in self._normalisations(many) if network.batch is None else ():
            self._add(changed, np.arange(many))
        for changed in (*changes.everywhere(network), *operators(network)):
            if self._late():
                return
            self._add(changed, self._rows(2 * _FEW))
        for changed in changes.coarse_ranges(network, self.samples[:many]):
            self._add(changed, self._rows(4 * _FEW))

    def _normalisations(self, many: int) -> Iterator[Changed]:
        """Faults of batch normalisation: made exactly where the weights are known from which the
        reference comes, else of what its layers give for the first samples.
        """
        from portproof.metrics.diagnosis.model.pytorch import normalisations_of

        assert self.network is not None
        folded, few = self.reference.suffix == ".onnx", self.samples[:_FEW]
        weights = weights_of(self.reference) if folded else self.reference
        exact: list[Changed] = []
        if weights is not None:
            try:
                right = self.network.rows(self.network.model, few)
                exact = list(normalisations_of(self.card, weights, list(_SIZES), few, right))
            except InputError:
                if not folded:
                    raise
        if exact or not folded:
            return iter(exact)
        return changes.normalisations(self.network, self.samples[:many], list(_SIZES))

    def _places(self) -> None:
        """Changes of one layer or one activation."""
        assert self.network is not None
        few = self.samples[self._rows(_FEW)]
        places: list[Layer | Bend] = [*self.network.layers, *self.network.bends]
        with progress.meter("diagnose: layers", len(places), "layers") as meter:
            for place in places:
                if self._best() <= _ENOUGH or self._late():
                    return
                if isinstance(place, Layer):
                    self._layer(place, few)
                else:
                    self._bend(place, few)
                meter.advance()

    def _layer(self, layer: Layer, few: Array) -> None:
        assert self.network is not None
        values = self.network.values(few, [layer.output])[layer.output]
        if len(values) != len(few):  # the batch axis is folded into another
            return
        answer = self.network.after(layer.output, few)
        variants = list(changes.layer_variants(self.network, layer))
        scored = self._score(layer.output, layer.output, values, answer, variants)
        best = min((t for t in scored if t.changed.fault == "layer-weights"),
                   key=lambda t: t.left)  # fmt: skip
        if _ENOUGH < best.left < 0.8:
            factor = float(best.changed.words.rpartition(" ")[2])
            for width in (0.5, 0.2, 0.05, 0.01):
                around = [factor + width * k / 4 * max(abs(factor), 0.2) for k in range(-4, 5)]
                near = [changes.scaled(self.network, layer, f) for f in around]
                best = min(self._score(layer.output, layer.output, values, answer, near),
                           key=lambda t: t.left)  # fmt: skip
                factor = float(best.changed.words.rpartition(" ")[2])

    def _bend(self, bend: Bend, few: Array) -> None:
        assert self.network is not None
        source = self.network.values(few, [bend.source])[bend.source]
        if len(source) != len(few):
            return
        variants = (
            Variant(
                "activation",
                f"{bend.name or bend.output}: {'no activation' if name == 'none' else name}"
                f" for {bend.kind}",
                function,
            )
            for name, function in changes.bend_variants(bend)
        )
        answer = self.network.after(bend.output, few)
        self._score(bend.output, bend.source, source, answer, variants)

    def _score(
        self,
        name: str,
        reads: str,
        values: Array,
        answer: Callable[[Array], Rows],
        variants: Iterable[Variant],
    ) -> list[Tried]:
        """Try variants of one tensor together, made of the ``values`` of the tensor ``reads``."""
        listed = list(variants)
        with np.errstate(all="ignore"):
            rows = answer(np.stack([np.asarray(v.make(values), np.float32) for v in listed]))
        scored = [
            Tried(
                Changed(v.fault, v.words, self._runner(name, reads, v)),
                self._left(r, self._rows(_FEW)),
            )
            for v, r in zip(listed, rows, strict=True)
        ]
        self.tried += scored
        return scored

    def _runner(self, name: str, reads: str, variant: Variant) -> Callable[[Array], Rows]:
        """The model with one tensor made otherwise, for any samples."""
        network = self.network
        assert network is not None

        def run(samples: Array) -> Rows:
            values = variant.make(network.values(samples, [reads])[reads])
            made = network.after(name, samples)(np.asarray(values, np.float32)[None])
            return np.asarray(made[0], np.float64)

        return run


def as_found(tried: list[Tried], none: Candidate) -> list[Found]:
    """What was tried as explanations of what ``none`` leaves."""
    found = []
    for each in tried:
        changed, left = each.changed, each.left * (1 - none.score)
        evidence = f"{changed.words}; the reference made so differs by {left:.2g}"
        fix = changes.FIXES[changed.fault]
        candidate = Candidate(changed.fault, max(0.0, 1 - left), evidence, fix)
        found.append(Found(candidate, left=each.left, changed=changed, moved=each.moved))
    return found
