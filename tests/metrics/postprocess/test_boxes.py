"""Detections from outputs: suppression against torchvision, forms of outputs against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Sample
from portproof.metrics.decoding.suppression import suppressed
from portproof.metrics.postprocess import boxes, keypoints, masks
from portproof.metrics.predictions.instances import Detections
from portproof.postprocess import Boxes, Keypoints, Masks, postprocess_file, read_postprocess

NONE = {"rule": "none"}


def decoded(outputs: Any, sample: Sample | None = None, **said: Any) -> Detections:
    record = msgspec.convert({"frame": NONE, **said}, Boxes)
    named = outputs if isinstance(outputs, dict) else {"out": outputs}
    found = boxes.decoder(record, Path())(named, sample or Sample("a"))
    assert isinstance(found, Detections)
    return found


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_suppression_is_torchvisions(seed: int, count: int, threshold: float) -> None:
    """Whole numbers, so that overlaps are equal to thresholds, scores to each other."""
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    r = np.random.default_rng(seed)
    corners = r.integers(0, 12, (count, 4)).astype(np.float32)
    corners[:, 2:] += corners[:, :2]
    scores = (r.integers(0, 8, count) / 8).astype(np.float32)
    groups = r.integers(0, 3, count)
    ours = suppressed(corners, scores, groups, threshold)
    theirs = ops.batched_nms(*map(torch.from_numpy, (corners, scores, groups)), threshold).numpy()
    assert sorted(ours.tolist()) == sorted(theirs.tolist())
    assert scores[ours].tolist() == scores[theirs].tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_suppression_of_one_class_keeps_torchvisions_order(seed: int) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    r = np.random.default_rng(seed)
    corners = r.uniform(0, 600, (200, 4)).astype(np.float32)
    corners[:, 2:] = corners[:, :2] + r.uniform(0, 300, (200, 2)).astype(np.float32)
    scores = np.round(r.random(200), 2).astype(np.float32)
    ours = suppressed(corners, scores, np.zeros(200, np.int64), 0.45)
    theirs = ops.nms(torch.from_numpy(corners), torch.from_numpy(scores), 0.45)
    assert ours.tolist() == theirs.tolist()


def test_one_output_of_classes() -> None:
    out = np.zeros((3, 7), np.float32)
    out[0] = [10, 20, 30, 40, 0.1, 0.9, 0.6]
    out[1] = [0, 0, 5, 5, 0.0, 0.2, 0.8]
    found = decoded(out, score_threshold=0.5)
    assert found.boxes.tolist() == [[10, 20, 20, 20], [0, 0, 5, 5], [10, 20, 20, 20]]
    assert found.labels.tolist() == [1, 2, 2] and found.scores == pytest.approx([0.9, 0.8, 0.6])
    assert decoded(out, score_threshold=0.5, multi_label=False).labels.tolist() == [1, 2]
    turned = decoded(out.T[None], score_threshold=0.5, transposed=True)
    assert turned.boxes.tolist() == found.boxes.tolist()
    assert len(decoded(out, score_threshold=0.5, max_detections=1)) == 1


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("xyxy", [10, 20, 30, 60]),
        ("yxyx", [20, 10, 60, 30]),
        ("xywh", [10, 20, 20, 40]),
        ("cxcywh", [20, 40, 20, 40]),
    ],
)
def test_forms_of_boxes(form: str, numbers: list[int]) -> None:
    row = np.array([[*numbers, 1.0]], np.float32)
    assert decoded(row, format=form).boxes.tolist() == [[10, 20, 20, 40]]
    shares = row / np.array([100, 100, 100, 100, 1], np.float32)
    sample = Sample("a", size=(100, 100), input_size=(50, 10))
    relative = decoded(shares, sample, format=form, relative=True)
    assert relative.boxes == pytest.approx(np.array([[10, 20, 20, 40]]), abs=1e-5)


def test_relative_boxes_of_an_input_that_was_stretched() -> None:
    """DETR: shares of an input that the image fills."""
    row = np.array([[0.5, 0.5, 0.2, 0.4, 1.0]], np.float32)
    sample = Sample("a", size=(100, 200), input_size=(800, 800))
    found = decoded(row, sample, format="cxcywh", relative=True, frame={"rule": "stretch"})
    assert found.boxes == pytest.approx(np.array([[80, 30, 40, 40]]), abs=1e-4)


def test_objectness_sigmoid_and_softmax() -> None:
    row = np.array([[0, 0, 1, 1, 0.5, 0.4, 0.8]], np.float32)
    assert decoded(row, objectness=True).scores == pytest.approx([0.4, 0.2])
    logits = np.array([[0, 0, 1, 1, 0.0, 2.0, 1.0]], np.float32)
    once = decoded(logits, activation="sigmoid")
    assert once.scores == pytest.approx(1 / (1 + np.exp([-2.0, -1.0, 0.0])))
    shares = np.exp([0.0, 2.0, 1.0]) / np.exp([0.0, 2.0, 1.0]).sum()
    last = decoded(logits, activation="softmax", background="last")
    assert last.scores == pytest.approx([shares[1], shares[0]]) and last.labels.tolist() == [1, 0]
    first = decoded(logits, activation="softmax", background="first")
    assert first.scores == pytest.approx([shares[1], shares[2]])
    assert first.labels.tolist() == [1, 2]  # the model's own numbers, the background is 0


def test_separate_outputs_and_ids() -> None:
    outputs = {
        "boxes": np.array([[0, 0, 4, 4], [1, 1, 2, 2]], np.float32),
        "labels": np.array([79, 0]),
        "scores": np.array([0.5, 0.25], np.float32),
    }
    said = {"boxes": "boxes", "scores": 3, "labels": "labels", "class_ids": "coco80"}
    assert decoded(outputs, **said).labels.tolist() == [90, 1]
    with pytest.raises(InputError, match=r"'class_ids' has 2 classes"):
        decoded(outputs, **{**said, "class_ids": [5, 7]})
    with pytest.raises(InputError, match=r"there is no output 'nope'.*boxes, labels, scores"):
        decoded(outputs, **{**said, "boxes": "nope"})
    short = {**outputs, "scores": np.zeros(3, np.float32)}
    with pytest.raises(InputError, match=r"\(2, classes\) or \(2,\) was expected"):
        decoded(short, **said)


def test_rows_of_score_and_label() -> None:
    out = np.array([[0, 0, 4, 4, 0.5, 7], [0, 0, 2, 2, 0.0, 0]], np.float32)
    found = decoded(out, columns="score_label")
    assert found.labels.tolist() == [7] and found.boxes.tolist() == [[0, 0, 4, 4]]
    with pytest.raises(InputError, match="rows of 6 numbers"):
        decoded(np.zeros((2, 7), np.float32), columns="score_label")


@pytest.mark.parametrize(
    ("array", "said", "sentence"),
    [
        (np.zeros((84, 8400)), {}, "change 'transposed'"),
        (np.zeros((8400, 84)), {"transposed": True}, "change 'transposed'"),
        (np.zeros((2, 3, 4)), {}, r"has the shape \(2, 3, 4\)"),
        (np.zeros(40), {}, "rows of a box and scores was expected"),
        (np.zeros((4, 4)), {}, "rows of at least 5 numbers"),
        (np.zeros((4, 6)), {"relative": True}, "whose size is not known"),
    ],
)
def test_outputs_of_another_form_are_refused(
    array: np.ndarray, said: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        decoded(array.astype(np.float32), **said)


@pytest.mark.parametrize("shape", [(0, 84), (1, 0, 84)])
def test_no_row_is_no_detection(shape: tuple[int, ...]) -> None:
    assert len(decoded(np.zeros(shape, np.float32), iou_threshold=0.5)) == 0


def test_detections_that_are_no_numbers_are_none() -> None:
    out = np.array([[0, 0, 4, 4, np.nan], [np.nan, 0, 2, 2, 0.5], [0, 0, 1, 1, 0.25]], np.float32)
    assert decoded(out, iou_threshold=0.5).scores.tolist() == [0.25]


def by_ultralytics(out: np.ndarray, original: tuple[int, int], size: int) -> np.ndarray:
    """``non_max_suppression`` and ``scale_boxes`` as Ultralytics write them, with torchvision."""
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    x = torch.from_numpy(out).T
    xy, wh = x[:, :2], x[:, 2:4] / 2
    box = torch.cat([xy - wh, xy + wh], 1)
    i, j = torch.where(x[:, 4:] > 0.001)
    x = torch.cat([box[i], x[i, 4 + j, None], j[:, None].float()], 1)
    x = x[x[:, 4].argsort(descending=True, stable=True)]
    kept = ops.nms(x[:, :4] + x[:, 5:6] * 7680, x[:, 4], 0.7)[:300]
    x = x[kept].double()
    gain = min(size / original[0], size / original[1])
    pad = (
        round((size - round(original[1] * gain)) / 2 - 0.1),
        round((size - round(original[0] * gain)) / 2 - 0.1),
    )
    x[:, [0, 2]] -= pad[0]
    x[:, [1, 3]] -= pad[1]
    x[:, :4] /= gain
    x[:, [0, 2]] = x[:, [0, 2]].clamp(0, original[1])
    x[:, [1, 3]] = x[:, [1, 3]].clamp(0, original[0])
    return np.asarray(x.numpy())


@pytest.mark.parametrize("original", [(480, 640), (333, 500), (640, 427), (100, 60), (1080, 1921)])
def test_yolov8_is_as_ultralytics_decodes_it(original: tuple[int, int]) -> None:
    r = np.random.default_rng(original[0])
    out = np.zeros((84, 300), np.float32)
    out[:2], out[2:4] = r.uniform(0, 640, (2, 300)), r.uniform(5, 300, (2, 300))
    out[4:] = np.where(r.random((80, 300)) < 0.01, r.random((80, 300)), 0)
    record = read_postprocess(postprocess_file("yolov8"))
    assert isinstance(record, Boxes)
    sample = Sample("a", size=original, input_size=(640, 640))
    found = boxes.decoder(record, Path())({"output0": out}, sample)
    wanted = by_ultralytics(out, original, 640)
    ours = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]], axis=1)
    assert len(wanted) > 50
    assert found.scores.tolist() == wanted[:, 4].tolist()
    assert ours == pytest.approx(wanted[:, :4], abs=1e-9)
    assert found.labels.tolist() == [_coco(int(c)) for c in wanted[:, 5]]


def _coco(place: int) -> int:
    """COCO's ids leave out these ten and the background."""
    missing = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    return [i for i in range(1, 91) if i not in missing][place]


