"""Speech recognition: wrong words and wrong characters."""

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
    Figure("WER", higher_is_better=False, chance=1.0),
    Figure("CER", higher_is_better=False, chance=1.0),
)
#: Of each figure: the edits, and what they are counted against.
_PARTS = {"WER": ("word_edits", "words"), "CER": ("character_edits", "characters")}


def read_truth(path: Path) -> Truth:
    """A transcript a sample; see :mod:`portproof.metrics.truth.transcripts`."""
    return read_transcripts(path)


def contribution(prediction: str, truth: str) -> Contribution:
    """Edits and sizes in words and in characters. Blanks at the ends are left out and several are
    one, as jiwer does it; letters' case and punctuation count.
    """
    said, true = prediction.split(), truth.split()
    line, spoken = " ".join(said), " ".join(true)
    return {
        "word_edits": np.int64(edit_distance(true, said)),
        "words": np.int64(len(true)),
        "character_edits": np.int64(edit_distance(spoken, line)),
        "characters": np.int64(len(spoken)),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """All edits over all words (characters) of the truth; over 1 when much is inserted."""
    weights = np.asarray(counts, np.float64)
    found: dict[str, float | None] = {}
    for name, (edits, size) in _PARTS.items():
        total = float((weights * contributions.table(size)).sum())
        wrong = float((weights * contributions.table(edits)).sum())
        found[name] = wrong / total if total else None
    return found


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """The words (characters) of a sample over all there are."""
    return shares(contributions.table(_PARTS[name][1]))
