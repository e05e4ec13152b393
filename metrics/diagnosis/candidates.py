"""Explanations that need no further run of the reference: order, labels and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from portproof.core.text import listed
from portproof.metrics.diagnosis.likeness import Rows, unlikeness, unlikeness_matrix

#: An output this unlike the reference's is not a matter of precision, not even of 8 bits.
_SAME = 0.05


class Candidate(msgspec.Struct, frozen=True):
    """One explanation. ``score``: the share of the port's outputs that it explains, 0 to 1."""

    fault: str
    score: float
    evidence: str
    fix: str


@dataclass(frozen=True)
class Compared:
    """The samples that are compared: ids, images, labels, and the port's outputs (without a
    background class), all in the order of the ids.
    """

    ids: list[str]
    images: list[Path]
    labels: Sequence[int]
    port: Rows


def score_of(left: Rows) -> float:
    """The share that is explained; ``left``: how unlike each sample's output still is, 0 to 1."""
    return max(0.0, 1 - float(left.mean()))


def broken(compared: Compared) -> Candidate | None:
    """Outputs that no preprocessing explains."""
    n = len(compared.ids)
    bad = [
        compared.ids[i] for i in np.flatnonzero(~np.isfinite(compared.port).all(axis=1)).tolist()
    ]
    if bad:
        return Candidate(
            "not-finite",
            1.0,
            f"{len(bad)} of {n} results hold NaN or infinity ({listed(bad)})",
            "the model overflows: convert it with a wider precision, and look for the first such"
            " layer with metrics/layers.py",
        )
    if not compared.port.any():
        return Candidate(
            "zeros",
            1.0,
            f"all {n} results are zeros",
            "the model did not run, or its output was not copied back: run the inference again",
        )
    if n > 1 and np.ptp(compared.port, axis=0).max() <= 1e-6 * np.abs(compared.port).max():
        return Candidate(
            "constant",
            1.0,
            f"all {n} results are the same",
            "the model does not see its input: check the input's name, dtype and size",
        )
    return None


def no_fault(left: Rows) -> Candidate:
    """The port is as good as its reference, or no usual mistake explains it."""
    evidence = (
        f"the port differs from the reference by {left.mean():.2g} on average, at most"
        f" {left.max():.2g}"
    )
    known = float(left.mean()) <= _SAME
    return Candidate(
        "none",
        score_of(left),
        evidence,
        (
            "nothing to do"
            if known
            else "none of the usual mistakes: compare the layers with metrics/layers.py"
        ),
    )


def moved_samples(compared: Compared, port: Rows, plain: Rows) -> list[Candidate]:
    """Results that are the reference's answer to another sample."""
    matrix = unlikeness_matrix(port, plain)
    n = len(matrix)
    closest = matrix.argmin(axis=1)
    moved = np.flatnonzero((closest != np.arange(n)) & (matrix.min(axis=1) < _SAME))
    if n < 3 or 2 * len(moved) < n or 4 * len(set(closest.tolist())) < 3 * n:
        return []
    offsets, counts = np.unique(closest[moved] - moved, return_counts=True)
    offset = int(offsets[counts.argmax()])
    same = float(counts.max()) / len(moved)
    example = (
        f"that of {compared.ids[moved[0]]} is the reference's of {compared.ids[closest[moved[0]]]}"
    )
    fault = "samples-shifted" if same > 0.8 else "samples-shuffled"
    how = f"; the offset is {offset} samples" if same > 0.8 else ""
    score = 1 - float(matrix.min(axis=1).mean())
    fix = (
        "name results by sample id: check the order and the index of the info list, and that the"
        " result folder was empty"
    )
    return [
        Candidate(
            fault,
            score,
            f"{len(moved)} of {n} results belong to another sample ({example}{how})",
            fix,
        )
    ]


def mixed_results(compared: Compared, left: Rows) -> list[Candidate]:
    """Some results are the reference's, others are not: files of another run among them."""
    same = left < _SAME
    share = float(same.mean())
    if not 0.1 <= share <= 0.9 or left[same].max() * 10 > left[~same].min():
        return []
    odd = [compared.ids[i] for i in np.flatnonzero(~same).tolist()]
    evidence = (
        f"{len(odd)} of {len(left)} results differ entirely, the others are the reference's"
        f" ({listed(odd)})"
    )
    return [
        Candidate(
            "stale-results",
            1 - float(left[same].mean()),
            evidence,
            "results of another run are among these: empty the folder, run again",
        )
    ]


def classes_shifted(port: Rows, plain: Rows) -> list[Candidate]:
    """Every class one place off: a background class too many or too few."""
    fix = "compare the class lists of both models: one has a background class, or lost its first"
    return [
        Candidate(
            "classes-shifted",
            score_of(unlikeness(port, np.roll(plain, by, axis=1))),
            f"every class is {by:+d} from the reference's",
            fix,
        )
        for by in (1, -1)
    ]


def labels_shifted(compared: Compared, right: Rows) -> list[Candidate]:
    """Outputs are right, and yet the labels hit only when they are counted from another number."""
    labels, predicted = np.array(compared.labels), right.argmax(axis=1)
    plain = float(np.mean(predicted == labels))
    found = []
    for shift, fix in (
        (-1, "the label file counts from 1: write it again, counted from 0"),
        (1, "the labels are one too low: write the file again"),
    ):
        share = float(np.mean(predicted == labels + shift))
        if share >= 0.3 and share > 3 * plain:
            evidence = (
                f"the reference is right on {100 * share:.0f} % of the images with labels moved by"
                f" {shift:+d}, on {100 * plain:.0f} % as they are"
            )
            found.append(Candidate("labels-shifted", share, evidence, fix))
    return found
