"""The console command: it lists what is in the folders of commands, and runs it by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portproof.cli import commands
from portproof.core import STAGES, VERBS


def portproof(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portproof", *arguments],
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_is_a_file_at_the_top_of_a_stage_or_in_commands(root: Path) -> None:
    folders = [root / "src/portproof/commands", *(root / stage for stage in STAGES)]
    files = {p for folder in folders for p in folder.glob("*.py") if p.name != "__init__.py"}
    assert {Path(path) for path in commands().values()} == files
    assert set(VERBS.values()) <= set(commands())


def test_help_lists_every_command_with_a_whole_sentence(root: Path) -> None:
    done = portproof(root, "--help")
    assert done.returncode == 0
    rows = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    named = {row.split()[0]: row for row in rows}
    for name in commands():
        assert named[name].endswith("."), named[name]


@pytest.mark.parametrize(("verb", "name"), VERBS.items())
def test_a_plain_verb_runs_the_command_that_it_is_for(root: Path, verb: str, name: str) -> None:
    by_verb, by_name = portproof(root, verb, "--help"), portproof(root, name, "--help")
    assert by_verb.returncode == by_name.returncode == 0
    # Where the usage is wrapped depends on the name's length.
    words = [done.stdout.split()[3:] for done in (by_verb, by_name)]
    assert words[0] == words[1]


def test_an_unknown_command_is_one_sentence_and_exit_2(root: Path) -> None:
    done = portproof(root, "topnn")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no command 'topnn'" in done.stderr
