"""Acceptance policies: each comparison is made, shown, and decided at its limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.policy import (
    find_policy,
    judge_accuracy,
    judge_speed,
    level_text,
    policy_about,
)
from portproof.verdict import Verdict

# The best row that the source document states: 310 2917.84, 310P 3907.39, T4 1918.7328; it claims
# 1.339 and 2.036.
STATED = {
    "310": (2917.84, "310 (bs16)"),
    "310p": (3907.39, "310P (bs16)"),
    "t4": (1918.7328, "T4 (bs64)"),
}


def test_the_source_documents_table_meets_the_310p_policy() -> None:
    judgement = judge_speed("modelzoo-310p", STATED)
    assert judgement.verdict is Verdict.PASS
    assert [c.name for c in judgement.comparisons] == ["310p >= 1.2 x 310", "310p >= 1.6 x t4"]
    shown = "\n".join(judgement.lines())
    assert "1.3391 x" in shown and "2.0364 x" in shown and "310P (bs16)" in shown


@pytest.mark.parametrize(
    ("best", "verdict", "holds"),
    [
        ({"310p": 1200.0, "310": 1000.0, "t4": 750.0}, Verdict.PASS, [True, True]),
        ({"310p": 1199.999, "310": 1000.0, "t4": 100.0}, Verdict.FAIL, [False, True]),
        ({"310p": 1500.0, "310": 100.0, "t4": 1000.0}, Verdict.FAIL, [True, False]),
    ],
)
def test_both_factors_are_needed(
    best: dict[str, float], verdict: Verdict, holds: list[bool]
) -> None:
    judgement = judge_speed("modelzoo-310p", {name: (rate, name) for name, rate in best.items()})
    assert (judgement.verdict, [c.holds for c in judgement.comparisons]) == (verdict, holds)


def test_the_310_policy_needs_only_parity() -> None:
    assert (
        judge_speed("modelzoo-310", {"310": (10.0, "310"), "t4": (10.0, "T4")}).verdict
        is Verdict.PASS
    )
    assert (
        judge_speed("modelzoo-310", {"310": (9.99, "310"), "t4": (10.0, "T4")}).verdict
        is Verdict.FAIL
    )


def test_what_was_not_measured_cannot_be_judged() -> None:
    with pytest.raises(InputError, match="t4"):
        judge_speed("modelzoo-310p", {"310p": (1.0, "310P"), "310": (1.0, "310")})
    with pytest.raises(InputError, match="modelzoo-310p"):
        judge_speed("fast-enough", STATED)


@pytest.mark.parametrize(
    ("measured", "published", "verdict"),
    [
        (77.85, 77.862, Verdict.PASS),
        (76.862, 77.862, Verdict.PASS),
        (76.861, 77.862, Verdict.FAIL),
        (80.0, 77.862, Verdict.PASS),
    ],
)
def test_accuracy_within_one_percentage_point(
    measured: float, published: float, verdict: Verdict
) -> None:
    assert judge_accuracy(measured, published).verdict is verdict


def test_level_file_states_only_what_was_judged() -> None:
    speed, accuracy = judge_speed("modelzoo-310p", STATED), judge_accuracy(70.0, 77.862)
    assert level_text(speed, accuracy).splitlines() == [
        "ModelConvert:OK",
        "FuncStatus:OK",
        "PrecisionStatus:NOK",
        "PerfStatus:OK",
    ]
    assert level_text(None, None).splitlines() == ["ModelConvert:OK", "FuncStatus:OK"]
    assert " " not in level_text(speed, accuracy)


def test_exactly_the_margin_may_be_lost() -> None:
    assert judge_accuracy(76.862, 77.862, 1.0).verdict is Verdict.PASS
    assert judge_accuracy(77.362, 77.862, 0.5 - 1e-10).verdict is Verdict.PASS
    assert judge_accuracy(77.361, 77.862, 0.5).verdict is Verdict.FAIL


def test_a_policy_is_about_the_target_of_its_first_rule() -> None:
    about = {t: policy_about(t) for t in ("310p", "310", "t4")}
    assert about == {"310p": "modelzoo-310p", "310": "modelzoo-310", "t4": None}


@pytest.mark.parametrize("wrong", ["  unit: rate\n", "rule: none\n"])
def test_a_field_that_no_policy_has_is_refused(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "mine.yaml"
    rules = "rules:\n- subject: a\n  other: b\n  factor: 2.0\n"
    file.write_text(rules)
    assert find_policy(str(file)).rules[0].factor == 2.0
    file.write_text(rules + wrong)
    with pytest.raises(InputError, match="unknown"):
        find_policy(str(file))
