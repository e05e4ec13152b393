"""Language modelling: how surprised a model is by the tokens that come."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.predictions.log_probabilities import TokenScores
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.token_ids import read_token_ids

PREDICTION = "log_probabilities"
#: The margin of ``cross_entropy`` is in nats a token, that of ``perplexity`` in units of it. A
#: sample cannot lose more than what an even guess over the vocabulary would: ln(50,000) is 10.8.
FIGURES = (
    Figure("perplexity", unit="perplexity", higher_is_better=False, span=100.0),
    Figure("cross_entropy", unit="nats/token", higher_is_better=False, span=10.8),
    Figure("token_accuracy"),
)
_IGNORED = -100


def read_truth(path: Path) -> Truth:
    """The tokens of every sample; see :func:`portproof.metrics.truth.token_ids.read_token_ids`."""
    return read_token_ids(path)


def contribution(prediction: TokenScores, truth: NDArray[np.int64]) -> Contribution:
    """The sum of -ln p over the judged tokens, their number, and how many were likeliest."""
    shift, values = prediction.shift, prediction.values
    if len(values) < len(truth) - shift:
        raise InputError(
            f"the output has {len(values)} rows, and the truth {len(truth)} tokens: with a shift of"
            f" {shift} at least {len(truth) - shift} rows were expected"
        )
    targets = truth[shift:]
    rows = np.flatnonzero(targets != _IGNORED)
    wanted = targets[rows]
    if wanted.size and not 0 <= int(wanted.min()) <= int(wanted.max()) < values.shape[1]:
        raise InputError(
            f"the truth has the token {int(wanted.max())}, and the output a vocabulary of"
            f" {values.shape[1]}; were both made by one tokenizer?"
        )
    own = values[rows, wanted]
    likeliest = values[rows].argmax(axis=1) == wanted if rows.size else np.zeros(0)
    return {
        "surprise": np.float64(-own.sum()),
        "tokens": np.int64(rows.size),
        "right": np.int64(likeliest.sum()),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """``cross_entropy``: the mean of -ln p over all tokens; ``perplexity``: e to its power."""
    weights = np.asarray(counts, np.float64)
    tokens = float(weights @ contributions.table("tokens"))
    if not tokens:
        return dict.fromkeys((f.name for f in FIGURES), None)
    counted = weights > 0  # an infinite surprise of a sample that does not count is nothing
    mean = float(weights[counted] @ contributions.table("surprise")[counted]) / tokens
    return {
        "perplexity": math.exp(mean) if mean < 700 else math.inf,
        "cross_entropy": mean,
        "token_accuracy": float(weights @ contributions.table("right")) / tokens,
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """The tokens of a sample over all there are, times what a figure can lose (see ``FIGURES``)."""
    span = next(f.span for f in FIGURES if f.name == name)
    return span * shares(contributions.table("tokens"))
