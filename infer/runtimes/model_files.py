"""What decides a result beside the command line: the files of the model, of its card, and the
packages that build it.

Found without importing any of these packages, so that "nothing changed" is reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portproof import backend as backends
from portproof.card import find_card, read_card
from portproof.convert.onnxfile.read import read_onnx
from portproof.convert.pytorch.models import Named, builder_of
from portproof.core.errors import InputError
from portproof.core.files import existing_file


def model_files(model: Path) -> list[Path]:
    """The model file, and the weights files of an ONNX file with external data."""
    existing_file(model, "model file")
    return read_onnx(model).files if model.suffix == ".onnx" else [model]


def card_files(card: str | None) -> dict[str, list[Path]]:
    """The files behind a card by role: its YAML file, the Python file of its builder if that is on
    this host. Empty for ``timm:`` and ``torchvision:`` names.
    """
    if card is None:
        return {}
    record = _as_far_as_known(card)
    files = {
        "card": [Path(record.path)] if record.path else [],
        "builder": _builder_files(record),
    }
    return {role: paths for role, paths in files.items() if paths}


def _builder_files(record: Named) -> list[Path]:
    """None where the model's code is not, as on a device's host: whoever builds the model says so,
    and to others it decides nothing.
    """
    try:
        return builder_of(record).files(record)
    except InputError:
        return []


def packages(backend: str, card: str | None) -> tuple[str, ...]:
    """The distributions whose versions decide the numbers: numpy, the runtime's, and those that
    build the card's model for PyTorch.
    """
    runtime = backends.find(backend).PACKAGES
    return (
        "numpy",
        *runtime,
        *(builder_packages(card) if card is not None and "torch" in runtime else ()),
    )


def builder_packages(card: str) -> tuple[str, ...]:
    """The distributions that a card's model, and a zoo card's recipe, come from."""
    return builder_of(_as_far_as_known(card)).PACKAGES


@dataclass(frozen=True, slots=True)
class _Zoo:
    """A card that has no file: its text names its builder."""

    name: str
    builder: str
    path: str | None = None


def _as_far_as_known(card: str) -> Named:
    """A card without asking a model zoo: its file where it has one, else just its builder."""
    if ":" in card and not card.endswith((".yaml", ".yml")):
        return _Zoo(card, card)
    return read_card(find_card(card))


def sample_shapes(card: str | None) -> dict[str, tuple[int, ...]]:
    """Input name -> shape of one sample, as the card has it."""
    if card is None:
        return {}
    from portproof.preprocess.cards.resolve import resolve_card

    return {i.name: i.shape for i in resolve_card(card).inputs}
