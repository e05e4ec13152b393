"""Two faults at once, of which neither shows alone: each is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .test_inside import Layered, rewritten
from .world import CLASSES, MEAN, STD, World

torch = pytest.importorskip("torch")
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("plain"), 40)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Layered:
    return Layered(tmp_path_factory.mktemp("layered"))


def of_values(world: World, change: Change) -> np.ndarray:
    """Samples whose values are made of bytes (height, width, 3) by ``change``."""
    made = [change(p).transpose(2, 0, 1) for p in world.pixels()]
    return np.stack(made).astype(np.float32)


def bent(rows: np.ndarray) -> np.ndarray:
    """A function that grows, and is far from a straight line."""
    return np.exp(2 * rows / rows.std())


def test_constants_behind_a_function_of_the_outputs(plain: World) -> None:
    caffe = of_values(plain, lambda p: p - np.array([123.68, 116.779, 103.939]))
    diagnosis = plain.diagnose(bent(plain.infer(caffe)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["normalisation-constants", "outputs-changed"], diagnosis.to_text()
    assert "whatever function" in diagnosis.faults[0].evidence


def test_a_number_that_was_fitted_behind_an_order_of_the_classes(plain: World) -> None:
    added = of_values(plain, lambda p: ((p + np.uint8(77)) / 255 - MEAN) / STD)
    diagnosis = plain.diagnose(plain.infer(added)[:, ::-1])
    assert [f.fault for f in diagnosis.faults] == ["overflow", "classes-order"], diagnosis.to_text()


def inverted_and_reversed(world: Layered) -> np.ndarray:
    """Of inverted pictures, by a network of which a layer reads its channels from behind."""
    inverted = of_values(world, lambda p: ((255 - p) / 255 - MEAN) / STD)
    net = world.with_change(rewritten(4, lambda w: w.flip(1)))
    return world.ran(net, inverted, len(inverted))


def test_a_layer_in_another_order_behind_another_picture(layered: Layered) -> None:
    diagnosis = layered.diagnose(inverted_and_reversed(layered))
    faults = {f.fault: f.alike for f in diagnosis.faults}
    assert faults == {"layer-channels": [], "inverted": []}, diagnosis.to_text()


def test_a_mistake_is_found_with_the_layer_behind_it(
    layered: Layered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no order of the answers shows the layer alone."""
    for looked in ("inside_behind", "inside_of_any_sample"):
        monkeypatch.setattr(f"portproof.metrics.diagnosis.search.{looked}", lambda *_: [])
    diagnosis = layered.diagnose(inverted_and_reversed(layered))
    assert [f.fault for f in diagnosis.faults] == ["inverted", "layer-channels"], (
        diagnosis.to_text()
    )
    assert "to have this fault as well (layer-channels)" in diagnosis.faults[0].evidence


def test_a_layer_behind_a_function_of_the_outputs(layered: Layered) -> None:
    rows = layered.changed(rewritten(4, lambda w: w.flip(2, 3)))
    diagnosis = layered.diagnose(bent(rows))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["layer-kernel", "outputs-changed"], diagnosis.to_text()


def test_turned_pictures_are_named_before_turned_kernels_also_beside_an_order(
    layered: Layered,
) -> None:
    turned = np.stack([layered.normalised(np.rot90(p)) for p in layered.pixels()])
    rows = layered.infer(turned)[:, [1, 0, *range(2, CLASSES)]]
    diagnosis = layered.diagnose(rows)
    faults = {f.fault: f.alike for f in diagnosis.faults}
    assert faults == {"rotated": ["layer-kernel"], "classes-order": []}, diagnosis.to_text()
