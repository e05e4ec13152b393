"""The verdict on errors that were made by hand, at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from portproof.metrics.outputs.distances import distance
from portproof.metrics.outputs.judge import Errors, _by_interval, judge
from portproof.verdict import Verdict

NAMES = "abcdefgh"


def errors(ratios: list[float], **more: object) -> Errors:
    """The rounded reference errs by 1 in a norm of 10, the port by so many times that."""
    names = NAMES[: len(ratios)]
    return Errors(
        port=dict(zip(names, ratios, strict=True)),
        ruler=dict.fromkeys(names, 1.0),
        norm=dict.fromkeys(names, 10.0),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (1.0, Verdict.PASS),
        (2.99, Verdict.PASS),
        (3.01, Verdict.FAIL),
        (11.9, Verdict.FAIL),
    ],
)
def test_three_times_the_rounding_is_allowed(ratio: float, verdict: Verdict) -> None:
    found = judge(errors([ratio] * 4))
    assert found.verdict is verdict
    assert found.ratio == pytest.approx(ratio)
    assert "3 times" in found.reason


@pytest.mark.parametrize(("low", "high"), [(2.0, 3.0), (3.0, 4.0)])
def test_an_end_at_the_limit_is_neither_under_nor_over_it(low: float, high: float) -> None:
    assert _by_interval((low + high) / 2, low, high, 9)[0] is Verdict.UNDECIDED


def test_the_interval_is_of_the_logarithms() -> None:
    ratios = [1.0, 1.5, 2.0, 2.5]
    found = judge(errors(ratios))
    logs = np.log(ratios)
    half = t.ppf(0.95, 3) * logs.std(ddof=1) / 2
    assert found.ratio == pytest.approx(np.exp(logs.mean()))
    assert (found.low, found.high) == pytest.approx(
        (np.exp(logs.mean() - half), np.exp(logs.mean() + half))
    )


@pytest.mark.parametrize(("samples", "known"), [(1, False), (2, False), (3, True)])
def test_three_samples_are_needed(samples: int, known: bool) -> None:
    found = judge(errors([1.0] * samples))
    assert (found.verdict is Verdict.PASS) is known
    assert ("too few" in found.reason) is not known


def test_the_sample_that_is_furthest_out_is_named() -> None:
    found = judge(errors([1.0, 13.0, 40.0, 12.5, 1.0]))
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith("3 of 5 samples are over 12 times") and "'c' 40" in found.reason
    assert "of 5 samples" not in judge(errors([1.0, 1.0, 1.0, 1.0, 12.0])).reason


def test_a_sample_that_is_infinitely_far_out_makes_the_mean_infinite() -> None:
    found = judge(errors([1.0, 1.0, 1.0, np.inf]))
    assert (found.verdict, found.ratio, found.low) == (Verdict.FAIL, np.inf, np.inf)


def test_the_ruler_errs_by_the_last_bits_of_float32_at_least() -> None:
    assert errors([1.0]).floor("a") == 10 * 2.0**-21


def test_an_axis_of_pixels_has_no_slices() -> None:
    found, reference = errors([1.0]), np.ones((2, 1025), np.float32)
    found.add_slices(reference, reference + 1, reference + 2)
    assert list(found.slices) == [0]
    port, ruler, norm = (x.tolist() for x in found.slices[0])
    assert (port, ruler, norm) == ([1025.0] * 2, [4100.0] * 2, [1025.0] * 2)


@pytest.mark.parametrize(("spread", "verdict"), [(2.99, "UNDECIDED"), (3.0, "PASS")])
def test_a_reference_must_vary_by_three_times_its_rounding(spread: float, verdict: str) -> None:
    """Two answers, the spread above and below their mean; the rounding errs by 1."""
    answers = np.array([[5.0 + spread], [5.0 - spread]] * 2)
    found = judge(
        errors([1.0] * 4, total=answers.sum(axis=0), squares=float(np.square(answers).sum()))
    )
    assert str(found.verdict) == verdict
    assert ("prove nothing" in found.reason) is (verdict == "UNDECIDED")


def test_two_samples_are_enough_to_see_that_a_reference_hardly_varies() -> None:
    """Of one alone nothing can be said; two that are equal prove as little as a hundred."""
    equal = {"total": np.array([10.0]), "squares": 50.0}
    assert errors([1.0] * 2, **equal).hardly_varies()
    assert "prove nothing" in judge(errors([1.0] * 2, **equal)).reason
    assert not errors([1.0], total=np.array([5.0]), squares=25.0).hardly_varies()


@pytest.mark.parametrize(("factor", "fails"), [(11.9, False), (12.0, False), (12.1, True)])
def test_a_slice_is_held_to_its_own_rounding(factor: float, fails: bool) -> None:
    ruler, norm = np.ones(3), np.full(3, 100.0)
    port = np.array([1.0, factor**2, 1.0])
    found = judge(errors([1.0] * 4, slices={1: (port, ruler, norm)}))
    assert (found.verdict is Verdict.FAIL) is fails
    assert ("slice 1 of axis 1" in found.reason) is fails


@pytest.mark.parametrize(("error", "fails"), [(11.9, False), (12.1, True)])
def test_a_slice_that_rounding_leaves_exact_errs_by_the_last_bits_of_float32(
    error: float, fails: bool
) -> None:
    """The mean of the squared norms is 2^42, and 2^-21 of its root is 1: of smaller slices too."""
    ruler, norm = np.zeros(2), np.array([1.0, 2 * 2.0**42 - 1])
    port = np.array([error**2, 0.0])
    found = judge(errors([1.0] * 4, slices={0: (port, ruler, norm)}))
    assert ("slice 0 of axis 0" in found.reason) is fails


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_what_is_infinite_in_a_reference_is_no_part_of_its_norm(infinite: float) -> None:
    """A mask; the numbers beside it are 3 and 4."""
    found, same = Errors(), distance(np.zeros(3), np.zeros(3))
    found.add("a", same, same, np.array([3.0, infinite, 4.0]))
    assert (found.norm, found.squares) == ({"a": 5.0}, 25.0)
    assert found.total is not None and found.total.tolist() == [3.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("port", "ruler", "verdict"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], Verdict.PASS),
        ([0.03, 0.03, 0.03], [0.01, 0.01, 0.01], Verdict.PASS),
        ([0.031, 0.031, 0.031], [0.01, 0.01, 0.01], Verdict.FAIL),
        ([0.0, 0.03, 0.06], [0.01, 0.01, 0.01], Verdict.UNDECIDED),
        ([0.01, 0.01], [0.01, 0.01], Verdict.UNDECIDED),
        # Two of 0.01 over the mean and two under it: the bounds are 0.0095 from it.
        ([0.0494, 0.0494, 0.0294, 0.0294], [0.01] * 4, Verdict.UNDECIDED),
        ([0.0496, 0.0496, 0.0296, 0.0296], [0.01] * 4, Verdict.FAIL),
        ([0.0306, 0.0306, 0.0106, 0.0106], [0.01] * 4, Verdict.UNDECIDED),
        ([0.0304, 0.0304, 0.0104, 0.0104], [0.01] * 4, Verdict.PASS),
    ],
)
def test_whole_numbers_are_judged_by_the_share_that_differs(
    port: list[float], ruler: list[float], verdict: Verdict
) -> None:
    found = judge(
        Errors(
            port=dict(zip(NAMES, port, strict=False)),
            ruler=dict(zip(NAMES, ruler, strict=False)),
            whole=True,
        )
    )
    assert found.verdict is verdict, found.reason
    said = None if any(port) else 0.0
    assert (found.ratio, found.low, found.high) == (said, said, said)
