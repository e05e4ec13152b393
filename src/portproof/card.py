"""Model cards: ``models/<name>.yaml`` says everything about a model that is not code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from portproof.errors import InputError
from portproof.recipe import Recipe
from portproof.yamlfile import data_folder, load_yaml, names_in


class Weights(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The published weights: file name, where to get them, and the checksum (``md5`` or ``sha256``, hexadecimal) of the file."""

    file: str | None = None
    url: str | None = None
    md5: str | None = None
    sha256: str | None = None


class Input(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A model input. ``shape`` is of one sample, without the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    layout: str = "NCHW"


class Output(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A model output. ``shape`` is of one sample, without the batch."""

    name: str
    shape: tuple[int, ...] | None = None
    dtype: str = "float32"


class Published(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The published accuracy, in percent as its source prints it, and that source."""

    source: str
    top1: float | None = None
    top5: float | None = None


class Card(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One model. ``builder`` is ``timm:NAME.TAG``, ``torchvision:NAME`` or ``FILE.py:CALLABLE`` (relative to the card's folder).

    ``path`` is where the card was read, None for a card that was made from a builder's own data.
    """

    name: str
    builder: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    recipe: Recipe | str
    task: Literal["classification"] = "classification"
    weights: Weights = Weights()
    published: Published | None = None
    batches: tuple[int, ...] = (1, 4, 8, 16, 32, 64)
    path: str | None = None


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read a card from a YAML file; :class:`InputError` names the line and the reason when it is wrong."""
    card = msgspec.structs.replace(load_yaml(path, Card, "model card"), path=str(path))
    return check_card(card, f"model card '{path}'")


def check_card(card: Card, what: str) -> Card:
    """Refuse what a type cannot say: no inputs, names that stand twice, sizes below 1, checksums of the wrong length."""
    names = [i.name for i in card.inputs] + [o.name for o in card.outputs]
    if not card.inputs or not card.outputs:
        raise InputError(f"{what}: at least one input and one output were expected under 'inputs' and 'outputs'")
    if len(set(names)) != len(names):
        raise InputError(f"{what}: the names of inputs and outputs must differ from each other, they are {names}")
    if any(d < 1 for i in card.inputs for d in i.shape) or any(b < 1 for b in card.batches):
        raise InputError(f"{what}: dimensions and batch sizes must be at least 1")
    for name, value, length in (("md5", card.weights.md5, 32), ("sha256", card.weights.sha256, 64)):
        if value is not None and (len(value) != length or set(value.lower()) - set("0123456789abcdef")):
            raise InputError(f"{what}: weights.{name} must have {length} hexadecimal digits")
    return card


def find_card(name: str) -> Path:
    """The card file of a model name or path; :class:`InputError` lists the names there are."""
    if name.endswith((".yaml", ".yml")) or os.sep in name:
        return Path(name)
    if name not in names_in("models"):
        raise InputError(
            f"there is no model card '{name}'; there are {', '.join(names_in('models'))}; or give a card's path, timm:NAME, torchvision:NAME or FILE.py:CALLABLE"
        )
    return data_folder("models") / f"{name}.yaml"
