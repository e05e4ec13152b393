"""Detections from boxes, scores and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import (
    Array,
    Decode,
    Outputs,
    Sample,
    as_float,
    mapped,
    output_of,
    shaped,
)
from portproof.metrics.decoding.frame import Placement, placement
from portproof.metrics.decoding.suppression import suppressed
from portproof.metrics.predictions.instances import Detections
from portproof.postprocess import COCO80, Boxes, Keypoints, Masks

PREDICTION = "instances"

Settings = Boxes | Masks | Keypoints


@dataclass(frozen=True)
class Found:
    """Detections before they are brought back: ``boxes`` xyxy in pixels of the model's input (or of
    the image, with the rule 'none'); ``rows``: the row of the output that each came from.
    """

    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def take(self, at: NDArray[Any]) -> Found:
        """Those at these places."""
        return Found(self.boxes[at], self.scores[at], self.labels[at], self.rows[at])


def decoder(settings: Boxes, folder: Path) -> Decode:
    """Detections in pixels of the original image."""

    def decode(outputs: Outputs, sample: Sample) -> Detections:
        where = placement(sample, settings.frame)
        return as_detections(detected(settings, outputs, where), settings, where)

    return decode


def as_detections(found: Found, settings: Settings, where: Placement) -> Detections:
    """What was found, in the pixels and the categories of the truth."""
    boxes = where.undo_boxes(found.boxes.astype(np.float64))
    boxes[:, 2:] -= boxes[:, :2]
    table = COCO80 if settings.class_ids == "coco80" else settings.class_ids
    return Detections(
        boxes, found.scores.astype(np.float64), mapped(found.labels, table, "detection")
    )


def detected(settings: Settings, outputs: Outputs, where: Placement) -> Found:
    """Candidates over the threshold, after suppression, the best first."""
    boxes, scores, labels = _parts(settings, outputs)
    found = _candidates(settings, _corners(boxes, settings, where), scores, labels)
    found = found.take(np.flatnonzero(np.isfinite(found.boxes).all(axis=1)))
    if settings.iou_threshold is None:
        order = np.argsort(-found.scores.astype(np.float64), kind="stable")
    else:
        groups = np.zeros_like(found.labels) if settings.class_agnostic else found.labels
        order = suppressed(found.boxes, found.scores, groups, settings.iou_threshold)
    return found.take(order[: settings.max_detections])


def _parts(settings: Settings, outputs: Outputs) -> tuple[Array, Array, Array | None]:
    """Boxes (N, 4), scores (N, C), or (N, 1) with labels (N,)."""
    if settings.boxes is not None:
        return _separate(settings, outputs)
    least = 6 if settings.columns == "score_label" or settings.objectness else 5
    table = _rows(output_of(outputs, settings.output, "detections"), settings, least)
    if settings.columns == "score_label":
        if table.shape[1] != 6:
            raise _wrong(table, "rows of 6 numbers (box, score, label)")
        return table[:, :4], _activated(table[:, 4:5], settings), table[:, 5]
    scores = _activated(table[:, 4:], settings)
    if settings.objectness:
        scores = scores[:, :1] * scores[:, 1:]
    return table[:, :4], scores, None


def _rows(array: Array, settings: Settings, least: int) -> Array:
    table = shaped(array, 2, "detections", "rows of a box and scores", may_be_empty=True)
    table = as_float(table.T if settings.transposed else table)
    if table.shape[1] < least:
        raise _wrong(table, f"rows of at least {least} numbers")
    if settings.columns == "classes" and _looks_turned(table):
        raise InputError(
            f"the output of the detections has the shape {tuple(array.shape)}, read as"
            f" {table.shape[0]} rows of {table.shape[1]} numbers, which would be"
            f" {table.shape[1] - 4} classes: change 'transposed' in the post-processing"
        )
    return table


def _looks_turned(table: Array) -> bool:
    """More columns than any data set has classes, and many times more than rows."""
    rows, columns = table.shape
    return bool(columns > 1500 and columns > 8 * rows)


def _separate(settings: Settings, outputs: Outputs) -> tuple[Array, Array, Array | None]:
    given = output_of(outputs, settings.boxes, "boxes")
    boxes = shaped(given, 2, "boxes", "(N, 4)", may_be_empty=True)
    scores = as_float(output_of(outputs, settings.scores, "scores"))
    count = len(boxes)
    if boxes.shape[1] != 4:
        raise _wrong(boxes, "(N, 4)")
    if scores.size == count:
        scores = scores.reshape(count, 1)
    form = f"({count}, classes) or ({count},)"
    scores = _activated(shaped(scores, 2, "scores", form, may_be_empty=True), settings)
    if len(scores) != count:
        raise InputError(
            f"the output of the boxes has {count} rows and that of the scores {len(scores)}; they"
            " have to be of the same detections: correct the post-processing"
        )
    if settings.labels is None:
        return as_float(boxes), scores, None
    labels = output_of(outputs, settings.labels, "labels").reshape(-1)
    if len(labels) != count or scores.shape[1] != 1:
        raise InputError(
            f"labels (N,) go with scores (N,) and boxes (N, 4), here they are {labels.shape},"
            f" {scores.shape} and {boxes.shape}; correct the post-processing"
        )
    return as_float(boxes), scores, labels


def _activated(scores: Array, settings: Settings) -> Array:
    if settings.activation == "sigmoid":
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-scores)))
    if settings.activation == "softmax":
        raised = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    return scores


def _corners(boxes: Array, settings: Settings, where: Placement) -> Array:
    """Boxes as left, top, right, bottom, in pixels."""
    a, b, c, d = boxes.T
    if settings.format == "yxyx":
        a, b, c, d = b, a, d, c
    elif settings.format == "xywh":
        c, d = a + c, b + d
    elif settings.format == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    corners = np.stack([a, b, c, d], axis=1)
    if settings.relative:
        if where.input_size is None:
            raise InputError(
                "relative boxes are shares of an image whose size is not known: give a truth with"
                " sizes"
            )
        height, width = where.input_size
        corners = corners * np.array([width, height, width, height], corners.dtype)
    return corners


def _candidates(settings: Settings, boxes: Array, scores: Array, labels: Array | None) -> Found:
    """Every class of a row whose score is over the threshold, or its best."""
    if labels is not None:
        rows = np.flatnonzero((scores[:, 0] > settings.score_threshold) & np.isfinite(labels))
        whole = np.rint(labels[rows]).astype(np.int64)
        return Found(boxes[rows], scores[rows, 0], whole, rows)
    first = 1 if settings.background == "first" else 0
    scores = scores[:, first : scores.shape[1] - (settings.background == "last")]
    if settings.multi_label:
        rows, columns = np.nonzero(scores > settings.score_threshold)
    else:
        best = scores.argmax(axis=1) if scores.size else np.zeros(0, np.int64)
        rows = np.flatnonzero(scores[np.arange(len(best)), best] > settings.score_threshold)
        columns = best[rows]
    return Found(boxes[rows], scores[rows, columns], columns + first, rows)


def _wrong(array: Array, expected: str) -> InputError:
    return InputError(
        f"the output of the detections has the shape {tuple(array.shape)} for one sample,"
        f" {expected} were expected; correct the post-processing"
    )
