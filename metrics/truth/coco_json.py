"""Ground truth in COCO's JSON: images, categories and annotations (boxes, masks, keypoints)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.core.text import listed
from portproof.manifest import check_unique, sample_id
from portproof.metrics.truth import Truth

_REMEDY = "give the annotation file in COCO's form (instances_val2017.json)"


#: What numpy's int64 holds.
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Image(msgspec.Struct):
    id: _Whole
    file_name: str
    height: int | None = None
    width: int | None = None


class _Category(msgspec.Struct):
    id: _Whole
    name: str
    sigmas: list[float] | None = None


class _Annotation(msgspec.Struct):
    id: _Whole
    image_id: _Whole
    category_id: _Whole
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = None
    iscrowd: int = 0
    segmentation: Any = None
    keypoints: list[float] | None = None
    num_keypoints: _Whole | None = None


class _Document(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects in one image, in the order of the file.

    ``boxes``: (N, 4), x, y, width, height, NaN where the file has none. ``areas``: (N,), as
    annotated. ``labels``: (N,) category ids. ``crowd``: (N,) which stand for a group. ``masks``:
    COCO's polygons or run lengths, None where there is none. ``keypoints``: (N, K, 3), x, y and
    visibility, and ``labelled``: (N,) how many are labelled (None without keypoints). ``size``:
    (height, width) of the image, None if the file does not say it. ``sigmas``: (K,) the spread of
    annotators for each keypoint.
    """

    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    masks: Sequence[Any] = ()
    keypoints: NDArray[np.float64] | None = None
    labelled: NDArray[np.int64] | None = None
    size: tuple[int, int] | None = None
    sigmas: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)


def read_coco(path: Path) -> Truth:
    """The objects of every image, in the order of the image ids (as COCO's evaluation takes them).

    Facts: ``images`` (image id -> sample id) and ``classes`` (category id -> name).
    :class:`InputError` for a damaged file, ids that occur twice or are foreign, and for no image.
    """
    what = f"COCO annotations '{path}'"
    document = _document(path, what)
    if not document.images or not document.categories:
        raise InputError(f"{what} have no image or no category; {_REMEDY}")
    images = {image.id: image for image in document.images}
    classes = {category.id: category.name for category in document.categories}
    _check_ids(document, images, classes, what)
    names = {i: sample_id(images[i].file_name) for i in sorted(images)}
    check_unique(names.values(), what)
    sigmas = {c.id: c.sigmas for c in document.categories if c.sigmas}
    by_image: dict[int, list[_Annotation]] = {i: [] for i in names}
    for annotation in document.annotations:
        by_image[annotation.image_id].append(annotation)
    sizes = {names[i]: size for i in names if (size := _size(images[i]))}
    samples = {names[i]: _objects(by_image[i], sizes.get(names[i]), sigmas, what) for i in names}
    return Truth(samples, [path], sizes, {"images": names, "classes": classes})


def _document(path: Path, what: str) -> _Document:
    if path.is_dir():
        raise InputError(f"{what}: this is a folder, a file was expected; {_REMEDY}")
    try:
        return msgspec.convert(json_in(read_file(path, "COCO annotations")), _Document)
    except (ValueError, msgspec.ValidationError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{what} cannot be read ({reason}); {_REMEDY}") from error


def _check_ids(
    document: _Document, images: Mapping[int, Any], classes: Mapping[int, Any], what: str
) -> None:
    for kind, entries in (
        ("image", document.images),
        ("category", document.categories),
        ("annotation", document.annotations),
    ):
        ids: list[int] = [entry.id for entry in entries]
        if len(set(ids)) < len(ids):
            raise InputError(
                f"{what}: {len(ids) - len(set(ids))} of {len(ids)} {kind} ids occur more than once;"
                " every id was expected once: correct the file"
            )
    for kind, known in (("image_id", images), ("category_id", classes)):
        foreign = [str(a.id) for a in document.annotations if getattr(a, kind) not in known]
        if foreign:
            raise InputError(
                f"{what}: {len(foreign)} of {len(document.annotations)} annotations have a {kind}"
                f" that the file does not have (annotations {listed(foreign)}); correct the file"
            )


def _size(image: _Image) -> tuple[int, int] | None:
    if image.height is None or image.width is None or min(image.height, image.width) < 1:
        return None
    return image.height, image.width


def _objects(
    annotations: Sequence[_Annotation],
    size: tuple[int, int] | None,
    sigmas: Mapping[int, Sequence[float]],
    what: str,
) -> Objects:
    boxes = np.array([a.bbox or [np.nan] * 4 for a in annotations], np.float64).reshape(-1, 4)
    points = np.array(list(_points(annotations, what)), np.float64) if annotations else None
    spreads = [s for a in annotations if (s := sigmas.get(a.category_id))]
    return Objects(
        boxes,
        np.array([_area(a, what) for a in annotations], np.float64),
        np.array([a.category_id for a in annotations], np.int64),
        np.array([bool(a.iscrowd) for a in annotations], np.bool_),
        [a.segmentation for a in annotations],
        points.reshape(len(annotations), -1, 3) if points is not None and points.size else None,
        np.array([_labelled(a) for a in annotations], np.int64),
        size,
        np.array(spreads[0], np.float64) if spreads else None,
    )


def _area(annotation: _Annotation, what: str) -> float:
    if annotation.area is not None:
        return annotation.area
    raise InputError(
        f"{what}: annotation {annotation.id} has no area, which decides whether an object is small,"
        " medium or large; add it"
    )


def _labelled(annotation: _Annotation) -> int:
    """How many keypoints are labelled: as annotated, else those with a visibility over 0."""
    if annotation.num_keypoints is not None:
        return annotation.num_keypoints
    return sum(v > 0 for v in (annotation.keypoints or [])[2::3])


def _points(annotations: Sequence[_Annotation], what: str) -> Iterator[list[float]]:
    """Keypoints of each annotation, all of one length; zeros where an annotation has none."""
    size = max((len(a.keypoints) for a in annotations if a.keypoints), default=0)
    for a in annotations:
        points = a.keypoints or [0.0] * size
        if len(points) != size or size % 3:
            raise InputError(
                f"{what}: annotation {a.id} has {len(points)} numbers as keypoints, {size} as the"
                " others was expected, three a keypoint"
            )
        yield points
