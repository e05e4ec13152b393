"""Which of several explanations is taken."""

from __future__ import annotations

import pytest

from portproof.metrics.diagnosis.candidates import Candidate, Found, best_of

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
