"""Translation: BLEU of the whole set, by sacrebleu."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import MissingPackageError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.transcripts import read_references

PREDICTION = "text"
FIGURES = (Figure("BLEU", chance=0.0), Figure("exact_match", chance=0.0))
PACKAGES = ("sacrebleu",)


def read_truth(path: Path) -> Truth:
    """One text or several equally good ones a sample; see
    :func:`portproof.metrics.truth.transcripts.read_references`.
    """
    return read_references(path)


def contribution(prediction: str, truth: tuple[str, ...]) -> Contribution:
    """sacrebleu's counts: n-grams of 1 to 4 words that are right, and all of them; the length of
    the prediction and of the reference that is nearest to it. Tokens are those of sacrebleu's 13a,
    with letters' case.
    """
    score = _bleu().sentence_score(prediction, list(truth))
    return {
        "right": np.array([score.counts], np.int64),
        "all": np.array([score.totals], np.int64),
        "lengths": np.array([[score.sys_len, score.ref_len]], np.int64),
        "exact": np.int64(prediction in truth),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """BLEU of all samples together (a share: 0.27 is sacrebleu's 27), smoothed as sacrebleu does by
    default (``exp``).
    """
    weights = np.asarray(counts, np.float64)
    total = weights.sum()
    if not total:
        return {"BLEU": None, "exact_match": None}
    right, every, lengths = (
        (weights @ contributions.table(name).reshape(len(contributions), -1)).tolist()
        for name in ("right", "all", "lengths")
    )
    return {
        "BLEU": bleu(right, every, *lengths) if lengths[1] else None,
        "exact_match": float(weights @ contributions.table("exact") / total),
    }


def bleu(right: list[float], every: list[float], said: float, true: float) -> float:
    """The geometric mean of the shares of right n-grams, times exp(1 - true / said) for predictions
    that are too short (Papineni et al. 2002). A share of 0 becomes 1 / (2^k all) for the k-th of
    them (sacrebleu's ``exp``). ``said`` and ``true``: the lengths.
    """
    if not any(right) or not all(every):
        return 0.0
    zeros, logs = 0, 0.0
    for some, total in zip(right, every, strict=True):
        zeros += not some
        logs += math.log(some / total if some else 1 / (2**zeros * total))
    return min(1.0, math.exp(1 - true / said)) * math.exp(logs / len(every))


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """The words of a sample's reference over all there are."""
    size = len(contributions)
    words = contributions.table("lengths").reshape(size, 2)[:, 1]
    return shares(words if name == "BLEU" else np.ones(size))


def _bleu() -> Any:
    """The metric; ``effective_order`` only keeps sacrebleu from warning of short sentences, the
    counts are the same.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingPackageError("sacrebleu", "the task translation", "tasks") from error
    return BLEU(effective_order=True)
