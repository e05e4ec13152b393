"""Values with commas or spaces, and one-sentence usage errors."""

from __future__ import annotations

import pytest

from portproof.core.arguments import Parser, positive


def parser() -> Parser:
    p = Parser("Test.", example="test 1")
    p.add_argument("name")
    p.add_values("--batch", type=positive, default=[1])
    return p


@pytest.mark.parametrize(
    "words",
    [
        ["--batch", "1,4,8"],
        ["--batch", "1", "4", "8"],
        ["--batch", "1,4", "8"],
        ["--batch", "1", "--batch", "4,8"],
        ["--batch=1,4,8"],
    ],
)
def test_commas_and_spaces(words: list[str]) -> None:
    assert parser().parse_args(["x", *words]).batch == [1, 4, 8]


def test_the_default_is_not_added_to() -> None:
    assert parser().parse_args(["x", "--batch", "2"]).batch == [2]
    assert parser().parse_args(["x"]).batch == [1]


@pytest.mark.parametrize(
    "words",
    [
        ["x", "--batch", "0"],
        ["x", "--batch", "a"],
        ["x", "--batch", ","],
        [],
        ["x", "--nope"],
        ["x", "--bat", "1"],
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(words)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--help" in said
