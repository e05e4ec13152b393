"""Weights in another order, compared with what torch computes of inputs in another order."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.model.kernels import REORDERS, Held

torch = pytest.importorskip("torch")
functional = torch.nn.functional
GENERATOR = np.random.default_rng(2)
KERNEL = GENERATOR.standard_normal((4, 6, 3, 3)).astype(np.float32)
MATRIX = GENERATOR.standard_normal((5, 24)).astype(np.float32)
PLANES = torch.from_numpy(GENERATOR.standard_normal((2, 6, 7, 7)).astype(np.float32))
FLAT = torch.from_numpy(GENERATOR.standard_normal((3, 2, 3, 4)).astype(np.float32))


def made(words: str, values: np.ndarray, axes: str, flat: tuple[int, ...] = ()) -> np.ndarray:
    found = [r for r in REORDERS if r.words == words]
    assert len(found) == 1, words
    weights = found[0].of(Held("layer", "w", values, axes, flat))
    assert weights is not None
    return weights


def conv(planes: object, weights: np.ndarray) -> np.ndarray:
    return functional.conv2d(planes, torch.from_numpy(weights)).numpy()


@pytest.mark.parametrize(
    ("words", "turn"),
    [
        ("its kernels flipped in every direction, as a true convolution has them",
         lambda t: t.flip(-1, -2)),
        ("its kernels mirrored, left to right", lambda t: t.flip(-1)),
        ("its kernels upside down", lambda t: t.flip(-2)),
        ("height and width of its kernels exchanged", lambda t: t.transpose(-1, -2)),
        ("height and width of its kernels exchanged and flipped",
         lambda t: t.transpose(-1, -2).flip(-1, -2)),
    ],
)  # fmt: skip
def test_turned_kernels_are_a_picture_turned_there_and_back(words: str, turn: object) -> None:
    weights = made(words, KERNEL, "OIHW")
    expected = turn(torch.from_numpy(conv(turn(PLANES), KERNEL)))  # type: ignore[operator]
    np.testing.assert_allclose(conv(PLANES, weights), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ["HWIO", "OHWI", "IOHW", "WHIO"])
def test_orders_in_which_files_keep_weights(order: str) -> None:
    kept = np.einsum(f"OIHW->{order}", KERNEL)
    weights = made(f"its weights written in the order {order}", KERNEL, "OIHW")
    np.testing.assert_array_equal(weights.ravel(), kept.ravel())
    read = made(f"its weights read in the order {order}", KERNEL, "OIHW")
    as_it_was = KERNEL.reshape(kept.shape)
    np.testing.assert_array_equal(np.einsum(f"OIHW->{order}", read), as_it_was)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_an_input_flattened_in_another_order(order: tuple[int, ...]) -> None:
    letters = "".join("CHW"[i] for i in order)
    weights = made(f"its input flattened as {letters} instead of CHW", MATRIX, "OI", (2, 3, 4))
    flat = FLAT.permute(0, *(i + 1 for i in order)).reshape(3, -1).numpy()
    expected = flat @ MATRIX.T
    np.testing.assert_allclose(FLAT.reshape(3, -1).numpy() @ weights.T, expected, rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_channels_of_either_side() -> None:
    reverse = made("its input channels reversed", KERNEL, "OIHW")
    np.testing.assert_allclose(conv(PLANES, reverse), conv(PLANES.flip(1), KERNEL), rtol=1e-4,
                               atol=1e-4)  # fmt: skip
    shuffled = made("its output channels shuffled in 2 groups", KERNEL, "OIHW")
    expected = functional.channel_shuffle(torch.from_numpy(conv(PLANES, KERNEL)), 2)
    np.testing.assert_allclose(conv(PLANES, shuffled), expected, rtol=1e-5, atol=1e-5)


def test_what_changes_nothing_or_makes_no_sense_is_not_tried() -> None:
    point = Held("layer", "w", np.ones((1, 1, 1, 1), np.float32), "OIHW")
    assert not [r.words for r in REORDERS if r.of(point) is not None]
    vector = Held("layer", "w", MATRIX, "OI")
    tried = {r.words for r in REORDERS if r.of(vector) is not None}
    assert not [w for w in tried if "kernels" in w or "flattened" in w]
    tall = Held("layer", "w", KERNEL[..., :1], "OIHW")
    assert not [
        r.words for r in REORDERS if r.of(tall) is not None and "kernels exchanged" in r.words
    ]
