"""How alike two sets of outputs are."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.likeness import alignment

preprocessing = pytest.importorskip("sklearn.preprocessing")


def test_alignment_is_the_angle_between_centred_kernels() -> None:
    """Scikit-learn centres the kernels; the paper's first formula needs nothing else."""
    generator = np.random.default_rng(2)
    one = generator.normal(3, 1, (17, 5))
    two = np.tanh(one[:, :4]) + generator.normal(0, 0.3, (17, 4))
    kernels = [preprocessing.KernelCenterer().fit_transform(r @ r.T) for r in (one, two)]
    sizes = [np.linalg.norm(k) for k in kernels]
    expected = (kernels[0] * kernels[1]).sum() / (sizes[0] * sizes[1])
    assert alignment(one, two) == pytest.approx(expected, rel=1e-12)
    assert 0.3 < expected < 0.95


def test_what_turns_shifts_or_scales_one_side_changes_no_alignment() -> None:
    generator = np.random.default_rng(3)
    one, two = generator.normal(0, 1, (2, 20, 6))
    turn, _ = np.linalg.qr(generator.normal(0, 1, (6, 6)))
    assert alignment(one, 7 * one @ turn + 3) == pytest.approx(1)
    assert alignment(one, 7 * two @ turn + 3) == pytest.approx(alignment(one, two))
    assert alignment(one, two) < 0.5


@pytest.mark.parametrize("rows", [np.ones((4, 3)), np.full((4, 3), np.nan)])
def test_answers_that_do_not_differ_or_are_no_numbers_are_aligned_with_nothing(
    rows: np.ndarray,
) -> None:
    assert alignment(np.eye(4), rows) == 0
