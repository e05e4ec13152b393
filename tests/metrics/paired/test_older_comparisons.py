"""Comparisons that an older version wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from portproof.metrics.paired.compare import compare
from portproof.outcome import Outcomes, write_outcomes
from portproof.reports.port.data import read_comparison


def test_a_comparison_of_before_rehearsals_is_of_real_results(tmp_path: Path) -> None:
    ones, margins = np.ones(3, np.int64), np.full(3, 0.5)
    for name in ("reference", "port"):
        made = Outcomes(("s0", "s1", "s2"), ones, ones, ones, margins)
        write_outcomes(tmp_path / f"{name}.csv", made)
    labels, out = tmp_path / "labels.txt", tmp_path / "compare.json"
    labels.write_text("s0 1\ns1 1\ns2 1\n")
    compare(tmp_path / "reference.csv", tmp_path / "port.csv", labels, out=out)
    stored = json.loads(out.read_text())
    del stored["simulated"]
    out.write_text(json.dumps(stored))
    found = read_comparison(out)
    assert not found.simulated
    assert "REHEARSAL" not in found.to_text()
