"""Plant faults in ports of the examples' detector, segmenter, recogniser and classifier of text,
and of two small models made here, and see whether ``metrics/diagnose.py`` names them.

``RUNS`` holds finished ports of the examples, ``run-NAME`` each (``port --example NAME``).
Faults of inputs and outputs are planted in raw results, those of post-processing in predictions.

Example: ``python benchmarks/faults_tasks.py runs/ --out benchmarks/results/faults_tasks.md``
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")
sys.path.insert(1, str(Path(__file__).resolve().parent))

import msgspec
from faults_tasks_made import coco, pairs
from PIL import Image

from portproof.core.errors import InputError
from portproof.metrics.diagnosis.look import spread
from portproof.metrics.diagnosis.tasks.explain import diagnose_task
from portproof.metrics.diagnosis.tasks.sides import Inputs, Judge, Runner
from portproof.metrics.evaluation.task_choice import card_of
from portproof.metrics.tasks import load_task
from portproof.postprocess import Frame

LIMIT = 120
DATA = {
    "detector": ("val", "val.json"),
    "segmenter": ("val", "val_masks"),
    "recogniser": ("val", "val.txt"),
    "text_classifier": ("val.tsv", "val_label.txt"),
    "pairs": ("val.jsonl", "val_label.txt"),
    "coco": ("val", "val.json"),
}
#: Networks that are made here.
MADE = {"pairs": pairs, "coco": coco}
Array = Any


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a))."""
    return 1 / (1 + np.exp(-a))


def logit(a: Array) -> Array:
    """The inverse of :func:`sigmoid`."""
    return np.log(np.clip(a, 1e-7, 1 - 1e-7) / (1 - np.clip(a, 1e-7, 1 - 1e-7)))


