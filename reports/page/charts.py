"""Charts of the page as vector graphics inside it.

They are drawn by hand: every mark carries its value for a pointer that rests on it, and takes its
colour from the page's style (light, dark, print).
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from portproof.core.text import printable

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
#: Classes of the style sheet, one a series, in turn.
COLOURS = 7


class Point(NamedTuple):
    """A mark: its place, and the words that a pointer shows."""

    x: float
    y: float
    text: str


class Box(NamedTuple):
    """A distribution: 5th and 95th percentile, quartiles, median; and the words."""

    name: str
    series: int
    ends: tuple[float, float, float, float, float]
    text: str


def line_chart(
    series: Sequence[tuple[str, Sequence[Point]]],
    ticks: Sequence[tuple[float, str]],
    what: tuple[str, str],
    words: str,
    dots: bool = True,
) -> str:
    """Lines over a common axis from 0. ``ticks``: places of the horizontal axis and their names;
    ``what``: names of both axes; ``words``: the text alternative; ``dots``: a mark at every point.
    """
    points = [p for _, ps in series for p in ps]
    low, high = min(x for x, _ in ticks), max(x for x, _ in ticks)
    top = _nice(max((p.y for p in points), default=1.0))
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(p: Point) -> tuple[float, float]:
        across = (p.x - low) / (high - low) if high > low else 0.5
        return _LEFT + width * across, _TOP + height * (1 - p.y / top)

    parts = [_grid(top, height)]
    for x, name in ticks:
        at, _ = place(Point(x, 0.0, ""))
        parts.append(_label(at, _HEIGHT - _BOTTOM + 16, name, "middle"))
    for at, (_, ps) in enumerate(series):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, ps))
        parts.append(f'<polyline class="line s{at % COLOURS}" points="{path}"/>')
        for p in ps if dots else ():
            x, y = place(p)
            parts.append(
                f'<circle class="dot s{at % COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="5">'
                f"<title>{_text(p.text)}</title></circle>"
            )
    return _svg(parts, what, words) + _legend([name for name, _ in series])


def box_chart(boxes: Sequence[Box], what: tuple[str, str], words: str) -> str:
    """Boxes side by side on a logarithmic axis."""
    low = math.log10(min(b.ends[0] for b in boxes)) - 0.05
    high = math.log10(max(b.ends[4] for b in boxes)) + 0.05
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def down(value: float) -> float:
        return _TOP + height * (high - math.log10(value)) / (high - low)

    parts = []
    for value in _decades(low, high):
        y = down(value)
        parts.append(_grid_line(y, value))
    step = width / len(boxes)
    for at, box in enumerate(boxes):
        x, half = _LEFT + step * (at + 0.5), min(18.0, step * 0.35)
        p5, q1, median, q3, p95 = (down(v) for v in box.ends)
        parts.append(
            f'<g class="box s{box.series % COLOURS}"><title>{_text(box.text)}</title>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{p5:.1f}" y2="{p95:.1f}"/>'
            f'<rect x="{x - half:.1f}" y="{q3:.1f}" width="{2 * half:.1f}"'
            f' height="{max(1.0, q1 - q3):.1f}"/>'
            f'<line class="median" x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{median:.1f}"'
            f' y2="{median:.1f}"/></g>'
        )
        parts.append(_label(x, _HEIGHT - _BOTTOM + 16, box.name, "middle"))
    return _svg(parts, what, words)


def _svg(parts: Sequence[str], what: tuple[str, str], words: str) -> str:
    across, up = what
    axes = (
        _label(_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2, _HEIGHT - 6, across, "middle"),
        f'<text class="axis" transform="translate(14 {_HEIGHT / 2 - 20:.0f}) rotate(-90)"'
        f' text-anchor="middle">{_text(up)}</text>',
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{_text(words)}">'
        + "".join([*parts, *axes])
        + "</svg>"
    )


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<span class="key s{at % COLOURS}">{_text(name)}</span> ' for at, name in enumerate(names)
    )
    return f'<p class="legend">{items}</p>'


def _grid(top: float, height: float) -> str:
    """Lines at quarters of the height."""
    return "".join(_grid_line(_TOP + height * (1 - part / 4), top * part / 4) for part in range(5))


def _grid_line(y: float, value: float) -> str:
    line = f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _label(_LEFT - 6, y + 4, f"{value:g}", "end")


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="axis" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'


def _nice(value: float) -> float:
    """A round number that is at least as high.

    >>> [_nice(v) for v in (0.0, 0.7, 43.0, 4672.4)]
    [1.0, 0.8, 80.0, 8000.0]
    """
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * (1 - 1e-9))


def _decades(low: float, high: float) -> list[float]:
    """Places of a logarithmic axis: 1, 2 and 5 times the powers of ten, if they are few, else the
    powers.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    places = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    found = [place for place in places if low <= math.log10(place) <= high]
    if len(found) <= 8:
        return found
    return [v for v in found if math.isclose(math.log10(v) % 1, 0, abs_tol=1e-9)]


def _text(text: str) -> str:
    return html.escape(printable(text))
