"""COCO's figures of keypoints against pycocotools and faster-coco-eval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.predictions.instances import read
from portproof.metrics.tasks import keypoints as task

from . import coco_world


def figures(truth: Path, found: Path) -> np.ndarray:
    known = task.read_truth(truth)
    predictions = read(found, known)
    assert predictions is not None
    parts = [task.contribution(predictions[i], known.samples[i]) for i in known.samples]
    values = task.figures(Contributions.of(list(known.samples), parts), np.ones(len(parts), int))
    return np.array([-1.0 if v is None else v for v in values.values()])


def world(seed: int, images: int = 20) -> tuple[coco_world.Document, list[coco_world.Document]]:
    truth, found = coco_world.make(seed, images, classes=1)
    coco_world.with_keypoints(truth, found, seed)
    return truth, found


@pytest.mark.parametrize("seed", range(6))
def test_generated_images(tmp_path: Path, seed: int) -> None:
    paths = coco_world.write(tmp_path, *world(seed, 8 + 8 * seed))
    ours = figures(*paths)
    assert ours == pytest.approx(coco_world.by_pycocotools(*paths, "keypoints"), abs=1e-12)
    assert ours == pytest.approx(coco_world.by_faster(*paths, "keypoints"), abs=1e-12)


def test_more_than_twenty_detections(tmp_path: Path) -> None:
    truth, found = world(2, 4)
    r = np.random.default_rng(0)
    found += [one | {"score": float(r.random())} for one in found for _ in range(12)]
    paths = coco_world.write(tmp_path, truth, found)
    assert figures(*paths) == pytest.approx(
        coco_world.by_pycocotools(*paths, "keypoints"), abs=1e-12
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, f: t["annotations"][0].pop("keypoints"), None),
        (lambda t, f: t["annotations"][0]["keypoints"].pop(), "numbers as keypoints"),
        (
            lambda t, f: [a.pop("keypoints") for a in t["annotations"]],
            "no 'keypoints' or no 'bbox'",
        ),
        (lambda t, f: t["annotations"][0].pop("bbox"), "no 'keypoints' or no 'bbox'"),
        (lambda t, f: t["categories"][0].update(sigmas=[0.1]), "there are 1 sigmas"),
        (lambda t, f: t["categories"][0].update(sigmas=[0.0] * 17), "more than 0"),
        (lambda t, f: [x.pop("keypoints") for x in f], "without keypoints"),
        (lambda t, f: f[0].pop("keypoints"), "'keypoints'"),
        (lambda t, f: [x.update(keypoints=[1.0] * 9) for x in f], "the truth has 17"),
    ],
)
def test_wrong_keypoints_are_refused(tmp_path: Path, change: object, sentence: str | None) -> None:
    truth, found = world(1)
    change(truth, found)  # type: ignore[operator]
    paths = coco_world.write(tmp_path, truth, found)
    if sentence is None:  # an object without any is one whose keypoints are not labelled
        truth["annotations"][0] |= {"keypoints": [0.0] * 51}
        assert figures(*paths) == pytest.approx(
            coco_world.by_pycocotools(*coco_world.write(tmp_path, truth, found), "keypoints")
        )
        return
    with pytest.raises(InputError, match=sentence):
        figures(*paths)


def test_other_sigmas_are_used(tmp_path: Path) -> None:
    truth, found = world(1)
    usual = figures(*coco_world.write(tmp_path, truth, found))
    truth["categories"][0]["sigmas"] = [0.5] * 17
    loose = figures(*coco_world.write(tmp_path, truth, found))
    assert loose[0] > usual[0]
