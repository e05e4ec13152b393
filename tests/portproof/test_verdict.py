"""Verdicts and the exit codes that carry them."""

from __future__ import annotations

import json

from portproof.verdict import Verdict


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {v.value: v.exit_code for v in Verdict} == {
        "PASS": 0,
        "FAIL": 1,
        "UNDECIDED": 4,
        "UNSTABLE": 4,
    }


def test_a_verdict_is_its_word_in_text_and_json() -> None:
    assert f"{Verdict.FAIL}" == "FAIL"
    assert json.dumps({"verdict": Verdict.PASS}) == '{"verdict": "PASS"}'
