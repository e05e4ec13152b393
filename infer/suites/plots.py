"""The plots of a suite's page as SVG: calls over time with outliers marked, and bars. Equal data
gives equal bytes.
"""

from __future__ import annotations

import importlib.util
import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portproof.core.files import write_bytes

#: Distinguishable without colour vision (Okabe and Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: How many interquartile ranges beyond the quartiles a call is an outlier (Tukey, "Exploratory Data
#: Analysis", 1977).
FENCE = 1.5


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def outliers(values: Sequence[float]) -> list[bool]:
    """Which values lie beyond Tukey's fences; none of fewer than four.

    >>> outliers([1, 1.1, 0.9, 1, 9])
    [False, False, False, False, True]
    """
    if len(values) < 4:
        return [False] * len(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    reach = FENCE * (high - low)
    return [not low - reach <= v <= high + reach for v in values]


def draw_calls(path: Path, title: str, calls: Mapping[str, Sequence[float]]) -> None:
    """A line a subject over its calls, in milliseconds. An outlier is a cross and no part of its
    line; one far above the others stands at the upper edge.
    """

    def draw(axes: Any) -> None:
        inside = [
            v for s in calls.values() for v, far in zip(s, outliers(s), strict=True) if not far
        ]
        top = 1e3 * 1.3 * max(inside, default=1.0)
        for colour, (label, seconds) in zip(_COLOURS, calls.items(), strict=False):
            marked = outliers(seconds)
            shown = [math.nan if far else 1e3 * s for s, far in zip(seconds, marked, strict=True)]
            axes.plot(range(len(shown)), shown, color=colour, label=label, linewidth=1)
            places = [i for i, far in enumerate(marked) if far]
            heights = [min(1e3 * seconds[i], top) for i in places]
            axes.plot(places, heights, "x", color=colour, markersize=5)
        axes.set_ylim(0, top * 1.02)
        axes.set_xlabel("call (x: an outlier)")
        axes.set_ylabel("ms")
        axes.legend(loc="upper right")

    _save(path, title, draw)


def draw_bars(path: Path, title: str, unit: str, values: Mapping[str, float]) -> None:
    """A bar a subject."""

    def draw(axes: Any) -> None:
        axes.bar(list(values), list(values.values()), color=_COLOURS[: len(values)])
        axes.set_ylabel(unit)

    _save(path, title, draw)


def _save(path: Path, title: str, draw: Callable[[Any], None]) -> None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.hashsalt": "portproof",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "axes.grid": True,
        "grid.alpha": 0.3,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    write_bytes(path, buffer.getvalue())
