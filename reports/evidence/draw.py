"""Which samples a challenge looks at, and what a forgery's chance is to escape it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.reports.port.seal import REPORT


class Escape(msgspec.Struct, frozen=True):
    """``probability`` that none of ``forged`` samples is among those that were drawn."""

    forged: int
    probability: float


def seed_of(run_dir: Path, nonce: str) -> str:
    """The seed of a draw: SHA-256 of the report's own and of the reviewer's words. The sender could
    not choose the samples without choosing the report, nor at all where the reviewer adds words
    that the sender did not know; :class:`InputError` without a report.
    """
    path = run_dir / REPORT
    if not path.is_file():
        raise InputError(
            f"a challenge draws its samples by the hash of '{REPORT}', which '{run_dir}' does not"
            " have: write it with 'portproof report'"
        )
    return hashlib.sha256(f"{sha256_of(path)} {nonce}".encode()).hexdigest()


def draw(ids: Collection[str], seed: str, count: int) -> list[str]:
    """``count`` of the ids, those of the lowest SHA-256 of seed and id; all if there are fewer.

    >>> draw(["a", "b", "c"], "seed", 2) == draw(["c", "b", "a"], "seed", 2)
    True
    """
    return sorted(ids, key=lambda i: hashlib.sha256(f"{seed} {i}".encode()).digest())[:count]


def escapes(samples: int, drawn: int, margin: float) -> list[Escape]:
    """The chances of forgeries of 1, 5 and 10 % of the samples, and of as many as the ``margin`` (a
    fraction) allows to lose: hypergeometric, since nothing is drawn twice.
    """
    sizes = {math.ceil(share * samples) for share in (margin, 0.01, 0.05, 0.1)}
    return [Escape(size, _escape(samples, drawn, size)) for size in sorted(sizes)]


def _escape(samples: int, drawn: int, forged: int) -> float:
    """C(samples - forged, drawn) / C(samples, drawn).

    >>> _escape(10, 2, 1)
    0.8
    """
    if drawn > samples - forged:
        return 0.0
    return math.comb(samples - forged, drawn) / math.comb(samples, drawn)
