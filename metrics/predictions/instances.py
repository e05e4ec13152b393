"""Predictions of the kind ``instances``: boxes with a score and a class, and perhaps masks or
keypoints; ready ones are COCO results (``[{"image_id", "category_id", "bbox", "score"}, ...]``) or
the files of VOC's development kit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.core.text import listed
from portproof.metrics.matching.voc_files import files_by_class, rows_of
from portproof.metrics.truth import Truth

_FORM = '[{"image_id": ..., "category_id": ..., "bbox": [x, y, width, height], "score": ...}, ...]'


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one image.

    ``boxes``: (N, 4) float64, x, y, width, height in pixels of the original image (x and y of the
    upper left corner, counted from 0), as COCO writes them. ``scores``: (N,) float64. ``labels``:
    (N,) int64, the truth's category ids. ``masks``: N masks, each an array (height, width) of
    booleans or COCO's form (polygons, or run lengths). ``keypoints``: (N, K, 3), x, y and a score
    that no figure uses.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    masks: Sequence[Any] | None = None
    keypoints: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.scores)


NONE = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), (), np.zeros((0, 0, 3)))


def read(path: Path, truth: Truth) -> Mapping[str, Detections] | None:
    """The detections of a COCO results file, for every sample of the truth: an image that the file
    does not name has none; or of a folder of VOC results. None for anything else. Where the truth
    has no numbers for its images, ``image_id`` is the sample id.

    :class:`InputError` for a damaged file, for images or categories that the truth does not have
    (a list of them), and when it names no image at all.
    """
    what = f"detections '{path}'"
    if path.is_dir():
        entries = _voc_entries(path, truth.facts["classes"])
    elif path.suffix == ".json":
        entries = _entries(path, what)
    else:
        return None
    if not entries:
        return None
    known = truth.facts.get("images", {name: name for name in truth.samples})
    _check_known(entries, "image_id", known, what, "are these detections of these images?")
    _check_known(
        entries,
        "category_id",
        truth.facts["classes"],
        what,
        "the model's classes have to be mapped to the truth's ids (COCO's 80 classes have ids from"
        " 1 to 90)",
    )
    by_sample: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_sample.setdefault(known[entry["image_id"]], []).append(entry)
    bare = len(truth.samples) - len(by_sample)
    if bare:
        progress.warn(f"{what}: {bare} of {len(truth.samples)} images have no detection")
    return {
        sample: _detections(by_sample[sample], what) if sample in by_sample else NONE
        for sample in truth.samples
    }


def _entries(path: Path, what: str) -> list[dict[str, Any]]:
    try:
        data = json_in(read_file(path, "detections"))
    except ValueError as error:
        raise InputError(f"{what}: {' '.join(str(error).split())}; {_FORM} was expected") from error
    if not isinstance(data, list):
        raise InputError(f"{what}: a list was expected, {_FORM}; is this a results file?")
    if not data:
        raise InputError(f"{what}: no detection at all; did the model run, is its threshold right?")
    for at, entry in enumerate(data):
        if (
            not isinstance(entry, dict)
            or type(entry.get("image_id")) not in (int, str)
            or type(entry.get("category_id")) is not int
        ):
            raise InputError(f"{what}, entry {at}: {_FORM} was expected")
    return data


def _voc_entries(folder: Path, classes: Mapping[int, str]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": label, "score": score, "bbox": box}
        for label, path in files_by_class(folder, classes).items()
        for image, score, box in rows_of(path)
    ]


def _check_known(
    entries: Sequence[Mapping[str, Any]], key: str, known: Mapping[Any, Any], what: str, hint: str
) -> None:
    foreign = [entry[key] for entry in entries if entry[key] not in known]
    if foreign:
        names = listed([str(i) for i in dict.fromkeys(foreign)])
        raise InputError(
            f"{what}: {len(foreign)} of {len(entries)} have a {key} that the truth does not have"
            f" ({names}); {hint}"
        )


def _detections(entries: Sequence[Mapping[str, Any]], what: str) -> Detections:
    labels = np.array([entry["category_id"] for entry in entries], np.int64)
    scores = _numbers([entry.get("score") for entry in entries], (), "score", what)
    boxes, masks, keypoints = None, None, None
    if any("bbox" in entry for entry in entries):
        boxes = _numbers([entry.get("bbox") for entry in entries], (4,), "bbox", what)
        if (boxes[:, 2:] < 0).any():
            raise InputError(f"{what}: a bbox has a negative width or height; {_FORM} was expected")
    if any("segmentation" in entry for entry in entries):
        masks = [entry.get("segmentation") for entry in entries]
    if any("keypoints" in entry for entry in entries):
        points = [entry.get("keypoints") for entry in entries]
        size = len(points[0]) if isinstance(points[0], list) else 0
        if size == 0 or size % 3:
            raise InputError(f"{what}: 'keypoints' of three numbers each were expected")
        keypoints = _numbers(points, (size,), "keypoints", what).reshape(len(points), -1, 3)
    if boxes is None:
        boxes = np.full((len(entries), 4), np.nan)
    return Detections(boxes, scores, labels, masks, keypoints)


def _numbers(
    values: Sequence[Any], shape: tuple[int, ...], key: str, what: str
) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.full((len(values), *shape), np.nan)
    if array.shape != (len(values), *shape) or not np.isfinite(array).all():
        size = shape[0] if shape else 1
        raise InputError(f"{what}: '{key}' of {size} finite numbers was expected in every entry")
    return array
