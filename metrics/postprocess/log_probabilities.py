"""The logarithms of a language model's probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.predictions.log_probabilities import TokenScores
from portproof.postprocess import LogProbabilities

PREDICTION = "log_probabilities"


def decoder(settings: LogProbabilities, folder: Path) -> Decode:
    """Natural logarithms, float64 (tokens, vocabulary)."""

    def decode(outputs: Outputs, sample: Sample) -> TokenScores:
        array = output_of(outputs, settings.output, "log probabilities")
        values = shaped(array, 2, "log probabilities", "(tokens, vocabulary)").astype(np.float64)
        if settings.values == "logits":
            values = values - values.max(axis=1, keepdims=True, initial=-np.inf)
            values = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
        elif settings.values == "probabilities":
            if (values < 0).any():
                raise InputError(
                    "the output has numbers under 0, which are no probabilities; say 'values:"
                    " logits' or 'log_probabilities' in the post-processing"
                )
            with np.errstate(divide="ignore"):
                values = np.log(values)
        return TokenScores(values, settings.shift)

    return decode
