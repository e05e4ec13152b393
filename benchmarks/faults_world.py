"""What faults are planted in: two trained networks, their pictures, and ports of them made by
torch, Pillow and numpy alone, so that a diagnosis is not judged by its own code.

``digits`` is the network of ``examples/digits`` on its grey, square pictures. ``colour`` is the
same network for digits in warm or cold ink on textured canvases that are not square, some with an
EXIF orientation: there the order of channels, the crop, the resize, and turned or mirrored
pictures matter.
"""

from __future__ import annotations

import copy
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")
sys.path.insert(1, str(ROOT / "examples"))

Array = np.ndarray
MEAN, STD = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
HALF = np.full(3, 0.5, np.float32)
BATCH = 16
torch.set_num_threads(1)


@dataclass(frozen=True)
class Kind:
    """One of the two networks."""

    name: str
    classes: int
    before_crop: int
    mean: Array
    std: Array
    epochs: int
    validation: int

    @property
    def card(self) -> str:
        """The text of its model card."""
        return (
            f"name: {self.name}\nbuilder: model.py:build\n"
            "inputs: [{name: image, shape: [3, 32, 32]}]\n"
            f"outputs: [{{name: class, shape: [{self.classes}]}}]\nrecipe:\n"
            f"  resize: {{rule: shorter, size: [{self.before_crop}], interpolation: bicubic}}\n"
            f"  crop: [32, 32]\n  mean: {[round(float(m), 6) for m in self.mean]}\n"
            f"  std: {[round(float(s), 6) for s in self.std]}\n"
        )


KINDS = {
    "digits": Kind("digits", 10, 36, HALF, HALF, 8, 200),
    "colour": Kind("colour", 20, 40, MEAN, STD, 14, 200),
}


@dataclass
class Pipeline:
    """The steps of a port; a fault replaces or follows one of them.

    ``decode``: bytes of a file to an RGB image; ``resize``: an image and the size (width, height)
    to an image; ``size``: of an image, its (width, height) after the resize; ``place``: of the
    margins (width, height), the left and top of the crop; ``pixels`` and ``values``: changes of
    (height, width, RGB) bytes and of normalised values (3, 32, 32); ``normalise``: pixels to
    values; ``model``: changes of the network; ``run``: network and samples to outputs; ``rows``:
    changes of all outputs; ``labels``: changes of the labels; ``write``: a row to bytes. ``file``:
    makes the port's own ONNX file of the network's, and with ``run`` it is not the network's then.
    """

    decode: Callable[[bytes], Image.Image]
    resize: Callable[[Image.Image, tuple[int, int]], Image.Image]
    size: Callable[[tuple[int, int]], tuple[int, int]]
    place: Callable[[tuple[int, int]], tuple[int, int]]
    normalise: Callable[[Array], Array]
    run: Callable[[torch.nn.Module, torch.Tensor], Array]
    pixels: list[Callable[[Array], Array]] = field(default_factory=list)
    values: list[Callable[[Array], Array]] = field(default_factory=list)
    model: list[Callable[[torch.nn.Module], Any]] = field(default_factory=list)
    rows: list[Callable[[Array], Array]] = field(default_factory=list)
    labels: list[Callable[[Array], Array]] = field(default_factory=list)
    write: Callable[[Array], bytes] = lambda row: row.astype("<f4").tobytes()
    file: Callable[[Path], Path] | None = None

    def sample(self, data: bytes) -> Array:
        """Normalised values of one picture, (3, 32, 32)."""
        image = self.decode(data)
        image = self.resize(image, self.size(image.size))
        left, top = self.place((image.width - 32, image.height - 32))
        pixels = np.asarray(image.crop((left, top, left + 32, top + 32)))
        for change in self.pixels:
            pixels = np.asarray(change(pixels))
        sample = self.normalise(pixels).transpose(2, 0, 1)
        for change in self.values:
            sample = np.asarray(change(sample))
        return np.ascontiguousarray(sample, np.float32)


def shorter(size: int) -> Callable[[tuple[int, int]], tuple[int, int]]:
    """The shorter side to ``size``, the longer one truncated, as torchvision does."""
    return lambda wh: (
        (size, int(size * wh[1] / wh[0])) if wh[0] <= wh[1] else (int(size * wh[0] / wh[1]), size)
    )


def in_batches(net: torch.nn.Module, samples: torch.Tensor, batch: int = BATCH) -> Array:
    """The outputs of all samples, (samples, classes)."""
    with torch.no_grad():
        return np.concatenate([net(part).numpy() for part in samples.split(batch)])


