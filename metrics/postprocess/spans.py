"""The answer to a question, as a part of a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Array, Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.truth.questions import Question
from portproof.postprocess import Spans

PREDICTION = "text"


def decoder(settings: Spans, folder: Path) -> Decode:
    """The answer's text, empty for none."""

    def decode(outputs: Outputs, sample: Sample) -> str:
        start = shaped(output_of(outputs, settings.start, "start"), 1, "start", "(tokens,)")
        end = shaped(output_of(outputs, settings.end, "end"), 1, "end", "(tokens,)")
        question = sample.context
        if not isinstance(question, Question) or question.offsets is None:
            raise InputError(
                f"the truth of '{sample.id}' has no 'offsets' (for every token of the input its"
                " first and last place in the context, null outside of it), which turn tokens into"
                " an answer; add them, or give the answers themselves"
            )
        if not len(start) == len(end) == len(question.offsets):
            raise InputError(
                f"'{sample.id}' has {len(start)} start scores, {len(end)} end scores and"
                f" {len(question.offsets)} offsets, as many were expected; were they made by one"
                " tokenizer and one length?"
            )
        return _answer(start, end, question, settings)

    return decode


def _answer(start: Array, end: Array, question: Question, settings: Spans) -> str:
    """The best span inside the context: the largest sum of its two scores, the first of equals."""
    assert question.offsets is not None  # its caller has looked
    inside = np.array([place is not None for place in question.offsets])
    first, last = (
        np.where(inside & ~np.isnan(s), s.astype(np.float64), -np.inf) for s in (start, end)
    )
    sums = np.full((len(first), settings.max_tokens), -np.inf)
    for length in range(min(settings.max_tokens, len(first))):
        sums[: len(first) - length, length] = first[: len(first) - length] + last[length:]
    at, further = divmod(int(sums.argmax()), settings.max_tokens)
    best = float(sums[at, further])
    none = float(start[0]) + float(end[0])
    given_up = settings.null_threshold is not None and none - best > settings.null_threshold
    if best == -np.inf or given_up:
        return ""
    begin, stop = question.offsets[at], question.offsets[at + further]
    assert begin is not None and stop is not None  # scores outside the context are -inf
    return question.context[begin[0] : stop[1]]
