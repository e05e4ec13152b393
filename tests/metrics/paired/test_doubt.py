"""When a reference is no ground for a verdict, at the limits of what is said."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.paired.doubt import doubt_of
from portproof.outcome import Outcomes


def reference(labels: list[int], predicted: list[int]) -> Outcomes:
    truth, said = np.array(labels), np.array(predicted)
    right = truth == said
    ids = tuple(map(str, range(len(truth))))
    return Outcomes(ids, truth, said, np.where(right, 1, 2), np.where(right, 1.0, -1.0))


@pytest.mark.parametrize(
    ("labels", "predicted", "classes", "said"),
    [
        ([0, 1], [0, 0], 10, "answers class 0 for all 2 samples"),
        ([0, 1, 2] * 9, [2, 2, 2] * 9, 10, "answers class 2 for all 27 samples"),
        ([0, 1] * 9, [0, 1] * 9, 10, None),
        # All samples are of one class, and it is what the reference says.
        ([3] * 20, [3] * 20, 10, None),
        ([3], [3], 2, "right in 1 of 1 samples of 2 classes, which is not above chance"),
        # 45 of 100: surely more than a third, but there are two classes, or one that is known.
        *(([0] * 100, [0] * 45 + [1] * 55, n, "right in 45 of 100 samples") for n in (1, 2)),
        ([0] * 100, [0] * 45 + [1] * 55, 3, None),
    ],
)
def test_one_class_for_all_or_no_more_than_chance_is_no_ground(
    labels: list[int], predicted: list[int], classes: int, said: str | None
) -> None:
    found = doubt_of(reference(labels, predicted), classes)
    assert (found is None) is (said is None), found
    assert said is None or said in str(found)
