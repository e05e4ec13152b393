"""Text recognition: samples read right to the letter, and how near the others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.transcripts import read_transcripts
from portproof.metrics.words.edit_distance import edit_distance

PREDICTION = "text"
FIGURES = (
    Figure("exact_match", chance=0.0),
    Figure("edit_similarity", chance=0.0),
    Figure("CER", higher_is_better=False, chance=1.0),
)


def read_truth(path: Path) -> Truth:
    """A text a sample; see :mod:`portproof.metrics.truth.transcripts`."""
    return read_transcripts(path)


def contribution(prediction: str, truth: str) -> Contribution:
    """The edit distance between prediction and truth, in characters, and the lengths of both."""
    return {
        "edits": np.int64(edit_distance(truth, prediction)),
        "said": np.int64(len(prediction)),
        "true": np.int64(len(truth)),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """``exact_match``; ``edit_similarity``: the mean of 1 - edits / the longer length (ICDAR's
    1 - N.E.D.); ``CER``: all edits over all characters of the truth.
    """
    weights = np.asarray(counts, np.float64)
    edits, said, true = (contributions.table(name) for name in ("edits", "said", "true"))
    total, characters = weights.sum(), float((weights * true).sum())
    if not total:
        return dict.fromkeys((f.name for f in FIGURES), None)
    near = 1 - edits / np.maximum(np.maximum(said, true), 1)
    return {
        "exact_match": float((weights * (edits == 0)).sum() / total),
        "edit_similarity": float((weights * near).sum() / total),
        "CER": float((weights * edits).sum() / characters) if characters else None,
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """Every sample alike, but for the ``CER``, of which it carries its characters."""
    true = contributions.table("true")
    return shares(true if name == "CER" else np.ones_like(true))
