"""What the sidecar of an ``.om`` says of the model: what can be chosen at run time, and its inputs
and outputs. The vendor's tools do not report them, and some read any bytes that they are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from portproof.backend import TensorSpec
from portproof.core.errors import InputError
from portproof.proof.sidecar import proof_of

FACT = "model"
Gears = Literal["static", "batch", "hw", "dims", "shape"]


class OmFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``gears``: what is chosen at run time. ``inputs`` and ``outputs`` in the model's order, None
    where a dimension is open; None for all of them if they are unknown.
    """

    gears: Gears
    inputs: tuple[TensorSpec, ...] | None
    outputs: tuple[TensorSpec, ...] | None


def facts_of(model: Path) -> OmFacts | None:
    """The facts; None for a model that was converted elsewhere, or by an earlier version."""
    proof = proof_of(model)
    fact = proof.facts.get(FACT) if proof else None
    return None if fact is None else msgspec.convert(fact, OmFacts)


def check_batch(model: Path, facts: OmFacts, batch: int) -> None:
    """:class:`InputError` for a batch that the model was not converted for, and for outputs that
    have no part for each sample.
    """
    for spec in facts.inputs or ():
        if facts.gears == "static" and spec.shape[:1] not in ((None,), (batch,)):
            raise InputError(
                f"'{model}' has the fixed batch {spec.shape[0]}, --batch asks for {batch}; use"
                f" {spec.shape[0]} or convert for {batch}"
            )
    for spec in facts.outputs or ():
        if spec.shape[:1] not in ((None,), (batch,)):
            raise InputError(
                f"output '{spec.name}' of '{model}' has the shape {spec.shape}: its first dimension"
                " is not the batch, so it has no part for each sample; export the model without it"
            )
