"""What may be wrong inside a model: which change of the reference gives the port's outputs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.metrics.diagnosis.candidates import Tried
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model import changes
from portproof.metrics.diagnosis.model.batch_normalisation import epsilons
from portproof.metrics.diagnosis.model.changes import Changed, Variant
from portproof.metrics.diagnosis.model.damage import Seen, damages
from portproof.metrics.diagnosis.model.loading import Holder, holder_of
from portproof.metrics.diagnosis.model.network import Array, Bend, Layer, Network, network_of
from portproof.metrics.diagnosis.model.operators import operators
from portproof.metrics.diagnosis.steps.weighing import ENOUGH, FEW, Weighing

#: Batch normalisation is tried on so many samples, for so long at most; all layers in another order
#: for so long, and so long what is known exactly.
_BATCHES, _SECONDS, _DAMAGE_SECONDS, _ORDER_SECONDS = 64, 30.0, 15.0, 8.0
#: What folded batch normalisation is made of is known in part only: so little must be left of it.
_FOLDED = 0.2
#: Two ways to one answer differ by so little.
_ROUNDING = 1e-6
#: Faults of the input that a model has too if its kernels or its first channels are turned.
TURNED = ("mirrored", "upside-down", "rotated", "channel-order")
#: Faults that may be known in part only.
_ABOUT = ("bn-batch", "bn-mean", "bn-var", "bn-weight", "bn-bias")


@dataclass(kw_only=True)
class Trial(Weighing):
    """What is tried on the reference, of a ``card``. ``make``: the samples in the order of ids;
    ``seconds``: how long layers are tried one by one.
    """

    reference: Path
    card: str
    make: Callable[[], Array]
    seconds: float = _SECONDS
    network: Network | None = None
    net: Any = None
    holders: list[Holder] = field(default_factory=list)

    def all(self) -> list[Tried]:
        """Everything but single weights that there was time for, best first. Nothing if the model
        cannot be taken apart, which is said.
        """
        self._until = time.monotonic() + self.seconds
        try:
            self.network, self.samples = network_of(self.reference, self.card), self.make()
            self._whole()
            if self._best() > ENOUGH and self._likeliest().changed.fault not in _ABOUT:
                self._exact()
                self._places()
            self._surely()
        except (InputError, ToolError) as error:
            progress.warn(f"not tried: faults inside the model; {error}")
        return sorted(self.tried, key=lambda t: t.left)

    def like(self, fault: str, left: float) -> list[Tried]:
        """What comes to the same as a fault of the input, which is named first and leaves so much:
        all kernels turned or the first layer's channels in another order, else that layer scaled.
        """
        try:
            self.network, self.samples = network_of(self.reference, self.card), self.make()
            if fault in TURNED:
                holder = holder_of(self.network, self.samples[:1])
                for every in (holder.everywhere(), *map(holder.of, holder.held[:1])):
                    self._promising(every, self._soon())
            else:
                for layer in self.network.layers[:1]:
                    self._layer(layer, self.samples[self._rows(FEW)])
        except (InputError, ToolError):
            return []
        wanted = ("layer-kernel", "layer-channels") if fault in TURNED else ("layer-weights",)
        return [
            replace(t, left=max(t.left, left)) if t.left > left - _ROUNDING else t
            for t in self.tried
            if t.changed.fault in wanted
        ]

    def of_layer(self, layer: Layer) -> list[Tried]:
        """What is known to befall one layer, after :meth:`all`."""
        few = self.samples[self._rows(FEW)]
        self._layer(layer, few)
        for held in self.holders[0].held:
            if held.key == layer.weight:
                self._promising(self.holders[0].of(held), self._soon())
        return sorted(self.tried, key=lambda t: t.left)

    def damaged(self) -> list[Tried]:
        """One number among the weights that is another, after :meth:`all`."""
        if self.network is None:
            return []
        before, at = len(self.tried), self._rows(2 * FEW)
        until = time.monotonic() + _DAMAGE_SECONDS
        seen = Seen(self.samples[at], self.port[at], self.plain[at], self.measure)
        for changed in damages(self.network, seen, until):
            self._add(changed, at)
        return sorted(self.tried[before:], key=lambda t: t.left)

    def _likeliest(self) -> Tried:
        best = min(self.tried, key=lambda t: t.left)
        return best if best.left <= _FOLDED else Tried(Changed("", "", lambda s: s), 1.0)

    def _soon(self) -> float:
        return time.monotonic() + min(_ORDER_SECONDS, self.seconds)

    def _late(self) -> bool:
        late = time.monotonic() > self._until
        if late:
            progress.say("diagnose: layers were tried in part: it took too long")
        return late

    def _whole(self) -> None:
        """Changes of several layers at once."""
        from portproof.metrics.diagnosis.model.pytorch import layers_of, net_of, normalisations

        assert self.network is not None
        network, many = self.network, min(_BATCHES, len(self.samples))
        self.net = net_of(self.card, self.reference, network, self.samples[:FEW])
        self._epsilons(slice(0, 1), self._until)
        if network.batch is None:
            exact = self.reference.suffix != ".onnx"
            for changed in normalisations(self.net, network, self.samples[:many], exact):
                self._add(changed, np.arange(many))
                if time.monotonic() > self._until - self.seconds / 2:
                    break
        self.holders = [holder_of(network, self.samples[:1])]
        self.holders += [layers_of(self.net)] if self.net else []
        for holder in self.holders:
            self._promising(holder.everywhere(), self._soon())
        for changed in (*changes.everywhere(network), *operators(network)):
            if self._best() <= ENOUGH or self._late():
                return
            with contextlib.suppress(ToolError):  # shapes that do not go together
                self._add(changed, self._rows(2 * FEW))
        for changed in changes.coarse_ranges(network, self.samples[:many]):
            self._add(changed, self._rows(4 * FEW))

    def _epsilons(self, which: slice, until: float) -> None:
        """Batch normalisation with another epsilon: all of it first, then each."""
        from portproof.metrics.diagnosis.model.pytorch import epsilons_of

        assert self.network is not None
        own = epsilons_of(self.net) if self.net is not None else epsilons(self.network)
        for epsilon in list(own)[which]:
            if self._best() <= ENOUGH or time.monotonic() > until:
                return
            epsilon.approach(lambda changed: self._add(changed, self._rows(FEW)))

    def _places(self) -> None:
        """Changes of one layer or one activation."""
        assert self.network is not None
        few = self.samples[self._rows(FEW)]
        held = {h.key: h for h in self.holders[0].held}
        places: list[Layer | Bend] = [*self.network.layers, *self.network.bends]
        with progress.meter("diagnose: layers", len(places), "layers") as meter:
            for place in places:
                if self._best() <= ENOUGH or self._late():
                    return
                if isinstance(place, Layer):
                    self._layer(place, few)
                    if place.weight in held:
                        self._promising(self.holders[0].of(held[place.weight]), self._until)
                else:
                    self._bend(place, few)
                meter.advance()

    def _exact(self) -> None:
        """What needs no values inside the model: single batch normalisation, layers as PyTorch has
        them, and pairs of layers.
        """
        from portproof.metrics.diagnosis.model.pytorch import parts_of_each

        assert self.network is not None
        until = self._soon()
        self._promising(parts_of_each(self.net, self.network), until)
        self._epsilons(slice(1, None), until)
        for holder in self.holders[1:]:
            for held in holder.held:
                self._promising(holder.of(held), until)
        for holder in self.holders:
            self._promising(holder.exchanged(), until)

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
        if ENOUGH < best.left < 0.8:
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
                self._left(r, self._rows(FEW)),
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
