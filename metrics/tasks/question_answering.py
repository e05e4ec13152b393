"""Question answering: exact answers, and the words that an answer shares with the truth (SQuAD)."""

from __future__ import annotations

import re
import string
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure
from portproof.metrics.truth import Truth
from portproof.metrics.truth.questions import Question, read_questions

PREDICTION = "text"
FIGURES = (Figure("F1", chance=0.0), Figure("exact_match", chance=0.0))
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_truth(path: Path) -> Truth:
    """Questions with their answers; see :mod:`portproof.metrics.truth.questions`."""
    return read_questions(path)


def contribution(prediction: str, truth: Question) -> Contribution:
    """The best of the answers, by each measure; a question without one is answered by nothing."""
    said = normalised(prediction)
    true = [normalised(answer) for answer in truth.answers] or [""]
    return {
        "exact": np.float64(max(said == answer for answer in true)),
        "shared": np.float64(max(_shared(said.split(), answer.split()) for answer in true)),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Means over the questions."""
    weights = np.asarray(counts, np.float64)
    total = weights.sum()
    if not total:
        return {"F1": None, "exact_match": None}
    return {
        "F1": float(weights @ contributions.table("shared") / total),
        "exact_match": float(weights @ contributions.table("exact") / total),
    }


def normalised(text: str) -> str:
    """Lower case without punctuation, articles and extra blanks (SQuAD's ``normalize_answer``).

    >>> normalised("The  Eiffel-Tower!")
    'eiffeltower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _shared(said: list[str], true: list[str]) -> float:
    """The harmonic mean of the shares of words that are in the other; 1 for two empty answers."""
    if not said or not true:
        return float(said == true)
    common = sum((Counter(said) & Counter(true)).values())
    return 2 * common / (len(said) + len(true))
