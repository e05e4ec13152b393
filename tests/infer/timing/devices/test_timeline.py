"""Moments of a bench, where the host lets none be read."""

from __future__ import annotations

import time

import psutil
import pytest

from portproof.infer.timing.devices import timeline


def test_moments_are_those_of_the_whole_time_or_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readings = iter([0.0, 10.0, 20.0])

    def percent() -> float:
        for reading in readings:
            return reading
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(timeline, "_STEP_S", 0.01)
    monkeypatch.setattr(psutil, "cpu_percent", percent)
    with timeline.timeline_of({}) as moments:
        time.sleep(0.5)
    assert moments == []
    assert capsys.readouterr().err == (
        "portproof: warning: memory and processor use over time are not measured: Too many open"
        " files\n"
    )


def test_moments_are_taken_while_the_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_STEP_S", 0.02)
    with timeline.timeline_of({}) as moments:
        time.sleep(1.0)
    assert len(moments) > 3
    assert [m.at_s for m in moments] == sorted(m.at_s for m in moments)
