"""Build a model card's PyTorch model with its weights.

What a card's ``builder`` begins with (``timm:``, ``torchvision:``) names a file
``from_<prefix>.py``; anything else is ``FILE.py:CALLABLE``. A builder defines ``PACKAGES``
(distributions that decide the model), ``build(card, weights)`` and ``files(card)``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from portproof.card import Card
from portproof.convert.pytorch.weights import check_weights
from portproof.core.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from torch import nn


class Named(Protocol):
    """What is enough of a card to find its builder: a model zoo's card is known in full only to the
    zoo's package.
    """

    @property
    def name(self) -> str:
        """The card's name."""

    @property
    def builder(self) -> str:
        """What builds the model."""

    @property
    def path(self) -> str | None:
        """Where the card was read."""


class Builder(Protocol):
    """The module of a builder. Importing it imports no framework."""

    #: Distributions whose version decides what is built.
    PACKAGES: tuple[str, ...]

    def build(self, card: Card, weights: Path | None) -> nn.Module:
        """The model with the weights loaded; random values when ``weights`` is None."""

    def files(self, card: Named) -> list[Path]:
        """The user's own code that the model is made of, as far as it is known now."""


def builder_of(card: Named) -> Builder:
    """The builder that a card names."""
    prefix, colon, rest = card.builder.partition(":")
    name = f"portproof.convert.pytorch.from_{prefix}"
    if colon and rest and prefix.isidentifier() and importlib.util.find_spec(name):
        return cast(Builder, importlib.import_module(name))
    if ".py:" in card.builder:
        return cast(Builder, importlib.import_module("portproof.convert.pytorch.user_file"))
    if not card.builder:
        raise InputError(
            f"model card '{card.name}' is of several models, each with a card of its own: name that"
            " of one, or port all of them ('portproof port')"
        )
    raise InputError(
        f"model card '{card.name}': the builder '{card.builder}' is not known; timm:NAME,"
        " torchvision:NAME or FILE.py:CALLABLE was expected"
    )


def build_model(card: Card, weights: Path | None) -> nn.Module:
    """The card's model in evaluation mode, on the CPU, with the weights checked against the card
    and loaded completely.

    ``weights=None`` leaves random values, for tests and benchmarks. Raises :class:`InputError` for
    a missing, wrong or unfit weights file and for a builder that does not give a model.
    """
    builder = builder_of(card)
    if weights is not None:
        check_weights(card, weights)
    if importlib.util.find_spec("torch") is None:
        raise MissingPackageError("torch", "building a PyTorch model", "convert")
    return builder.build(card, weights).eval()


@contextlib.contextmanager
def options_of(card: Card) -> Iterator[None]:
    """Around the call of a zoo's builder: one that does not take the card's options is one sentence
    that names them.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if not card.options:
            raise
        given = ", ".join(f"{name}={value}" for name, value in card.options.items())
        raise InputError(
            f"'{card.builder}' cannot be built with the options {given}: {error}; correct the"
            f" options of the model card '{card.name}'"
        ) from error


def class_count(card: Card) -> int | None:
    """The number of classes of a card whose first output has one dimension, else None."""
    shape = card.outputs[0].shape
    return shape[0] if shape is not None and len(shape) == 1 else None
