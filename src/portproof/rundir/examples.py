"""Demonstrations: models trained on data made on the spot, one folder of ``examples`` each.

A folder ``examples/<name>`` has the model card ``<name>.yaml``, ``data.py OUT_DIR``, which makes
the data, ``train.py PREP_DIR TRUTH WEIGHTS``, and ``example.yaml``, which says where the data lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from portproof.core.errors import InputError
from portproof.core.yamlfile import data_folder, load_yaml
from portproof.rundir.step import Step, words

if TYPE_CHECKING:
    from portproof.rundir.layout import RunDir

_FILE = "example.yaml"
_TRAINING = "prep_train"


class Example(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the data of a demonstration lies, relative to the run directory: ``images`` (or texts)
    and ``labels`` to validate with, ``training`` and ``training_labels`` to train with.
    """

    images: str
    labels: str
    training: str
    training_labels: str


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
    return example_folder(name) / f"{name}.yaml"


def steps(run: RunDir) -> Iterator[Step]:
    """Make the demonstration's data and weights."""
    name = run.settings.example
    folder, example, card = example_folder(name), read_example(name), str(example_card(name))
    yield Step("data", str(folder / "data.py"), ("data",), makes=("data",), portable=True)
    if run.settings.encoded:
        yield encode(card, example.training, _TRAINING, f"{_TRAINING}.info")
    else:
        yield Step(
            "preprocess train",
            "preprocess",
            words(example.training, _TRAINING, "--model", card),
            reads=(example.training,),
            makes=(_TRAINING,),
            portable=True,
        )
    yield Step(
        "train",
        str(folder / "train.py"),
        words(_TRAINING, example.training_labels, run.settings.weights),
        reads=(_TRAINING, "data"),
        makes=(run.settings.weights,),
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