def sound(kind: Kind) -> Pipeline:
    """The steps as the card has them."""
    return Pipeline(
        decode=lambda data: Image.open(io.BytesIO(data)).convert("RGB"),
        resize=lambda image, size: image.resize(size, Image.Resampling.BICUBIC),
        size=shorter(kind.before_crop),
        place=lambda margin: (round(margin[0] / 2), round(margin[1] / 2)),
        normalise=lambda p: (p / np.float32(255) - kind.mean) / kind.std,
        run=in_batches,
    )


class World:
    """One network with its pictures in a work folder; trained once, then read. ``count``: more
    pictures than there are, the others being these with noise.
    """

    def __init__(self, kind: Kind, folder: Path, count: int | None = None) -> None:
        self.kind, self.folder = kind, folder
        self.card, self.weights = folder / f"{kind.name}.yaml", folder / "weights.pth"
        self.onnx, self.images = folder / "model.onnx", folder / "val"
        folder.mkdir(parents=True, exist_ok=True)
        if not self.onnx.is_file():
            self._make()
        self.net = self._network()
        self.net.load_state_dict(torch.load(self.weights, weights_only=True))
        self.net.eval()
        if count:
            self.images = noisy(self.images, folder / f"val{count}", count)
        self.files = sorted(self.images.iterdir())
        self.data = [path.read_bytes() for path in self.files]
        text = (folder / f"{self.images.name}_label.txt").read_text().split("\n")
        self.labels = np.array([int(line.split()[1]) for line in text if line])
        self.samples = np.stack([sound(kind).sample(d) for d in self.data])
        self.right = in_batches(self.net, torch.from_numpy(self.samples))

    def _network(self) -> torch.nn.Module:
        from digits.model import build

        net = build()
        net[-1] = torch.nn.Linear(64, self.kind.classes)
        return net

    def _make(self) -> None:
        """Pictures, training, export."""
        from portproof.convert.export.export import export

        torch.manual_seed(7)
        self.card.write_text(self.kind.card)
        code = (ROOT / "examples/digits/model.py").read_text()
        (self.folder / "model.py").write_text(code.replace("64, 10", f"64, {self.kind.classes}"))
        drawn = {"digits": grey_digits, "colour": coloured_digits}[self.kind.name]
        trained = drawn("train", self.folder / "train", 3000)
        drawn("val", self.images, self.kind.validation)
        paths = sorted((self.folder / "train").iterdir())
        values = np.stack([sound(self.kind).sample(path.read_bytes()) for path in paths])
        train(net := self._network(), torch.from_numpy(values), trained, self.kind.epochs)
        torch.save(net.state_dict(), self.weights)
        export(self.weights, self.onnx, str(self.card))

    def port(self, pipeline: Pipeline, folder: Path) -> tuple[Array, Array]:
        """Write results and labels of a port into ``folder``; returns outputs and labels."""
        rows = self.outputs(pipeline)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "result").mkdir(parents=True)
        for path, row in zip(self.files, rows, strict=True):
            (folder / f"result/{path.stem}_1.bin").write_bytes(pipeline.write(row))
        labels = self.labels
        for change in pipeline.labels:
            labels = change(labels)
        lines = [f"{p.name} {c}\n" for p, c in zip(self.files, labels, strict=True)]
        (folder / "labels.txt").write_text("".join(lines))
        if pipeline.file:
            self._sidecar(pipeline.file(self.onnx), folder / "result")
        return rows, labels

    @staticmethod
    def _sidecar(model: Path, result: Path) -> None:
        """As inference leaves it beside its results."""
        from portproof.proof.work import Work

        work = Work("infer", result, inputs={"model": [model]}, parameters={}, packages=())
        work.begin()
        work.finish([], {})

    def outputs(self, pipeline: Pipeline) -> Array:
        """The port's outputs, (samples, classes)."""
        steps = (
            *(pipeline.decode, pipeline.resize, pipeline.size, pipeline.place),
            pipeline.normalise,
        )
        samples = self.samples
        if pipeline.pixels or pipeline.values or not _same(steps, self.kind):
            samples = np.stack([pipeline.sample(d) for d in self.data])
        net = copy.deepcopy(self.net)
        for change in pipeline.model:
            made = change(net)
            net = made if isinstance(made, torch.nn.Module) else net
        if pipeline.file:
            rows = by_file(pipeline.file(self.onnx), samples)
        else:
            rows = pipeline.run(net, torch.from_numpy(samples))
        for change in pipeline.rows:
            rows = np.asarray(change(rows))
        return rows


