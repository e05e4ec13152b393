"""Result folders of any outputs: several of them, of any shape and type, by sample id."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.accuracy.one_output import Results
from portproof.metrics.accuracy.results import list_results, output_numbers
from portproof.proof.sidecar import proof_of

Array = NDArray[Any]


@dataclass(frozen=True)
class OutputFiles:
    """One output of a result folder. ``name``, ``dtype`` and ``shape`` (of one sample) are the
    inference's, where its sidecar says them.
    """

    files: Results
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None

    def read(self, sample: str) -> Array:
        """A sample's array; :class:`InputError` if its result does not hold such numbers."""
        array = self.files.array(sample, self.dtype)
        whole = self.shape is not None and array.size == int(np.prod(self.shape))
        return array.reshape(self.shape) if whole and self.shape else array


def outputs_of(folder: str | os.PathLike[str], dtype: str = "float32") -> list[OutputFiles]:
    """The outputs in a result folder, in order. ``dtype``: of ``.bin`` results that no sidecar
    describes. :class:`InputError` if an output lacks samples that another has.
    """
    proof = proof_of(folder)
    facts = proof.facts.get("outputs") if proof else None
    described = facts if isinstance(facts, list) else []
    found = [
        _described(list_results(folder, number), described, dtype)
        for number in output_numbers(folder)
    ]
    for output in found[1:]:
        odd = output.files.ids.apart_from(found[0].files.ids)
        if odd:
            raise InputError(
                f"'{folder}': outputs {found[0].files.output} and {output.files.output} are not of"
                f" the same samples ({listed(odd)}); finish the inference"
            )
    return found


def _described(files: Results, described: list[Any], dtype: str) -> OutputFiles:
    facts = described[files.output - 1] if 1 <= files.output <= len(described) else {}
    try:
        kind = np.dtype(facts.get("dtype", dtype))
        shape = tuple(int(size) for size in facts["shape"]) if facts.get("shape") else None
    except (AttributeError, TypeError, ValueError):
        raise InputError(
            f"the sidecar of '{files.folder}' does not describe its outputs as this version does;"
            " run the inference again"
        ) from None
    return OutputFiles(files, str(facts.get("name", f"output {files.output}")), kind, shape)
