"""Shell completion, asked of bash itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("shtab")


def completed(script: Path, *words: str) -> set[str]:
    """What bash would offer for the last word."""
    bash = shutil.which("bash")
    assert bash
    asked = " ".join(words)
    program = (
        f"source {script}; COMP_WORDS=({asked}); COMP_CWORD={len(words) - 1};"
        f" COMP_LINE='{asked}'; COMP_POINT=${{#COMP_LINE}}; _shtab_portproof;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_bash_offers_commands_verbs_and_options(tmp_path: Path, stage: Callable[..., Any]) -> None:
    done = stage("src/portproof/commands/completion.py", "bash")
    assert done.returncode == 0, done.stderr
    script = tmp_path / "completion.sh"
    script.write_text(done.stdout)
    assert {"port", "preprocess", "throughput", "verify"} <= completed(script, "portproof", "''")
    assert "--margin-pp" in completed(script, "portproof", "compare", "--mar")
    assert "imagenet" in completed(script, "portproof", "imag")


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(stage: Callable[..., Any], shell: str) -> None:
    done = stage("src/portproof/commands/completion.py", shell)
    assert done.returncode == 0, done.stderr
    assert "portproof" in done.stdout
