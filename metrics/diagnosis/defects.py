"""Faults of result files that show without a model: no numbers, nothing but zeros, one answer to
everything, bytes in front of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.likeness import SAME, Rows, comparable, unlikeness
from portproof.metrics.diagnosis.look import Compared, Mask
from portproof.metrics.diagnosis.numbers.form import beside
from portproof.metrics.diagnosis.numbers.plausible import never_outputs

#: So many numbers may stand before or behind the classes: numpy's header has 128 bytes.
_MOST_EXTRA = 64


def place_of(ids: Sequence[str], odd: Mask) -> str:
    """Which samples, and where they are: at the end, in one run, or here and there."""
    at = np.flatnonzero(odd)
    names = listed([ids[i] for i in at.tolist()])
    if 1 < len(at) < len(odd) and at[-1] - at[0] == len(at) - 1:
        if at[-1] == len(odd) - 1:
            return f"the last {len(at)} in the order of their ids: {names}"
        if at[0] == 0:
            return f"the first {len(at)} in the order of their ids: {names}"
        return f"a run of {len(at)} neighbours: {names}"
    return names


def broken(compared: Compared) -> list[Found]:
    """Results that no model gives, among those of all samples."""
    n = len(compared.every)
    found = []
    bad, blank = ~compared.finite, compared.blank
    if bad.any():
        fix = (
            "the model overflows: convert it with a wider precision, compare the SHA-256 of the"
            " weights, and look for the first such layer with metrics/layers.py"
        )
        if _at_the_end(bad):
            fix = (
                "the last batch is not full, or was not written: fill it with real samples, keep"
                " the results of these only, and run the inference again"
            )
        evidence = (
            f"{bad.sum()} of {n} results hold NaN or infinity ({place_of(compared.every, bad)})"
        )
        # A weight with its highest bit flipped does it to every sample.
        alike = ("weight-damaged",) if bad.all() else ()
        found.append(Found(Candidate("not-finite", 1.0, evidence, fix), alike, explained=bad))
    if blank.any():
        which = (
            f"all {n} results are zeros"
            if blank.all()
            else f"{blank.sum()} of {n} results are zeros ({place_of(compared.every, blank)})"
        )
        fix = "the model did not run, or its output was not copied back: run the inference again"
        found.append(Found(Candidate("zeros", 1.0, which, fix), explained=blank))
    return found


def constant(compared: Compared) -> Found | None:
    """One answer to every image."""
    port = compared.port
    n = len(port)
    if n < 2 or np.ptp(port, axis=0).max() > 1e-6 * np.abs(port).max():
        return None
    fix = "the model does not see its input: check the input's name, dtype and size"
    return Found(
        Candidate("constant", 1.0, f"all {n} results are the same", fix),
        explained=np.ones(n, bool),
    )


def _at_the_end(odd: Mask) -> bool:
    """Whether these and nothing else are the last ones."""
    return bool(odd[-1]) and not odd.all() and bool(odd[odd.argmax() :].all())


def framed(port: Rows, right: Rows, item: int) -> tuple[Found | None, Rows, Rows]:
    """Bytes of a header in front of the numbers, or behind them; ``item``: bytes a number.

    Returns what was found and both sides without the numbers that are not comparable.
    :class:`InputError` if the classes are not the reference's.
    """
    extra = port.shape[1] - right.shape[1]
    if extra == 0:
        return _pushed_out(port, right, item)
    if 0 < extra <= _MOST_EXTRA:
        cuts = (
            ("before", port[:, :extra], port[:, extra:]),
            ("behind", port[:, -extra:], port[:, :-extra]),
        )
        for where, _, inner in cuts:
            if _alike(inner, right):
                return beside(extra * item, where), inner, right
        for where, rest, inner in cuts:
            varied = not np.isfinite(inner).any() or not _same(inner).all()
            if len(port) > 1 and _same(rest).all() and varied:
                return beside(extra * item, where, same=False), inner, right
    raise InputError(
        f"the port has {port.shape[1]} classes, the reference {right.shape[1]}; check"
        " that it is the reference's port, and --dtype"
    )


def _pushed_out(port: Rows, right: Rows, item: int) -> tuple[Found | None, Rows, Rows]:
    """A header that has pushed the last classes out of a file."""
    same = _same(port)
    extra = 0 if same.all() else int(same.argmin())
    if len(port) > 1 and 0 < extra <= min(_MOST_EXTRA, port.shape[1] - 2):
        inner, kept = port[:, extra:], right[:, :-extra]
        alike = _alike(inner, kept)
        if alike or never_outputs(port[:, :extra], inner):
            return beside(extra * item, "before", alike), inner, kept
    return None, port, right


def _same(columns: Rows) -> Mask:
    """Which columns hold one value, the same in every row."""
    return np.array([np.array_equal(c, np.full_like(c, c[0]), equal_nan=True) for c in columns.T])


def _alike(port: Rows, right: Rows) -> bool:
    good = np.isfinite(port).all(axis=1)
    if not good.any():
        return False
    left = unlikeness(comparable(port[good], False), comparable(right[good], False))
    return float(np.median(left)) < SAME
