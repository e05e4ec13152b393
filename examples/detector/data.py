"""Write canvases with one to four digits, and their boxes in COCO's form."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import Digits, data_command, write_image

from portproof.core.files import write_text

SIZES = {"train": 2000, "val": 600}


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The canvases of a part and its annotations."""
    digits, files = Digits(part), list[Path]()
    images, annotations = list[dict](), list[dict]()
    for number in range(1, count + 1):
        height, width = (int(side) for side in rng.integers(48, 97, 2))
        drawn = digits.canvas(rng, (height, width), rng.integers(16, 30, rng.integers(1, 5)))
        name = f"canvas_{part}_{number:05d}.JPEG"
        files.append(write_image(out / part / name, drawn.pixels, quality=95))
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for box, digit in zip(drawn.boxes, drawn.digits, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": digit,
                    "bbox": list(box),
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
    truth = {"images": images, "categories": categories, "annotations": annotations}
    write_text(out / f"{part}.json", json.dumps(truth))
    return [*files, out / f"{part}.json"]


if __name__ == "__main__":
    data_command("Write canvases with digits, and their boxes.", SIZES, write, __file__)
