"""What a sidecar says of the work that was done, and which work it speaks for."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portproof.proof import work as module
from portproof.proof.sidecar import Proof, sidecar_of
from portproof.proof.work import Work


def work(folder: Path, stage: str = "copy", **more: Any) -> Work:
    return Work(stage, folder / "out.txt", inputs={}, parameters={}, **more)


def finished(job: Work) -> Proof:
    job.artefact.write_text("")
    return job.finish([job.artefact])


def test_a_stage_that_never_changed_its_bytes_is_of_the_first_revision(tmp_path: Path) -> None:
    """Sidecars of before say 1: with another number every stage would run again."""
    job = work(tmp_path)
    job.begin()
    assert finished(job).revision == 1
    stored = json.loads(sidecar_of(job.artefact).read_text())
    assert stored["revision"] == 1
    assert work(tmp_path).why() is None


@pytest.mark.parametrize(
    ("stage", "revision", "said"),
    [
        ("copy", 2, "was written by copy revision 1, this is copy revision 2"),
        ("move", 1, "was written by copy revision 1, this is move revision 1"),
    ],
)
def test_the_sidecar_of_another_stage_or_revision_is_none_of_this_work(
    tmp_path: Path, stage: str, revision: int, said: str
) -> None:
    job = work(tmp_path)
    job.begin()
    finished(job)
    assert said in str(work(tmp_path, stage, revision=revision).why())


def test_the_seconds_are_those_since_the_work_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the millisecond; work that never began took none that are known."""
    now = 1_700_000_000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))
    job = work(tmp_path)
    assert finished(job).seconds == 0.0
    job.begin()
    now += 2.34567
    proof = finished(job)
    assert proof.seconds == 2.346
    assert proof.started == "2023-11-14T22:13:20+00:00", "when it began, not when it ended"
