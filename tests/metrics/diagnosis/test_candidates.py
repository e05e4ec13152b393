"""Which of several explanations is taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from portproof.metrics.diagnosis.candidates import Candidate, Found, best_of
from portproof.metrics.diagnosis.model.changes import Changed

#: The port differs by 0.0005: as much as 8 bits make, and more than arithmetic in another order.
NONE = Candidate("none", 1 - 5e-4, "", "")


def explanation(fault: str, left: float, besides: str = "") -> Found:
    return Found(Candidate(fault, 1 - left * 5e-4, "", ""), left=left, besides=besides)


@pytest.mark.parametrize(
    ("alone", "taken"), [(0.04, "interpolation"), (0.19, "interpolation"), (0.21, "crop-place")]
)
def test_one_fault_that_fits_is_taken_before_two_that_fit_better(alone: float, taken: str) -> None:
    two = explanation("crop-place", 0.01, besides="mistake")
    found = best_of(NONE, [two, explanation("interpolation", alone)])
    assert found is not None and found.candidate.fault == taken


@pytest.mark.parametrize(("order", "taken"), [(0.13, "classes-shifted"), (0.16, "layer-channels")])
def test_classes_in_another_order_are_named_before_channels_beside_a_second_fault(
    order: float, taken: str
) -> None:
    """Each was tried on samples of its own, and neither leaves nothing."""
    channels = replace(
        explanation("layer-channels", 0.1), changed=Changed("layer-channels", "", lambda s: s)
    )
    shifted = replace(explanation("classes-shifted", order), columns=np.arange(3))
    found = best_of(NONE, [channels, shifted])
    assert found is not None and found.candidate.fault == taken


def test_where_a_change_of_the_model_leaves_next_to_nothing_a_worse_order_is_not_taken() -> None:
    channels = replace(
        explanation("layer-channels", 0.01), changed=Changed("layer-channels", "", lambda s: s)
    )
    shifted = replace(explanation("classes-shifted", 0.013), columns=np.arange(3))
    found = best_of(NONE, [channels, shifted])
    assert found is not None and found.candidate.fault == "layer-channels"