def _same(steps: tuple[Any, ...], kind: Kind) -> bool:
    """Whether no step was replaced: the samples need not be made again."""
    own = sound(kind)
    plain = (own.decode, own.resize, own.size, own.place, own.normalise)
    return all(a.__code__ is b.__code__ for a, b in zip(steps, plain, strict=True)) and (
        steps[2]((100, 90)) == own.size((100, 90))
    )


def by_file(model: Path, samples: Array) -> Array:
    """The outputs that ONNX Runtime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    parts = [samples[i : i + BATCH] for i in range(0, len(samples), BATCH)]
    return np.concatenate([session.run(None, {"image": p})[0] for p in parts])


def train(net: torch.nn.Module, samples: torch.Tensor, labels: Array, epochs: int) -> None:
    """Adam and a cosine schedule."""
    truth = torch.from_numpy(labels)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        net.train()
        for batch in torch.randperm(len(truth)).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(samples[batch]), truth[batch]).backward()
            optimiser.step()
        schedule.step()
    net.eval()


def noisy(source: Path, folder: Path, count: int) -> Path:
    """``count`` pictures: those of a folder, again and again, the later ones with noise."""
    label_file = source.parent / f"{source.name}_label.txt"
    labels = dict(line.split() for line in label_file.read_text().splitlines())
    paths, lines = sorted(source.iterdir()), []
    folder.mkdir(exist_ok=True)
    for i in range(count):
        path, again = paths[i % len(paths)], i // len(paths)
        whole = np.asarray(Image.open(path).convert("RGB"), np.float64)
        whole = whole + np.random.default_rng(i).normal(0, 12 * bool(again), whole.shape)
        name = f"{path.stem}_{again}.jpg"
        Image.fromarray(np.uint8(np.clip(whole, 0, 255))).save(folder / name, quality=95)
        lines.append(f"{name} {labels[path.name]}\n")
    (folder.parent / f"{folder.name}_label.txt").write_text("".join(sorted(lines)))
    return folder


def grey_digits(part: str, folder: Path, count: int) -> Array:
    """The pictures of ``examples/digits``; returns their labels."""
    from parts.making import Digits

    digits = Digits(part)
    images, labels = digits.images[:count], digits.labels[:count]
    for i, image in enumerate(images):
        picture = Image.fromarray(np.uint8(np.round(image * 255 / 16))).resize(
            (40, 40), Image.Resampling.BICUBIC
        )
        _save(picture, folder / f"digit_{i}.jpg", 1)
    return _labels(folder, labels)


def coloured_digits(part: str, folder: Path, count: int) -> Array:
    """A digit in warm or cold ink on a texture; the class is the digit, plus 10 for cold ink."""
    from parts.making import Digits

    digits, rng = Digits(part), np.random.default_rng([3, part == "val"])
    labels = []
    for i in range(count):
        width, height = (int(v) for v in rng.integers(110, 190, 2))
        side = int(min(width, height) * rng.uniform(0.6, 0.75))
        ink, digit = digits.take(rng, side)
        cold = int(rng.integers(2))
        pen = np.array([230, 150, 40.0]) if not cold else np.array([40, 150, 230.0])
        coarse = np.uint8(rng.integers(0, 120, (6, 8, 3)))
        ground = np.asarray(Image.fromarray(coarse).resize((width, height), 3), np.float64)
        whole = np.zeros((height, width, 1))
        top, left = (height - side) // 2, (width - side) // 2
        whole[top : top + side, left : left + side, 0] = np.clip(ink * 1.3, 0, 1)
        mixed = ground + whole * (pen + rng.normal(0, 20, 3) - ground)
        mixed += rng.normal(0, 6, mixed.shape)
        picture = Image.fromarray(np.uint8(np.clip(mixed, 0, 255)))
        _save(picture, folder / f"p_{i}.jpg", 6 if i % 8 == 5 else 1)
        labels.append(digit + 10 * cold)
    return _labels(folder, np.array(labels))


def _save(picture: Image.Image, path: Path, orientation: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    picture.save(path, "JPEG", quality=95, exif=exif.tobytes())


def _labels(folder: Path, labels: Array) -> Array:
    """Write the label file; returns labels in the order of the sorted files."""
    by_name = {path.name: labels[int(path.stem.split("_")[1])] for path in folder.iterdir()}
    named = sorted(by_name.items())
    path = folder.parent / f"{folder.name}_label.txt"
    path.write_text("".join(f"{name} {label}\n" for name, label in named))
    return np.array([label for _, label in named])
