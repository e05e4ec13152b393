"""The exact preprocessing of a model, as data.

Named recipes are ``catalog/recipes/<name>.yaml``; a model card holds one or names one.
"""

from __future__ import annotations

import hashlib
import os
from typing import Annotated, Literal

import msgspec

from portproof.core.yamlfile import data_file, load_yaml

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming", "area"]
Dtype = Literal["float32", "float16", "uint8"]
Layout = Literal["NCHW", "NHWC"]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=65500)]
Level = Annotated[int, msgspec.Meta(ge=0, le=255)]
Positive = Annotated[float, msgspec.Meta(gt=0)]

#: Which interpolations each resizer has.
INTERPOLATIONS: dict[str, tuple[str, ...]] = {
    "pillow": ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
    "opencv": ("nearest", "bilinear", "bicubic", "lanczos", "area"),
}


_ROUNDINGS = ("half_even", "half_up", "truncate")


class Resize(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Resize before the crop.

    ``rule`` decides what ``size`` means:

    * ``shorter``: the shorter side becomes ``size[0]`` pixels, the other keeps the ratio, rounded
      by ``rounding``: ``truncate`` (torchvision's ``Resize(int)``) or ``half_up`` (``int(size
      / short * long + 0.5)``, the ShuffleNetV2+ scripts);
    * ``exact``: height and width become ``size`` (timm's crop mode ``squash``);
    * ``cover`` and ``contain``: the ratio is kept, and the image just covers ``size`` (timm's
      ``ResizeKeepRatio``, crop mode ``center`` of a model that is not square) or just fits into it
      (crop mode ``border``); both sides are rounded half to even, as timm does;
    * ``letterbox``: as ``contain``, by the operations of detectors: both sides times ``min(size[0]
      / height, size[1] / width)``, rounded by ``rounding``: ``half_even`` (Ultralytics'
      ``LetterBox``), ``half_up`` (mmdetection's ``Resize(keep_ratio=True)`` to a square) or
      ``truncate`` (YOLOX). ``upscale: false`` leaves small images as they are
      (``LetterBox(scaleup=False)``).
    """

    rule: Literal["shorter", "exact", "cover", "contain", "letterbox"] = "shorter"
    size: tuple[Pixels, ...]
    interpolation: Interpolation = "bilinear"
    rounding: Literal["truncate", "half_up", "half_even"] = "truncate"
    upscale: bool = True

    def __post_init__(self) -> None:
        if len(self.size) != (1 if self.rule == "shorter" else 2):
            wanted = (
                "one number for the rule 'shorter'"
                if self.rule == "shorter"
                else f"height and width for the rule '{self.rule}'"
            )
            raise ValueError(f"`size`: {wanted} was expected, it has {len(self.size)}")
        known = {"shorter": ("truncate", "half_up"), "letterbox": _ROUNDINGS}
        if self.rounding not in known.get(self.rule, ("truncate",)):
            rules = [rule for rule, roundings in known.items() if self.rounding in roundings]
            raise ValueError(
                f"`rounding`: '{self.rounding}' goes with the rule {' or '.join(map(repr, rules))}"
                " only"
            )
        if not self.upscale and self.rule != "letterbox":
            raise ValueError("`upscale`: it goes with the rule 'letterbox' only")


class Recipe(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """From an image file to one sample of a model's input.

    Decode to 8-bit RGB (``decoder``: ``pillow`` ignores the EXIF orientation, ``opencv`` applies
    it, each as its library does), resize, centre crop to ``crop`` (height, width), order channels,
    divide by ``divide``, subtract ``mean``, divide by ``std`` (one value a channel, in the order of
    ``channels``; all in float32), write as ``dtype`` in ``layout``.

    ``crop_rounding`` places a crop whose margin is odd: ``half_even`` (torchvision, timm:
    ``int(round((h - c) / 2.0))``), ``floor`` (``(h - c) // 2``) or ``ceil`` (TensorFlow's ``(h - c
    + 1) // 2``). An image smaller than the crop is padded with ``fill`` (R, G, B), equally on both
    sides, the odd pixel at the end (``place: centre``: Ultralytics), or at the bottom and the right
    only (``top_left``: YOLOX, mmdetection's ``Pad``).
    """

    name: str = ""
    decoder: Literal["pillow", "opencv"] = "pillow"
    resizer: Literal["pillow", "opencv"] = "pillow"
    resize: Resize | None = None
    crop: tuple[Pixels, Pixels] | None = None
    crop_rounding: Literal["half_even", "floor", "ceil"] = "half_even"
    fill: tuple[Level, Level, Level] = (0, 0, 0)
    place: Literal["centre", "top_left"] = "centre"
    channels: Literal["RGB", "BGR"] = "RGB"
    divide: Positive = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    dtype: Dtype = "float32"
    layout: Layout = "NCHW"

    def __post_init__(self) -> None:
        if self.crop is None and (self.resize is None or self.resize.rule != "exact"):
            raise ValueError(
                "`crop`: it is missing, so that samples would differ in size; give 'crop', or"
                " 'resize' with the rule 'exact'"
            )
        if self.resize and self.resize.rule == "letterbox" and self.crop != self.resize.size:
            raise ValueError(
                f"`crop`: the rule 'letterbox' fills its size {self.resize.size} with padding: the"
                f" same was expected, it is {self.crop}"
            )
        if self.resize and self.resize.interpolation not in INTERPOLATIONS[self.resizer]:
            known = ", ".join(INTERPOLATIONS[self.resizer])
            raise ValueError(
                f"`resize.interpolation`: the resizer '{self.resizer}' has {known}, but"
                f" '{self.resize.interpolation}' was asked for"
            )
        if self.dtype == "uint8" and self.normalises:
            raise ValueError(
                "`dtype`: uint8 samples are raw pixels: divide 1, mean 0 and std 1 were expected"
                " with it"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a sample, in pixels."""
        if self.crop is not None:
            return self.crop
        assert self.resize is not None  # __post_init__ has refused anything else
        return self.resize.size[0], self.resize.size[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one sample in ``layout``, without the batch."""
        height, width = self.size
        return (3, height, width) if self.layout == "NCHW" else (height, width, 3)

    @property
    def nbytes(self) -> int:
        """The size of one sample's ``.bin`` file, in bytes."""
        height, width = self.size
        return 3 * height * width * {"float32": 4, "float16": 2, "uint8": 1}[self.dtype]

    @property
    def normalises(self) -> bool:
        """Whether values other than the raw pixels (0..255) are written."""
        return (self.divide, self.mean, self.std) != (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def with_output(recipe: Recipe, dtype: Dtype | None = None, layout: Layout | None = None) -> Recipe:
    """The recipe writing another dtype or layout. ``uint8`` leaves the normalisation out: the
    model, or AIPP, must hold it then.
    """
    changes: dict[str, object] = {}
    if layout is not None:
        changes["layout"] = layout
    if dtype is not None:
        changes["dtype"] = dtype
        if dtype == "uint8":
            changes |= {"divide": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return msgspec.structs.replace(recipe, **changes)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of what the recipe does: two recipes that differ in name alone have one hash."""
    data = {k: v for k, v in msgspec.to_builtins(recipe).items() if k != "name"}
    return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()


def describe(recipe: Recipe) -> str:
    """The recipe in one line.

    >>> describe(Recipe(resize=Resize(size=(256,)), crop=(224, 224)))
    'pillow resize shorter side to 256 bilinear, crop 224 x 224, RGB / 255 - (0.485, 0.456, 0.406)
    / (0.229, 0.224, 0.225), float32 NCHW'
    """
    words = []
    if recipe.decoder != recipe.resizer:
        words.append(f"{recipe.decoder} decode")
    if recipe.resize:
        size = " x ".join(map(str, recipe.resize.size))
        rule = {
            "shorter": "shorter side to",
            "exact": "to",
            "cover": "to cover",
            "contain": "to fit into",
            "letterbox": "to fit into",
        }[recipe.resize.rule]
        words.append(f"{recipe.resizer} resize {rule} {size} {recipe.resize.interpolation}")
    if recipe.crop:
        placed = ", padded at the end" if recipe.place == "top_left" else ""
        words.append(f"crop {recipe.crop[0]} x {recipe.crop[1]}{placed}")
    values = (
        f" / {recipe.divide:g} - {recipe.mean} / {recipe.std}"
        if recipe.normalises
        else " raw pixels"
    )
    return ", ".join([*words, recipe.channels + values, f"{recipe.dtype} {recipe.layout}"])


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe from a YAML file; :class:`InputError` names the wrong line and why."""
    return load_yaml(path, Recipe, "recipe")


def find_recipe(name: str) -> Recipe:
    """The recipe of a name (``recipes/<name>.yaml``) or of a YAML file's path; :class:`InputError`
    lists the names there are.
    """
    hint = "or give the path of a recipe's YAML file"
    return read_recipe(data_file("recipes", name, "recipe", hint))
