"""The form of numbers in result files: another type, another byte order, bytes before or behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.accuracy.one_output import Results
from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.likeness import SAME, Rows, comparable, unlikeness
from portproof.metrics.diagnosis.numbers.plausible import are_outputs, likeliest, spread

#: Types that numbers are written in, the usual ones first.
_DTYPES = ("<f4", "<f2", "<f8", ">f4", ">f2", ">f8", "<i4", "<i8", "<i2", "<i1", "<u1", ">i4")
_HALVES = ("<f2", ">f2")
_WORDS = {"f": "float", "i": "int", "u": "uint"}
#: So many files are looked at; so many bytes may stand beside the numbers.
_FILES, _MOST_BESIDE = 16, 4096
#: Bytes of a float.
_FLOATS = 4
_OF_IT, _LIKE_IT = "the reference's", "of the size of the reference's, and something else is wrong"


@dataclass(frozen=True)
class Form:
    """Numbers of ``dtype``, of numpy's spelling, behind ``skip`` bytes."""

    dtype: str
    skip: int
    classes: int

    def rows(self, results: Results, ids: Sequence[str]) -> Rows:
        """The numbers of these samples, (samples, classes)."""
        parts = [
            np.frombuffer(content, self.dtype, self.classes, self.skip)
            for content in results.raw(ids) or ()
        ]
        with np.errstate(all="ignore"):
            return np.stack(parts).astype(np.float64)


def form_of(
    results: Results, ids: Sequence[str], right: Rows, dtype: str
) -> tuple[Form, list[Found]] | None:
    """The form in which results are the reference's, or numbers like it where another fault changes
    them, and what is wrong with it; None where they have the usual one, or none that is known.
    ``right``: the reference's outputs for ``ids``.
    """
    usual = np.dtype(dtype).newbyteorder("<").str
    at = np.linspace(0, len(ids) - 1, min(_FILES, len(ids))).round().astype(int)
    contents = results.raw([ids[i] for i in at])
    if contents is None:
        return None
    size = len(contents[0])
    if {len(c) for c in contents} != {size}:
        return None
    raw = np.frombuffer(b"".join(contents), np.uint8).reshape(len(at), size)
    count, wanted = right.shape[1], right[at]
    exact = size == count * np.dtype(usual).itemsize
    if exact and _distance(raw, usual, 0, wanted) < 0.5:
        return None
    best = min(
        ((_distance(raw, d, s, wanted), d, s) for d, s in _forms(size, count)),
        default=(1.0, usual, 0),
    )
    same = best[0] < SAME
    chosen = best[1:] if same else _by_size(raw, usual, exact, wanted)
    if chosen is None or (chosen == (usual, 0) and exact):
        return None
    form = Form(*chosen, count)
    behind = size - form.skip - count * np.dtype(form.dtype).itemsize
    return form, _faults(form, usual, behind, same)


