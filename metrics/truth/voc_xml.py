"""Ground truth in the form of PASCAL VOC: one XML file an image."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET  # nosec B405
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.core.text import listed
from portproof.manifest import check_unique, sample_id
from portproof.metrics.truth import Truth
from portproof.metrics.truth.coco_json import Objects

#: VOC's classes, in the order in which models count them (from 1; 0 is the background).
CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
#: A file of annotations beside the images has no more.
_MOST_CHARACTERS = 10_000_000
_NAMES = "classes.txt"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path) -> Truth:
    """The objects of every image of a folder of XML files (``Annotations``), or of those that a
    list of ids names (``ImageSets/Main/test.txt``), sorted by name.

    Boxes are x, y, width and height with x = xmin - 1, y = ymin - 1, width = xmax - xmin: VOC
    counts pixels from 1. ``crowd`` are the difficult objects. Facts: ``classes`` (id -> name):
    VOC's twenty from 1 on, or the lines of ``classes.txt`` in the folder. :class:`InputError` for a
    damaged file, another class, and for no image.
    """
    files = _files(path)
    named = files[0].parent / _NAMES
    names = read_text(named, "class names").split("\n") if named.is_file() else CLASSES
    labels = {name.strip(): at for at, name in enumerate(names, start=1) if name.strip()}
    check_unique((sample_id(file) for file in files), f"VOC annotations '{path}'")
    samples, sizes = {}, {}
    for file in files:
        name = sample_id(file)
        root = _root(file)
        samples[name] = _objects(root, labels, file)
        if size := _size(root):
            sizes[name] = size
    used = [*files, *([named] if named.is_file() else []), *([path] if path.is_file() else [])]
    return Truth(samples, used, sizes, {"classes": {at: name for name, at in labels.items()}})


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.xml"))
        if not files:
            raise InputError(
                f"VOC annotations '{path}': no .xml file; the folder 'Annotations' was expected, or"
                " a list of ids 'ImageSets/Main/test.txt'"
            )
        return files
    ids = [line.split()[0] for line in read_text(path, "VOC ids").splitlines() if line.strip()]
    folder = path.absolute().parent.parent.parent / "Annotations"
    odd = [i for i in ids if "/" in i or "\\" in i or not (folder / f"{i}.xml").is_file()]
    if odd or not ids:
        raise InputError(
            f"VOC ids '{path}': {len(odd)} of {len(ids)} have no file in '{folder}'"
            f" ({listed(odd) or 'the list is empty'}); a list of ids in 'ImageSets/Main' beside"
            " 'Annotations' was expected"
        )
    return sorted(folder / f"{i}.xml" for i in ids)


def _root(file: Path) -> ET.Element:
    text = read_text(file, "VOC annotation")
    what = f"VOC annotation '{file}'"
    if len(text) > _MOST_CHARACTERS or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{what} defines entities or is far too long; it is not one of VOC's")
    try:
        root = ET.fromstring(text)  # noqa: S314  # nosec B314
    except (ET.ParseError, ValueError) as error:
        raise InputError(f"{what} is not whole XML ({error}); correct the file") from error
    if root.tag != "annotation":
        raise InputError(f"{what}: <annotation> was expected, got <{root.tag[:40]}>")
    return root


def _size(root: ET.Element) -> tuple[int, int] | None:
    found = [root.findtext(f"size/{name}", "").strip() for name in ("height", "width")]
    if all(text.isascii() and text.isdigit() and int(text[:9]) > 0 for text in found):
        return int(found[0][:9]), int(found[1][:9])
    return None


def _objects(root: ET.Element, labels: Mapping[str, int], file: Path) -> Objects:
    corners, classes, difficult = [], [], []
    for at, entry in enumerate(root.findall("object")):
        what = f"VOC annotation '{file}', object {at + 1}"
        name = entry.findtext("name", "").strip()
        if name not in labels:
            raise InputError(
                f"{what}: the class '{name[:40]}' is not one of {listed(list(labels), 20)}; write"
                f" '{_NAMES}' beside the files, a name a line in the order in which the model"
                " counts them from 1"
            )
        corners.append(_corners(entry, what))
        classes.append(labels[name])
        difficult.append(entry.findtext("difficult", "0").strip() == "1")
    boxes = _boxes(corners)
    return Objects(
        boxes,
        boxes[:, 2] * boxes[:, 3],
        np.array(classes, np.int64),
        np.array(difficult, np.bool_),
    )


def _corners(entry: ET.Element, what: str) -> list[float]:
    try:
        found = [float(entry.findtext(f"bndbox/{name}", "")) for name in _CORNERS]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)) or found[0] > found[2] or found[1] > found[3]:
        raise InputError(f"{what}: <bndbox> with {', '.join(_CORNERS)} was expected")
    return found


def _boxes(corners: Sequence[Sequence[float]]) -> np.ndarray:
    found = np.array(corners, np.float64).reshape(-1, 4)
    return np.concatenate([found[:, :2] - 1, found[:, 2:] - found[:, :2]], axis=1)
