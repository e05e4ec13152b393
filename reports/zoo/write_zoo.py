"""The files of a ModelZoo contribution that come out of a run directory."""

from __future__ import annotations

from pathlib import Path

from portproof.core.files import read_text, write_text
from portproof.reports.port.data import RunData
from portproof.reports.port.write import write_readme
from portproof.reports.zoo.level import Status, level_text

LEVEL, SELF_TEST = "modelzoo_level.txt", "self_test.sh"


def write_zoo(data: RunData, found: list[Status], folder: Path, language: str) -> None:
    """Write the README, the level file and the self-test."""
    folder.mkdir(parents=True, exist_ok=True)
    write_readme(data, folder / "README.md", language, "modelzoo")
    write_text(folder / LEVEL, level_text(found))
    script = read_text(Path(__file__).with_name(SELF_TEST), "self-test")
    write_text(folder / SELF_TEST, script)
