"""What a user's own ``decode(outputs, sample)`` may return for each kind of prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.predictions.log_probabilities import TokenScores
from portproof.metrics.predictions.restored import Picture
from portproof.metrics.truth.text_regions import Regions


def as_prediction(kind: str, value: Any, what: str) -> Any:
    """The prediction of that kind; :class:`InputError` says what was expected.

    * ``instances``: ``{"boxes": (N, 4) left, top, right, bottom in pixels of the original image,
      "scores": (N,), "labels": (N,) ids of the truth}``, and perhaps ``"masks"``: N arrays (height,
      width), or ``"keypoints"``: (N, K, 3);
    * ``label_map``: class ids (height, width) of the original image;
    * ``text``: a str; ``tags``: a list of str, one for each word; ``classes``: an int;
    * ``restored``: levels 0 to 255, (height, width), or (height, width, 1 or 3), RGB;
    * ``embedding``: a vector; ``log_probabilities``: (tokens, vocabulary), of which row *i* is
      about token *i* + 1;
    * ``polygons``: a list of (points, 2), x and y.
    """
    expected, make = _FORMS[kind]
    try:
        return make(value)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise InputError(
            f"{what} returned {_described(value)}, {expected} was expected"
            f" ({' '.join(str(error).split())[:100]})"
        ) from error


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with the shape {value.shape}"
    return f"a {type(value).__name__}"


def _check(condition: bool, why: str) -> None:
    if not condition:
        raise ValueError(why)


def _instances(value: Any) -> Detections:
    if isinstance(value, Detections):
        return value
    boxes = np.asarray(value["boxes"], np.float64).reshape(-1, 4).copy()
    scores = np.asarray(value["scores"], np.float64)
    labels = np.asarray(value["labels"])
    _check(scores.shape == labels.shape == (len(boxes),), "as many boxes, scores and labels")
    _check(bool(np.isfinite(boxes).all() and np.isfinite(scores).all()), "finite numbers")
    _check(bool((labels == np.rint(labels)).all()), "whole labels")
    boxes[:, 2:] -= boxes[:, :2]
    _check(bool((boxes[:, 2:] >= 0).all()), "left, top, right, bottom")
    masks, points = value.get("masks"), value.get("keypoints")
    _check(masks is None or len(masks) == len(boxes), "as many masks")
    if masks is not None:
        masks = [np.asarray(mask).astype(bool) for mask in masks]
    if points is not None:
        points = np.asarray(points, np.float64)
        _check(points.ndim == 3 and points.shape[::2] == (len(boxes), 3), "keypoints (N, K, 3)")
    return Detections(boxes, scores, labels.astype(np.int64), masks, points)


def _label_map(value: Any) -> NDArray[np.int64]:
    array = np.asarray(value)
    _check(array.ndim == 2 and array.dtype.kind in "iub", "two axes of whole numbers")
    return array.astype(np.int64)


def _text(value: Any) -> str:
    _check(isinstance(value, str), "a str")
    return str(value)


def _tags(value: Any) -> list[str]:
    _check(isinstance(value, list | tuple) and all(isinstance(t, str) for t in value), "of str")
    return list(value)


def _class(value: Any) -> int:
    array = np.asarray(value)
    _check(array.size == 1 and array.dtype.kind in "iu", "one whole number")
    return int(array.reshape(-1)[0])


def _restored(value: Any) -> Picture:
    if isinstance(value, Picture):
        return value
    pixels = np.asarray(value, np.float64)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    _check(pixels.ndim == 3 and pixels.shape[2] in (1, 3), "1 or 3 channels last")
    _check(bool(np.isfinite(pixels).all()), "finite levels")
    return Picture(pixels)


def _embedding(value: Any) -> NDArray[Any]:
    vector = np.asarray(value, np.float64)
    _check(vector.ndim == 1, "one axis")
    return vector


def _log_probabilities(value: Any) -> TokenScores:
    if isinstance(value, TokenScores):
        return value
    table = np.asarray(value, np.float64)
    _check(table.ndim == 2 and not (table > 1e-6).any(), "logarithms of probabilities, two axes")
    return TokenScores(table)


def _polygons(value: Any) -> Regions:
    polygons = [np.asarray(polygon, np.float64) for polygon in value]
    _check(all(p.ndim == 2 and p.shape[1] == 2 and len(p) > 2 for p in polygons), "(points, 2)")
    _check(all(np.isfinite(p).all() for p in polygons), "finite numbers")
    return Regions(tuple(polygons), (False,) * len(polygons))


_FORMS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "instances": ("a dict of boxes, scores and labels", _instances),
    "label_map": ("an array of class ids (height, width)", _label_map),
    "text": ("a str", _text),
    "tags": ("a list of str", _tags),
    "classes": ("an int", _class),
    "restored": ("an array (height, width, 1 or 3) of levels", _restored),
    "embedding": ("a vector", _embedding),
    "log_probabilities": ("an array (tokens, vocabulary) of logarithms", _log_probabilities),
    "polygons": ("a list of arrays (points, 2)", _polygons),
}
