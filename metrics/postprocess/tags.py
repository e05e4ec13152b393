"""A tag for every word of a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Array, Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.decoding.word_list import read_words
from portproof.metrics.truth.sentences import Sentence
from portproof.postprocess import Tags

PREDICTION = "tags"
FILES = ("names",)
_OUTSIDE = "O"


def decoder(settings: Tags, folder: Path) -> Decode:
    """The tags of a sample's words, as many as the truth has words."""
    names = settings.names
    if isinstance(names, str):
        names = read_words(folder / names, "tags")

    def decode(outputs: Outputs, sample: Sample) -> list[str]:
        array = output_of(outputs, settings.output, "tags")
        if settings.ready:
            ids = np.rint(shaped(array, 1, "tags", "ids (tokens,)")).astype(np.int64)
        else:
            scores = shaped(array, 2, "tags", f"(tokens, {len(names)})")
            if scores.shape[1] != len(names):
                raise InputError(
                    f"the output of the tags has {scores.shape[1]} classes, and there are"
                    f" {len(names)} names of tags; correct 'names' in the post-processing"
                )
            ids = scores.argmax(axis=1)
        return [_tag(ids, at, names) for at in _positions(sample, settings.first)]

    return decode


def _positions(sample: Sample, first: int) -> list[int]:
    sentence = sample.context
    if not isinstance(sentence, Sentence):
        raise InputError(
            "how many words a sentence has is said by the truth of token_classification; the kind"
            " 'tags' goes with that task"
        )
    if sentence.positions is not None:
        return list(sentence.positions)
    return list(range(first, first + len(sentence.words)))


def _tag(ids: Array, at: int, names: tuple[str, ...]) -> str:
    """The tag of the token at this place; words that were cut off are outside of everything."""
    if at >= len(ids):
        return _OUTSIDE
    if not 0 <= ids[at] < len(names):
        raise InputError(
            f"the output of the tags holds the id {ids[at]}, and there are {len(names)} names of"
            " tags; correct 'names' in the post-processing"
        )
    return names[int(ids[at])]
