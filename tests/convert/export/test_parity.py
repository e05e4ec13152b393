"""The judgement of an export's numbers, on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.convert.export import parity
from portproof.core.errors import InputError, ToolError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 10)).astype(np.float32)
PIXELS = np.concatenate(
    [RNG.uniform(0, 640, (4, 4, 30)), RNG.uniform(0, 0.04, (4, 5, 30))], axis=1
).astype(np.float32)


def judge(exported: np.ndarray, reference: np.ndarray, **options: object) -> parity.Parity:
    return parity.compare([exported], [reference], ["y"], **options)[0]


def test_judges_by_the_spread() -> None:
    good = judge(LOGITS + np.float32(1e-6), LOGITS)
    assert good.passed and good.proves
    assert not judge(LOGITS + 0.01, LOGITS).passed
    assert not judge(LOGITS * np.nan, LOGITS).passed
    # The mistake of always answering the same is invisible where the reference does so too.
    flat = np.ones((4, 10), dtype=np.float32) + LOGITS * np.float32(1e-5)
    assert not judge(flat, flat).proves
    with pytest.raises(ToolError, match="shape"):
        judge(LOGITS[:, :5], LOGITS)


@pytest.mark.parametrize(("order", "where"), [((0, 1, 2), "[:, 6, :]"), ((0, 2, 1), "[:, :, 6]")])
def test_pixels_do_not_hide_wrong_scores(order: tuple[int, ...], where: str) -> None:
    wrong = PIXELS.copy()
    wrong[:, 6] += 0.003
    found = judge(wrong.transpose(order), PIXELS.transpose(order))
    assert not found.passed and 0.0029 < found.max_difference < 0.0031
    assert found.slice == where or found.spread < 0.03
    flat = judge(wrong.reshape(4, -1), PIXELS.reshape(4, -1))
    assert not flat.passed
    near = PIXELS * np.float32(1 + 3e-7)
    assert judge(near.transpose(order), PIXELS.transpose(order)).passed


@pytest.mark.parametrize("mask", [-np.inf, -1e9, -1e4, np.finfo(np.float32).min])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_mask_widens_nothing(mask: float, share: float) -> None:
    chosen = np.random.default_rng(1).random((8, 40)) < share
    logits = np.random.default_rng(2).normal(size=(8, 40))
    masked = np.where(chosen, mask, logits).astype(np.float32)
    assert judge(masked, masked.copy()).passed
    wrong = np.where(chosen, mask, logits + 0.01).astype(np.float32)
    assert not judge(wrong, masked).passed
    # A masked class that is not masked in the file, and the other way round.
    assert not judge(np.where(chosen, 0.0, logits).astype(np.float32), masked).passed


def test_infinities_of_one_sign_are_equal_and_nan_is_named() -> None:
    infinite = LOGITS.copy()
    infinite[:, 3] = np.inf
    assert judge(infinite, infinite.copy()).passed
    other = infinite.copy()
    other[0, 3] = -np.inf
    assert not judge(other, infinite).passed
    with pytest.raises(InputError, match=r"own output 'y' holds NaN \(100% of it\)"):
        parity.check_finite([LOGITS * np.nan], ["y"])


def test_whole_numbers_are_equal_or_not() -> None:
    indices = RNG.integers(0, 1_000_000, (4, 20))
    assert judge(indices, indices.copy()).passed
    assert not judge(indices + 1, indices).passed


def test_a_models_own_noise_is_granted_but_not_to_other_elements() -> None:
    steps = (LOGITS > 0).astype(np.float32)
    file, moved = steps.copy(), np.zeros_like(steps)
    file[0, 0] = 1 - file[0, 0]
    moved[0, 0] = 1.0
    assert not judge(file, steps).passed
    assert judge(file, steps, noise=[[moved]]).passed
    assert not judge(1 - steps, steps, noise=[[moved]]).passed


def test_half_precision_has_its_own_tolerance() -> None:
    near = (LOGITS.astype(np.float16) + np.float16(2e-3)).astype(np.float16)
    assert judge(near, LOGITS.astype(np.float16), tolerance=parity.HALF).passed
    assert not judge(near, LOGITS.astype(np.float16)).passed
    assert not judge(LOGITS + 0.2, LOGITS, tolerance=parity.HALF).passed
