"""What benchmarks say of rounds in which their sides took turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def ratio(of: Sequence[float], over: Sequence[float]) -> str:
    """The median of the ratios of each round, with the lowest and the highest.

    >>> ratio([2.0, 3.0, 8.0], [1.0, 2.0, 2.0])
    '2.00 (1.50 to 4.00)'
    """
    ratios = [a / b for a, b in zip(of, over, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
