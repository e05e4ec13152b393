"""Files of facts: errors name the line; only the safe subset is read."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from portproof.core.errors import InputError
from portproof.core.yamlfile import data_file, data_folder, load_yaml


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    items: list[Inner] = []


def load(tmp_path: Path, text: str) -> Outer:
    (tmp_path / "f.yaml").write_text(text)
    return load_yaml(tmp_path / "f.yaml", Outer, "model card")


def test_a_good_file(tmp_path: Path) -> None:
    assert load(tmp_path, "name: a\nitems:\n  - size: 3\n") == Outer("a", [Inner(3)])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("name: a\nitems:\n  - size: 3\n  - size: big\n", 4, "int"),
        ("name: a\nitems:\n  - size: 3\n    colour: red\n", 4, "colour"),
        ("name: a\nname: b\n", 2, "twice"),
        ("items: []\n", 1, "name"),
        ("name: [\n", 2, "YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", 1, "YAML"),
        ("", 1, "Outer|object"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    with pytest.raises(InputError, match=rf"line {line}\b.*({reason})"):
        load(tmp_path, text)


def test_a_bomb_of_aliases_and_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load(tmp_path, "[" * 20000)


def test_a_file_of_the_catalog_is_named_or_spelled_with_its_kind_or_given_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = data_folder("suites") / "cpu.yaml"
    assert data_file("suites", "cpu", "suite", "") == own
    assert data_file("suites", "suites/cpu.yaml", "suite", "") == own
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/cpu.yaml").write_text("")
    assert data_file("suites", "suites/cpu.yaml", "suite", "") == Path("suites/cpu.yaml")
    assert data_file("suites", "other/cpu.yaml", "suite", "") == Path("other/cpu.yaml")
    with pytest.raises(
        InputError, match=r"there is no suite 'npu'; there are .*cpu, .*poros.*; give"
    ):
        data_file("suites", "npu", "suite", "give a path")
