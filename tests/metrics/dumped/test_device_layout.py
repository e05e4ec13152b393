"""The layouts of an Ascend device, put back against an encoder that counts channel by channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portproof.metrics.dumped.device_layout import UnknownLayoutError, in_model_order

from .ascend import five_hd, fractal_nz


def counted(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (2, 16, 4, 4), (1, 33, 2, 3), (2, 40, 1, 1)])
@pytest.mark.parametrize("c0", [16, 32])
def test_groups_of_channels(shape: tuple[int, ...], c0: int) -> None:
    values = counted(*shape)
    cut = five_hd(values, c0)
    for order in ("NCHW", "ND", ""):
        assert np.array_equal(in_model_order(cut, "NC1HWC0", shape, order), values)
    other = values.transpose(0, 2, 3, 1)
    assert np.array_equal(in_model_order(cut, "NC1HWC0", other.shape, "NHWC"), other)
    if shape[1] not in shape[2:]:
        assert np.array_equal(in_model_order(cut, "NC1HWC0", other.shape, ""), other)
    if shape[2:] == (1, 1):
        flat = values.reshape(shape[:2])
        assert np.array_equal(in_model_order(cut, "NC1HWC0", flat.shape, "ND"), flat)


def test_groups_of_channels_with_depth() -> None:
    values = counted(2, 20, 3, 4, 5)
    cut = np.stack([five_hd(values[:, :, d]) for d in range(3)], axis=1)
    assert np.array_equal(in_model_order(cut, "NDC1HWC0", values.shape, "NCDHW"), values)


@pytest.mark.parametrize("shape", [(1, 10), (17, 40), (16, 16), (2, 3, 18, 5), (4, 20, 33)])
def test_blocks(shape: tuple[int, ...]) -> None:
    values = counted(*shape)
    assert np.array_equal(in_model_order(fractal_nz(values), "FRACTAL_NZ", shape, "ND"), values)


def test_blocks_of_what_is_no_matrix_in_the_model() -> None:
    values = counted(3, 40)
    cut = fractal_nz(values)
    whole = in_model_order(cut, "FRACTAL_NZ", (3, 40, 1, 1), "NCHW")
    assert np.array_equal(whole, values.reshape(3, 40, 1, 1))
    row = in_model_order(fractal_nz(values[:1]), "FRACTAL_NZ", (40,), "ND")
    assert np.array_equal(row, values[0])


@pytest.mark.parametrize(
    ("layout", "original", "order", "axes"),
    [
        ("NCHW", (1, 2, 3, 4), "NCHW", None),
        ("ND", (2, 3, 4), "ND", None),
        ("NHWC", (1, 4, 2, 3), "NCHW", (0, 3, 1, 2)),
        ("NHWC", (1, 4, 2, 3), "", (0, 3, 1, 2)),
        ("NHWC", (), "NCHW", (0, 3, 1, 2)),
        ("NHWC", (1, 2, 3, 4), "NHWC", None),
        ("NCHW", (2, 3, 4), "ND", None),
        ("ND", (24,), "ND", None),
        ("ND", (), "", None),
    ],
)
def test_plain_orders(
    layout: str, original: tuple[int, ...], order: str, axes: tuple[int, ...] | None
) -> None:
    values = counted(1, 2, 3, 4)
    found = in_model_order(values, layout, original, order)
    right = values if axes is None else values.transpose(axes)
    assert np.array_equal(found.ravel(), right.ravel())
    assert found.shape == (original or right.shape)


@pytest.mark.parametrize(
    ("shape", "layout", "original", "order"),
    [
        ((1, 2, 3, 3, 16), "NC1HWC0", (), ""),
        ((1, 2, 3, 3, 16), "NC1HWC0", (1, 16, 3, 3), "NCHW"),
        ((1, 2, 3, 3, 16), "NC1HWC0", (1, 33, 3, 3), "NCHW"),
        ((1, 2, 3, 3, 16), "NC1HWC0", (2, 20, 3, 3), "NCHW"),
        ((1, 2, 3, 3, 16), "NC1HWC0", (1, 20), "ND"),
        ((1, 2, 3, 16), "NC1HWC0", (1, 20, 3, 3), "NCHW"),
        ((2, 1, 16, 16), "FRACTAL_NZ", (), ""),
        ((2, 1, 16, 16), "FRACTAL_NZ", (1, 16), "ND"),
        ((2, 1, 16, 16), "FRACTAL_NZ", (17, 20), "ND"),
        ((2, 1, 16, 16), "FRACTAL_NZ", (2, 5, 20), "ND"),
        ((2, 16, 16), "FRACTAL_NZ", (5, 20), "ND"),
        ((4, 1, 16, 16), "FRACTAL_Z", (16, 4, 2, 2), "NCHW"),
        ((1, 2, 3, 4), "NHWC", (1, 3, 2, 4), "NCHW"),
        ((1, 2, 3, 4), "ND", (1, 4, 2, 3), ""),
        ((1, 2), "number 99", (1, 2), "ND"),
    ],
)
def test_what_cannot_be_put_back(
    shape: tuple[int, ...], layout: str, original: tuple[int, ...], order: str
) -> None:
    with pytest.raises(UnknownLayoutError):
        in_model_order(counted(*shape), layout, original, order)
