"""The lines of the flips from right to wrong, as people read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.metrics.paired.compare import compare
from portproof.outcome import Outcomes, write_outcomes


def table(path: Path, predicted: list[int], margins: list[float]) -> Path:
    """Samples s0, s1 ... of class 1."""
    said = np.array(predicted)
    ids = tuple(f"s{i}" for i in range(len(said)))
    ones = np.ones_like(said)
    rank = np.where(said == 1, 1, 2)
    write_outcomes(path, Outcomes(ids, ones, said, rank, np.array(margins)))
    return path


def test_flips_show_both_margins_and_say_which_are_infinite(tmp_path: Path) -> None:
    """A margin is infinite where an answer is, as with a mask of minus infinity."""
    inf = float("inf")
    reference = table(tmp_path / "reference.csv", [1, 1, 1, 1], [0.25, inf, 2.0, 1.0])
    port = table(tmp_path / "port.csv", [0, 2, 0, 1], [-0.5, -1.5, -inf, 1.0])
    (tmp_path / "labels.txt").write_text("".join(f"s{i} 1\n" for i in range(4)))
    lines = compare(reference, port, tmp_path / "labels.txt").to_text().splitlines()
    at = lines.index("flips from right to wrong, worst first (3 of 3):")
    assert lines[at + 1 : at + 5] == [
        "  s1: label 1, 1 -> 2, margin infinite -> -1.5",
        "  s2: label 1, 1 -> 0, margin +2 -> infinite",
        "  s0: label 1, 1 -> 0, margin +0.25 -> -0.5",
        "",
    ]
