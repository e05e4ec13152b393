"""The gates of a port, from its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.judgement import speed_gate
from portproof.measurement import Measurement, Performance, write_performance
from portproof.verdict import Verdict


@pytest.mark.parametrize(
    ("reasons", "verdict", "words"),
    [
        ([], None, "no ratio to the reference"),
        (["t4, batch 1: cuda:0 was throttled meanwhile (hardware slowdown)"], Verdict.UNSTABLE, "was throttled meanwhile"),
        (["a throttled device", "b", "c"], Verdict.UNSTABLE, r"a throttled device (and 2 more, in t4/perf.json)"),
    ],
)
def test_a_device_that_was_timed_alone_is_not_judged_unless_its_clock_is_in_doubt(
    tmp_path: Path, reasons: list[str], verdict: Verdict | None, words: str
) -> None:
    one = Measurement(label="t4", model="m.plan", backend="trtexec", batch=1, boundary="device", precision="fp16", clients=1, inputs="random",
                      blocks=[[0.001]])  # fmt: skip
    path = tmp_path / "t4" / "perf.json"
    path.parent.mkdir()
    write_performance(path, Performance(measurements=[one], reasons=reasons, status="unstable" if reasons else "ok"))
    gate = speed_gate("t4", path)
    assert gate.verdict is verdict
    assert words in gate.reason
