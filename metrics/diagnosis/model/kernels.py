"""What loaders and converters make of a layer's weights when they read them in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from math import prod

import numpy as np

from portproof.metrics.diagnosis.model.network import Array

#: Orders in which frameworks keep the weights of a convolution; the last is that of Fortran.
_ORDERS = ("HWIO", "OHWI", "IOHW", "HWOI", "IHWO", "OIWH", "WHIO", "WHOI",
           "WIO", "OWI", "IOW", "WOI", "DHWIO", "ODHWI", "IODHW", "IO", "OI")  # fmt: skip
_GROUPS = (2, 3, 4, 8)
_FLIPS = {
    "DHW": "its kernels flipped in every direction, as a true convolution has them",
    "W": "its kernels mirrored, left to right",
    "H": "its kernels upside down",
}


@dataclass(frozen=True, eq=False)
class Held:
    """The weights of one layer.

    ``key``: the name by which they are given to the model; ``axes``: one letter each, O and I for
    output and input channels, D, H and W for places of a kernel; ``flat``: the shape (C, H, W) that
    is flattened in front of the layer, empty where nothing is; ``bias``: the key of its bias;
    ``answers``: what it gives are the model's outputs.
    """

    name: str
    key: str
    values: Array
    axes: str
    flat: tuple[int, ...] = ()
    bias: str | None = None
    answers: bool = False

    def is_order_of_classes(self, made: Array) -> bool:
        """Whether other weights only put the model's outputs into another order."""
        if not self.answers or self.bias is not None:
            return False
        axis = self.axes.index("O")
        before, after = (
            sorted(row.tobytes() for row in np.moveaxis(w, axis, 0)) for w in (self.values, made)
        )
        return before == after


@dataclass(frozen=True)
class Reorder:
    """One such mistake. ``make``: the weights that come of it, None where it makes no sense."""

    fault: str
    words: str
    make: Callable[[Held], Array | None]

    def of(self, held: Held) -> Array | None:
        """The weights in the other order; None where that changes nothing, or the order of the
        classes alone, which has a name of its own.
        """
        made = self.make(held)
        if made is None or made.shape != held.values.shape or np.array_equal(made, held.values):
            return None
        if held.is_order_of_classes(made):
            return None
        return np.ascontiguousarray(made)


def _flipped(held: Held, letters: str) -> Array | None:
    axes = tuple(i for i, c in enumerate(held.axes) if c in letters)
    return np.flip(held.values, axes) if axes else None


def _turned(held: Held, change: Callable[[Array], Array]) -> Array | None:
    """The change of planes (..., H, W)."""
    return change(held.values) if held.axes.endswith("HW") else None


def _written(held: Held, order: str) -> Array | None:
    """Numbers that stand in this order, read as if they stood in the layer's."""
    if order == held.axes or sorted(order) != sorted(held.axes):
        return None
    return held.values.transpose([held.axes.index(c) for c in order]).reshape(held.values.shape)


def _read(held: Held, order: str) -> Array | None:
    """Numbers that stand in the layer's order, read as if they stood in this one."""
    if order == held.axes or sorted(order) != sorted(held.axes):
        return None
    shape = [held.values.shape[held.axes.index(c)] for c in order]
    return held.values.reshape(shape).transpose([order.index(c) for c in held.axes])


def _rolled(held: Held, letter: str, by: int) -> Array:
    return np.roll(held.values, by, held.axes.index(letter))


def _shuffled(held: Held, letter: str, groups: int, back: bool) -> Array | None:
    axis = held.axes.index(letter)
    count = held.values.shape[axis]
    if count % groups:
        return None
    shape = (-1, groups) if back else (groups, -1)
    return held.values.take(np.arange(count).reshape(shape).T.ravel(), axis)


def _halved(held: Held, letter: str) -> Array:
    axis = held.axes.index(letter)
    return np.roll(held.values, held.values.shape[axis] // 2, axis)


def _flattened(held: Held, order: tuple[int, ...], back: bool) -> Array | None:
    """The input flattened in another order of its axes, or the weights made for such a one."""
    if len(held.flat) != len(order) or prod(held.flat) != held.values.shape[held.axes.index("I")]:
        return None
    there = np.arange(prod(held.flat)).reshape(held.flat).transpose(order).ravel()
    return held.values.take(there if back else np.argsort(there), held.axes.index("I"))


def _reorders() -> Iterator[Reorder]:
    kernel, channels = partial(Reorder, "layer-kernel"), partial(Reorder, "layer-channels")
    for letters, words in _FLIPS.items():
        yield kernel(words, partial(_flipped, letters=letters))
    for words, change in (
        ("height and width of its kernels exchanged", lambda w: w.swapaxes(-1, -2)),
        ("its kernels turned by 90 degrees", lambda w: np.rot90(w, 1, (-2, -1))),
        ("its kernels turned by 270 degrees", lambda w: np.rot90(w, 3, (-2, -1))),
        ("height and width of its kernels exchanged and flipped",
         lambda w: w.swapaxes(-1, -2)[..., ::-1, ::-1]),
    ):  # fmt: skip
        yield kernel(words, partial(_turned, change=change))
    for order in _ORDERS:
        yield kernel(f"its weights written in the order {order}", partial(_written, order=order))
        yield kernel(f"its weights read in the order {order}", partial(_read, order=order))
    for places in permutations(range(3)):
        words = "".join("CHW"[i] for i in places)
        yield kernel(f"its input flattened as {words} instead of CHW",
                     partial(_flattened, order=places, back=False))  # fmt: skip
        yield kernel(f"its weights made for an input that is flattened as {words}",
                     partial(_flattened, order=places, back=True))  # fmt: skip
    for letter, side in (("I", "input"), ("O", "output")):
        yield channels(f"its {side} channels reversed", partial(_flipped, letters=letter))
        for by, words in ((1, "moved by one"), (-1, "moved by one back")):
            yield channels(f"its {side} channels {words}",
                           partial(_rolled, letter=letter, by=by))  # fmt: skip
        yield channels(f"the halves of its {side} channels exchanged",
                       partial(_halved, letter=letter))  # fmt: skip
        for groups in _GROUPS:
            for words, back in (("shuffled in", False), ("put back from", True)):
                make = partial(_shuffled, letter=letter, groups=groups, back=back)
                yield channels(f"its {side} channels {words} {groups} groups", make)


REORDERS = tuple(_reorders())
