"""COCO's figures of masks against pycocotools and faster-coco-eval; masks of every form."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching.masks import encoded
from portproof.metrics.predictions.instances import Detections, read
from portproof.metrics.tasks import instance_segmentation as task

from . import coco_world


def figures(truth: Path, found: Path) -> np.ndarray:
    known = task.read_truth(truth)
    predictions = read(found, known)
    assert predictions is not None
    parts = [task.contribution(predictions[i], known.samples[i]) for i in known.samples]
    values = task.figures(Contributions.of(list(known.samples), parts), np.ones(len(parts), int))
    return np.array([-1.0 if v is None else v for v in values.values()])


@pytest.mark.parametrize("seed", range(5))
def test_generated_images(tmp_path: Path, seed: int) -> None:
    truth, found = coco_world.make(seed, images=8 + 8 * seed, classes=1 + seed)
    coco_world.with_masks(truth, found)
    paths = coco_world.write(tmp_path, truth, found)
    ours = figures(*paths)
    assert ours == pytest.approx(coco_world.by_pycocotools(*paths, "segm"), abs=1e-12)
    assert ours == pytest.approx(coco_world.by_faster(*paths, "segm"), abs=1e-12)


def test_arrays_are_masks_too() -> None:
    r = np.random.default_rng(0)
    flags = r.random((40, 30)) < 0.5
    one, size = encoded(flags, (40, 30), "mask")
    assert size == (40, 30) and np.array_equal(coco_mask.decode(one), flags)


@given(st.integers(0, 2**24 - 1), st.integers(1, 12), st.integers(1, 12))
def test_run_lengths_that_pycocotools_wrote_are_read(bits: int, height: int, width: int) -> None:
    flags = np.array([bits >> i % 24 & 1 for i in range(height * width)], np.uint8)
    whole = coco_mask.encode(np.asfortranarray(flags.reshape(height, width)))
    again, _ = encoded({"size": [height, width], "counts": whole["counts"].decode()}, None, "mask")
    assert again["counts"] == whole["counts"]


@pytest.mark.parametrize(
    "mask",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 1e9]],
        [[1, 2, 3, 4, 5, "6"]],
        {"size": [30, 40], "counts": [1200]},
        {"size": [40], "counts": [1200]},
        {"size": [40, 10**9], "counts": [1200]},
        {"size": [40, 30], "counts": [1199]},
        {"size": [40, 30], "counts": [-1, 1201]},
        {"size": [40, 30], "counts": "\x00"},
        {"size": [40, 30], "counts": "ooooooooooooooo"},
        {"size": [40, 30], "counts": "P"},
        {"size": [40, 30], "counts": "表"},
        {"size": [40, 30], "counts": ""},
        {"size": [40, 30], "counts": None},
        np.zeros((30, 40), bool),
        np.zeros((40, 30, 1), bool),
    ],
)
def test_damaged_masks_are_refused(mask: object) -> None:
    with pytest.raises(InputError, match="mask"):
        encoded(mask, (40, 30), "a mask")


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_any_text_is_a_mask_or_one_sentence(text: str) -> None:
    try:
        one, _ = encoded({"size": [9, 7], "counts": text}, (9, 7), "a mask")
    except InputError:
        return
    assert coco_mask.decode(one).shape == (9, 7)


def test_an_image_of_impossible_size_is_refused() -> None:
    with pytest.raises(InputError, match="height, width"):
        encoded([[1, 2, 3, 4, 5, 6]], (10**9, 10**9), "a mask")


def test_polygons_need_a_size_and_detections_masks(tmp_path: Path) -> None:
    truth, found = coco_world.make(1)
    coco_world.with_masks(truth, found)
    bare = copy.deepcopy(truth)
    for image in bare["images"]:
        del image["height"]
    with pytest.raises(InputError, match="polygons need the image's height and width"):
        figures(*coco_world.write(tmp_path, bare, found))
    for one in found:
        del one["segmentation"]
    with pytest.raises(InputError, match="detections without masks"):
        figures(*coco_world.write(tmp_path, truth, found))
    del truth["annotations"][0]["segmentation"]
    with pytest.raises(InputError, match=r"image 'im\d+': polygons"):
        figures(*coco_world.write(tmp_path, truth, found))


def test_masks_of_post_processing(tmp_path: Path) -> None:
    """Arrays of booleans, an image without detections, and one without objects."""
    truth, _ = coco_world.make(1)
    coco_world.with_masks(truth, [])
    known = task.read_truth(coco_world.write(tmp_path, truth, [])[0])
    parts = []
    for objects in known.samples.values():
        masks = [coco_mask.decode(encoded(m, (300, 300), "m")[0]) > 0 for m in objects.masks]
        n = len(masks)
        parts.append(
            task.contribution(
                Detections(np.full((n, 4), np.nan), np.ones(n), objects.labels, masks), objects
            )
        )
    found = Contributions.of(list(known.samples), parts)
    assert task.figure("AP", found, np.ones(len(found), int)) == pytest.approx(1.0)


def test_without_pycocotools_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, found = coco_world.make(1)
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"pip install 'portproof\[tasks\]'"):
        figures(*coco_world.write(tmp_path, truth, found))
