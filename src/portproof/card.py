"""Model cards: ``catalog/models/<name>.yaml`` holds everything about a model but its code."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import msgspec

from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.core.yamlfile import data_file, load_yaml, names_in
from portproof.postprocess import Postprocess, kinds_listed
from portproof.recipe import Recipe, find_recipe
from portproof.rundir.parts.part import Links, Part, check_form, check_links, check_parts
from portproof.sequence import Sequence

#: The steps of every task of ``metrics/tasks``, which are no task themselves.
BY_METRIC = "by_metric"

Name = Annotated[str, msgspec.Meta(min_length=1)]
Dimension = Annotated[int, msgspec.Meta(ge=1)]


class Weights(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The published weights: file name, where to get them, and the checksum (``md5`` or ``sha256``,
    hexadecimal) of the file. ``allow_changes``: whether loading may change them (resample, fill,
    cut or quantise); without it that is refused.
    """

    file: str | None = None
    url: str | None = None
    md5: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32}$")] | None = None
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    allow_changes: bool = False


class Input(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A model input. ``shape`` is of one sample, without the batch."""

    name: Name
    shape: tuple[Dimension, ...]
    dtype: str = "float32"
    layout: str = "NCHW"


class Output(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A model output. ``shape`` is of one sample, without the batch."""

    name: Name
    shape: tuple[Dimension, ...] | None = None
    dtype: str = "float32"


class Published(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The published accuracy, in percent as its source prints it, and that source."""

    source: str
    top1: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    top5: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


class Card(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One model. ``builder`` is ``timm:NAME.TAG``, ``torchvision:NAME``, ``transformers:NAME`` or
    ``FILE.py:CALLABLE`` (relative to the card's folder); ``options`` are its keyword arguments, for
    settings that are not in the weights (``transform_input`` of Inception v3).

    ``recipe`` is a recipe or the name of one; :attr:`preprocessing` is always the recipe itself. A
    model of another input than one picture has none: ``sequence`` (:mod:`portproof.sequence`)
    makes the inputs from text or sound, or its samples are given ready.
    ``task`` is ``classification`` or one of ``metrics/tasks``. These have, too: ``postprocess``
    (see :mod:`portproof.postprocess`; a record, a file's name, or ``FILE.py:decode`` beside the
    card); ``metric``, the figure that is judged (the task's first without it); ``margin``, what it
    may lose, in percentage points for a share and else in its own unit.

    A card of several models has ``parts`` (:mod:`portproof.rundir.parts.part`) in the place of
    ``builder``, ``inputs`` and ``recipe``, which are its parts' own. ``gather`` makes its outputs:
    ``PART.NAME`` for each, or ``FILE.py:NAME``. They are judged by ``task``, as those of one are.

    ``class_names``: of a classifier, in the order of its output, for reports.

    ``path`` is where the card was read, None for a card that was made from a builder's own data.
    """

    name: Name
    builder: Annotated[
        str, msgspec.Meta(pattern=r"^((timm:|torchvision:|transformers:|engine:|.*\.py:).+)?$")
    ] = ""
    inputs: Annotated[tuple[Input, ...], msgspec.Meta(min_length=1)] = ()
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    recipe: Recipe | str | None = None
    sequence: Sequence | None = None
    options: dict[Name, bool | int | float | str] = {}
    task: str = "classification"
    weights: Weights = Weights()
    postprocess: Postprocess | Name | None = None
    metric: Name | None = None
    margin: Annotated[float, msgspec.Meta(gt=0)] | None = None
    published: Published | None = None
    class_names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    gather: Links | str | None = None
    batches: Annotated[tuple[Dimension, ...], msgspec.Meta(min_length=1)] = (1, 4, 8, 16, 32, 64)
    path: str | None = None

    def __post_init__(self) -> None:
        tasks = task_names()
        if self.task not in tasks:
            raise ValueError(f"`task`: there is no task '{self.task}', there is {', '.join(tasks)}")
        names = [i.name for i in self.inputs] + [o.name for o in self.outputs]
        if len(set(names)) != len(names):
            raise ValueError(
                "`outputs`: the names of inputs and outputs must differ from each other, they are"
                f" {', '.join(names)}"
            )
        self._check_parts()
        if isinstance(self.recipe, str) and self.recipe not in names_in("recipes"):
            raise ValueError(
                f"`recipe`: there is no recipe '{self.recipe}', there are"
                f" {', '.join(names_in('recipes'))}"
            )
        if len(self.inputs) == 1 and len(self.inputs[0].shape) == 3:
            if self.recipe is None:
                raise ValueError("`recipe` is missing: the only input is a picture")
            wanted, given = self.preprocessing.shape, tuple(self.inputs[0].shape)
            if wanted != given:
                raise ValueError(
                    f"`inputs[0].shape`: the recipe makes samples of shape {wanted}, the input has"
                    f" {given}; correct one of them"
                )
        if self.sequence is not None:
            self._check_sequence(self.sequence)
        if self.task == "classification" and (self.metric or self.margin or self.postprocess):
            raise ValueError(
                "`task`: 'postprocess', 'metric' and 'margin' are for tasks other than"
                f" classification, which are {', '.join(t for t in tasks if t != self.task)}"
            )

    def _check_parts(self) -> None:
        """One model has a builder and inputs; several have parts, which are made one."""
        of_one: dict[str, object] = {"builder": self.builder, "inputs": self.inputs}
        if not self.parts:
            for name, value in of_one.items():
                if not value:
                    raise ValueError(f"`{name}` is missing")
            if self.gather is not None:
                raise ValueError("`gather`: it is for a card with 'parts'")
            return
        of_one |= {"recipe": self.recipe, "sequence": self.sequence, "options": self.options}
        for name, value in of_one.items():
            if value:
                raise ValueError(f"`{name}`: it is its parts' own in a card with 'parts'")
        if self.gather is None:
            raise ValueError("`gather` is missing: it makes the outputs from those of the parts")
        if self.task == "classification":
            raise ValueError("`task`: a card with 'parts' names one other than classification")
        check_parts(self.parts)
        check_form(self.gather, "gather")
        if isinstance(self.gather, dict):
            check_links(self.gather, self.parts)
            if list(self.gather) != [o.name for o in self.outputs]:
                raise ValueError("`gather`: its names must be those of 'outputs', in their order")

    def _check_sequence(self, sequence: Sequence) -> None:
        """One input for each part, each of the length that is made."""
        if self.recipe is not None:
            raise ValueError("`sequence`: it and 'recipe' are there: a model has one of them")
        if len(sequence.parts) != len(self.inputs):
            raise ValueError(
                f"`sequence.parts`: there are {len(sequence.parts)} ({', '.join(sequence.parts)}),"
                f" the model has {len(self.inputs)} inputs"
            )
        for part, spec in zip(sequence.parts, self.inputs, strict=True):
            wanted = 1 if part == "length" else sequence.length
            if math.prod(spec.shape) != wanted:
                raise ValueError(
                    f"`inputs`: '{spec.name}' has the shape {tuple(spec.shape)}, and '{part}' of"
                    f" 'sequence' is {wanted} numbers; correct one of them"
                )

    @property
    def preprocessing(self) -> Recipe:
        """The recipe, looked up when the card only names it; :class:`InputError` without one."""
        if self.recipe is None:
            raise InputError(
                f"the model card '{self.name}' has no recipe: give it one, or the samples ready"
                " ('portproof port --samples', 'portproof infer --info')"
            )
        return find_recipe(self.recipe) if isinstance(self.recipe, str) else self.recipe


def task_names() -> list[str]:
    """The tasks that a card may have: found by their files, none of which is imported."""
    own = set(plugins.names("portproof.rundir.tasks")) - {BY_METRIC}
    return sorted(own.union(plugins.names("portproof.metrics.tasks")))


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read a card from a YAML file; :class:`InputError` names the wrong line and the reason."""
    with kinds_listed():
        card = load_yaml(path, Card, "model card")
    return msgspec.structs.replace(card, path=str(path))


def find_card(name: str) -> Path:
    """The card file of a model name or path; :class:`InputError` lists the names there are."""
    hint = "or give a card's path, timm:NAME, torchvision:NAME or FILE.py:CALLABLE"
    return data_file("models", name, "model card", hint)
