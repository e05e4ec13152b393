"""Two models that no example has, with random weights and their own answers as the truth: a
classifier of pairs of texts, with token types, and a detector of COCO's 80 classes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

COUNT, LENGTH, WORDS, CLASSES = 60, 16, 40, 5
SIDE, CELLS, BOXES = 16, 24, 80
#: COCO's ids of its 80 classes: those of 1 to 90 without these.
COCO = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
Array = Any

PAIRS = f"""\
name: pairs
builder: model.py:build
inputs:
  - {{name: ids, shape: [{LENGTH}], dtype: int64, layout: ND}}
  - {{name: mask, shape: [{LENGTH}], dtype: int64, layout: ND}}
  - {{name: types, shape: [{LENGTH}], dtype: int64, layout: ND}}
outputs: [{{name: relation, shape: [{CLASSES}]}}]
sequence:
  kind: tokens
  vocabulary: words.txt
  length: {LENGTH}
  algorithm: words
  parts: [ids, mask, types]
task: text_classification
postprocess: {{kind: classes}}
"""
DETECTOR = f"""\
name: coco
builder: model.py:build
inputs: [{{name: image, shape: [3, {SIDE}, {SIDE}]}}]
outputs: [{{name: rows, shape: [{CELLS}, {4 + BOXES}]}}]
recipe:
  resize: {{rule: exact, size: [{SIDE}, {SIDE}]}}
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
task: detection
postprocess:
  kind: boxes
  format: cxcywh
  score_threshold: 0.6
  iou_threshold: 0.6
  class_ids: coco80
"""


def pairs(folder: Path) -> None:
    """Topics of pairs of words: embeddings that differ by place and by token type."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(WORDS))]
    (folder / "words.txt").write_text("".join(f"{w}\n" for w in words))
    (folder / "pairs.yaml").write_text(PAIRS)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["found"]),
        helper.make_node("Gather", ["kinds", "types"], ["kind"]),
        helper.make_node("Mul", ["found", "kind"], ["typed"]),
        helper.make_node("Mul", ["typed", "places"], ["placed"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept"], ["wide"], axes=[2]),
        helper.make_node("Mul", ["placed", "wide"], ["masked"]),
        helper.make_node("ReduceSum", ["masked"], ["sum"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["sum", "last"], ["relation"]),
    ]
    _save(
        folder / "model.onnx",
        nodes,
        [(n, TensorProto.INT64, (LENGTH,)) for n in ("ids", "mask", "types")],
        ("relation", (CLASSES,)),
        table=rng.standard_normal((len(words), 8)),
        kinds=rng.standard_normal((2, 8)),
        places=rng.uniform(0.2, 1, (1, LENGTH, 8)),
        last=rng.standard_normal((8, CLASSES)),
    )
    texts = [[rng.integers(0, WORDS, int(rng.integers(2, 6))) for _ in "ab"] for _ in range(COUNT)]
    lines = [
        {"id": f"s{i:02d}", **{n: " ".join(f"w{w}" for w in t)
                              for n, t in zip(("text", "pair"), both, strict=True)}}
        for i, both in enumerate(texts)
    ]  # fmt: skip
    (folder / "val.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    feeds = {n: np.zeros((COUNT, LENGTH), np.int64) for n in ("ids", "mask", "types")}
    for i, (first, second) in enumerate(texts):
        tokens = [2, *(first + 4), 3, *(second + 4), 3]
        feeds["ids"][i, : len(tokens)] = tokens
        feeds["mask"][i, : len(tokens)] = 1
        feeds["types"][i, len(first) + 2 : len(tokens)] = 1
    said = _run(folder / "model.onnx", feeds).argmax(axis=1)
    (folder / "val_label.txt").write_text("".join(f"s{i:02d} {c}\n" for i, c in enumerate(said)))


def coco(folder: Path) -> None:
    """Boxes of 80 classes; every picture's truth is its best one."""
    (folder / "val").mkdir(parents=True, exist_ok=True)
    (folder / "coco.yaml").write_text(DETECTOR)
    rng = np.random.default_rng(6)
    wide, row = 3 * SIDE * SIDE, 4 + BOXES
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["line"]),
        helper.make_node("Reshape", ["line", "shape"], ["raw"]),
        helper.make_node("Add", ["raw", "shift"], ["moved"]),
        helper.make_node("Sigmoid", ["moved"], ["unit"]),
        helper.make_node("Mul", ["unit", "scale"], ["rows"]),
    ]
    _save(
        folder / "model.onnx",
        nodes,
        [("image", TensorProto.FLOAT, (3, SIDE, SIDE))],
        ("rows", (CELLS, row)),
        w=rng.standard_normal((wide, CELLS * row)) / 12,
        shape=np.array([-1, CELLS, row], np.int64),
        shift=np.array([0, 0, 0, 0, *[-3.5] * BOXES]),
        scale=np.array([SIDE, SIDE, SIDE / 2, SIDE / 2, *[1] * BOXES]),
    )
    pixels = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    values = ((pixels / np.float32(255) - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32)
    rows = _run(folder / "model.onnx", {"image": values})
    truth: dict[str, list[Any]] = {
        "images": [], "annotations": [], "categories": [{"id": c, "name": str(c)} for c in COCO],
    }  # fmt: skip
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"val/s{i:02d}.png")
        name = f"s{i:02d}.png"
        truth["images"].append({"id": i, "file_name": name, "width": SIDE, "height": SIDE})
        best = rows[i][rows[i][:, 4:].max(axis=1).argmax()]
        x, y, w, h = map(float, best[:4])
        left, top = max(x - w / 2, 0), max(y - h / 2, 0)
        w, h = min(x + w / 2, SIDE) - left, min(y + h / 2, SIDE) - top
        truth["annotations"].append({
            "id": i + 1, "image_id": i, "category_id": COCO[int(best[4:].argmax())], "iscrowd": 0,
            "bbox": [left, top, w, h], "area": w * h,
        })  # fmt: skip
    (folder / "val.json").write_text(json.dumps(truth))


def _save(
    path: Path,
    nodes: list[Any],
    inputs: list[tuple[str, int, tuple[int, ...]]],
    output: tuple[str, tuple[int, ...]],
    **weights: Array,
) -> None:
    arrays = {n: a if a.dtype == np.int64 else a.astype(np.float32) for n, a in weights.items()}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(n, kind, ["batch", *shape]) for n, kind, shape in inputs],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, ["batch", *output[1]])],
        [numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def _run(model: Path, feeds: dict[str, Array]) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]
