"""infer/suite.py: several models, one table, and one that fails keeps nobody back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError
from portproof.infer.timing.suite import Suite, SuiteSubject, read_suite, table
from portproof.measurement import Answers, Measurement, Performance, wrong_answers

SUITE = """\
about: a test
models: [card.yaml, bad.yaml]
subjects:
  - {label: eager, backend: eager, threads: 1}
  - {label: ort, backend: ort, threads: 1}
batches: [1, 3]
"""


def test_table_of_what_ran_and_exit_code_of_what_did_not(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tiny.folder / "suite.yaml").write_text(SUITE)
    card = (tiny.folder / "card.yaml").read_text()
    (tiny.folder / "bad.yaml").write_text(card.replace("tiny.py:build", "tiny.py:absent"))
    arguments = ("infer/suite.py", "suite.yaml", "--out", "out", "--blocks", 4, "--iterations", 4)
    done = stage(*arguments, cwd=tiny.folder)
    assert done.returncode == 3
    assert "absent" in done.stderr
    text = (tiny.folder / "out" / "README.md").read_text()
    assert "### 1. card.yaml" in text
    assert "| Batch size | eager (ms) | ort (ms) |" in text
    assert "Failed: bad.yaml" in text
    measured = json.loads((tiny.folder / "out" / "card.yaml" / "perf.json").read_text())[
        "measurements"
    ]
    for m in measured:
        mean = 1e3 * sum(s for b in m["blocks"] for s in b) / 4
        row = next(line for line in text.splitlines() if line.startswith(f"| {m['batch']} |"))
        assert f"{mean:.2f}" in row.split(" | ")[1 if m["label"] == "eager" else 2]
    again = stage(*arguments, "--models", "card.yaml", cwd=tiny.folder)
    assert again.returncode == 0
    assert "bench: out/card.yaml/perf.json is up to date" in again.stderr


def test_shipped_suites_are_readable_and_a_wrong_one_is_refused(root: Path, tmp_path: Path) -> None:
    for path in (root / "suites").glob("*.yaml"):
        assert read_suite(path).models
    (tmp_path / "s.yaml").write_text(
        "about: x\nmodels: [a]\nsubjects: [{label: a, backend: nope}]\n"
    )
    with pytest.raises(InputError, match="no backend 'nope'"):
        read_suite(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text("about: x\nmodels: []\nsubjects: []\n")
    with pytest.raises(InputError, match="at least one of each"):
        read_suite(tmp_path / "s.yaml")


def test_a_subject_that_answers_wrongly_has_an_empty_cell_and_a_reason() -> None:
    facts = {"model": "m", "backend": "ort", "precision": "fp32", "clients": 1, "batch": 1}
    measurements = [
        Measurement(
            label=label,
            boundary="call",
            inputs="random",
            blocks=[[0.004]],
            answers=Answers(ok=ok, reason="NaN"),
            **facts,
        )  # type: ignore[arg-type]
        for label, ok in (("right", True), ("wrong", False))
    ]
    subjects = tuple(SuiteSubject(label=m.label, backend="ort") for m in measurements)
    suite = Suite(about="two", models=("m",), subjects=subjects, batches=(1,))
    done = Performance(measurements=measurements, wrong=wrong_answers(measurements))
    text = table(suite, {"m": done}, [])
    assert "| 1 | 4.00 |  |" in text
    assert "Wrong answers: wrong, batch 1: NaN." in text
