"""A vector that is compared with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.decoding.arrays import Decode, Outputs, Sample, as_float, output_of
from portproof.postprocess import Embedding

PREDICTION = "embedding"


def decoder(settings: Embedding, folder: Path) -> Decode:
    """The vector of a sample."""

    def decode(outputs: Outputs, sample: Sample) -> NDArray[Any]:
        return as_float(np.ravel(output_of(outputs, settings.output, "embedding")))

    return decode
