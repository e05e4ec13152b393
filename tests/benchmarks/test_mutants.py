"""The mutants: what judges is changed, one place at a time, and what only speaks is not."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
try:
    made: Any = importlib.import_module("mutants_made")
    judges: Any = importlib.import_module("mutants_judges")
finally:
    del sys.path[0]


def became(source: str) -> set[str]:
    return {m.became for m in made.mutants_of("m.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"a <= b", "a >= b"}),
        ("x = a == b and c", {"a != b", "a == b or c"}),
        ("x = a + 2", {"a - 2", "3"}),
        ("x = not a", {"a"}),
        ("x = min(a, b)", {"max(a, b)"}),
        ("x = 0.5 if a else True", {"True if a else 0.5", "1.0", "False"}),
        ("save(a)", {"pass"}),
        ("progress.say(a)", set()),
        ("raise ValueError(1 + 2)", set()),
        ("x = f'{a + 1}'", set()),
        ("def f(a: Literal[1] = b) -> Literal[2]: ...", set()),
        ("x = zip(a, b, strict=True)", set()),
    ],
)
def test_what_a_line_becomes(source: str, expected: set[str]) -> None:
    assert became(source) == expected


def test_a_mutant_is_the_module_with_one_change() -> None:
    source = "def f(a, b):\n    return a < b\n\n\ndef g(a, b):\n    return a < b\n"
    mutants = list(made.mutants_of("m.py", source))
    assert [m.line for m in mutants] == [2, 2, 6, 6]
    for mutant in mutants:
        changed = mutant.source.splitlines()
        assert sum(a != b for a, b in zip(changed, ast.unparse(ast.parse(source)).splitlines(),
                                          strict=True)) == 1  # fmt: skip


def test_every_judge_and_its_tests_are_there() -> None:
    for module, tests in judges.JUDGES.items():
        assert all((ROOT / place).exists() for place in (module, *tests.split())), module


def test_a_change_that_changes_nothing_is_still_a_line_of_its_module() -> None:
    for module, line, change in judges.EQUIVALENT:
        found = made.mutants_of(module, (ROOT / module).read_text())
        assert any((m.before.strip(), m.became) == (line, change) for m in found), line
