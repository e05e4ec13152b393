"""From the layout in which an Ascend device keeps a tensor to that of the model.

NC1HWC0 cuts the channels into C1 groups of C0 (16, or 32 for int8), the last filled up; FRACTAL_NZ
cuts a matrix into blocks of N0 rows and C0 columns, a column of blocks after the other. Sources:
``convert_NC1HWC0_to_NCHW.py``, ``convert_FRACTAL_NZ_to_ND.py`` and ``check_shape_valid_in_nz`` in
https://github.com/Ascend/msprobe/tree/master/python/msprobe/msaccucmp; the numbers of layouts are
those of ``resource/dump_data.proto`` there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from portproof.backend import Array

#: Layouts by their number in a dump file, as far as they can be read.
LAYOUTS = {
    0: "NCHW", 1: "NHWC", 2: "ND", 3: "NC1HWC0", 4: "FRACTAL_Z", 12: "NC1HWC0_C04", 14: "CHWN",
    16: "HWCN", 27: "NDHWC", 29: "FRACTAL_NZ", 30: "NCDHW", 31: "DHWCN", 32: "NDC1HWC0",
    33: "FRACTAL_Z_3D", 34: "CN", 35: "NC", 40: "RESERVED",
}  # fmt: skip
#: Those that keep every value once, in the order of the letters if there are as many dimensions.
_LETTERED = {"NCHW", "NHWC", "HWCN", "CHWN", "NCDHW", "NDHWC", "DHWCN", "CN", "NC"}
_AS_THEY_ARE = {*_LETTERED, "ND", "RESERVED"}
#: What a model may have where a device has another order, if nothing names it.
_OTHER_ORDER = {"NCHW": ["NHWC"], "NHWC": ["NCHW"], "NCDHW": ["NDHWC"], "NDHWC": ["NCDHW"]}

Shape = tuple[int, ...]


class UnknownLayoutError(ValueError):
    """A tensor that cannot be put back into the model's order; its text says why."""


def in_model_order(values: Array, layout: str, original: Shape, order: str) -> Array:
    """The values as the model has them. ``layout``: that of the device, which ``values`` has the
    shape of; ``original``: the shape in the model, empty if nothing says it; ``order``: the
    model's, as ``NCHW``, empty likewise.
    """
    if layout in _AS_THEY_ARE:
        return _permuted(values, layout, original, order)
    if not original:
        raise UnknownLayoutError(f"in the layout {layout}, and nothing says its original shape")
    if layout in ("NC1HWC0", "NC1HWC0_C04") and values.ndim == 5:
        n, c1, h, w, c0 = values.shape
        whole = values.transpose(0, 1, 4, 2, 3).reshape(n, c1 * c0, h, w)
        return _without_padding(whole, c0, original, order, layout)
    if layout == "NDC1HWC0" and values.ndim == 6:
        n, d, c1, h, w, c0 = values.shape
        whole = values.transpose(0, 2, 5, 1, 3, 4).reshape(n, c1 * c0, d, h, w)
        return _without_padding(whole, c0, original, order, layout)
    if layout == "FRACTAL_NZ" and values.ndim >= 4:
        return _from_blocks(values, original)
    raise UnknownLayoutError(
        f"in the layout {layout} with {values.ndim} dimensions, which cannot be put back into the"
        " model's order"
    )


def looks_cut(shape: Shape) -> bool:
    """Whether a shape may be one of a device's layouts: C0 channels last, or blocks.

    >>> looks_cut((1, 4, 56, 56, 16)), looks_cut((63, 1, 16, 16)), looks_cut((1, 64, 56, 56))
    (True, True, False)
    """
    blocks = len(shape) >= 4 and shape[-2] == 16 and shape[-1] in (8, 16, 32)
    return blocks or (len(shape) in (5, 6) and shape[-1] in (4, 8, 16, 32))


def _permuted(values: Array, layout: str, original: Shape, order: str) -> Array:
    """A tensor in an order of letters, or in none, in the model's."""
    lettered = layout in _LETTERED and len(layout) == values.ndim
    if lettered and layout != order:
        orders = [order] if order in _LETTERED else [layout, *_OTHER_ORDER.get(layout, ())]
        for letters in orders:
            if sorted(letters) != sorted(layout):
                break
            turned = values.transpose([layout.index(letter) for letter in letters])
            if turned.shape == (original or turned.shape):
                return turned
    if not original or math.prod(original) != values.size:
        return values
    mine, its = ([d for d in shape if d != 1] for shape in (values.shape, original))
    other_order = lettered or sorted(mine) == sorted(its)
    if mine == its or layout == order or not other_order:
        return values.reshape(original)
    raise UnknownLayoutError(
        f"of the shape {values.shape} in {layout}, and its original shape {original}"
        f"{f' in {order}' if order else ''} is not that in another order"
    )


def _without_padding(whole: Array, c0: int, original: Shape, order: str, layout: str) -> Array:
    """A tensor in NCHW or NCDHW in the model's order, without the channels that fill up the last
    group.
    """
    mine = "NCHW" if whole.ndim == 4 else "NCDHW"
    orders = [order] if sorted(order) == sorted(mine) else [mine, *_OTHER_ORDER[mine]]
    for letters in orders if len(original) == len(mine) else ():
        back = dict(zip(letters, original, strict=True))
        if _fits([back[letter] for letter in mine], whole.shape, c0):
            kept = whole[:, : back["C"]]
            return kept.transpose([mine.index(letter) for letter in letters])
    if 1 < len(original) != len(mine) and _fits(original[:2], whole.shape[:2], c0):
        kept = whole[:, : original[1]]
        if kept.size == math.prod(original):
            return kept.reshape(original)
    raise UnknownLayoutError(
        f"in the layout {layout}, and its original shape {original} is not {whole.shape} without"
        " padding"
    )


def _fits(wanted: Sequence[int], whole: Sequence[int], c0: int) -> bool:
    """Whether a shape is another one without less than a group of channels."""
    others = [i for i in range(len(whole)) if i != 1]
    channels = whole[1] - c0 < wanted[1] <= whole[1]
    return channels and all(wanted[i] == whole[i] for i in others)


def _from_blocks(values: Array, original: Shape) -> Array:
    *lead, c1, n1, n0, c0 = values.shape
    at = len(lead)
    axes = (*range(at), at + 1, at + 2, at, at + 3)
    whole = values.transpose(axes).reshape(math.prod(lead), n1 * n0, c1 * c0)
    ways = [(math.prod(original[:-2]), *((1, 1, *original)[-2:]))]
    if len(original) > 2:  # what is a matrix on the device, as N rows of C * H * W
        ways.append((1, original[0], math.prod(original[1:])))
    for count, rows, columns in ways:
        tall = whole.shape[1] - n0 < rows <= whole.shape[1]
        wide = whole.shape[2] - c0 < columns <= whole.shape[2]
        if count == whole.shape[0] and tall and wide:
            return whole[:, :rows, :columns].reshape(original)
    raise UnknownLayoutError(
        f"in the layout FRACTAL_NZ with the shape {values.shape}, and its original shape"
        f" {original} is not that without padding"
    )
