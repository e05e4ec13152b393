"""A text by the greedy path of connectionist temporal classification."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Array, Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.decoding.word_list import read_words
from portproof.postprocess import Ctc

PREDICTION = "text"
FILES = ("alphabet",)


def decoder(settings: Ctc, folder: Path) -> Decode:
    """The text of a sample."""
    symbols = settings.symbols
    if settings.alphabet is not None:
        symbols = read_words(folder / settings.alphabet, "alphabet")

    def decode(outputs: Outputs, sample: Sample) -> str:
        array = output_of(outputs, settings.output, "text")
        path, classes = _path(array, settings)
        table, blank = _table(symbols, settings.blank, classes, path)
        changes = np.flatnonzero(np.diff(path, prepend=-1))
        read = [table[i] for i in path[changes].tolist() if i != blank]
        return "".join(settings.replace.get(symbol, symbol) for symbol in read)

    return decode


def _path(array: Array, settings: Ctc) -> tuple[Array, int | None]:
    """The best class of every step, and how many classes there are (ids do not say)."""
    if settings.ready:
        return np.rint(shaped(array, 1, "text", "ids (steps,)")).astype(np.int64), None
    form = "(steps, classes)" if settings.steps == 0 else "(classes, steps)"
    if array.ndim == 3 and array.shape[1] == 1:  # (steps, batch, classes), as torch's CTC has it
        array = array[:, 0]
    scores = np.moveaxis(shaped(array, 2, "text", form), settings.steps, 0)
    return scores.argmax(axis=1), scores.shape[1]


def _table(
    symbols: tuple[str, ...], blank: int, classes: int | None, path: Array
) -> tuple[list[str], int]:
    """A symbol for every class, and the class of the blank."""
    count = len(symbols) if classes is None else classes
    if count not in (len(symbols), len(symbols) + 1):
        raise InputError(
            f"the output of the text has {count} classes, and the alphabet has {len(symbols)}"
            f" symbols: {len(symbols)} (with one for the blank) or {len(symbols) + 1} classes were"
            " expected; give the alphabet that the model was trained with, or correct 'steps'"
        )
    place = blank + count if blank < 0 else blank
    if not 0 <= place < count:
        raise InputError(
            f"'blank' is {blank}, and the output of the text has {count} classes; correct it"
        )
    if path.size and not 0 <= int(path.min()) <= int(path.max()) < count:
        raise InputError(
            f"the output of the text holds ids to {int(path.max())}, and the alphabet has"
            f" {len(symbols)} symbols; give the alphabet that the model was trained with"
        )
    table = list(symbols)
    if count > len(symbols):
        table.insert(place, "")
    return table, place
