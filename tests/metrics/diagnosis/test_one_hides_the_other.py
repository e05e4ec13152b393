"""Two faults at once, of which one could be taken for both, or hides that the other is there."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from portproof.metrics.diagnosis.numbers.functions import functions

from .test_inside import Layered, rewritten
from .world import CLASSES, MEAN, SIZE, STD, World

torch = pytest.importorskip("torch")


def normalised(pixels: list[np.ndarray], divisor: float = 255) -> np.ndarray:
    made = [(p / divisor - MEAN) / STD for p in pixels]
    return np.stack(made).transpose(0, 3, 1, 2).astype(np.float32)


def test_two_small_mistakes_that_may_be_precision(plain: World) -> None:
    """Neither alone explains enough of a difference that 8 bits could make, both leave nothing."""
    few = [p & 0xF0 | 8 for p in plain.pixels(Image.Resampling.BOX)]
    diagnosis = plain.diagnose(plain.infer(normalised(few)))
    faults = {f.fault for f in diagnosis.faults}
    assert faults == {"interpolation", "few-bits"}, diagnosis.to_text()


def test_a_matrix_that_was_fitted_hides_no_order_of_the_classes(layered: Layered) -> None:
    order = np.random.default_rng(1).permutation(CLASSES)
    rows = layered.changed(rewritten(9, lambda w: w.t()))[:, order]
    diagnosis = layered.diagnose(rows)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["layer-kernel", "classes-order"], diagnosis.to_text()


def test_stale_results_do_not_hide_that_the_others_are_negated(plain: World) -> None:
    rows = -plain.right
    rows[[4, 9]] = np.random.default_rng(8).normal(0, 1, (2, CLASSES))
    diagnosis = plain.diagnose(rows)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["stale-results", "outputs-changed"], diagnosis.to_text()


def test_outputs_are_negated_though_another_fault_leaves_a_part_of_them(layered: Layered) -> None:
    rows = layered.changed(lambda net: net[4].weight.data.mul_(1.6))
    diagnosis = layered.diagnose(-rows)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-changed", "layer-weights"], diagnosis.to_text()


def test_half_of_the_results_may_be_stale_beside_another_layer(layered: Layered) -> None:
    """Where it explains the others exactly, it is no chance."""
    rows = layered.changed(rewritten(4, lambda w: w.roll(1, 1)))
    stale = np.random.default_rng(3).permutation(len(rows))[: int(0.4 * len(rows))]
    rows[stale] = np.random.default_rng(8).normal(0, rows.std(), (len(stale), CLASSES))
    diagnosis = layered.diagnose(rows)
    faults = {f.fault for f in diagnosis.faults}
    assert faults == {"layer-channels", "stale-results"}, diagnosis.to_text()


def test_constants_that_were_fitted_take_no_filter_with_them(plain: World) -> None:
    """They come near to a smoother picture as well, and leave less than rounding may."""
    smooth = [p / 255 for p in plain.pixels(Image.Resampling.HAMMING)]
    samples = [(p - np.array((0.42, 0.4, 0.5))) / np.array((0.3, 0.2, 0.26)) for p in smooth]
    diagnosis = plain.diagnose(plain.infer(np.stack(samples).transpose(0, 3, 1, 2)))
    faults = {f.fault for f in diagnosis.faults}
    assert faults == {"interpolation", "normalisation-constants"}, diagnosis.to_text()


def test_a_number_is_fitted_beside_another_mistake(plain: World) -> None:
    """23, which is no usual quality."""
    pixels = []
    for path in sorted(plain.images.iterdir()):
        buffer = io.BytesIO()
        Image.open(path).convert("RGB").save(buffer, "JPEG", quality=23)
        resized = Image.open(buffer).resize((40, 32), Image.Resampling.BICUBIC)
        pixels.append(np.asarray(resized.crop((8, 4, 8 + SIZE, 4 + SIZE))).transpose(1, 0, 2))
    diagnosis = plain.diagnose(plain.infer(normalised(pixels)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["rotated", "recompression"], diagnosis.to_text()
    assert "quality 23 " in diagnosis.faults[1].evidence


def test_another_scale_of_the_input_behind_a_softplus(plain: World) -> None:
    rows = np.logaddexp(0, plain.infer(normalised(plain.pixels(), 256)))
    diagnosis = plain.diagnose(rows)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-changed", "normalisation-constants"], diagnosis.to_text()
    assert "divide by 256" in diagnosis.faults[1].evidence


def test_a_layer_is_found_though_the_best_five_are_in_order_of_size(layered: Layered) -> None:
    """All rank alike then, which says nothing."""
    rows = layered.changed(rewritten(4, lambda w: w.flip(2, 3)))
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    best = np.sort(powers / powers.sum(axis=1, keepdims=True), axis=1)[:, :-6:-1]
    diagnosis = layered.diagnose(best)
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-sorted", "layer-kernel"], diagnosis.to_text()


def test_a_curve_says_what_lies_beside_it() -> None:
    """It is not drawn through every point, where nothing would."""
    generator = np.random.default_rng(2)
    right = generator.normal(0, 1, (60, CLASSES))
    noise = generator.normal(0, 1e-3, right.shape)
    (found,) = functions(np.cbrt(right) + noise, right)
    assert found.candidate.fault == "outputs-changed"
    left = 1 - found.candidate.score
    assert 0.5 * noise.var() < left < 100 * noise.var()