def test_points_are_brought_back_with_their_boxes() -> None:
    record = msgspec.convert(
        {"boxes": 1, "scores": 2, "points": 3, "frame": {"rule": "stretch"}}, Keypoints
    )
    outputs = {
        "b": np.array([[0, 0, 50, 50], [50, 50, 100, 100]], np.float32),
        "s": np.array([0.1, 0.9], np.float32),
        "p": np.arange(12, dtype=np.float32).reshape(2, 3, 2),
    }
    sample = Sample("a", size=(200, 50), input_size=(100, 100))
    found = keypoints.decoder(record, Path())(outputs, sample)
    assert found.boxes.tolist() == [[25, 100, 25, 100], [0, 0, 25, 100]]
    assert found.keypoints[0].tolist() == [[3, 14, 1], [4, 18, 1], [5, 22, 1]]


def test_masks_are_of_the_original_image() -> None:
    sample = Sample("a", size=(20, 40), input_size=(40, 40))
    whole = np.zeros((1, 40, 40), np.float32)
    whole[0, 12:20, 4:16] = 1.0  # of a letterboxed image, whose rows begin at 10
    said = {"boxes": 1, "scores": 2, "masks": 3, "frame": {"rule": "letterbox"}}
    outputs = {
        "b": np.array([[4, 12, 16, 20]], np.float32),
        "s": np.array([0.9], np.float32),
        "m": whole,
    }
    record = msgspec.convert(said, Masks)
    found = masks.decoder(record, Path())(outputs, sample)
    wanted = np.zeros((20, 40), bool)
    wanted[2:10, 4:16] = True
    assert found.boxes.tolist() == [[4, 2, 12, 8]]
    assert np.array_equal(found.masks[0], wanted)
    inside = msgspec.convert({**said, "inside_box": True}, Masks)
    outputs["m"] = np.ones((1, 1, 14, 14), np.float32)
    assert np.array_equal(masks.decoder(inside, Path())(outputs, sample).masks[0], wanted)
