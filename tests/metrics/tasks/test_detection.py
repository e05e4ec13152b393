"""COCO's figures of boxes against pycocotools and faster-coco-eval."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.predictions.instances import read
from portproof.metrics.tasks import detection

from . import coco_world


def contributions(truth: Path, found: Path) -> Contributions:
    known = detection.read_truth(truth)
    predictions = read(found, known)
    assert predictions is not None
    parts = [detection.contribution(predictions[i], known.samples[i]) for i in known.samples]
    return Contributions.of(list(known.samples), parts)


def figures(truth: Path, found: Path) -> np.ndarray:
    """In the order of ``summarize``, -1 where not defined."""
    these = contributions(truth, found)
    values = detection.figures(these, np.ones(len(these), np.int64))
    return np.array([-1.0 if v is None else v for v in values.values()])


def check(folder: Path, truth: coco_world.Document, found: list[coco_world.Document]) -> None:
    paths = coco_world.write(folder, truth, found)
    ours = figures(*paths)
    assert ours == pytest.approx(coco_world.by_pycocotools(*paths, "bbox"), abs=1e-12)
    assert ours == pytest.approx(coco_world.by_faster(*paths, "bbox"), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_generated_images(tmp_path: Path, seed: int) -> None:
    check(tmp_path, *coco_world.make(seed, images=10 + 15 * seed, classes=1 + seed))


def test_more_than_a_hundred_detections(tmp_path: Path) -> None:
    truth, found = coco_world.make(3, images=3, classes=2)
    r = np.random.default_rng(0)
    for image in truth["images"]:
        for _ in range(150):
            x, y, w, h = r.integers(1, 200, 4).tolist()
            found.append(
                {
                    "image_id": image["id"],
                    "category_id": 1,
                    "bbox": [x, y, w, h],
                    "score": float(r.random()),
                }
            )
    check(tmp_path, truth, found)


def test_of_objects_that_overlap_equally_the_last_is_taken(tmp_path: Path) -> None:
    """The second detection finds its object taken."""
    common = {"image_id": 1, "category_id": 1}
    objects = [
        common | {"id": at, "bbox": [x, 0, 10, 10], "area": 100, "iscrowd": 0}
        for at, x in ((1, 0), (2, 4))
    ]
    truth = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": objects,
    }
    found = [common | {"bbox": [x, 0, 10, 10], "score": score} for x, score in ((2, 0.9), (5, 0.8))]
    check(tmp_path, truth, found)
    assert figures(*coco_world.write(tmp_path, truth, found))[1] < 0.6


def test_a_class_that_is_never_found_and_one_without_objects(tmp_path: Path) -> None:
    truth, found = coco_world.make(5)
    check(tmp_path, truth, [d for d in found if d["category_id"] != 1])
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] != 2]
    check(tmp_path, truth, found)
    truth["annotations"] = []
    check(tmp_path, truth, found)


numbers = st.integers(0, 40)
boxes = st.tuples(numbers, numbers, st.integers(0, 120), st.integers(0, 120))
objects = st.tuples(
    st.integers(1, 3), st.integers(1, 2), boxes, st.booleans(), st.integers(0, 20000)
)
findings = st.tuples(st.integers(1, 3), st.integers(1, 2), boxes, st.integers(0, 4))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(objects, max_size=12), st.lists(findings, min_size=1, max_size=20))
def test_any_images(tmp_path: Path, some: list[tuple], other: list[tuple]) -> None:
    truth = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in (1, 2, 3)],
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
        "annotations": [
            {
                "id": at + 1,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "iscrowd": int(crowd),
                "area": area,
            }
            for at, (image, label, box, crowd, area) in enumerate(some)
        ],
    }
    found = [
        {"image_id": image, "category_id": label, "bbox": box, "score": score / 4}
        for image, label, box, score in other
    ]
    check(tmp_path, truth, found)


def test_counts_are_copies(tmp_path: Path) -> None:
    truth, found = coco_world.make(7)
    r = np.random.default_rng(1)
    for one in found:  # ties within an image have no one order among copies
        one["score"] = float(r.random())
    these = contributions(*coco_world.write(tmp_path, truth, found))
    counts = r.integers(0, 4, len(these))
    copies = these.take(np.repeat(np.arange(len(these)), counts))
    weighted = detection.figures(these, counts)
    repeated = detection.figures(copies, np.ones(len(copies), np.int64))
    assert list(weighted.values()) == pytest.approx(list(repeated.values()), abs=1e-12)
    assert weighted != detection.figures(these, np.ones(len(these), np.int64))


def test_stakes_sum_to_the_whole(tmp_path: Path) -> None:
    these = contributions(*coco_world.write(tmp_path, *coco_world.make(7)))
    for figure in detection.FIGURES:
        stakes = detection.stakes(figure.name, these)
        assert stakes.shape == (len(these),) and stakes.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image_id": 999999}, "1 of .* have a image_id that the truth does not have .999999."),
        ({"category_id": 0}, "category_id that the truth does not have .0."),
        ({"score": None}, "'score' of 1 finite numbers"),
        ({"score": "high"}, "'score' of 1 finite numbers"),
        ({"bbox": [1, 2, 3]}, "'bbox' of 4 finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "negative width or height"),
        ({"image_id": "1"}, "image_id that the truth does not have"),
        ({"image_id": None}, "entry 0"),
    ],
)
def test_wrong_detections_are_refused(tmp_path: Path, change: dict, sentence: str) -> None:
    truth, found = coco_world.make(1)
    paths = coco_world.write(tmp_path, truth, [found[0] | change, *found[1:]])
    with pytest.raises(InputError, match=sentence):
        contributions(*paths)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "[]",
        "[1]",
        '{"annotations": []}',
        "[[[[" * 50000,
        "\x00",
        '[{"image_id": 1}]',
    ],
)
def test_files_that_are_no_detections(tmp_path: Path, text: str) -> None:
    truth, _ = coco_world.write(tmp_path, *coco_world.make(1))
    (tmp_path / "found.json").write_text(text)
    with pytest.raises(InputError, match="detections"):
        contributions(truth, tmp_path / "found.json")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("images"), "cannot be read"),
        (lambda t: t["images"].clear(), "no image or no category"),
        (lambda t: t["images"].append(t["images"][0]), "image ids occur more than once"),
        (lambda t: t["images"][0].update(file_name="im1.png"), "belong to more than one file"),
        (lambda t: t["annotations"][0].update(image_id=12345), "have a image_id"),
        (lambda t: t["annotations"][0].update(category_id=77), "have a category_id"),
        (lambda t: t["annotations"][0].pop("area"), "has no area"),
        (lambda t: t["annotations"][0].pop("bbox"), "have no 'bbox'"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, 3]), "cannot be read"),
        (lambda t: t["annotations"][0].update(iscrowd="yes"), "cannot be read"),
        (lambda t: t["annotations"][0].update(num_keypoints=10**30), "cannot be read"),
        (lambda t: t["categories"][0].update(id=2**63), "cannot be read"),
    ],
)
def test_damaged_truth_is_refused(tmp_path: Path, change: object, sentence: str) -> None:
    truth, found = coco_world.make(1)
    change(truth)  # type: ignore[operator]
    paths = coco_world.write(tmp_path, truth, found)
    with pytest.raises(InputError, match=sentence):
        contributions(*paths)


def test_the_document_is_what_coco_writes(tmp_path: Path) -> None:
    """Fields that this version does not know are no mistake."""
    truth, found = coco_world.make(1)
    truth |= {"info": {"year": 2017}, "licenses": []}
    truth["images"][0]["coco_url"] = "http://images.cocodataset.org/1.jpg"
    paths = coco_world.write(tmp_path, truth, found)
    assert json.loads(paths[0].read_text())["info"]
    check(tmp_path, truth, found)
