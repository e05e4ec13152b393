"""What is known of a part of several models on one side: its samples and its answers, by id.

A sample of a part has the id of the data's sample that it comes from. Where one became several,
these are ``<id>@0``, ``<id>@1`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from portproof.card import Card
from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.text import listed
from portproof.manifest import Sample, check_unique, read_info
from portproof.metrics.decoding.arrays import Array
from portproof.metrics.outputs.output_files import OutputFiles, outputs_of
from portproof.packed.ids import SampleIds
from portproof.rundir.parts.part import Part

#: Between the id of the data's sample and the number of one that came of it.
SEPARATOR = "@"


def split_id(sample: str, number: int) -> str:
    """The id of one of several samples.

    >>> split_id("page_1", 2)
    'page_1@2'
    """
    return f"{sample}{SEPARATOR}{number}"


def _number(sample: str) -> int:
    return int(sample.rpartition(SEPARATOR)[2])


@dataclass(frozen=True)
class PartAnswers:
    """A part, its card, its samples in order, and its result folder."""

    part: Part
    card: Card
    samples: Mapping[str, Sample]
    outputs: Sequence[OutputFiles]

    @cached_property
    def several(self) -> dict[str, list[str]]:
        """Id of the data's sample -> ids of those that came of it, where any sample was split."""
        found: dict[str, list[str]] = {}
        for sample in self.samples:
            whole, separator, number = sample.rpartition(SEPARATOR)
            if separator and number.isdigit():
                found.setdefault(whole, []).append(sample)
        by_number = {whole: sorted(own, key=_number) for whole, own in found.items()}
        return by_number

    @property
    def names(self) -> list[str]:
        """The names of its inputs that are on the disk, and of its outputs."""
        return [*self._input_names, *(o.name for o in self.outputs)]

    @property
    def _input_names(self) -> list[str]:
        own = self.part.own_inputs if self._looped else ()
        return [spec.name for spec in self.card.inputs if spec.name not in own]

    @property
    def _looped(self) -> bool:
        """Whether the answers are those of the part's loop, which makes some inputs itself."""
        return {o.name for o in self.outputs} == set(self.part.own_inputs)

    def ids_of(self, sample: str) -> list[str]:
        """The part's samples that came of one of the data: itself, or several, or none."""
        if sample in self.samples:
            return [sample]
        return self.several.get(sample, [])

    def inputs_of(self, own: str) -> dict[str, Array]:
        """The arrays that a sample of the part was fed."""
        specs = {spec.name: spec for spec in self.card.inputs}
        found = {}
        for name, file in zip(self._input_names, self.samples[own].files, strict=True):
            numbers = np.frombuffer(read_file(file, "sample"), specs[name].dtype)
            found[name] = numbers.reshape(specs[name].shape)
        return found

    def outputs_of(self, own: str) -> dict[str, Array]:
        """The arrays that it answered."""
        return {output.name: output.read(own) for output in self.outputs}

    def value(self, own: str, name: str) -> Array:
        """An output, or an input, by name; :class:`InputError` lists those there are."""
        for output in self.outputs:
            if output.name == name:
                return output.read(own)
        if name not in self._input_names:
            raise InputError(
                f"the part '{self.part.name}' has no '{name}'; it has {', '.join(self.names)}"
            )
        return self.inputs_of(own)[name]


def read_answers(part: Part, card: Card, info: Path, result: Path) -> PartAnswers:
    """Read what is known of a part; :class:`InputError` if its samples are not those answered."""
    samples = {sample.id: sample for sample in read_info(info)}
    outputs = outputs_of(result)
    if odd := outputs[0].files.ids.apart_from(SampleIds.of(samples)):
        raise InputError(
            f"the list '{info}' and the results '{result}' of the part '{part.name}' are not of the"
            f" same samples ({listed(odd)}); finish the inference"
        )
    return PartAnswers(part, card, samples, _named(part, card, outputs, result))


def _named(
    part: Part, card: Card, outputs: Sequence[OutputFiles], result: Path
) -> Sequence[OutputFiles]:
    """The outputs with the card's names, which a vendor's tool does not know; those of a loop are
    inputs, and have their names.
    """
    if part.loop and {output.name for output in outputs} == set(part.own_inputs):
        return outputs
    if len(outputs) != len(card.outputs):
        raise InputError(
            f"'{result}' has {len(outputs)} outputs, and the card '{card.name}' of the part"
            f" '{part.name}' has {len(card.outputs)}; are these its results?"
        )
    named = []
    for output, spec in zip(outputs, card.outputs, strict=True):
        shape = output.shape if output.shape is not None else spec.shape
        named.append(replace(output, name=spec.name, shape=shape))
    return named


def check_ids(ids: Sequence[str], made: Sequence[str]) -> None:
    """Refuse made samples whose ids are those of others, or hide that they were split."""
    check_unique(made, "the samples that were made")
    taken = [i for i in made if i not in ids and i.rpartition(SEPARATOR)[0] not in ids]
    if taken:
        raise InputError(f"samples of no sample of the data were made ({listed(taken)})")
    double = [i for i in made if i in ids and i.rpartition(SEPARATOR)[0] in ids]
    if double:
        raise InputError(
            f"'{double[0]}' may be a sample or a piece of another one: rename it, without"
            f" '{SEPARATOR}'"
        )
