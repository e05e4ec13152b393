"""Demonstrations: models trained on data made on the spot, one folder of ``examples`` each.

A folder ``examples/<name>`` has the model card ``<name>.yaml``, ``data.py OUT_DIR``, which makes
the data, ``train.py PREP_DIR TRUTH WEIGHTS``, and ``example.yaml``, which says where the data lies.
One that ``uses`` the models of others has its card beside the folder, since a card names nothing
outside its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from portproof.card import read_card
from portproof.core.errors import InputError
from portproof.core.yamlfile import data_folder, load_yaml
from portproof.rundir.parts.part_card import card_of_part
from portproof.rundir.step import Step, words

if TYPE_CHECKING:
    from portproof.rundir.layout import RunDir

_FILE = "example.yaml"
_TRAINING = "prep_train"


class Example(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the data of a demonstration lies, relative to the run directory: ``images`` (or texts)
    and ``labels`` to validate with, ``training`` and ``training_labels`` to train with. ``uses``:
    in the place of training, part of the card -> the example that trains it.
    """

    images: str
    labels: str
    training: str = ""
    training_labels: str = ""
    uses: dict[str, str] = {}


def example_names() -> list[str]:
    """The demonstrations there are."""
    return sorted(path.parent.name for path in data_folder("examples").glob(f"*/{_FILE}"))


def example_folder(name: str) -> Path:
    """The folder of a demonstration; :class:`InputError` lists the names there are."""
    if name not in example_names():
        raise InputError(f"there is no example '{name}'; there are {', '.join(example_names())}")
    return data_folder("examples") / name


def read_example(name: str) -> Example:
    """What ``example.yaml`` of a demonstration says."""
    return load_yaml(example_folder(name) / _FILE, Example, "example")


def example_card(name: str) -> Path:
    """The model card of a demonstration."""
    folder = example_folder(name)
    own = folder / f"{name}.yaml"
    return own if own.is_file() else folder.with_suffix(".yaml")


def steps(run: RunDir) -> Iterator[Step]:
    """Make the demonstration's data and weights."""
    name, weights = run.settings.example, run.settings.weights
    example, card = read_example(name), example_card(name)
    yield _data(name, "data")
    if not example.uses:
        yield from _trained(name, example, card, "", weights)
        return
    for part, other in example.uses.items():
        yield _data(other, f"{other}/data")
        made = _trained(
            other, read_example(other), example_card(other), f"{other}/", f"{weights}/{part}.pth"
        )
        yield from (replace(step, name=f"{part} {step.name}") for step in made)


def _data(name: str, out: str) -> Step:
    script = str(example_folder(name) / "data.py")
    title = out.replace("/", " ")
    return Step(title, script, (out,), makes=(out,), portable=True)


def _trained(name: str, example: Example, card: Path, folder: str, weights: str) -> Iterator[Step]:
    """From the data, which are in ``folder``, to the weights."""
    texts, truth, prep = f"{folder}{example.training}", example.training_labels, folder + _TRAINING
    own = read_card(card)
    own = card_of_part(own, own.parts[0]) if own.parts else own
    if own.sequence:
        yield encode(str(own.path), texts, prep, f"{prep}.info")
    else:
        yield Step(
            "preprocess train",
            "preprocess",
            words(texts, prep, "--model", own.path),
            reads=(texts,),
            makes=(prep,),
            portable=True,
        )
    yield Step(
        "train",
        str(example_folder(name) / "train.py"),
        words(prep, f"{folder}{truth}", weights),
        reads=(prep, f"{folder}data"),
        makes=(weights,),
        portable=True,
        imports=("torch",),
    )


def encode(card: str, source: str, prep: str, info: str) -> Step:
    """Samples of texts or recordings, and their list."""
    return Step(
        f"encode {prep}",
        "encode",
        words(source, "--model", card, "--out", prep, info),
        reads=(source,),
        makes=(prep, info),
        portable=True,
    )
