"""The numbers that a judgement of answers is made of, each against one worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portproof.infer.timing.answers import tolerances
from portproof.infer.timing.answers.judge import (
    Expected,
    _other_shapes,
    _size,
    by_group,
    fault_of,
    floats,
    judged_outputs,
    never_varies,
    slices_of,
    tells_rows_apart,
)
from portproof.infer.timing.answers.judge import expected as expected_of
from portproof.infer.timing.answers.witness import Call, Output


def test_means_are_of_each_group_that_has_values() -> None:
    values = np.array([1.0, 3.0, 10.0])
    assert by_group(values, np.array([0, 0, 1])).tolist() == [2.0, 10.0]
    assert by_group(values, np.array([0, 0, 2])).tolist() == [2.0, 10.0]


@pytest.mark.parametrize(
    ("shape", "slices"),
    [
        ((4, 3, 2), [0, 1] * 12),
        ((2, 3, 4), [0] * 12 + [1] * 12),
        ((2, 6), [0] * 6 + [1] * 6),
        ((3, 3), [0, 1, 2] * 3),
        ((5,), [0] * 5),
    ],
)
def test_slices_go_along_the_shorter_end(shape: tuple[int, ...], slices: list[int]) -> None:
    assert slices_of(shape).tolist() == slices


def test_stand_ins_of_infinity_are_infinite() -> None:
    found = floats(np.array([9e7, 1e8, -1e8, 1.5], np.float32))
    assert found.tolist() == [9e7, math.inf, -math.inf, 1.5]
    assert floats(np.array([1, 2])).tolist() == [1.0, 2.0]


def test_the_size_is_of_what_varies() -> None:
    groups = np.array([0, 0, 1, 1])
    rows = np.array([[1.0, 50.0, 7.0, 7.0], [3.0, 50.0, 7.0, 7.0]])
    # (1 + 9) / 2 of the only element that varies; of all where none does.
    assert _size(rows, groups) == pytest.approx([math.sqrt(5), 7.0])


def expected(**changes: Any) -> Expected:
    given: dict[str, Any] = {
        "answers": {},
        "calls": {},
        "groups": np.array([0, 0]),
        "size": np.array([2.0]),
        "spread": np.array([10.0]),
        "whole": False,
    }
    return Expected(**(given | changes))


def test_the_distance_is_a_root_mean_square() -> None:
    distance = expected().distance
    assert distance(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx([math.sqrt(12.5)])
    inf = np.array([np.inf, 1.0])
    assert distance(inf, inf).tolist() == [0.0]
    assert distance(inf, np.array([1.0, 1.0])).tolist() == [np.inf]


def test_the_larger_of_floor_and_share_is_allowed() -> None:
    allowed = expected().allowed
    assert allowed(tolerances.Tolerance(0.1, 0.01, 0)).tolist() == [0.2]
    assert allowed(tolerances.Tolerance(0.01, 0.1, 0)).tolist() == [1.0]


def test_an_output_is_compared_where_all_calls_have_it_in_one_shape() -> None:
    def call(*outputs: tuple[tuple[int, ...], bool]) -> Any:
        made = [
            Output(str(i), shape, np.zeros((1, math.prod(shape)), np.float32) if rows else None, ())
            for i, (shape, rows) in enumerate(outputs)
        ]
        return Call("alone", (), tuple(made))

    calls = [call(((2,), True), ((2,), True), ((2,), True)) for _ in range(3)]
    assert judged_outputs(calls) == [0, 1, 2]
    calls[1] = call(((2,), True), ((3,), True), ((2,), False))
    assert judged_outputs(calls) == [0]


def answered(name: Any, keys: str, *outputs: list[Any], dtype: str = "float32") -> Call:
    """A call with a row for each letter, timed for a capital and made for a small one; each output
    holds the rows' numbers.
    """
    rows: Any = tuple(("timed" if k.isupper() else "made", ord(k), "") for k in keys)
    made = [np.array(values, dtype).reshape(len(keys), -1) for values in outputs]
    nan = (False,) * len(keys)
    return Call(name, rows, tuple(Output(str(i), a.shape[1:], a, nan) for i, a in enumerate(made)))


EXACT = tolerances.Tolerance(0, 0, 0)


def test_one_output_that_tells_rows_apart_is_enough() -> None:
    calls = [answered("mixed", "ab", [1, 2], [5, 5])]
    assert tells_rows_apart(calls, tolerances.Tolerance(0.01, 0.01, 0))
    assert not tells_rows_apart([answered("mixed", "ab", [1, 1], [5, 5])], EXACT)


def test_made_rows_say_how_far_answers_differ_where_there_are_any() -> None:
    calls = [answered("first", "A", [100]), answered("mixed", "ab", [0, 2])]
    assert expected_of(calls, 0).spread.tolist() == [1.0]
    assert expected_of([calls[0], answered("last", "B", [98])], 0).spread.tolist() == [1.0]


def test_what_is_infinite_has_no_size_and_no_spread() -> None:
    """A mask of minus infinity beside numbers: 1 and 3 are 1 from their mean, and the root of half
    of 1 + 9 is their size. Where all is a mask, nothing is allowed for rounding.
    """
    masked = -np.inf
    calls = [answered("mixed", "ab", [[1, masked], [3, masked]], [[masked] * 2] * 2)]
    numbers, mask = expected_of(calls, 0), expected_of(calls, 1)
    assert numbers.size == pytest.approx([math.sqrt(5)])
    assert numbers.spread == pytest.approx([math.sqrt(1 / 2)])
    assert (mask.size.tolist(), mask.spread.tolist()) == ([0.0], [0.0])
    # What is infinite in one row only counts as 0 there: 0 and 2 are 1 from their mean.
    assert expected_of([answered("mixed", "ab", [masked, 2])], 0).spread.tolist() == [1.0]


def test_a_single_call_may_never_vary() -> None:
    assert never_varies([answered("first", "AB", [3, 3])])
    assert not never_varies([answered("first", "AB", [3, 4])])


def test_a_row_that_is_exactly_another_s_is_said_to_be() -> None:
    calls = [answered("single", "a", [1]), answered("single", "b", [2])]
    said = str(fault_of([*calls, answered("mixed", "ab", [2, 2])], EXACT))
    assert "row 1 of a batch of 2 has the answer of another row" in said


@pytest.mark.parametrize(("wrong", "is_one"), [(1, False), (2, True)])
def test_of_whole_numbers_a_part_may_be_others(wrong: int, is_one: bool) -> None:
    """A quarter of four is one."""
    right = [answered("single", k, [10 * i], dtype="int64") for i, k in enumerate("abcd")]
    rows = [10 * i + (1 if i < wrong else 0) for i in range(4)]
    calls = [*right, answered("mixed", "abcd", rows, dtype="int64")]
    found = fault_of(calls, tolerances.Tolerance(0, 0, 0.25))
    assert (found is not None) is is_one, found


def test_calls_with_other_outputs_are_told() -> None:
    class _Named:
        def __init__(self, *names: str) -> None:
            self.outputs = [type("O", (), {"name": n}) for n in names]

    calls: Any = [_Named("a"), _Named("a"), _Named("b")]
    assert _other_shapes(calls[:2]) is None
    assert "different outputs" in str(_other_shapes(calls))


def spoilt(call: Call, *nan: bool) -> Call:
    """The call with NaN in these rows of its first output."""
    first, *others = call.outputs
    output = Output(first.name, first.sample_shape, first.values, nan)
    return Call(call.name, call.keys, (output, *others))


@pytest.mark.parametrize(
    ("others", "hinted"),
    [("ab", True), ("Bb", False)],
    ids=["only made rows have answers", "another timed row has an answer"],
)
def test_real_inputs_are_advised_where_no_timed_row_ever_had_an_answer(
    others: str, hinted: bool
) -> None:
    """A model that takes only some values answers none of the timed rows; one that answers some of
    them takes them, and other inputs are no way out.
    """
    calls = [
        spoilt(answered("first", "A", [0], [1]), True),
        answered("mixed", others, [1, 2], [3, 4]),
    ]
    said = str(fault_of(calls, EXACT))
    assert said.startswith("output '0' is not a number (NaN) in 1 of 1 rows of a batch")
    assert said.endswith("; a model that takes only some values needs --inputs real") is hinted


def test_what_is_allowed_is_what_the_guide_says() -> None:
    """Every limit, written out: a change of one is a change of verdicts, and wants a reason."""
    own = {name: (t.floor, t.share, t.flips) for name, t in tolerances._OWN.items()}
    assert own == {
        "fp32": (pytest.approx(9.5367e-6, rel=1e-4), 0.01, 0.0),
        "tf32": (0.00390625, 0.1, 0.25),
        "fp16": (0.00390625, 0.1, 0.25),
        "bf16": (0.03125, 0.1, 0.25),
        "int8": (0.03, 0.3, 0.25),
    }
    port = {n: (t.floor, t.share, t.flips) for n, t in tolerances._PORT.items()}
    assert port == {
        "fp32": (0.0001, 0.1, 0.1),
        "tf32": (0.05, 0.5, 0.7),
        "fp16": (0.05, 0.5, 0.7),
        "bf16": (0.2, 0.7, 0.7),
        "int8": (0.2, 0.7, 0.7),
    }
