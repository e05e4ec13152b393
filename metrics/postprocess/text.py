"""A text from token ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Array, Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.decoding.word_list import read_words
from portproof.postprocess import Text

PREDICTION = "text"
FILES = ("vocabulary",)


def decoder(settings: Text, folder: Path) -> Decode:
    """The text of a sample, to the first stop token."""
    vocabulary = read_words(folder / settings.vocabulary, "vocabulary")
    for name, ids in (("stop", settings.stop), ("skip", settings.skip)):
        if any(not 0 <= i < len(vocabulary) for i in ids):
            raise InputError(
                f"'{name}' has an id outside the vocabulary of {len(vocabulary)} tokens; correct"
                " the post-processing"
            )

    def decode(outputs: Outputs, sample: Sample) -> str:
        array = output_of(outputs, settings.output, "text")
        if settings.scores:
            scores = shaped(array, 2, "text", f"scores (tokens, {len(vocabulary)})")
            if scores.shape[1] != len(vocabulary):
                raise InputError(
                    f"the output of the text has scores of {scores.shape[1]} tokens, and the"
                    f" vocabulary has {len(vocabulary)}; give the model's own vocabulary"
                )
            array = scores.argmax(axis=1)
        ids = shaped(array, 1, "text", "ids (tokens,)", may_be_empty=True)
        kept = _until_stop(ids, len(vocabulary), settings)
        return _joined([vocabulary[i] for i in kept], settings.join)

    return decode


def _until_stop(array: Array, count: int, settings: Text) -> list[int]:
    with np.errstate(invalid="ignore"):
        whole = array.dtype.kind in "iu" or bool((array == np.rint(array)).all())
    if not whole:
        raise InputError(
            "the output of the text holds numbers that are no ids; say 'scores: true' in the"
            " post-processing if they are scores"
        )
    kept: list[int] = []
    for i in array.astype(np.int64).tolist():
        if i in settings.stop:
            break
        if not 0 <= i < count:
            raise InputError(
                f"the output of the text holds the id {i}, and the vocabulary has {count} tokens;"
                " give the model's own vocabulary, or the id where a text ends ('stop')"
            )
        if i not in settings.skip:
            kept.append(i)
    return kept


def _joined(tokens: list[str], join: str) -> str:
    if join == "wordpiece":
        return " ".join(tokens).replace(" ##", "")
    if join == "sentencepiece":
        return "".join(tokens).replace("▁", " ").strip()
    return (" " if join == "space" else "").join(tokens)
