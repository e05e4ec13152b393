"""Which steps of two runs are compared, and by which margin their accuracy is judged."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portproof.outcome import Outcomes, write_outcomes
from portproof.reports.over_time import against
from portproof.reports.over_time.repeated_times import StepTimes
from portproof.rundir.layout import CLASSIFICATION
from portproof.verdict import Verdict

HOST = {"machine": "x86_64", "processor": "fast", "cpus": "8", "release": "6.1"}


def step(name: str, samples: int = 64, seconds: float = 0.2) -> StepTimes:
    return StepTimes(name, samples, [seconds + 0.001 * i for i in range(9)], [0.1] * 9)


def run(**host: str) -> Any:
    """A run whose last stage ran on this host."""
    proofs = ({}, HOST | host)
    stages = [SimpleNamespace(proof=SimpleNamespace(environment=proof)) for proof in proofs]
    return SimpleNamespace(stages=stages)


def compared(old: Any, new: Any, before: list[StepTimes]) -> dict[str, Verdict | None]:
    gates = against._step_gates(old, new, SimpleNamespace(steps=before))  # type: ignore[arg-type]
    return {gate.name: gate.verdict for gate in gates}


@pytest.fixture
def timed_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both steps take now what they took before."""
    now = [step("preprocessing"), step("post-processing", 500)]
    monkeypatch.setattr(against, "time_steps", lambda data: now)


@pytest.mark.usefixtures("timed_now")
def test_steps_are_compared_that_did_the_same_work_before() -> None:
    """Neither a step that the baseline has not, nor one that took other samples."""
    both = {"preprocessing": Verdict.PASS, "post-processing": Verdict.PASS}
    before = [step("preprocessing"), step("post-processing", 500)]
    assert compared(run(), run(), before) == both
    assert compared(run(), run(), before[:1]) == {"preprocessing": Verdict.PASS}
    other = [before[0], step("post-processing", 400)]
    assert compared(run(), run(), other) == {"preprocessing": Verdict.PASS}
    assert compared(run(), run(), []) == {}


@pytest.mark.usefixtures("timed_now")
@pytest.mark.parametrize("name", ["machine", "processor", "cpus"])
def test_steps_of_another_host_are_not_compared(name: str) -> None:
    before = [step("preprocessing")]
    assert compared(run(**{name: "another"}), run(), before) == {}
    assert compared(run(), run(release="6.2"), before) == {"preprocessing": Verdict.PASS}


def outcomes(path: Path, right: int, samples: int) -> Path:
    """So many are right, the first ones."""
    is_right, ones = np.arange(samples) < right, np.ones(samples, np.int64)
    ids = tuple(f"s{i}" for i in range(samples))
    rank, margin = np.where(is_right, 1, 2), np.where(is_right, 1.0, -1.0)
    write_outcomes(path, Outcomes(ids, ones, np.where(is_right, 1, 0), rank, margin))
    return path


@pytest.mark.parametrize(
    ("margin", "verdict"),
    [(20.0, Verdict.PASS), (1.0, Verdict.FAIL), (None, Verdict.FAIL)],
    ids=["that of the port", "one point", "one point where the port has none"],
)
def test_a_loss_is_held_to_the_margin_of_the_port(
    tmp_path: Path, margin: float | None, verdict: Verdict
) -> None:
    """30 of 500 samples broke: six points."""
    before = outcomes(tmp_path / "before.csv", 450, 500)
    now = outcomes(tmp_path / "now.csv", 420, 500)
    (tmp_path / "labels.txt").write_text("".join(f"s{i} 1\n" for i in range(500)))
    settings = SimpleNamespace(labels="labels.txt", task=CLASSIFICATION, margin_pp=margin)
    new: Any = SimpleNamespace(root=tmp_path, settings=settings)
    found = against._loss(new, before, now)
    assert found.verdict is verdict
    assert "30 samples broken and 0 mended" in found.reason
    assert found.lower is not None and 4 < found.lower < 6


@pytest.mark.parametrize(
    ("broken", "verdict"), [(2, Verdict.PASS), (3, Verdict.PASS), (4, Verdict.FAIL)]
)
def test_three_samples_that_broke_may_be_chance_and_four_are_a_loss(
    tmp_path: Path, broken: int, verdict: Verdict
) -> None:
    """Of b that broke and none mended the score is the root of b, and (b - 1/2) / root b with the
    correction for whole samples: 1.44 of three and 1.75 of four, where 1.645 is surely a loss. The
    bound of three is nothing at all, neither a loss nor a gain.
    """
    files = SimpleNamespace(outcomes=lambda side, batch: "outcomes.csv", accuracy_batch=1)
    settings = SimpleNamespace(labels="../labels.txt", task=CLASSIFICATION, margin_pp=20.0)
    (tmp_path / "labels.txt").write_text("".join(f"s{i} 1\n" for i in range(500)))
    runs: list[Any] = []
    for name, right in (("old", 450), ("new", 450 - broken)):
        (tmp_path / name).mkdir()
        outcomes(tmp_path / name / "outcomes.csv", right, 500)
        runs.append(SimpleNamespace(root=tmp_path / name, files=files, settings=settings))
    side: Any = SimpleNamespace(label="310p")
    assert against._accuracy(*runs, side).verdict is verdict
