"""What became of single samples: flips with their pictures, and the classes that changed most."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core.files import write_bytes
from portproof.manifest import sample_id
from portproof.reports.port.data import RunData
from portproof.rundir.layout import REFERENCE

#: Where the small pictures are, in the run directory; sealed by the report like its other files.
FOLDER = "report/flips"
_SIDE, _CLASSES_SHOWN = 96, 12


def write_flips(data: RunData) -> None:
    """Write a small picture of every flip that is shown, where its image is on this host. Those of
    before stay: the page is made of these files, here and on a host without the images.
    """
    from PIL import Image

    stage = data.stage(data.files.prep)
    records = stage.proof.inputs.get("images", []) if stage else []
    images = {sample_id(r.path): data.root / r.path for r in records}
    for label, compared in data.comparisons.items():
        for flip in compared.worst_flips:
            source, target = images.get(flip.id), data.root / picture_of(label, flip.id)
            if source is None or not source.is_file() or target.is_file():
                continue
            buffer = io.BytesIO()
            with Image.open(source) as image:
                small = image.convert("RGB")
                small.thumbnail((_SIDE, _SIDE))
                small.save(buffer, "PNG")
            write_bytes(target, buffer.getvalue())


def picture_of(label: str, sample: str) -> str:
    """The small picture of a sample, relative to the run directory."""
    return f"{FOLDER}/{label}/{Path(sample).name}.png"


def flip_rows(data: RunData, label: str) -> Iterator[dict[str, Any]]:
    """The worst flips of a label: id, picture (a data address, or None), and the three classes by
    name.
    """
    for flip in data.comparisons[label].worst_flips:
        path = data.root / picture_of(label, flip.id)
        source = None
        if path.is_file():
            source = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        yield {
            "id": flip.id,
            "source": source,
            "label": class_name(data, flip.label),
            "reference": class_name(data, flip.reference_predicted),
            "port": class_name(data, flip.port_predicted),
            "reference_margin": flip.reference_margin,
            "port_margin": flip.port_margin,
        }


def class_name(data: RunData, index: int) -> str:
    """A class as the card names it, with its number; the number alone without a name."""
    names = data.card.class_names if data.card else ()
    return f"{index} {names[index]}" if 0 <= index < len(names) else str(index)


def class_rows(data: RunData, label: str) -> list[dict[str, Any]]:
    """The classes whose accuracy changed most between reference and port: samples, right ones of
    both, and the change in percentage points; those that did not change are left out.
    """
    batch = data.files.accuracy_batch
    one, other = data.outcomes(REFERENCE, batch), data.outcomes(label, batch)
    if one is None or other is None or one.ids != other.ids:
        return []
    rows: list[dict[str, Any]] = []
    for index in np.unique(one.label).tolist():
        mine = one.label == index
        right, port = int((one.right & mine).sum()), int((other.right & mine).sum())
        if right != port:
            count = int(mine.sum())
            change = 100 * (port - right) / count
            row = {"name": class_name(data, index), "samples": count, "reference": right}
            rows.append(row | {"port": port, "change": change})
    return sorted(rows, key=lambda row: (-abs(row["change"]), row["name"]))[:_CLASSES_SHOWN]
