"""Label lists of ImageNet's validation set: the work of ``labels.py``.

A model's class is the index of the class's wnid (``n01440764``) among the sorted wnids, which is
the order of class folders. The ILSVRC2012 devkit numbers classes otherwise:
``ILSVRC2012_validation_ground_truth.txt`` holds one ILSVRC2012_ID (from 1) a line, and only
``meta.mat`` says which wnid that is. Read as classes, such ids look right and are wrong for nearly
every image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file, read_text, write_text
from portproof.manifest import check_unique, files_in, sample_id
from portproof.preprocess.dataset.images import IMAGE_SUFFIXES, class_folders
from portproof.proof.work import Work

Labels = dict[str, int]
Inputs = dict[str, list[Path]]

_WNID = re.compile(r"n\d{8}")


def tree_labels(
    root: Path, synsets: str | None = None, order: str | None = None
) -> tuple[Labels, Inputs]:
    """File name -> class of the images in class folders; the class is the index of the folder among
    the sorted folders, or of its name in the ``synsets`` file.

    ``order``: ``text`` sorts as torchvision's ImageFolder does, ``natural`` numbers by their value,
    as timm does; None is ``text``, with a warning where the two differ.
    """
    if synsets and order:
        raise InputError("--order and --synsets both say the order of classes: give one of them")
    folders = class_folders(root)
    if not folders:
        raise InputError(
            f"'{root}' holds no class folders; expected were folders such as n01440764/ with the"
            " images of one class each"
        )
    classes = _classes_of(_in_order(folders, root, synsets, order), root, synsets)
    files = [
        (path.name, name) for name in folders for path in files_in(root / name, IMAGE_SUFFIXES)
    ]
    if not files:
        raise InputError(
            f"the class folders in '{root}' hold no images; expected were files ending in"
            f" {', '.join(IMAGE_SUFFIXES)}"
        )
    check_unique((sample_id(name) for name, _ in files), f"images in '{root}'")
    return {name: classes[folder] for name, folder in files}, (
        {"synsets": [Path(synsets)]} if synsets else {}
    )


def _in_order(folders: list[str], root: Path, synsets: str | None, order: str | None) -> list[str]:
    """The folders in the order of their classes."""
    natural = sorted(folders, key=_natural_key)
    if order == "natural":
        return natural
    if natural != folders and not synsets and order is None:
        at = next(i for i, name in enumerate(folders) if name != natural[i])
        progress.warn(
            f"the class folders of '{root}' are sorted as text, as torchvision's ImageFolder does:"
            f" '{folders[at]}' is class {at}; for timm, which sorts numbers by value,"
            f" '{natural[at]}' is class {at}: give --order natural for such a model, or --order"
            " text"
        )
    return folders


def _natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Numbers by value, before text: timm's order (``natural_key`` of timm/data/readers)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(not p[0].isdigit(), int(p) if p.isascii() and p.isdigit() else 0, p) for p in parts]


def _classes_of(folders: list[str], root: Path, synsets: str | None) -> Mapping[str, int]:
    if synsets is None:
        if len(folders) != 1000 and all(_WNID.fullmatch(name) for name in folders):
            progress.warn(
                f"'{root}' has {len(folders)} of ImageNet's 1000 class folders: classes are"
                " numbered among these; for a model of 1000 classes give --synsets"
            )
        return {name: index for index, name in enumerate(folders)}
    wnids = [line.split()[0] for line in read_text(synsets, "synsets").splitlines() if line.strip()]
    check_unique(wnids, f"synsets '{synsets}'")
    unknown = [name for name in folders if name not in set(wnids)]
    if unknown:
        raise InputError(
            f"synsets '{synsets}' lacks the class folder '{unknown[0]}' of '{root}' ({len(unknown)}"
            " in all); give the right file"
        )
    return {wnid: index for index, wnid in enumerate(wnids)}


def devkit_labels(
    path: Path, synsets: str | None = None, order: str | None = None
) -> tuple[Labels, Inputs]:
    """File name -> class from the devkit's ground truth, whose ids are mapped through the
    ``meta.mat`` beside it.

    :class:`InputError` when ``meta.mat`` is missing: without it the ids cannot be turned into
    classes.
    """
    if synsets or order:
        raise InputError(
            "--synsets and --order go with a tree of class folders; the devkit has its own meta.mat"
        )
    lines = read_text(path, "devkit ground truth").split("\n")
    ids = [_id_of(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not ids:
        raise InputError(f"'{path}' is empty: one ILSVRC2012_ID a line was expected")
    meta = existing_file(
        path.with_name("meta.mat"),
        "the devkit's meta.mat (the ids in the ground truth mean nothing without it)",
    )
    classes = _classes_of_ids(meta)
    unknown = next((i for i in ids if i not in classes), None)
    if unknown is not None:
        raise InputError(
            f"'{path}' has the id {unknown}, which '{meta}' does not know as one of its"
            f" {len(classes)} classes; take both of one devkit"
        )
    return (
        {f"ILSVRC2012_val_{number:08d}.JPEG": classes[i] for number, i in enumerate(ids, start=1)},
        {"ground_truth": [path], "meta": [meta]},
    )


def _id_of(line: str, path: Path, number: int) -> int:
    text = line.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(
            f"'{path}', line {number}: one whole number was expected, as in"
            " ILSVRC2012_validation_ground_truth.txt"
        )
    if int(text) < 1:
        raise InputError(
            f"'{path}', line {number}: ILSVRC2012 ids begin at 1; this file has classes already, or"
            " is another one"
        )
    return int(text)


def _classes_of_ids(meta: Path) -> dict[int, int]:
    """ILSVRC2012_ID -> class, for the synsets of ``meta.mat`` without children (its structure: the
    devkit's readme.txt).
    """
    from scipy.io import loadmat

    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        leaves = [
            (int(s["ILSVRC2012_ID"]), str(s["WNID"]))
            for s in synsets
            if int(s["num_children"]) == 0
        ]
    # a damaged file ends in any of SciPy's own errors, KeyError, ValueError, TypeError, IndexError,
    # struct.error
    except Exception as error:
        raise InputError(
            f"'{meta}' is not the meta.mat of the ILSVRC2012 devkit ({error}); take it from"
            " ILSVRC2012_devkit_t12/data"
        ) from error
    order = {wnid: index for index, wnid in enumerate(sorted(wnid for _, wnid in leaves))}
    return {number: order[wnid] for number, wnid in leaves}


def write_labels(path: Path, labels: Labels, inputs: Inputs) -> None:
    """Write the list, sorted by file name, and its sidecar; do nothing when it is there already."""
    text = "".join(f"{name} {label}\n" for name, label in sorted(labels.items()))
    blank = next((name for name in labels if any(c.isspace() for c in name)), None)
    if blank is not None:
        raise InputError(
            f"'{blank}' has a blank in its name, which a label list cannot hold; rename it"
        )
    work = Work(
        "labels",
        path,
        inputs=inputs,
        parameters={"sha256": hashlib.sha256(text.encode()).hexdigest()},
    )
    if work.is_done():
        return
    work.begin()
    write_text(path, text)
    work.finish([path], {"images": len(labels), "classes": len(set(labels.values()))})
    progress.say(f"labels: {len(labels)} images of {len(set(labels.values()))} classes in {path}")
