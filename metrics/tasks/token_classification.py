"""Tags of words: whole entities that are found, as conlleval and seqeval count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.sentences import Sentence, read_sentences
from portproof.metrics.words.entities import entities

PREDICTION = "tags"
FIGURES = (
    Figure("F1", chance=0.0),
    Figure("precision", chance=0.0),
    Figure("recall", chance=0.0),
    Figure("F1_macro", chance=0.0),
    Figure("accuracy"),
)


def read_truth(path: Path) -> Truth:
    """Sentences with a tag for every word; see :mod:`portproof.metrics.truth.sentences`."""
    return read_sentences(path)


def contribution(prediction: Sequence[str], truth: Sentence) -> Contribution:
    """For each type of entity: its name's CRC-32, and how many are in both, in the
    prediction and in the truth; and the right words and all words.
    """
    if len(prediction) != len(truth.tags):
        raise InputError(
            f"it has {len(prediction)} tags, and the sentence has {len(truth.tags)} words; as many"
            " were expected"
        )
    said, true = set(entities(prediction)), set(entities(truth.tags))
    counted = [Counter(e[0] for e in found) for found in (said & true, said, true)]
    types = sorted(counted[1] | counted[2])
    rows = [[c[t] for c in counted] for t in types]
    right = sum(a == b for a, b in zip(prediction, truth.tags, strict=True))
    return {
        "type": np.array([crc32(t.encode()) for t in types], np.int64),
        "entities": np.array(rows, np.int64).reshape(-1, 3),
        "words": np.array([[right, len(prediction)]], np.int64),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Precision, recall and F1 of all entities together; ``F1_macro``: the mean over their types;
    ``accuracy``: of words. 0 where nothing is found, as seqeval has it; not defined where the truth
    has no entity and none is found.
    """
    weights = np.asarray(counts, np.float64)
    types = _types(contributions, weights)
    both, said, true = types.sum(axis=0).tolist()
    right, words = (weights @ contributions.table("words")[:, 0]).tolist()
    occurs = types[:, 1] + types[:, 2] > 0
    some = bool(occurs.any())
    each = 2 * types[occurs, 0] / (types[occurs, 1] + types[occurs, 2])
    return {
        "F1": 2 * both / (said + true) if some else None,
        "precision": (both / said if said else 0.0) if some else None,
        "recall": (both / true if true else 0.0) if some else None,
        "F1_macro": float(each.mean()) if some else None,
        "accuracy": right / words if words else None,
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """The entities of a sentence over all there are (of each type, for ``F1_macro``); for the
    accuracy its words.
    """
    size = len(contributions)
    if name == "accuracy":
        return shares(contributions.table("words")[:, 0, 1])
    owners, true = contributions.owners("type"), contributions.rows("entities")[:, 2]
    if name != "F1_macro":
        return shares(np.bincount(owners, true, size))
    types, place = np.unique(contributions.rows("type"), return_inverse=True)
    total = np.bincount(place, true, len(types))
    return shares(np.bincount(owners, true / np.maximum(total[place], 1.0), size))


def chance(name: str, contributions: Contributions) -> float | None:
    """Nothing is guessed right but words: tags that say nothing (O) may be most of them."""
    return None if name == "accuracy" else 0.0


def _types(found: Contributions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each type the entities in both, in the predictions and in the truth."""

    def make() -> tuple[NDArray[np.int64], int]:
        types, place = np.unique(found.rows("type"), return_inverse=True)
        return place.astype(np.int64), len(types)

    place, size = found.once("types", make)
    own = weights[found.owners("type")]
    rows = found.rows("entities")
    columns = [np.bincount(place, own * rows[:, k], size) for k in range(3)]
    return np.stack(columns, axis=1)