def _by_size(
    raw: NDArray[np.uint8], usual: str, exact: bool, right: Rows
) -> tuple[str, int] | None:
    """Type and place of the numbers where the results are not the reference's in any form.
    Integers are believed in files of their own size only: bytes of floats are integers as well.
    """
    size, count = raw.shape[1], right.shape[1]
    if exact and not raw[:, size // 2 :].any() and np.dtype(usual).itemsize == _FLOATS:
        halves = _numbers(raw, "<f2", 0, count)  # in a file for floats, of which the rest is zeros
        if halves.any() and are_outputs(halves, right):
            return "<f2", 0
    if _not_finite(raw, usual) or (
        exact and are_outputs(_numbers(raw, usual, 0, right.shape[1]), right)
    ):
        return None
    forms = [
        (d, s)
        for d, s in _forms(size, count)
        if np.dtype(d).kind == "f" or size == count * np.dtype(d).itemsize
    ]
    likely = likeliest(((f, _numbers(raw, *f, count)) for f in forms), right, usual)
    fewer = size // np.dtype(usual).itemsize
    if 1 < fewer < count:
        floats = _numbers(raw, usual, 0, fewer)
        # Two halves may look like one float, of other sizes; the halves of a float are further off.
        narrow = _numbers(raw, *likely, count) if likely and likely[0] in _HALVES else None
        nearer = narrow is not None and spread(narrow) < spread(floats)
        if are_outputs(floats, right) and not nearer:
            return None  # outputs of fewer classes
    return likely


def _forms(size: int, count: int) -> Iterator[tuple[str, int]]:
    for dtype in _DTYPES:
        beside = size - count * np.dtype(dtype).itemsize
        if 0 <= beside <= _MOST_BESIDE:
            few = range(beside + 1) if beside <= 64 else sorted({0, beside, 64, 80, 96, 128} & {
                *range(beside + 1)
            })  # fmt: skip
            yield from ((dtype, skip) for skip in few)


def _distance(raw: NDArray[np.uint8], dtype: str, skip: int, right: Rows) -> float:
    """How unlike the numbers are, read so: 0 to 1."""
    numbers = _numbers(raw, dtype, skip, right.shape[1])
    with np.errstate(all="ignore"):
        wanted = np.rint(right) if np.dtype(dtype).kind in "iu" else right
        if not np.isfinite(numbers).all(axis=1).mean() > 0.5:
            return 1.0
        left = unlikeness(comparable(numbers, False), comparable(wanted, False))
        return float(np.nan_to_num(np.median(left), nan=1.0))


def _numbers(raw: NDArray[np.uint8], dtype: str, skip: int, count: int) -> Rows:
    end = skip + count * np.dtype(dtype).itemsize
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(raw[:, skip:end]).view(dtype).astype(np.float64)


def _not_finite(raw: NDArray[np.uint8], usual: str) -> bool:
    """Whether most numbers are the NaN or infinity that arithmetic makes. Of other types read as
    floats some are NaN too, but not bit by bit that one.
    """
    item = np.dtype(usual).itemsize
    bits, whole = f"u{item}", raw.shape[1] // item * item
    made = np.array([np.nan, -np.nan, np.inf, -np.inf], usual).view(bits)
    odd = np.isin(np.ascontiguousarray(raw[:, :whole]).view(bits), made)
    return bool(2 * np.count_nonzero(odd) > odd.size)


def _faults(form: Form, usual: str, behind: int, same: bool) -> list[Found]:
    found = []
    if form.dtype != usual:
        said, asked = (_name(d) for d in (form.dtype, usual))
        evidence = (
            f"the files hold numbers of {said}, not of {asked}: read so, they are"
            f" {_OF_IT if same else _LIKE_IT}"
        )
        fix = f"write the outputs as {asked}, little-endian"
        if form.dtype == "<f2":
            fix += ", or give --dtype float16"
        found.append(Found(Candidate("results-dtype", 1.0, evidence, fix)))
    whole = form.classes * np.dtype(form.dtype).itemsize + form.skip + behind
    spare = form.dtype != usual and whole == form.classes * np.dtype(usual).itemsize
    if (form.skip or behind) and not spare:  # what a narrower type leaves is no header
        found.append(beside(form.skip or behind, "before" if form.skip else "behind", same))
    return found


def beside(count: int, where: str, same: bool = True) -> Found:
    """Bytes that are no outputs ``before`` or ``behind`` the numbers. ``same``: whether the rest is
    the reference's.
    """
    return Found(
        Candidate(
            "header",
            1.0,
            f"{count} bytes that are no outputs stand {where} the numbers of every file; without"
            f" them the outputs are {_OF_IT if same else _LIKE_IT}",
            "write the raw numbers and nothing else, or leave the header out when results are read",
        )
    )


def _name(dtype: str) -> str:
    """A type in words.

    >>> _name("<f4"), _name(">i2")
    ('float32', 'int16 (big-endian)')
    """
    order = " (big-endian)" if dtype.startswith(">") else ""
    return f"{_WORDS[dtype[1]]}{8 * int(dtype[2:])}{order}"
