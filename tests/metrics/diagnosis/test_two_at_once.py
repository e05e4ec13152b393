"""Two faults at once, of which neither shows alone: each is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.metrics.diagnosis.steps.beside import _likeliest

from .test_inside import Layered, put, rewritten
from .world import CLASSES, MEAN, SIZE, STD, World

torch = pytest.importorskip("torch")
Change = Callable[[np.ndarray], np.ndarray]


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


@pytest.mark.parametrize(
    "order", [np.arange(CLASSES)[::-1], np.random.default_rng(1).permutation(CLASSES)]
)
@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("samples-shifted", lambda r: np.roll(r, 3, axis=0)),
        ("samples-shuffled", lambda r: r[np.random.default_rng(4).permutation(len(r))]),
    ],
)
def test_samples_and_classes_in_another_order(
    plain: World, fault: str, change: Change, order: np.ndarray
) -> None:
    diagnosis = plain.diagnose(change(plain.right)[:, order])
    assert [f.fault for f in diagnosis.faults] == [fault, "classes-order"], diagnosis.to_text()


def test_classes_in_another_order_are_named_before_the_last_layer_s_channels(
    layered: Layered,
) -> None:
    rows = layered.changed(lambda net: net[4].weight.data.mul_(1.6))[:, ::-1]
    diagnosis = layered.diagnose(rows)
    faults = {f.fault for f in diagnosis.faults}
    assert faults == {"classes-order", "layer-weights"}, diagnosis.to_text()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Leaves one of the dearer searches, and time for it on a host that is busy."""

    def leave(kept: str) -> None:
        search = "portproof.metrics.diagnosis.search"
        for name in (
            *("inside_behind", "inside_of_any_sample"),
            *("pairs_of_mistakes", "fits_behind", "beside_a_mistake"),
        ):
            if name != kept:
                monkeypatch.setattr(f"{search}.{name}", lambda *_: [])
        monkeypatch.setattr(f"{search}._WORK_S", 600.0)
        monkeypatch.setattr(f"{search}._WAIT_S", 600.0)
        monkeypatch.setattr(f"{search.rpartition('.')[0]}.steps.pairs._SECONDS", 0.5)
        if kept != "fits_behind":
            monkeypatch.setattr("portproof.metrics.diagnosis.preprocessing._FITS_S", 0.5)

    return leave


def test_a_number_that_was_fitted_behind_an_order_of_the_classes(
    plain: World, only: Callable[[str], None]
) -> None:
    only("fits_behind")
    added = of_values(plain, lambda p: ((p + np.uint8(77)) / 255 - MEAN) / STD)
    diagnosis = plain.diagnose(plain.infer(added)[:, ::-1])
    assert [f.fault for f in diagnosis.faults] == ["overflow", "classes-order"], diagnosis.to_text()


def inverted_and_reversed(world: Layered) -> np.ndarray:
    """Of inverted pictures, by a network of which a layer reads its channels from behind."""
    inverted = of_values(world, lambda p: ((255 - p) / 255 - MEAN) / STD)
    net = world.with_change(rewritten(4, lambda w: w.flip(1)))
    return world.ran(net, inverted, len(inverted))


def test_a_layer_in_another_order_behind_another_picture(
    layered: Layered, only: Callable[[str], None]
) -> None:
    only("inside_of_any_sample")
    diagnosis = layered.diagnose(inverted_and_reversed(layered))
    faults = {f.fault: f.alike for f in diagnosis.faults}
    assert faults == {"layer-channels": [], "inverted": []}, diagnosis.to_text()


def test_a_mistake_is_found_with_the_layer_behind_it(
    layered: Layered, only: Callable[[str], None]
) -> None:
    """Where no order of the answers shows the layer alone."""
    only("beside_a_mistake")
    diagnosis = layered.diagnose(inverted_and_reversed(layered))
    assert [f.fault for f in diagnosis.faults] == ["inverted", "layer-channels"], (
        diagnosis.to_text()
    )
    assert "to have this fault as well (layer-channels)" in diagnosis.faults[0].evidence


