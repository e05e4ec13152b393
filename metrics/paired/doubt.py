"""Whether a reference is ground for a verdict at all."""

from __future__ import annotations

import numpy as np

from portproof.metrics.paired.bounds import wilson_lower
from portproof.outcome import Outcomes


def doubt_of(reference: Outcomes, classes: int) -> str | None:
    """Why a reference proves nothing: it is not better than chance (the lower end of Wilson's
    one-sided 95 % interval, Journal of the American Statistical Association 22, 209-212, 1927, is
    not above one in ``classes``), or it answers one class only; None for a sound one.
    """
    n, right = len(reference), int(np.count_nonzero(reference.right))
    reasons = "is the label file of these samples, is the preprocessing the model's own, are these"
    likely = f"{reasons} the trained weights?"
    if n > 1 and len(np.unique(reference.label)) > 1 and len(np.unique(reference.predicted)) == 1:
        return (
            f"the reference answers class {reference.predicted[0]} for all {n} samples, so it is no"
            f" ground for a verdict; {likely}"
        )
    if wilson_lower(right, n) > 1 / max(classes, 2):
        return None
    return (
        f"the reference is right in {right} of {n} samples of {classes} classes, which is not above"
        f" chance, so it is no ground for a verdict; {likely}"
    )
