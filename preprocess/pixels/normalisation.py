"""Where a model's scale, mean and std are applied: in the prepared input, or inside the model.
Exactly one of both is right.

An exported ONNX file says it in its metadata under :data:`METADATA_KEY`, and every model's sidecar
under the fact ``normalisation``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from portproof.core.errors import InputError
from portproof.proof.sidecar import Proof
from portproof.recipe import Recipe

METADATA_KEY = "portproof.normalisation"
FACT = "normalisation"


class Normalisation(msgspec.Struct, frozen=True, kw_only=True):
    """``(pixel / divide - mean) / std`` per channel in the order of ``channels``, and where it
    happens; ``layout`` is of the model's input.
    """

    where: Literal["in the model", "in the input"]
    divide: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["RGB", "BGR"]
    layout: Literal["NCHW", "NHWC"]

    @property
    def normalises(self) -> bool:
        """Whether the formula changes a pixel at all."""
        return (self.divide, self.mean, self.std) != (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def normalisation_by(recipe: Recipe, folded: bool) -> Normalisation:
    """Who applies the normalisation of a float recipe: the model (``folded``) or the input."""
    return Normalisation(
        where="in the model" if folded else "in the input",
        divide=recipe.divide,
        mean=recipe.mean,
        std=recipe.std,
        channels=recipe.channels,
        layout=recipe.layout,
    )


def facts_by(recipe: Recipe | None, folded: bool) -> dict[str, Any]:
    """The same as a sidecar's fact; none without a recipe."""
    return {FACT: msgspec.to_builtins(normalisation_by(recipe, folded))} if recipe else {}


def from_metadata(text: str | None, what: str) -> Normalisation | None:
    """An ONNX file's normalisation under :data:`METADATA_KEY`; None if it has no entry."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Normalisation)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{what}: its metadata '{METADATA_KEY}' cannot be read ({error}); export the model"
            " again"
        ) from error


def from_proof(proof: Proof | None) -> Normalisation | None:
    """What a model's sidecar says; None without a sidecar, or when that says nothing."""
    if proof is None or FACT not in proof.facts:
        return None
    try:
        return msgspec.convert(proof.facts[FACT], Normalisation)
    except msgspec.ValidationError as error:
        raise InputError(
            f"the sidecar's fact '{FACT}' cannot be read ({error}); make the model again"
        ) from error


def check_normalisation(
    model: Normalisation | None, prep: Proof | None, model_name: str, prep_name: str
) -> None:
    """Refuse a model and prepared samples that together would be normalised twice, not at all, or
    by other numbers.

    ``prep`` is the sidecar of the samples. Where either says nothing (a file from elsewhere)
    nothing can be judged, and it is let through.
    """
    if model is None or prep is None or "recipe" not in prep.facts:
        return
    prepared = msgspec.convert(prep.facts["recipe"], Recipe)
    remedy = (
        "prepare the samples with --dtype"
        f" {'uint8' if model.where == 'in the model' else 'float32'}, or use the model exported "
    )
    if model.where == "in the model" and prepared.normalises:
        raise InputError(
            f"'{model_name}' normalises its input, and '{prep_name}' is normalised already:"
            f" {remedy}without --fold-normalize"
        )
    if model.where == "in the input" and model.normalises and not prepared.normalises:
        raise InputError(
            f"'{model_name}' expects normalised samples, and '{prep_name}' holds raw pixels:"
            f" {remedy}with --fold-normalize"
        )
    if (prepared.channels, prepared.layout) != (model.channels, model.layout):
        raise InputError(
            f"'{model_name}' takes {model.channels} {model.layout}, and '{prep_name}' holds"
            f" {prepared.channels} {prepared.layout}: prepare the samples by the model's own card"
        )
    numbers, wanted = (
        (prepared.divide, prepared.mean, prepared.std),
        (model.divide, model.mean, model.std),
    )
    if prepared.normalises and numbers != wanted:
        raise InputError(
            f"'{model_name}' expects samples normalised by {wanted} (divide, mean, std), and"
            f" '{prep_name}' was by {numbers}: prepare the samples by the model's own card"
        )
