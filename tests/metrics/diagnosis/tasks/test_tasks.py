"""Faults of ports of a classifier of texts, a segmenter and a detector, with random weights; what is
wrong is done here by numpy, onnxruntime and json alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from portproof.metrics.diagnosis.explain import Diagnosis
from portproof.metrics.diagnosis.tasks.explain import diagnose_task

COUNT, LENGTH, WORDS, TOPICS = 40, 12, 30, 5
SIDE, CLASSES, CELLS = 16, 4, 16
Array = Any


def save(path: Path, nodes: list[Any], inputs: list[Any], output: Any, **weights: Array) -> None:
    constants = [numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in weights.items()]
    graph = helper.make_graph(nodes, "net", inputs, [output], constants)
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def tensor(name: str, kind: int, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


class Port:
    """A model, its truth and a place for results."""

    def __init__(self, folder: Path, card: str) -> None:
        self.folder, self.card, self.model = folder, folder / "card.yaml", folder / "m.onnx"
        self.card.write_text(card, "ascii")
        self.truth, self.images = folder / "truth", folder / "val"

    def run(self, **feeds: Array) -> Array:
        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)[0]

    def diagnose(self, outputs: Array | Path) -> Diagnosis:
        result = outputs
        if not isinstance(outputs, Path):
            result = self.folder / "result"
            result.mkdir(exist_ok=True)
            for i, row in enumerate(outputs):
                row.astype("<f4").tofile(result / f"s{i:02d}_1.bin")
        return diagnose_task(str(self.card), self.model, self.images, self.truth, result)


# ---- texts
@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Port:
    """Logits of the mean over tokens of embeddings that differ by place."""
    port = Port(
        tmp_path_factory.mktemp("texts"),
        f"""\
name: texts
builder: m.py:build
inputs:
  - {{name: ids, shape: [{LENGTH}], dtype: int64, layout: ND}}
  - {{name: mask, shape: [{LENGTH}], dtype: int64, layout: ND}}
outputs: [{{name: topic, shape: [{TOPICS}]}}]
sequence: {{kind: tokens, vocabulary: words.txt, length: {LENGTH}, algorithm: words}}
task: text_classification
postprocess: {{kind: classes}}
""",
    )
    rng = np.random.default_rng(2)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(WORDS))]
    (port.folder / "words.txt").write_text("".join(f"{w}\n" for w in words))
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["found"]),
        helper.make_node("Mul", ["found", "places"], ["placed"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept"], ["wide"], axes=[2]),
        helper.make_node("Mul", ["placed", "wide"], ["masked"]),
        helper.make_node("ReduceSum", ["masked"], ["sum"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["sum", "last"], ["topic"]),
    ]
    save(
        port.model,
        nodes,
        [tensor("ids", TensorProto.INT64, LENGTH), tensor("mask", TensorProto.INT64, LENGTH)],
        tensor("topic", TensorProto.FLOAT, TOPICS),
        table=rng.standard_normal((len(words), 8)).astype(np.float32),
        places=rng.uniform(0.2, 1, (1, LENGTH, 8)).astype(np.float32),
        last=rng.standard_normal((8, TOPICS)).astype(np.float32),
    )
    port.images = port.folder / "val.tsv"
    chosen = [rng.integers(0, WORDS, int(rng.integers(2, 8))) for _ in range(COUNT)]
    port.images.write_text(
        "".join(f"s{i:02d}\t{' '.join(f'w{w}' for w in c)}\n" for i, c in enumerate(chosen))
    )
    ids = np.zeros((COUNT, LENGTH), np.int64)
    for row, own in zip(ids, chosen, strict=True):
        row[: len(own) + 2] = [2, *(own + 4), 3]
    port.ids, port.mask = ids, (ids != 0).astype(np.int64)  # type: ignore[attr-defined]
    port.right = port.run(ids=ids, mask=port.mask)  # type: ignore[attr-defined]
    port.truth.write_text(
        "".join(f"s{i:02d} {row.argmax()}\n" for i, row in enumerate(port.right))  # type: ignore[attr-defined]
    )
    return port


def to_the_right(ids: Array, mask: Array) -> Array:
    return np.stack([np.roll(r, LENGTH - m.sum()) for r, m in zip(ids, mask, strict=True)])


TEXTS: dict[str, tuple[str, Callable[[Array, Array], tuple[Array, Array]]]] = {
    "padded at the left": (
        "padding-side",
        lambda i, m: (to_the_right(i, m), to_the_right(m, m)),
    ),
    "mask left out": ("mask-missing", lambda i, m: (i, np.ones_like(m))),
    "inputs exchanged": ("inputs-exchanged", lambda i, m: (m, i)),
    "another vocabulary": ("vocabulary", lambda i, m: (np.maximum(i - 1, 0), m)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_faults_of_token_inputs(texts: Any, name: str) -> None:
    fault, change = TEXTS[name]
    ids, mask = change(texts.ids, texts.mask)
    diagnosis = texts.diagnose(texts.run(ids=ids, mask=mask))
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert diagnosis.faults[0].accuracy_after == 1 and diagnosis.verdict == "FAIL"


def test_sound_texts(texts: Any) -> None:
    diagnosis = texts.diagnose(texts.right.astype(np.float16))
    assert (diagnosis.fault, diagnosis.verdict) == ("none", "PASS"), diagnosis.to_text()


# ---- a segmenter
@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Port:
    port = Port(
        tmp_path_factory.mktemp("segmenter"),
        f"""\
