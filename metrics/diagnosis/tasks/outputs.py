"""Outputs of one sample made otherwise, by layers behind the model or by another export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.postprocess import Boxes, Postprocess

Array = NDArray[Any]

FIXES = {
    "sigmoid": "take the sigmoid (or softmax) once: in the model or in post-processing; the card's"
    " 'activation' says what post-processing has to do",
    "box-format": "write boxes in the card's 'format': look at the last layer of the export (decode"
    " in the model or not)",
    "anchor-order": "put the rows of the grids in the order of the training: strides in the same"
    " order, rows before columns, boxes and scores alike",
    "output-axes": "write the output with the card's axes: look for a transpose that was added or"
    " left out",
    "box-scale": "multiply boxes with their stride (or the input's size) once",
    "class-columns": "give the class columns in the card's order: look for a background class",
    "channel-order": "give the channels of the output in the card's order",
}


@dataclass(frozen=True)
class OutputChange:
    """``make``: one output of one sample as the fault makes it, of the same shape."""

    fault: str
    words: str
    make: Callable[[Array], Array]


def output_changes(shape: tuple[int, ...], record: Postprocess | None) -> Iterator[OutputChange]:
    """What may have become of an output of this shape."""
    yield OutputChange("sigmoid", "a sigmoid more", _sigmoid)
    yield OutputChange("sigmoid", "a sigmoid less", _logit)
    for axis in range(len(shape)):
        words = f"a softmax more, along axis {axis}"
        yield OutputChange("sigmoid", words, partial(_softmax, axis=axis))
    yield OutputChange("sigmoid", "logarithms of it", lambda a: np.log(np.maximum(a, 1e-12)))
    if len(shape) >= 2:
        yield OutputChange("output-axes", "the last two axes exchanged",
                           lambda a: np.swapaxes(a, -1, -2).reshape(a.shape))  # fmt: skip
    if len(shape) == 3:
        yield OutputChange("output-axes", "channels last",
                           lambda a: a.transpose(1, 2, 0).reshape(a.shape))  # fmt: skip
        yield OutputChange("output-axes", "channels first",
                           lambda a: a.transpose(2, 0, 1).reshape(a.shape))  # fmt: skip
        for axis in (1, 2):
            yield OutputChange("output-axes", f"axis {axis} the other way round",
                               partial(np.flip, axis=axis))  # fmt: skip
    for by in (1, -1):
        words = f"classes moved by {by:+d}"
        yield OutputChange("class-columns", words, partial(np.roll, shift=by, axis=0))
    if isinstance(record, Boxes) and len(shape) == 2:
        yield from _of_boxes(shape, record)


def _of_boxes(shape: tuple[int, ...], record: Boxes) -> Iterator[OutputChange]:
    """Boxes in the first four columns, and what stands behind them."""

    def on(change: Callable[[Array], Array], part: slice) -> Callable[[Array], Array]:
        def made(array: Array) -> Array:
            rows = np.array(array.T if record.transposed else array)
            rows[:, part] = change(rows[:, part])
            return rows.T if record.transposed else rows

        return made

    boxes, rest, every = slice(0, 4), slice(4, None), slice(0, None)
    for name in ("xyxy", "yxyx", "xywh", "cxcywh"):
        if name != record.format:
            words = f"boxes as {name} instead of {record.format}"
            change = on(partial(_reformed, asked=record.format, found=name), boxes)
            yield OutputChange("box-format", words, change)
    yield OutputChange("sigmoid", "a sigmoid more, of the scores", on(_sigmoid, rest))
    yield OutputChange("sigmoid", "a sigmoid less, of the scores", on(_logit, rest))
    yield OutputChange("sigmoid", "a sigmoid less, of the classes", on(_logit, slice(5, None)))
    yield OutputChange("sigmoid", "a sigmoid less, of the objectness", on(_logit, slice(4, 5)))
    for factor in (0.5, 2.0, 8.0, 1 / 8, 16.0, 32.0, 1 / 16, 1 / 32, 640.0, 1 / 640, 64.0, 1 / 64):
        words = f"boxes times {factor:g}"
        yield OutputChange("box-scale", words, on(partial(np.multiply, factor), boxes))
    for by in (1, -1):
        words = f"class columns moved by {by:+d}"
        first = slice(4 + record.objectness, None)
        yield OutputChange("class-columns", words, on(
            partial(np.roll, shift=by, axis=1), first))  # fmt: skip
    count = shape[1] if record.transposed else shape[0]
    for words, order in _row_orders(count):
        for of, part in (("of boxes", boxes), ("of scores", rest), ("", every)):
            change = on(partial(_ordered, order=order), part)
            yield OutputChange("anchor-order", f"rows {of} {words}".replace("  ", " "), change)


def _row_orders(count: int) -> Iterator[tuple[str, Array]]:
    """Orders of the rows of grids."""
    here = np.arange(count)
    yield "the other way round", here[::-1]
    levels = _levels(count)
    for anchors in (1, 2, 3):
        cells, rest = divmod(count, anchors)
        side = round(cells**0.5)
        if not rest and side * side == cells and side > 1:
            shaped = here.reshape(side, side, anchors)
            yield f"by columns of a {side} x {side} grid", shaped.transpose(1, 0, 2).ravel()
            if anchors > 1:
                yield f"with {anchors} anchors first", shaped.transpose(2, 0, 1).ravel()
                yield (
                    f"with {anchors} anchors last",
                    here.reshape(anchors, side, side).transpose(1, 2, 0).ravel(),
                )
    if levels:
        parts = np.split(here, np.cumsum(levels)[:-1])
        yield "with the strides in the other order", np.concatenate(parts[::-1])
        turned = [p.reshape(round(len(p) ** 0.5), -1).T.ravel() for p in parts]
        yield "by columns of every grid", np.concatenate(turned)


def _ordered(rows: Array, order: Array) -> Array:
    return rows[order]


def _levels(count: int) -> list[int]:
    """Cells of three or two square grids, each half of the one before, that make ``count``."""
    for grids in (3, 2, 4, 5):
        part = sum(4**i for i in range(grids))
        if count % part == 0 and round((count // part) ** 0.5) ** 2 == count // part:
            return [count // part * 4**i for i in reversed(range(grids))]
    return []


def _sigmoid(array: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(array.astype(np.float64), -60, 60))))


def _logit(array: Array) -> Array:
    inside = np.clip(array.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(inside / (1 - inside)))


def _softmax(array: Array, axis: int) -> Array:
    powers = np.exp(array - array.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def _reformed(boxes: Array, asked: str, found: str) -> Array:
    """Boxes of one format in another."""
    a, b, c, d = boxes.T.astype(np.float64)
    corners = {
        "xyxy": (a, b, c, d),
        "yxyx": (b, a, d, c),
        "xywh": (a, b, a + c, b + d),
        "cxcywh": (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    }
    x, y, right, bottom = corners[asked]
    width, height = right - x, bottom - y
    made = {
        "xyxy": (x, y, right, bottom),
        "yxyx": (y, x, bottom, right),
        "xywh": (x, y, width, height),
        "cxcywh": (x + width / 2, y + height / 2, width, height),
    }
    return np.stack(made[found], axis=1)
