"""A model with random weights over colour images, and what a port of it may answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from portproof.metrics.diagnosis.explain import Diagnosis, diagnose

SIZE, CLASSES, COUNT = 24, 12, 24
MEAN, STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)
CARD = f"""\
name: small
builder: small.py:build
inputs: [{{name: image, shape: [3, {SIZE}, {SIZE}]}}]
outputs: [{{name: class, shape: [{CLASSES}]}}]
recipe:
  resize: {{rule: shorter, size: [32], interpolation: bicubic}}
  crop: [{SIZE}, {SIZE}]
"""


class World:
    """A model with random weights, images, their labels (what the model says), and a way to make a
    port's results.
    """

    def __init__(self, folder: Path, count: int = COUNT) -> None:
        self.folder, self.digits = folder, len(str(count - 1))
        self.card, self.model, self.images, self.labels = (
            folder / "small.yaml",
            folder / "m.onnx",
            folder / "images",
            folder / "labels.txt",
        )
        self.card.write_text(CARD, encoding="ascii")
        generator = np.random.default_rng(5)
        self.weights = generator.standard_normal((3 * SIZE * SIZE, CLASSES)).astype(np.float32) / 40
        self._save_model()
        self.images.mkdir()
        for i in range(count):
            coarse = generator.integers(0, 256, (6, 7, 3)).astype(np.uint8)
            Image.fromarray(coarse).resize((60, 48), Image.Resampling.BICUBIC).save(
                self.images / f"img_{i:0{self.digits}d}.png"
            )
        self.right = self.infer(np.stack([self.normalised(p) for p in self.pixels()]))
        self.labels.write_text(
            "".join(
                f"img_{i:0{self.digits}d}.png {row.argmax()}\n" for i, row in enumerate(self.right)
            ),
            encoding="ascii",
        )

    def _save_model(self) -> None:
        nodes = [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Tanh", ["flat"], ["bent"]),
            helper.make_node("MatMul", ["bent", "w"], ["class"]),
        ]
        graph = helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", CLASSES])],
            [numpy_helper.from_array(self.weights, "w")],
        )
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
            self.model,
        )

    def pixels(
        self, filter: Image.Resampling = Image.Resampling.BICUBIC, size: tuple[int, int] = (40, 32)
    ) -> list[np.ndarray]:
        """Resized and centre-cropped RGB bytes, by Pillow alone."""
        crops = []
        for path in sorted(self.images.iterdir()):
            image = Image.open(path).convert("RGB").resize(size, filter)
            left, top = (
                round((size[0] - SIZE) / 2),
                round((size[1] - SIZE) / 2),
            )  # as torchvision crops
            crops.append(np.asarray(image.crop((left, top, left + SIZE, top + SIZE))))
        return crops

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        return (((pixels / np.float32(255)) - MEAN) / STD).transpose(2, 0, 1)

    def infer(self, samples: np.ndarray) -> np.ndarray:
        return np.tanh(samples.reshape(len(samples), -1)) @ self.weights

    def diagnose(self, rows: np.ndarray, **options: object) -> Diagnosis:
        result = self.folder / "result"
        shutil.rmtree(result, ignore_errors=True)
        result.mkdir()
        for i, row in enumerate(rows):
            row.astype("<f4").tofile(result / f"img_{i:0{self.digits}d}_1.bin")
        labels = options.pop("labels", self.labels)
        return diagnose(str(self.card), self.model, self.images, labels, result, **options)  # type: ignore[arg-type]

    def write_labels(self, classes: np.ndarray) -> Path:
        """Another label file, of these classes in the order of ids."""
        path = self.folder / "others.txt"
        path.write_text(
            "".join(f"img_{i:0{self.digits}d}.png {c}\n" for i, c in enumerate(classes)), "ascii"
        )
        return path