name: segmenter
builder: m.py:build
inputs: [{{name: image, shape: [3, {SIDE}, {SIDE}]}}]
outputs: [{{name: scores, shape: [{CLASSES}, {SIDE}, {SIDE}]}}]
recipe:
  resize: {{rule: exact, size: [{SIDE}, {SIDE}]}}
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
task: semantic_segmentation
postprocess: {{kind: label_map, resize: bilinear}}
""",
    )
    rng = np.random.default_rng(4)
    save(
        port.model,
        [helper.make_node("Conv", ["image", "w"], ["scores"], kernel_shape=[3, 3],
                          pads=[1, 1, 1, 1])],
        [tensor("image", TensorProto.FLOAT, 3, SIDE, SIDE)],
        tensor("scores", TensorProto.FLOAT, CLASSES, SIDE, SIDE),
        w=rng.standard_normal((CLASSES, 3, 3, 3)).astype(np.float32),
    )  # fmt: skip
    port.images.mkdir()
    port.truth.mkdir()
    pixels = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    values = ((pixels / np.float32(255) - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32)
    port.values, port.right = values, port.run(image=values)  # type: ignore[attr-defined]
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(port.images / f"s{i:02d}.png")
        ids = port.right[i].argmax(axis=0).astype(np.uint8)  # type: ignore[attr-defined]
        Image.fromarray(ids).save(port.truth / f"s{i:02d}.png")
    return port


def masks(port: Any, change: Callable[[Array], Array]) -> Path:
    """Ready maps of classes."""
    folder = port.folder / "masks"
    folder.mkdir(exist_ok=True)
    for i, scores in enumerate(port.right):
        Image.fromarray(change(scores).astype(np.uint8)).save(folder / f"s{i:02d}.png")
    return folder


def test_faults_of_a_segmenter(segmenter: Any) -> None:
    for fault, outputs in (
        ("none", segmenter.right),
        ("channel-order", segmenter.run(image=segmenter.values[:, ::-1].copy())),
        ("mirrored", segmenter.run(image=segmenter.values[..., ::-1].copy())),
        ("class-columns", np.roll(segmenter.right, 1, axis=1)),
        ("output-axes", segmenter.right.transpose(0, 2, 3, 1)),
    ):
        diagnosis = segmenter.diagnose(outputs)
        assert diagnosis.fault == fault, diagnosis.to_text()


def test_faults_of_ready_masks(segmenter: Any) -> None:
    for fault, shift in (("none", 0), ("class-ids", 1)):
        folder = masks(segmenter, lambda s, by=shift: s.argmax(axis=0) + by)
        diagnosis = segmenter.diagnose(folder)
        assert diagnosis.fault == fault, diagnosis.to_text()


# ---- a detector
@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Port:
    """Rows of centre, size and scores of classes, in pixels of the input."""
    port = Port(
        tmp_path_factory.mktemp("detector"),
        f"""\
