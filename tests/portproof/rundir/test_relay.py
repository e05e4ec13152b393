"""The stderr of a port's steps: passed on as it comes, each warning once, with a count."""

from __future__ import annotations

import os

import pytest

from portproof.rundir.relay import Relay

SLOW = "/a/net.py:6: UserWarning: slow\n  warnings.warn('slow')\n"


def passed_on(capfd: pytest.CaptureFixture[str], *steps: str) -> tuple[str, list[str]]:
    relay = Relay()
    for text in steps:
        with relay.writing_end() as stderr:
            os.write(stderr, text.encode())
    return capfd.readouterr().err, relay.summary()


def test_a_warning_is_given_once_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    text, summary = passed_on(capfd, f"export: equal\n{SLOW}", SLOW, f"{SLOW}infer: 3 samples\n")
    assert text == f"export: equal\n{SLOW}infer: 3 samples\n"
    assert summary == ["said 2 more times, each like the first: /a/net.py:6: UserWarning: slow"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("[W123 NNPACK.cpp:64] Could not initialize", "[W456 NNPACK.cpp:64] Could not initialize"),
        ("2026-01-01 [W:onnxruntime:, x.cc:1] at 0x7f01", "2026-02-02 [W:onnxruntime:, x.cc:1] at 0x8"),
        ("WARNING: slow", "WARNING: slow"),
        ("portproof: warning: 3 samples clipped", "portproof: warning: 3 samples clipped"),
    ],
)  # fmt: skip
def test_what_differs_in_numbers_is_the_same(
    capfd: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    text, summary = passed_on(capfd, f"{first}\n", f"{second}\n")
    assert text == f"{first}\n"
    assert summary == [f"said 1 more time, each like the first: {first}"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("portproof: warning: 3 samples clipped", "portproof: warning: 4 samples clipped"),
        ("UserWarning: slow", "UserWarning: old"),
        ("infer: 3 samples", "infer: 3 samples"),
        ("portproof: error: no", "portproof: error: no"),
        ('{"event": "warning", "text": "x"}', '{"event": "warning", "text": "x"}'),
    ],
)
def test_all_else_is_passed_on(capfd: pytest.CaptureFixture[str], first: str, second: str) -> None:
    assert passed_on(capfd, f"{first}\n", f"{second}\n") == (f"{first}\n{second}\n", [])


def test_bars_and_unfinished_lines_are_passed_on_unchanged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    bars = "\rbench: 10%|#  |\rbench: 20%|## |"
    assert passed_on(capfd, bars, "\nno end \N{SNOWMAN}") == (f"{bars}\nno end \N{SNOWMAN}", [])
