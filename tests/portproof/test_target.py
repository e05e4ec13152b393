"""Targets: the facts in targets/, found by name or alias, and files that are refused with the line
and the reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.target import find_target, match_target, read_target, target_names

GOOD = "name: x1\nvendor: nvidia\nchips_per_card: 2\nbackend: trt\nprecision: fp16\n"


def test_chips_per_card_are_the_published_ones() -> None:
    assert {
        name: find_target(name).chips_per_card
        for name in ("310", "310p", "310p-duo", "910b", "t4", "cpu")
    } == {
        "310": 4,
        "310p": 1,
        "310p-duo": 2,
        "910b": 1,
        "t4": 1,
        "cpu": 1,
    }


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("710", "310p"),
        ("Ascend710", "310p"),
        ("310P", "310p"),
        ("Ascend310P3", "310p"),
        ("T4", "t4"),
        ("Ascend310", "310"),
        ("310B1", "310b"),
    ],
)
def test_names_and_aliases_in_any_case(name: str, target: str) -> None:
    assert find_target(name).name == target


def test_every_file_is_valid_and_every_name_leads_to_one_target() -> None:
    seen: dict[str, str] = {}
    for name in target_names():
        target = find_target(name)
        assert target.name == name
        for word in (name, *target.aliases):
            assert word == word.lower(), "aliases are compared in lower case"
            assert seen.setdefault(word, name) == name
    assert find_target("310p").soc_version == "Ascend310P3"


def test_an_unknown_target_lists_those_there_are() -> None:
    assert match_target("eager") is None
    with pytest.raises(InputError, match="310p"):
        find_target("v100")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD + "colour: red\n", 6, "colour"),
        (GOOD.replace("2", "0"), 3, "chips_per_card"),
        (GOOD.replace("2", '"two"'), 3, "int"),
        (GOOD.replace("nvidia", "amd"), 2, "amd"),
        (GOOD + "converter: onnx2om\n", 1, "soc_version"),
        (GOOD.replace("backend: trt\n", ""), 1, "backend"),
        (GOOD + "chips_per_card: 4\n", 6, "twice"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_and_the_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = tmp_path / "x1.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        read_target(path)
    assert (
        str(path) in str(refusal.value)
        and f"line {line}" in str(refusal.value)
        and reason in str(refusal.value)
    )
