"""Good files of tasks other than classification, and the code that reads them: all the way to the
figures.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RUNS = {"size": [40, 30], "counts": [100, 60, 1040]}
POINTS = [float(x) for i in range(17) for x in (i, 2 * i, 2)]
TRUTH: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "height": 40, "width": 30},
        {"id": 2, "file_name": "b.jpg", "height": 40, "width": 30},
    ],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1.5, 2, 10, 12],
            "area": 100.0,
            "iscrowd": 0,
            "segmentation": [[1.0, 2, 11, 2, 11, 14, 1, 14]],
            "keypoints": POINTS,
            "num_keypoints": 17,
        },
        {
            "id": 2,
            "image_id": 2,
            "category_id": 1,
            "bbox": [0, 0, 5, 5],
            "area": 25.0,
            "iscrowd": 1,
            "segmentation": RUNS,
            "keypoints": POINTS,
            "num_keypoints": 0,
        },
    ],
}
FOUND = [
    {
        "image_id": 1,
        "category_id": 1,
        "bbox": [1, 2, 10, 12.5],
        "score": 0.75,
        "segmentation": {"size": [40, 30], "counts": "Z1<l000000000000000000fg0"},
        "keypoints": POINTS,
    }
]
VOC = """<annotation><filename>a.jpg</filename><size><width>30</width><height>40</height></size>
<object><name>dog</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>11</xmax><ymax>14</ymax></bndbox></object></annotation>
"""
VOC_FOUND = "a 0.75 1 2 11 13.5\na 0.25 3 4 5 6\n"


def _as_json(data: object) -> bytes:
    return json.dumps(data).encode()


def _evaluated(task: str, truth: str, found: str) -> Callable[[Path], object]:
    """Evaluate the file that is read with the good one beside it. Both names are relative to the
    folder of the path that is read.
    """

    def read(path: Path) -> object:
        from portproof.metrics.evaluation.evaluate import evaluate

        folder = path.parent
        return evaluate(folder / found, folder / truth, task)

    return read


def _beside(**files: bytes) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for name, data in files.items():
            place = folder / name.replace("__", "/").replace("_dot_", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)

    return prepare


def _outcomes() -> bytes:
    from portproof.metrics.evaluation.contributions import About, Contributions, write_outcomes
    from portproof.metrics.truth import truth_digest

    part = {
        "score": np.array([0.75]),
        "category": np.array([1]),
        "rank": np.array([0]),
        "matches": np.array([[3, 3, 0, 0]], np.uint16),
        "ignored": np.array([[0, 0, 3, 3]], np.uint16),
        "truth_category": np.array([1]),
        "truth_count": np.array([[1, 1, 0, 0]]),
    }
    with tempfile.TemporaryDirectory() as folder:
        truth, out = Path(folder, "truth.json"), Path(folder, "o.npz")
        truth.write_bytes(_as_json(TRUTH))
        about = About(
            task="detection", ids=["a", "b"], truth=truth_digest([truth]), truth_samples=2
        )
        write_outcomes(out, Contributions.of(["a", "b"], [part, part]), about)
        return out.read_bytes()


def task_files() -> list[tuple[str, str, bytes, Callable[[Path], object], Callable[[Path], None]]]:
    """Label, file name, good bytes, reader, and what makes the files beside it."""
    truth, found = _as_json(TRUTH), _as_json(FOUND)
    kinds = []
    for task in ("detection", "instance_segmentation", "keypoints"):
        read = _evaluated(task, "truth.json", "found.json")
        kinds += [
            (f"truth of {task}", "truth.json", truth, read, _beside(found_dot_json=found)),
            (f"ready {task}", "found.json", found, read, _beside(truth_dot_json=truth)),
        ]
    voc = _evaluated("voc_detection", ".", "../found")
    results = _evaluated("voc_detection", "../xml", ".")
    return [
        *kinds,
        ("VOC annotation", "xml/a.xml", VOC.encode(), voc,
         _beside(found__x_dog_dot_txt=VOC_FOUND.encode())),
        ("VOC results", "found/x_dog.txt", VOC_FOUND.encode(), results,
         _beside(xml__a_dot_xml=VOC.encode())),
        ("outcomes of a task", "o.npz", _outcomes(),
         _evaluated("detection", "truth.json", "o.npz"), _beside(truth_dot_json=truth)),
    ]  # fmt: skip
