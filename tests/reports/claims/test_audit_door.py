"""reports/claims/README.md is true: its example is audited, and its rule is added as one file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.reports.claims.audit import audit, checks
from portproof.reports.claims.read.chips import chips_of, device_of
from portproof.reports.claims.read.context import NPUS
from portproof.target import find_target, match_target

FILE = re.compile(r"^(`{3,})\w+ file=(\S+)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(root: Path) -> str:
    return (root / "reports/claims/README.md").read_text(encoding="utf-8")


@pytest.fixture
def files(page: str) -> dict[str, str]:
    return {name: body for _, name, body in FILE.findall(page)}


def test_the_example_has_the_findings_that_the_page_lists(
    page: str, files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "report.md").write_text(files["report.md"], encoding="utf-8")
    found = audit(tmp_path / "report.md").in_order()
    shown = "\n".join(f"{f.kind:<9} {f.line:>3}  {f.stated}" for f in found)
    assert f"```text\n{shown}\n```" in page


def test_a_rule_is_one_new_file(root: Path, files: dict[str, str], tmp_path: Path) -> None:
    for name in ("src", "convert", "reports"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    table = "| bs | 310P |\n|---|---|\n| 4 | 1312.5 |\n| 8 | 1312.5 |\n| 16 | 1400.25 |\n"
    (tmp_path / "report.md").write_text(table)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    (rule,) = (name for name in files if name.endswith(".py"))
    (tmp_path / rule).write_text(files[rule], encoding="utf-8")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {tmp_path / rule}
    for data in ("targets", "catalog"):
        if (root / data).exists():
            shutil.copytree(root / data, tmp_path / data)
    result = subprocess.run(
        [sys.executable, "reports/audit.py", "report.md", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    (document,) = json.loads(result.stdout)
    assert document["contradictions"] == [
        {
            "kind": "copied",
            "line": 4,
            "stated": "1312.5",
            "derived": "the figure of batch 4",
            "from_line": 3,
        }
    ]


def test_every_module_of_the_rules_is_a_rule(root: Path) -> None:
    names = {path.stem for path in (root / "reports/claims/rules").glob("[!_]*.py")}
    assert set(checks()) == names


def test_chips_on_a_card_are_the_targets() -> None:
    known = [npu for npu in NPUS if match_target(npu)]
    assert "310" in known
    assert [chips_of(npu) for npu in known] == [find_target(n).chips_per_card for n in known]
    assert device_of(find_target("310").chips_per_card) == "310"
    assert chips_of("GPU") == chips_of(None) == 1
