"""The faults that are planted, each with the names by which a diagnosis may call it.

A fault changes one :class:`~faults_world.Pipeline`; two faults of different steps make a pair.
Those inside the model are in ``faults_model``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from faults_world import HALF, MEAN, STD, Array, Kind, Pipeline, in_batches, shorter
from PIL import Image, ImageOps

Filter = Image.Resampling
Change = Callable[[Pipeline, Kind], Any]


@dataclass(frozen=True)
class Fault:
    """``step``: two faults of one step make no pair; ``names``: right names, or the one that must
    stand among several that are named together; empty: a sound port.
    """

    name: str
    step: str
    names: frozenset[str]
    change: Change

    def plant(self, pipeline: Pipeline, kind: Kind) -> None:
        """Change the pipeline."""
        self.change(pipeline, kind)


FAULTS: list[Fault] = []


def fault(step: str, name: str, names: str, change: Change) -> None:
    """One more; ``names`` with spaces between."""
    FAULTS.append(Fault(name, step, frozenset(names.split()), change))


def setting(attribute: str, make: Callable[[Kind], Any]) -> Change:
    """A step replaced."""
    return lambda p, k: setattr(p, attribute, make(k))


def pixels(change: Callable[[Array], Array]) -> Change:
    """A change of the pixels after the crop."""
    return lambda p, _: p.pixels.append(change)


def values(change: Callable[[Array], Array]) -> Change:
    """A change of the normalised values."""
    return lambda p, _: p.values.append(change)


def rows(change: Callable[[Array], Array]) -> Change:
    """A change of all outputs."""
    return lambda p, _: p.rows.append(change)


def labels(change: Callable[[Array], Array]) -> Change:
    """A change of the labels."""
    return lambda p, _: p.labels.append(change)


def model(change: Callable[[torch.nn.Module], Any]) -> Change:
    """A change of the network."""
    return lambda p, _: p.model.append(change)


# ---- the file and its decoding
def _draft(size: int) -> Callable[[bytes], Image.Image]:
    def decode(data: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (size, size))
        return image.convert("RGB")

    return decode


def _again(quality: int) -> Callable[[bytes], Image.Image]:
    def decode(data: bytes) -> Image.Image:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(data)).convert("RGB").save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return decode


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


_DECODED: dict[str, tuple[str, Callable[[bytes], Image.Image]]] = {
    "EXIF orientation applied": (
        "exif-orientation",
        lambda d: ImageOps.exif_transpose(_opened(d)).convert("RGB"),
    ),
    "draft decoding": ("decoding-draft", _draft(40)),
    "compressed again, 60": ("recompression", _again(60)),
    "compressed again, 25": ("recompression", _again(25)),
    "palette of 64": (
        "few-bits palette",
        lambda d: _opened(d).convert("RGB").quantize(64).convert("RGB"),
    ),
    "grey": ("grey", lambda d: _opened(d).convert("L").convert("RGB")),
    "YCbCr taken for RGB": (
        "colour-space",
        lambda d: Image.frombytes("RGB", _opened(d).size, _opened(d).convert("YCbCr").tobytes()),
    ),
}
for _name, (_names, _decode) in _DECODED.items():
    fault("decode", _name, _names, setting("decode", lambda k, d=_decode: d))


# ---- resize
def _filter(filter: Image.Resampling, gap: float | None = None) -> Callable[..., Image.Image]:
    return lambda image, size: image.resize(size, filter, reducing_gap=gap)


def _cv(flag: str) -> Callable[[Image.Image, tuple[int, int]], Image.Image]:
    def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        return Image.fromarray(
            cv2.resize(np.asarray(image), size, interpolation=getattr(cv2, flag))
        )

    return resize


def _torch(mode: str, antialias: bool) -> Callable[[Image.Image, tuple[int, int]], Image.Image]:
    def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        whole = torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1).copy())[None]
        made = torch.nn.functional.interpolate(
            whole, size[::-1], mode=mode, align_corners=False, antialias=antialias
        )
        levels = np.rint(np.clip(made[0].numpy().transpose(1, 2, 0), 0, 255))
        return Image.fromarray(levels.astype(np.uint8))

    return resize


for _filter_name in ("NEAREST", "BOX", "BILINEAR", "HAMMING", "LANCZOS"):
    fault(
        "resize",
        f"Pillow {_filter_name.lower()}",
        "interpolation",
        setting("resize", lambda k, f=Filter[_filter_name]: _filter(f)),
    )
for _flag in (
    *("INTER_NEAREST", "INTER_NEAREST_EXACT", "INTER_LINEAR", "INTER_LINEAR_EXACT"),
    *("INTER_CUBIC", "INTER_AREA", "INTER_LANCZOS4"),
):
    fault(
        "resize", f"OpenCV {_flag}", "interpolation", setting("resize", lambda k, f=_flag: _cv(f))
    )
fault(
    "resize",
    "Pillow bicubic with reducing gap 1",
    "interpolation decoding-draft",
    setting("resize", lambda k: _filter(Filter.BICUBIC, 1.0)),
)
fault(
    "resize",
    "torch bilinear, not antialiased",
    "interpolation",
    setting("resize", lambda k: _torch("bilinear", False)),
)
fault(
    "resize",
    "torch bicubic, not antialiased",
    "interpolation",
    setting("resize", lambda k: _torch("bicubic", False)),
)


# ---- size and place of the crop
fault("size", "squash, then crop", "resize-crop", setting("size", lambda k: lambda _: (36, 36)))
fault("size", "squash to the crop", "resize-crop", setting("size", lambda k: lambda _: (32, 32)))
for _size in (33, 35, 38, 44, 48, 60):
    fault(
        "size",
        f"shorter side to {_size}",
        "resize-crop",
        setting("size", lambda k, s=_size: shorter(s)),
    )
fault(
    "size",
    "longer side, the rest black",
    "resize-crop",
    setting("size", lambda k: lambda wh: (32, max(1, int(32 * wh[1] / wh[0]))) if wh[0] >= wh[1]
            else (max(1, int(32 * wh[0] / wh[1])), 32)),
)  # fmt: skip
for _word, _dx, _dy in (
    *(("top left corner", 0.0, 0.0), ("top right corner", 1.0, 0.0)),
    ("bottom right corner", 1.0, 1.0),
):
    fault(
        "place",
        f"crop at the {_word}",
        "crop-place",
        setting("place", lambda k, x=_dx, y=_dy: lambda m: (round(m[0] * x), round(m[1] * y))),
    )
for _dx, _dy in ((1, 0), (0, 2), (-2, 1), (3, -3), (-4, -1), (0, -4)):
    fault(
        "place",
        f"crop off by {_dx}, {_dy}",
        "crop-place",
        setting("place", lambda k, x=_dx, y=_dy: lambda m: (
            min(max(round(m[0] / 2) + x, 0), max(m[0], 0)),
            min(max(round(m[1] / 2) + y, 0), max(m[1], 0)))),
    )  # fmt: skip


# ---- pixels
def _stretch(p: Array) -> Array:
    low, high = float(p.min()), float(p.max())
    return (p - low) / max(high - low, 1) * 255


def _read_as_709(p: Array) -> Array:
    """Full-range YCbCr of BT.601 made RGB with the numbers of BT.709."""
    luma, red, blue = np.moveaxis(cv2.cvtColor(p, cv2.COLOR_RGB2YCrCb).astype(np.float64), -1, 0)
    red, blue = red - 128, blue - 128
    rgb = luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue
    return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, 255).astype(np.uint8)


def _subsampled(p: Array) -> Array:
    """The mean colour of four pixels for each of them."""
    made = cv2.cvtColor(p, cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(made[..., 1:], (p.shape[1] // 2, p.shape[0] // 2),
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    made[..., 1:] = np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)
    return cv2.cvtColor(made, cv2.COLOR_YCrCb2RGB)


_GREY_GAMMA = 2.2
_PIXELS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "mirrored": ("mirrored", lambda p: p[:, ::-1]),
    "upside down": ("upside-down", lambda p: p[::-1]),
    "turned by 90": ("rotated", np.rot90),
    "turned by 180": ("rotated", lambda p: p[::-1, ::-1]),
    "turned by 270": ("rotated", lambda p: np.rot90(p, 3)),
    "transposed": ("rotated", lambda p: p.transpose(1, 0, 2)),
    "transposed the other way": ("rotated", lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
    "rolled by one pixel": ("crop-place rolled", lambda p: np.roll(p, 1, axis=1)),
    "rolled by 5 rows": ("crop-place rolled", lambda p: np.roll(p, 5, axis=0)),
    "BGR": ("channel-order", lambda p: p[..., ::-1]),
    "GRB": ("channel-order", lambda p: p[..., [1, 0, 2]]),
    "GBR": ("channel-order", lambda p: p[..., [1, 2, 0]]),
    "RBG": ("channel-order", lambda p: p[..., [0, 2, 1]]),
    "min-max of each image": ("normalisation-per-image", _stretch),
    "video range made": ("video-range", lambda p: np.rint(16 + p / 255 * 219)),
    "video range taken": ("video-range", lambda p: np.clip((p - 16.0) / 219 * 255, 0, 255)),
    "video range, not clipped": ("normalisation-constants", lambda p: (p - 16.0) / 219 * 255),
    "2 bits": ("few-bits", lambda p: p & 0xC0),
    "4 bits": ("few-bits", lambda p: p & 0xF0),
    "4 bits, middle": ("few-bits", lambda p: (p & 0xF0) | 8),
    "RGB565": ("few-bits", lambda p: p & np.array([0xF8, 0xFC, 0xF8], np.uint8)),
    "RGB332": ("few-bits", lambda p: p & np.array([0xE0, 0xE0, 0xC0], np.uint8)),
    "inverted": ("inverted", lambda p: 255 - p),
    "levels of 7 bits (halved)": ("levels normalisation-constants", lambda p: p / 2),
    "brighter by 20": ("levels normalisation-constants", lambda p: p + 20.0),
    "contrast 0.7": (
        "levels normalisation-constants",
        lambda p: (p - np.float32(128)) * np.float32(0.7) + 128,
    ),
    "gamma 2.2": ("gamma", lambda p: 255 * (p / 255) ** _GREY_GAMMA),
    "gamma 1/2.2": ("gamma", lambda p: 255 * (p / 255) ** (1 / _GREY_GAMMA)),
    "NV21 for NV12": (
        "colour-space",
        lambda p: cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]],
                               cv2.COLOR_YCrCb2RGB),
    ),
    "BT.601 read as BT.709": ("colour-space", _read_as_709),
    "4:2:0, full range": ("chroma-subsampling", _subsampled),
    "4:2:0, video range, and back": (
        "chroma-subsampling",
        lambda p: cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_RGB2YUV_I420), cv2.COLOR_YUV2RGB_I420),
    ),
    "rows of 48 pixels read as 32": (
        "row-stride",
        lambda p: np.pad(p, ((0, 0), (0, 16), (0, 0))).reshape(-1, 3)[:1024].reshape(32, 32, 3),
    ),
    "rows of 33 pixels read as 32": (
        "row-stride",
        lambda p: np.pad(p, ((0, 0), (0, 1), (0, 0))).reshape(-1, 3)[:1024].reshape(32, 32, 3),
    ),
    "rows of 32 pixels read as 64": (
        "row-stride",
        lambda p: np.pad(p[::2], ((0, 16), (0, 0), (0, 0))),
    ),
    "bytes read as signed": ("signed-bytes", lambda p: p.astype(np.int8)),
    "red channel thrice": ("grey", lambda p: p[..., [0, 0, 0]]),
    "green channel lost": ("channel-lost", lambda p: p * np.array([1, 0, 1], np.uint8)),
    "brighter by 60, wrapped": ("overflow", lambda p: p + np.uint8(60)),
    "darker by 31, wrapped": ("overflow", lambda p: p - np.uint8(31)),
    "brighter by 133, wrapped": ("overflow", lambda p: p + np.uint8(133)),
    "doubled, wrapped": ("overflow", lambda p: p * np.uint8(2)),
    "times 1.35, wrapped": ("overflow", lambda p: (p * 1.35).astype(np.int64).astype(np.uint8)),
    "pixels read as planes": (
        "layout",
        lambda p: np.ascontiguousarray(p).reshape(3, *p.shape[:2]).transpose(1, 2, 0),
    ),
    "planes read as pixels": (
        "layout",
        lambda p: np.ascontiguousarray(p.transpose(2, 0, 1)).reshape(p.shape),
    ),
    "blurred": (
        "blurred",
        lambda p: np.asarray(Image.fromarray(np.ascontiguousarray(p)).resize((16, 16), Filter.BOX)
                             .resize((32, 32), Filter.BILINEAR)),
    ),
}  # fmt: skip
for _name, (_names, _change) in _PIXELS.items():
    fault("pixels", _name, _names, pixels(_change))


# ---- normalisation
_CONSTANTS = "normalisation-constants levels"
_NORMALISED: dict[str, tuple[str, Callable[[Kind], Callable[[Array], Array]]]] = {
    "divided by 256": (_CONSTANTS, lambda k: lambda p: (p / 256 - k.mean) / k.std),
    "divided by 127.5": (_CONSTANTS, lambda k: lambda p: (p / 127.5 - k.mean) / k.std),
    "not divided": ("scaling-missing", lambda k: lambda p: (p - k.mean) / k.std),
    "divided twice": ("scaling-twice", lambda k: lambda p: (p / 65025 - k.mean) / k.std),
    "not normalised": ("normalisation-missing", lambda k: lambda p: p / 255),
    "raw": ("normalisation-missing", lambda k: lambda p: p * 1.0),
    "mean missing": ("mean-missing", lambda k: lambda p: p / 255 / k.std),
    "std missing": ("std-missing", lambda k: lambda p: p / 255 - k.mean),
    "twice": (
        "normalisation-twice",
        lambda k: lambda p: ((p / 255 - k.mean) / k.std - k.mean) / k.std,
    ),
    "std multiplied": ("std-multiplied", lambda k: lambda p: (p / 255 - k.mean) * k.std),
    "variance": ("variance-for-std", lambda k: lambda p: (p / 255 - k.mean) / k.std**2),
    "mean added": ("mean-misapplied", lambda k: lambda p: (p / 255 + k.mean) / k.std),
    "mean after the division": (
        "mean-misapplied",
        lambda k: lambda p: p / 255 / k.std - k.mean,
    ),
    "constants of another model": (
        _CONSTANTS,
        lambda k: (
            lambda p: (
                (p / 255 - (HALF if k.name == "colour" else MEAN))
                / (HALF if k.name == "colour" else STD)
            )
        ),
    ),
    "CIFAR's constants": (
        _CONSTANTS,
        lambda k: (
            lambda p: (
                (p / 255 - np.array([0.4914, 0.4822, 0.4465])) / np.array([0.2470, 0.2435, 0.2616])
            )
        ),
    ),
    "constants of nobody": (
        _CONSTANTS,
        lambda k: lambda p: (p / 255 - np.array([0.3, 0.6, 0.2])) / np.array([0.4, 0.3, 0.5]),
    ),
    "constants in BGR order": (
        f"{_CONSTANTS} channel-order",
        lambda k: lambda p: (p / 255 - MEAN[::-1]) / STD[::-1],
    ),
    "Caffe's constants": (
        _CONSTANTS,
        lambda k: lambda p: p - np.array([123.68, 116.779, 103.939]),
    ),
    "mean and std of each image": (
        "normalisation-per-image",
        lambda k: lambda p: (p - p.mean()) / max(p.std(), 1e-6),
    ),
    "clipped to -1 and 1": (
        "values-clipped",
        lambda k: lambda p: np.clip((p / 255 - k.mean) / k.std, -1, 1),
    ),
    "clipped to -0.5 and 0.5": (
        "values-clipped",
        lambda k: lambda p: np.clip((p / 255 - k.mean) / k.std, -0.5, 0.5),
    ),
    "cut to integers": ("values-cut", lambda k: lambda p: np.trunc((p / 255 - k.mean) / k.std)),
    "integer division": (
        "scaling-integer",
        lambda k: lambda p: (np.int64(p) // 255 - k.mean) / k.std,
    ),
}
for _name, (_names, _make) in _NORMALISED.items():
    fault("normalise", _name, _names, setting("normalise", _make))
fault(
    "values",
    "height, width, channels",
    "layout",
    values(lambda s: np.ascontiguousarray(s.transpose(1, 2, 0)).reshape(3, 32, 32)),
)
fault("values", "height and width swapped", "rotated", values(lambda s: s.transpose(0, 2, 1)))
fault(
    "values",
    "input of 8 bits, its scale a quarter",
    "std-multiplied layer-weights normalisation-constants",
    values(lambda s: np.clip(np.rint(s * 32), -128, 127) / 32 * 0.25),
)


# ---- outputs: order, staleness, files
def _stale(p: Pipeline, share: float, tail: int = 0) -> None:
    def change(r: Array) -> Array:
        n = len(r)
        odd = np.random.default_rng(8).random(n) < share
        odd[n - tail :] |= bool(tail)
        other = np.random.default_rng(3).permutation(r.ravel()).reshape(r.shape)
        return np.where(odd[:, None], other, r)

    p.rows.append(change)


for _share in (0.03, 0.05, 0.1, 0.4):
    fault("order", f"stale, {_share:.0%}", "stale-results",
          lambda p, k, s=_share: _stale(p, s))  # fmt: skip
for _tail in (3, 60):
    fault(
        "order", f"stale, the last {_tail}", "stale-results",
        lambda p, k, t=_tail: _stale(p, 0, t),
    )  # fmt: skip


def _text(n: int, first: int = 0) -> Array:
    return np.array(sorted(range(n), key=lambda i: str(i + first)))


def _last(r: Array, count: int) -> Array:
    return (np.arange(len(r)) >= len(r) - count)[:, None]


_ROWS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "last batch repeated": (
        "repeated-results",
        lambda r: np.where(_last(r, 16), np.roll(r, 16, axis=0), r),
    ),
    "last batch padded with its first": (
        "repeated-results",
        lambda r: np.where(_last(r, 11), r[-12], r),
    ),
    "last batch NaN": ("not-finite", lambda r: np.where(_last(r, 16), np.nan, r)),
    "some infinite": (
        "not-finite",
        lambda r: np.where(np.arange(len(r))[:, None] % 37 == 5, np.inf, r),
    ),
    "last batch zeros": ("zeros", lambda r: np.where(_last(r, 7), 0, r)),
    "shuffled": ("samples-shuffled", lambda r: r[np.random.default_rng(2).permutation(len(r))]),
    "shuffled in batches": (
        "samples-shuffled",
        lambda r: np.concatenate([r[i : i + 16][::-1] for i in range(0, len(r), 16)]),
    ),
    "reversed": ("samples-reversed", lambda r: r[::-1]),
    "natural order of text names": ("samples-text-order", lambda r: r[_text(len(r))]),
    "text order undone": ("samples-text-order", lambda r: r[np.argsort(_text(len(r)))]),
    "text order from 1": ("samples-text-order", lambda r: r[_text(len(r), 1)]),
    "shifted by 1": ("samples-shifted", lambda r: np.roll(r, 1, axis=0)),
    "shifted by -7": ("samples-shifted", lambda r: np.roll(r, -7, axis=0)),
    "two interleaved": (
        "samples-shuffled samples-interleaved",
        lambda r: r[np.arange(len(r)).reshape(2, -1).T.ravel()],
    ),
    "shifted by a batch": ("samples-shifted", lambda r: np.roll(r, 16, axis=0)),
    "the first of each batch for all": (
        "repeated-results",
        lambda r: r[np.arange(len(r)) // 16 * 16],
    ),
    "every second is its neighbour": ("repeated-results", lambda r: r[np.arange(len(r)) // 2 * 2]),
    "constant": ("constant", lambda r: np.repeat(r[:1], len(r), axis=0)),
}
for _name, (_names, _change) in _ROWS.items():
    fault("order", _name, _names, rows(_change))


def _softmax(r: Array) -> Array:
    return np.exp(r - r.max(1, keepdims=True)) / np.exp(r - r.max(1, keepdims=True)).sum(1)[:, None]


def _transposed(r: Array, by: int = 16) -> Array:
    """Batches written class by class and read sample by sample."""
    return np.concatenate([r[i : i + by].T.reshape(-1, r.shape[1]) for i in range(0, len(r), by)])


_OUT: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "softmax twice": ("softmax-twice", lambda r: _softmax(_softmax(r))),
    "sigmoid": ("sigmoid", lambda r: 1 / (1 + np.exp(-r))),
    "sigmoid of a softmax": ("sigmoid", lambda r: 1 / (1 + np.exp(-_softmax(r)))),
    "tanh": ("outputs-changed sigmoid", np.tanh),
    "softmax of a sigmoid": ("sigmoid", lambda r: _softmax(1 / (1 + np.exp(-r)))),
    "cube root": ("outputs-changed", np.cbrt),
    "softplus": ("outputs-changed", lambda r: np.log1p(np.exp(r))),
    "square root of probabilities": ("outputs-changed", lambda r: np.sqrt(_softmax(r))),
    "batches transposed": ("output-axes", _transposed),
    "batches of 50 transposed": ("output-axes", lambda r: _transposed(r, 50)),
    "batches read class by class": ("output-axes", lambda r: np.concatenate(
        [r[i : i + 8].reshape(r.shape[1], -1).T for i in range(0, len(r), 8)])),
    "best 5 probabilities": (
        "outputs-sorted", lambda r: np.sort(_softmax(r), axis=1)[:, :-6:-1]),
    "sorted": ("outputs-sorted", lambda r: np.sort(r, axis=1)[:, ::-1]),
    "sorted upwards": ("outputs-sorted", lambda r: np.sort(r, axis=1)),
    "the best class alone": (
        "outputs-one-hot outputs-rounded",
        lambda r: (r == r.max(1, keepdims=True)).astype(np.float64),
    ),
    "rounded": ("outputs-rounded", np.rint),
    "cut": ("outputs-rounded", np.trunc),
    "rounded to halves": ("outputs-coarse int8-ranges", lambda r: np.rint(r * 0.5) * 2),
    "int8 of the wrong scale, clipped": (
        "outputs-clipped int8-ranges",
        lambda r: np.clip(r, -2, 2),
    ),
    "classes rolled": ("classes-shifted", lambda r: np.roll(r, 1, axis=1)),
    "classes reversed": ("classes-order", lambda r: r[:, ::-1]),
    "classes shuffled": (
        "classes-order",
        lambda r: r[:, np.random.default_rng(4).permutation(r.shape[1])],
    ),
    "two classes exchanged": (
        "classes-order",
        lambda r: r[:, [0, 3, 2, 1, *range(4, r.shape[1])]],
    ),
    "negated": ("outputs-changed", lambda r: -r),
    "absolute": ("outputs-changed", np.abs),
    "ReLU on the outputs": ("outputs-clipped", lambda r: np.maximum(r, 0)),
    "softmax over the batch": (
        "softmax-axis",
        lambda r: np.exp(r - r.max()) / np.exp(r - r.max()).sum(axis=0),
    ),
}  # fmt: skip
for _name, (_names, _change) in _OUT.items():
    fault("outputs", _name, _names, rows(_change))


def _headed(head: bytes, tail: bytes = b"") -> Change:
    return setting("write", lambda k: lambda row: head + row.astype("<f4").tobytes() + tail)


fault("write", "header of 8 bytes", "header", _headed(struct.pack("<ii", 1, 10)))
fault("write", "header of 4 bytes", "header", _headed(struct.pack("<i", 10)))
fault("write", "header of 16 bytes", "header", _headed(struct.pack("<qq", 1, 10)))
fault("write", "header of 128 bytes", "header", _headed(b"\x93NUMPY" + b" " * 122))
fault("write", "12 bytes behind", "header", _headed(b"", bytes(12)))
fault(
    "write", "header of 8 bytes, the end lost", "header",
    setting("write", lambda k: lambda row: (struct.pack("<ii", 1, k.classes)
                                            + row.astype("<f4").tobytes())[: 4 * k.classes]),
)  # fmt: skip
for _dtype in ("<f8", ">f4", "<f2", "<i4"):
    fault(
        "write", f"written as {_dtype}", "results-dtype",
        setting("write", lambda k, d=_dtype: lambda row: row.astype(d).tobytes()),
    )  # fmt: skip

fault(
    "write", "halves in a file for floats", "results-dtype",
    setting("write", lambda k: lambda row: row.astype("<f2").tobytes() + bytes(2 * len(row))),
)  # fmt: skip

# ---- labels
_LABELS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "labels + 1": ("labels-shifted", lambda c: c + 1),
    "labels - 1": ("labels-shifted", lambda c: np.maximum(c - 1, 0)),
    "labels of the next": ("labels-misaligned", lambda c: np.roll(c, -1)),
    "labels reversed": ("labels-reversed", lambda c: c[::-1]),
    "labels in text order": ("labels-text-order", lambda c: c[_text(len(c))]),
    "label classes in text order": (
        "labels-class-order labels-shifted",
        lambda c: _text(int(c.max()) + 1)[c] if c.max() > 9 else _text(11)[c],
    ),
    "label classes in another order": (
        "labels-class-order",
        lambda c: np.random.default_rng(1).permutation(int(c.max()) + 1)[c],
    ),
    "two label classes exchanged": (
        "labels-class-order",
        lambda c: np.select([c == 1, c == 7], [7, 1], c),
    ),
    "labels of other images": (
        "reference-at-chance",
        lambda c: np.random.default_rng(3).permutation(c),
    ),
    "a tenth of the labels wrong, the tail": (
        "labels-wrong",
        lambda c: np.where(np.arange(len(c)) >= len(c) * 0.9, (c + 3) % (c.max() + 1), c),
    ),
}
for _name, (_names, _change) in _LABELS.items():
    fault("labels", _name, _names, labels(_change))


#: Sound ports; those of 8 bits are in ``faults_model``.
CONTROLS = [
    Fault("fp32", "", frozenset(), lambda p, k: None),
    Fault("batches of 1", "", frozenset(),
          setting("run", lambda k: lambda n, s: in_batches(n, s, 1))),
    Fault("batches of 7", "", frozenset(),
          setting("run", lambda k: lambda n, s: in_batches(n, s, 7))),
    Fault("fp16 weights and samples", "", frozenset(),
          lambda p, k: (p.model.append(lambda n: n.half().float()),
                        p.values.append(lambda s: s.astype(np.float16)))),
    Fault("fp16 outputs", "", frozenset(), rows(lambda r: r.astype(np.float16))),
    Fault("bf16", "", frozenset(), setting("run", lambda k: lambda n, s: torch.cat(
        [n.bfloat16()(part.bfloat16()).float().detach() for part in s.split(16)]).numpy())),
    Fault("double precision", "", frozenset(), setting("run", lambda k: lambda n, s: torch.cat(
        [n.double()(part.double()).detach() for part in s.split(16)]).numpy())),
    Fault("channels last", "", frozenset(), setting("run", lambda k: lambda n, s: in_batches(
        n.to(memory_format=torch.channels_last), s.to(memory_format=torch.channels_last)))),
    Fault("probabilities", "", frozenset(), rows(
        lambda r: np.exp(r - r.max(1, keepdims=True))
        / np.exp(r - r.max(1, keepdims=True)).sum(1, keepdims=True))),
    Fault("logarithms of probabilities", "", frozenset(), rows(
        lambda r: r - r.max(1, keepdims=True)
        - np.log(np.exp(r - r.max(1, keepdims=True)).sum(1, keepdims=True)))),
    Fault("another scale", "", frozenset(), rows(lambda r: 3 * r + 1)),
    Fault("probabilities of 16 bits", "", frozenset(), rows(
        lambda r: _softmax(r).astype(np.float16))),
    Fault("probabilities on another scale", "", frozenset(), rows(lambda r: 100 * _softmax(r))),
    Fault("8 bits that saturate", "", frozenset(), rows(
        lambda r: np.clip(np.rint(r / (0.95 * np.abs(r).max()) * 127), -128, 127)
        * (0.95 * np.abs(r).max() / 127))),
]  # fmt: skip


def planted(pipeline: Pipeline, kind: Kind, faults: tuple[Fault, ...]) -> Pipeline:
    """A copy of the pipeline with the faults in it."""
    own = replace(
        pipeline,
        **{n: list(getattr(pipeline, n)) for n in ("pixels", "values", "model", "rows", "labels")},
    )
    for each in faults:
        each.plant(own, kind)
    return own