def columns(part: slice, change: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A change of some columns of rows."""

    def made(rows: Array) -> Array:
        rows = rows.copy()
        rows[:, part] = change(rows[:, part])
        return rows

    return made


def corners(b: Array) -> Array:
    """Centre and size as corners."""
    return np.hstack([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2])


GRID = np.arange(64).reshape(8, 8).T.ravel()
#: Network -> name of a fault -> right names, and the change of one output.
OUTPUTS: dict[str, dict[str, tuple[str, Callable[[Array], Array]]]] = {
    "detector": {
        "xyxy for cxcywh": ("box-format", columns(slice(0, 4), corners)),
        "xywh for cxcywh": ("box-format", columns(slice(0, 4), lambda b: np.hstack(
            [b[:, :2] - b[:, 2:] / 2, b[:, 2:]]))),
        "sigmoid missing": ("sigmoid", columns(slice(4, None), logit)),
        "sigmoid twice": ("sigmoid", columns(slice(4, None), sigmoid)),
        "boxes of other cells": ("anchor-order", columns(slice(0, 4), lambda b: b[GRID])),
        "scores of other cells": ("anchor-order", columns(slice(4, None), lambda b: b[::-1])),
        "stride missing": ("box-scale", columns(slice(0, 4), lambda b: b / 8)),
        "classes moved": ("class-columns", columns(slice(5, None), lambda c: np.roll(c, 1, 1))),
    },
    "segmenter": {
        "classes moved": ("class-columns", lambda a: np.roll(a, 1, axis=0)),
        "softmax of rows": ("sigmoid", lambda a: np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)),
        "channels last": ("output-axes", lambda a: a.transpose(1, 2, 0).reshape(a.shape)),
        "transposed": ("output-axes", lambda a: a.transpose(0, 2, 1)),
    },
    "recogniser": {"transposed": ("output-axes", lambda a: a.T.reshape(a.shape))},
    "text_classifier": {"classes moved": ("class-columns", lambda a: np.roll(a, 1))},
    "pairs": {"classes moved": ("class-columns", lambda a: np.roll(a, 1))},
    "coco": {
        "sigmoid twice": ("sigmoid", columns(slice(4, None), sigmoid)),
        "classes moved": ("class-columns", columns(slice(4, None), lambda c: np.roll(c, 1, 1))),
    },
}  # fmt: skip


def _right(parts: dict[str, Array], which: tuple[str, ...]) -> dict[str, Array]:
    count = int(parts["mask"].sum())
    return {n: np.roll(a, len(a) - count) if n in which else a for n, a in parts.items()}


#: Faults of token ids and masks.
TOKENS: dict[str, tuple[str, Callable[[dict[str, Array]], dict[str, Array]]]] = {
    "padded at the left": ("padding-side", lambda p: _right(p, ("ids", "mask"))),
    "ids padded at the left": ("padding-side", lambda p: _right(p, ("ids",))),
    "mask of ones": ("mask-missing", lambda p: {**p, "mask": np.ones_like(p["mask"])}),
    "mask of zeros": ("mask-missing", lambda p: {**p, "mask": np.zeros_like(p["mask"])}),
    "inputs exchanged": (
        "inputs-exchanged", lambda p: {**p, "ids": p["mask"], "mask": p["ids"]}),
    "another vocabulary": ("vocabulary", lambda p: {**p, "ids": np.maximum(p["ids"] - 1, 0)}),
}  # fmt: skip
#: Faults of token types, for models that have them.
TYPES: dict[str, tuple[str, Callable[[dict[str, Array]], dict[str, Array]]]] = {
    "token types swapped": (
        "token-types",
        lambda p: {**p, "types": np.where(p["mask"] > 0, 1 - p["types"], 0)},
    ),
    "token types swapped, padding too": (
        "token-types", lambda p: {**p, "types": 1 - p["types"]}),
    "token types of zeros": (
        "token-types", lambda p: {**p, "types": np.zeros_like(p["types"])}),
    "mask and types exchanged": (
        "inputs-exchanged", lambda p: {**p, "mask": p["types"], "types": p["mask"]}),
    "types from the separator on": (
        "token-types", lambda p: {**p, "types": np.roll(p["types"], -1)}),
}  # fmt: skip
#: Network -> name -> right names, changed fields of the record, or of the recipe.
RECORDS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "detector": {
        "xyxy": ("box-format", {"format": "xyxy"}),
        "xywh": ("box-format", {"format": "xywh"}),
        "score threshold 0.5": ("score-threshold", {"score_threshold": 0.5}),
        "score threshold 0.25": ("score-threshold", {"score_threshold": 0.25}),
        "no suppression": ("nms-threshold", {"iou_threshold": None}),
        "suppression at 0.9": ("nms-threshold", {"iou_threshold": 0.9}),
        "suppression at 0.3": ("nms-threshold", {"iou_threshold": 0.3}),
        "stretched frame": ("letterbox-stretch", {"frame": Frame(rule="stretch")}),
        "upper left frame": (
            "letterbox-stretch", {"frame": Frame(rule="letterbox", place="top_left")}),
        "classes reversed": ("class-ids", {"class_ids": tuple(range(10))[::-1]}),
        "a sigmoid more": ("activation-missing", {"activation": "sigmoid"}),
        "xyxy, threshold 0.5": (
            "box-format score-threshold", {"format": "xyxy", "score_threshold": 0.5}),
    },
    "segmenter": {
        "ids resized": ("map-resize", {"resize": "nearest"}),
        "background ignored": ("class-ids", {"class_ids": (255, *range(1, 11))}),
        "classes from 1": ("class-ids", {"class_ids": tuple(range(1, 12))}),
    },
    "recogniser": {
        "blank last": ("ctc-blank", {"blank": -1}),
        "alphabet turned": ("alphabet", {"symbols": tuple("1234567890")}),
    },
    "text_classifier": {"classes reversed": ("class-ids", {"class_ids": (3, 2, 1, 0)})},
    "pairs": {"classes reversed": ("class-ids", {"class_ids": (4, 3, 2, 1, 0)})},
    "coco": {
        "80 from 0": ("class-ids", {"class_ids": "same"}),
        "80 from 1": ("class-ids", {"class_ids": tuple(range(1, 81))}),
        "91 from 0": ("class-ids", {"class_ids": tuple(
            i for i in range(90) if i + 1 not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))}),
        "in any order": ("class-ids", {"class_ids": tuple(
            np.random.default_rng(1).permutation(80).tolist())}),
        "score threshold 0.7": ("score-threshold", {"score_threshold": 0.7}),
    },
}  # fmt: skip


@dataclass
class Port:
    """A finished port of an example."""

    name: str
    folder: Path
    work: Path

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        home, data = ROOT / "examples" / self.name, self.folder / "data"
        if self.name in MADE:
            MADE[self.name](self.folder)
            home = data = self.folder
        self.card_path = str(home / f"{self.name}.yaml")
        self.card = card_of(self.card_path)
        self.images, self.truth_path = (data / n for n in DATA[self.name])
        self.model = self.folder / "model.onnx"
        self.task = load_task(self.card.task)
        self.truth = self.task.read_truth(self.truth_path)
        self.inputs = Inputs(self.card, self.images, list(self.truth.samples))
        self.inputs.keep(spread(len(self.inputs.ids), LIMIT))
        self.runner = Runner(self.model, self.card_path)
        self.judge = Judge(self.task, self.truth, self.card, Path(self.card_path).parent)
        self.arrays = self.inputs.arrays(LIMIT)
        self.right = self.runner.run(self.arrays)

    def diagnose(self, result: Path) -> Any:
        """What the diagnosis says of these results or predictions."""
        with contextlib.redirect_stderr(io.StringIO()):
            return diagnose_task(
                self.card_path, self.model, self.images, self.truth_path, result, limit=LIMIT
            )

    def results(self, outputs: list[dict[str, Array]]) -> Path:
        """Raw results in a folder."""
        folder = self.work / "result"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for sample, made in zip(self.inputs.ids, outputs, strict=True):
            for number, array in enumerate(made.values(), start=1):
                array.astype("<f4").tofile(folder / f"{sample}_{number}.bin")
        return folder

    def predictions(self, changed: dict[str, Any]) -> Path:
        """Ready predictions by a changed record."""
        record = msgspec.structs.replace(self.card.postprocess, **changed)  # type: ignore[type-var]
        decode = self.judge.decode(record)
        made = {
            i: decode(o, self.judge.sample(i, record))
            for i, o in zip(self.inputs.ids, self.right, strict=True)
        }
        return WRITERS[self.name](self.work, made, self.truth)


def _coco(work: Path, made: dict[str, Any], truth: Any) -> Path:
    numbers = {sample: number for number, sample in truth.facts.get("images", {}).items()}
    entries = [
        {"image_id": numbers.get(i, i), "category_id": int(c), "bbox": [float(v) for v in b],
         "score": float(s)}
        for i, d in made.items()
        for b, s, c in zip(d.boxes, d.scores, d.labels, strict=True)
        if min(b[2:]) >= 0  # the form has no others
    ]  # fmt: skip
    path = work / "detections.json"
    path.write_text(json.dumps(entries))
    return path


def _masks(work: Path, made: dict[str, Any], truth: Any) -> Path:
    folder = work / "masks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for i, ids in made.items():
        Image.fromarray(ids.astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def _texts(work: Path, made: dict[str, Any], truth: Any) -> Path:
    path = work / "texts.txt"
    path.write_text("".join(f"{i}\t{text}\n" for i, text in made.items()))
    return path


def _classes(work: Path, made: dict[str, Any], truth: Any) -> Path:
    path = work / "classes.txt"
    path.write_text("".join(f"{i} {c}\n" for i, c in made.items()))
    return path


WRITERS = {
    "detector": _coco,
    "segmenter": _masks,
    "recogniser": _texts,
    "text_classifier": _classes,
    "pairs": _classes,
    "coco": _coco,
}


def planted(port: Port) -> Iterator[tuple[str, str, Path]]:
    """Name, right names (none for a sound port), and results or predictions."""
    yield "sound", "", port.results(port.right)
    noise = np.random.default_rng(3)
    halves = [{n: a.astype(np.float16) for n, a in o.items()} for o in port.right]
    yield "sound, fp16", "", port.results(halves)
    rough = [{n: a + 0.02 * a.std() * noise.standard_normal(a.shape) for n, a in o.items()}
             for o in port.right]  # fmt: skip
    yield "sound, noise of 8 bits", "", port.results(rough)
    yield "sound predictions", "", port.predictions({})
    for name, (right, change) in OUTPUTS[port.name].items():
        yield (
            f"outputs: {name}",
            right,
            port.results([{n: change(a) for n, a in o.items()} for o in port.right]),
        )
    if port.inputs.parts:
        faults = {**TOKENS, **(TYPES if "types" in port.inputs.parts else {})}
        for name, (right, tokens) in faults.items():
            parts = [tokens(dict(zip(port.inputs.parts, a, strict=True))) for a in port.arrays]
            made = port.runner.run([[p[n] for n in port.inputs.parts] for p in parts])
            if all(
                np.allclose(a[n], b[n], 2e-3, 2e-3)
                for a, b in zip(made, port.right, strict=True)
                for n in a
            ):
                continue  # the model does not see it
            yield f"inputs: {name}", right, port.results(made)
    else:
        flipped = [[a[0][::-1].copy()] for a in port.arrays]
        yield "inputs: BGR", "channel-order", port.results(port.runner.run(flipped))
        mirrored = [[a[0][..., ::-1].copy()] for a in port.arrays]
        yield "inputs: mirrored", "mirrored", port.results(port.runner.run(mirrored))
        if port.name == "detector":
            yield (
                "inputs: stretched",
                "resize-crop letterbox-stretch",
                port.results(port.runner.run(_stretched(port))),
            )
    for name, (right, changed) in RECORDS[port.name].items():
        yield f"predictions: {name}", right, port.predictions(changed)


def _stretched(port: Port) -> list[list[Array]]:
    made = []
    paths = {p.name.split(".")[0]: p for p in port.images.iterdir()}
    for i in port.inputs.ids:
        image = Image.open(paths[i]).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
        made.append([np.asarray(image, np.float32).transpose(2, 0, 1) / 255])
    return made


def main() -> None:
    """Plant, diagnose, print."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("runs", type=Path)
    p.add_argument("--network", choices=list(DATA), action="append")
    p.add_argument("--only", default="", help="faults whose name holds this")
    p.add_argument("--out", type=Path)
    options = p.parse_args()
    lines = [
        "| network | planted | detected | named | said | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name in options.network or DATA:
        folder = options.runs / f"{'made' if name in MADE else 'run'}-{name}"
        port = Port(name, folder, options.runs / "planted")
        for words, right, result in planted(port):
            if options.only not in words:
                continue
            began = time.monotonic()
            try:
                said = port.diagnose(result)
                names = [n for f in said.faults for n in (f.fault, *f.alike)]
            except InputError:
                names = ["refused"]
            good = bool({*right.split()} & {*names}) if right else not names
            lines.append(
                f"| {name} | {words} | {'yes' if names else 'no'} | {'yes' if good else 'NO'} |"
                f" {', '.join(names) or 'none'} | {time.monotonic() - began:.1f} |"
            )
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