name: detector
builder: m.py:build
inputs: [{{name: image, shape: [3, {SIDE}, {SIDE}]}}]
outputs: [{{name: rows, shape: [{CELLS}, {4 + CLASSES}]}}]
recipe:
  resize: {{rule: exact, size: [{SIDE}, {SIDE}]}}
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
task: detection
postprocess: {{kind: boxes, format: cxcywh, score_threshold: 0.05, iou_threshold: 0.5}}
""",
    )
    rng = np.random.default_rng(6)
    wide = 3 * SIDE * SIDE
    scale = np.array([SIDE, SIDE, SIDE / 2, SIDE / 2, *[1] * CLASSES], np.float32)
    save(
        port.model,
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["line"]),
            helper.make_node("Reshape", ["line", "shape"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["unit"]),
            helper.make_node("Mul", ["unit", "scale"], ["rows"]),
        ],
        [tensor("image", TensorProto.FLOAT, 3, SIDE, SIDE)],
        tensor("rows", TensorProto.FLOAT, CELLS, 4 + CLASSES),
        w=(rng.standard_normal((wide, CELLS * (4 + CLASSES))) / 12).astype(np.float32),
        shape=np.array([-1, CELLS, 4 + CLASSES], np.int64),
        scale=scale,
    )
    port.images.mkdir()
    pixels = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    values = ((pixels / np.float32(255) - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32)
    port.right = port.run(image=values)  # type: ignore[attr-defined]
    truth: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": [
        {"id": c, "name": str(c)} for c in range(CLASSES + 1)]}  # fmt: skip
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(port.images / f"s{i:02d}.png")
        truth["images"].append(
            {"id": i, "file_name": f"s{i:02d}.png", "width": SIDE, "height": SIDE}
        )
        best = port.right[i][port.right[i][:, 4:].max(axis=1).argmax()]  # type: ignore[attr-defined]
        x, y, w, h = map(float, best[:4])
        box = [max(x - w / 2, 0), max(y - h / 2, 0), w, h]
        truth["annotations"].append({"id": i + 1, "image_id": i, "bbox": box, "area": w * h,
                                     "category_id": int(best[4:].argmax()), "iscrowd": 0})  # fmt: skip
    port.truth = port.folder / "truth.json"
    port.truth.write_text(json.dumps(truth))
    return port


def changed(rows: Array, part: slice, change: Callable[[Array], Array]) -> Array:
    rows = rows.copy()
    rows[..., part] = change(rows[..., part])
    return rows


BOXES, SCORES = slice(0, 4), slice(4, None)
ROWS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "sound": ("none", lambda r: r),
    "corners": (
        "box-format",
        lambda r: changed(
            r,
            BOXES,
            lambda b: np.concatenate(
                [b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], axis=-1
            ),
        ),
    ),
    "sigmoid missing": ("sigmoid", lambda r: changed(r, SCORES, lambda s: np.log(s / (1 - s)))),
    "sigmoid twice": ("sigmoid", lambda r: changed(r, SCORES, lambda s: 1 / (1 + np.exp(-s)))),
    "boxes of other cells": (
        "anchor-order",
        lambda r: changed(r, BOXES, lambda b: b[:, np.arange(16).reshape(4, 4).T.ravel()]),
    ),
    "stride missing": ("box-scale", lambda r: changed(r, BOXES, lambda b: b / 8)),
}


@pytest.mark.parametrize("name", ROWS)
def test_faults_of_a_detector(detector: Any, name: str) -> None:
    fault, change = ROWS[name]
    diagnosis = detector.diagnose(change(detector.right))
    assert diagnosis.fault == fault, diagnosis.to_text()


@pytest.mark.parametrize(
    ("fault", "threshold", "shift"), [("score-threshold", 0.6, 0), ("class-ids", 0.05, 1)]
)
def test_faults_of_ready_detections(
    detector: Any, fault: str, threshold: float, shift: int
) -> None:
    """Only rows that no other suppresses are written, so that suppression is none of ours."""
    from portproof.metrics.diagnosis.tasks.sides import Judge
    from portproof.metrics.evaluation.task_choice import card_of
    from portproof.metrics.tasks import load_task

    card, task = card_of(str(detector.card)), load_task("detection")
    judge = Judge(task, task.read_truth(detector.truth), card, detector.folder)
    decode = judge.decode(card.postprocess)
    entries = []
    for i, rows in enumerate(detector.right):
        found = decode({"rows": rows}, judge.sample(f"s{i:02d}", card.postprocess))
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            if score > threshold:
                entries.append({"image_id": i, "category_id": int(label) + shift,
                                "bbox": box.tolist(), "score": float(score)})  # fmt: skip
    path = detector.folder / "detections.json"
    path.write_text(json.dumps(entries))
    diagnosis = detector.diagnose(path)
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert f"postprocess.{fault.replace('-', '_')}" in diagnosis.faults[0].evidence
