"""Areas of polygons and of what two of them share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def area(points: Points) -> float:
    """The area of a simple polygon (points, 2), in square pixels."""
    return abs(_signed(points))


def shared_area(one: Points, other: Points) -> float:
    """The area that two simple polygons share.

    A polygon is the signed sum of the triangles from its first point to its sides, so what two
    share is the signed sum of what their triangles share, each cut by Sutherland and Hodgman.
    """
    if _apart(one, other):
        return 0.0
    total = 0.0
    for first, sign in _triangles(one):
        for second, other_sign in _triangles(other):
            total += sign * other_sign * area(_cut(first, second))
    return abs(total)


def _signed(points: Points) -> float:
    x, y = points[:, 0], points[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _apart(one: Points, other: Points) -> bool:
    return bool(
        (one.max(axis=0) <= other.min(axis=0)).any() or (other.max(axis=0) <= one.min(axis=0)).any()
    )


def _triangles(points: Points) -> list[tuple[Points, float]]:
    """Counter-clockwise triangles, and the sign of each."""
    found = []
    for at in range(1, len(points) - 1):
        corners = points[[0, at, at + 1]]
        size = _signed(corners)
        if size:
            found.append((corners if size > 0 else corners[::-1], 1.0 if size > 0 else -1.0))
    return found


def _cut(subject: Points, window: Points) -> Points:
    """The part of a convex polygon inside another, both counter-clockwise."""
    points = [tuple(p) for p in subject.tolist()]
    corners = window.tolist()
    for begin, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        across = (end[0] - begin[0], end[1] - begin[1])
        sides = [across[0] * (p[1] - begin[1]) - across[1] * (p[0] - begin[0]) for p in points]
        kept: list[tuple[float, ...]] = []
        for at, point in enumerate(points):
            before, side, side_before = points[at - 1], sides[at], sides[at - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                kept.append(tuple(b + share * (p - b) for b, p in zip(before, point, strict=True)))
            if side >= 0:
                kept.append(point)
        points = kept
        if not points:
            break
    return np.array(points, np.float64).reshape(-1, 2)
