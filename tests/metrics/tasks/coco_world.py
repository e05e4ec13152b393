"""Images with objects and detections at random, as COCO's JSON."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

Document = dict[str, Any]


def make(
    seed: int, images: int = 20, classes: int = 3, side: int = 300
) -> tuple[Document, list[Document]]:
    """Annotations (with crowds, empty images, an empty category) and detections (with ties)."""
    r = np.random.default_rng(seed)
    listed = [
        {"id": i * 7 % 1009 + 1, "file_name": f"im{i}.jpg", "height": side, "width": side}
        for i in range(images)
    ]
    objects: list[Document] = []
    found: list[Document] = []
    for image in listed:
        for _ in range(int(r.integers(0, 6))):
            w, h = r.integers(3, 2 * side // 3, 2).tolist()
            x, y = r.integers(0, 2 * side // 3, 2).tolist()
            label = int(r.integers(1, classes + 1))
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image["id"],
                    "category_id": label,
                    "bbox": [x, y, w, h],
                    "area": float(w * h * r.choice([1, 0.6])),
                    "iscrowd": int(r.random() < 0.1),
                }
            )
            for _ in range(int(r.integers(0, 4))):
                moved = np.array([x, y, w, h]) + r.integers(-15, 16, 4)
                found.append(
                    {
                        "image_id": image["id"],
                        "category_id": label
                        if r.random() < 0.8
                        else int(r.integers(1, classes + 1)),
                        "bbox": [*moved[:2].tolist(), *np.maximum(moved[2:], 1).tolist()],
                        "score": float(r.integers(1, 12) / 12),
                    }
                )
    categories = [{"id": k, "name": f"c{k}"} for k in range(1, classes + 2)]
    return {"images": listed, "categories": categories, "annotations": objects}, found


def write(folder: Path, truth: Document, found: list[Document]) -> tuple[Path, Path]:
    """The two files."""
    paths = folder / "truth.json", folder / "found.json"
    for path, document in zip(paths, (truth, found), strict=True):
        path.write_text(json.dumps(document))
    return paths


def by_pycocotools(truth: Path, found: Path, kind: str) -> np.ndarray:
    """What ``summarize`` gives: -1 where a figure is not defined."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        document = COCO(str(truth))
        judged = COCOeval(document, document.loadRes(str(found)), kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.asarray(judged.stats)


def by_faster(truth: Path, found: Path, kind: str) -> np.ndarray:
    """The same by the C++ of faster-coco-eval."""
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster as COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        document = COCO(str(truth))
        judged = COCOeval(document, document.loadRes(str(found)), kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.asarray(judged.stats)[: 12 if kind != "keypoints" else 10]


def ellipse(box: list[float], side: int) -> list[list[float]]:
    """A polygon of twelve corners inside a box."""
    x, y, w, h = box
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    corners = np.stack(
        [x + w / 2 + w / 2 * np.cos(angles), y + h / 2 + h / 2 * np.sin(angles)], axis=1
    )
    return [np.clip(corners, 0, side).round(2).reshape(-1).tolist()]


def with_masks(truth: Document, found: list[Document], side: int = 300) -> None:
    """Give objects polygons (crowds run lengths), and detections compressed run lengths."""
    from pycocotools import mask

    for one in truth["annotations"]:
        polygons = ellipse(one["bbox"], side)
        whole = mask.merge(mask.frPyObjects(polygons, side, side))
        one["area"] = float(mask.area(whole))
        one["segmentation"] = polygons
        if one["iscrowd"]:
            flat = mask.decode(whole).reshape(-1, order="F")
            ends = np.flatnonzero(np.diff(flat)) + 1
            runs = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
            counts = [0, *runs] if flat[0] else runs
            one["segmentation"] = {"size": [side, side], "counts": counts}
    for one in found:  # with a box beside the mask, pycocotools takes the box's area
        whole = mask.merge(mask.frPyObjects(ellipse(one.pop("bbox"), side), side, side))
        one["segmentation"] = {"size": [side, side], "counts": whole["counts"].decode()}


def with_keypoints(truth: Document, found: list[Document], seed: int) -> None:
    """Give objects 17 keypoints, some or all not labelled, and detections such near some object."""
    r = np.random.default_rng(seed)
    by_image: dict[int, list[list[float]]] = {}
    for one in truth["annotations"]:
        x, y, w, h = one["bbox"]
        points = np.stack([r.uniform(x, x + w, 17), r.uniform(y, y + h, 17)], axis=1)
        seen = r.integers(0, 3, 17) * (r.random() < 0.85)
        one["keypoints"] = np.column_stack([points.round(1), seen]).reshape(-1).tolist()
        one["num_keypoints"] = int((seen > 0).sum())
        by_image.setdefault(one["image_id"], []).append(points)  # type: ignore[arg-type]
    for one in found:
        near = by_image[one["image_id"]]
        points = np.asarray(near[int(r.integers(len(near)))])
        moved = points + r.normal(0, r.choice([1, 5, 20]), points.shape)
        one["keypoints"] = np.column_stack([moved.round(1), np.ones(17)]).reshape(-1).tolist()
        del one["bbox"]
