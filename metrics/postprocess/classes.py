"""One class a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.metrics.decoding.arrays import Decode, Outputs, Sample, mapped, output_of, shaped
from portproof.postprocess import Classes

PREDICTION = "classes"


def decoder(settings: Classes, folder: Path) -> Decode:
    """The class of a sample, as an int."""

    def decode(outputs: Outputs, sample: Sample) -> int:
        array = output_of(outputs, settings.output, "classes")
        scores = shaped(np.atleast_1d(array), 1, "classes", "(classes,)")
        best = scores.argmax() if scores.size > 1 else scores[0] > settings.threshold
        return int(mapped(np.array([best]), settings.class_ids, "output")[0])

    return decode