def test_the_mistake_behind_a_layer_is_tried_first(
    layered: Layered, only: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer moves all answers, so that forty kinds of mistake leave less than the true one; but
    what lies near to what shows it.
    """
    only("beside_a_mistake")
    tried: list[str] = []

    def listed(*given: Any) -> Iterator[Any]:
        for found in _likeliest(*given):
            tried.append(found.candidate.fault)
            yield found

    monkeypatch.setattr("portproof.metrics.diagnosis.steps.beside._likeliest", listed)
    grey = [np.asarray(Image.fromarray(p).convert("L").convert("RGB")) for p in layered.pixels()]
    samples = np.stack([layered.normalised(p) for p in grey])
    kept = rewritten(4, lambda w: w.permute(0, 2, 3, 1).reshape(w.shape))
    diagnosis = layered.diagnose(layered.ran(layered.with_change(kept), samples, len(samples)))
    assert [f.fault for f in diagnosis.faults] == ["grey", "layer-kernel"], diagnosis.to_text()
    assert tried == ["grey"]


def test_a_number_is_fitted_though_a_lost_activation_hides_it(
    layered: Layered, only: Callable[[str], None]
) -> None:
    """Rows of 39 pixels, of which the first 24 hold the picture, read as rows of 24."""
    only("beside_a_mistake")
    wide = [np.pad(p, ((0, 0), (0, 39 - SIZE), (0, 0))) for p in layered.pixels()]
    read = [w.reshape(-1)[: SIZE * SIZE * 3].reshape(SIZE, SIZE, 3) for w in wide]
    samples = np.stack([layered.normalised(p) for p in read])
    net = layered.with_change(put(6, torch.nn.Identity))
    diagnosis = layered.diagnose(layered.ran(net, samples, len(samples)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["row-stride", "activation"], diagnosis.to_text()
    assert "rows of 39 pixels" in diagnosis.faults[0].evidence


def test_pairs_are_not_looked_for_behind_a_fault_that_was_found(
    plain: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There would be three."""
    monkeypatch.setattr("portproof.metrics.diagnosis.search._WORK_S", 6.0)
    states = []
    monkeypatch.setattr(
        "portproof.metrics.diagnosis.steps.explanations.pairs_of_mistakes",
        lambda tries, found: states.append(tries.state) or [],
    )
    rows = np.random.default_rng(1).normal(0, 1, plain.right.shape) + 0.3 * plain.right
    plain.diagnose(rows)
    assert states and all(s.mistake is None and s.changed is None for s in states)


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


def test_a_limit_of_the_outputs_is_seen_through_a_layer(layered: Layered) -> None:
    rows = layered.changed(rewritten(4, lambda w: w.flip(1)))
    diagnosis = layered.diagnose(np.maximum(rows, 0))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-clipped", "layer-channels"], diagnosis.to_text()
    assert not diagnosis.faults[0].alike


def test_lost_signs_do_not_hide_bytes_that_wrap_round(plain: World) -> None:
    """133, where 128 is usual and comes near."""
    added = of_values(plain, lambda p: ((p + np.uint8(133)) / 255 - MEAN) / STD)
    diagnosis = plain.diagnose(np.abs(plain.infer(added)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-changed", "overflow"], diagnosis.to_text()
    assert "plus 133" in diagnosis.faults[1].evidence


def test_fitted_constants_do_not_take_few_bits_with_them(plain: World) -> None:
    few = of_values(plain, lambda p: (p & np.array([0xE0, 0xE0, 0xC0], np.uint8)) / 255)
    diagnosis = plain.diagnose(plain.infer(few))
    faults = {f.fault for f in diagnosis.faults}
    assert faults == {"normalisation-missing", "few-bits"}, diagnosis.to_text()


def test_a_mistake_that_explains_all_that_it_was_tried_on_hides_no_other_run(plain: World) -> None:
    inverted = plain.infer(of_values(plain, lambda p: ((255 - p) / 255 - MEAN) / STD))
    other = np.array([4, 9, 13])  # a mistake is tried on 24 of the 40 samples, not on these
    inverted[other] = np.random.default_rng(8).normal(0, 1, (3, CLASSES))
    diagnosis = plain.diagnose(inverted)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["inverted", "stale-results"], diagnosis.to_text()
    assert "img_04, img_09, img_13" in diagnosis.faults[1].evidence
