"""Rows that differ strongly from each other, so that answers which change places, or flow from one
row into another, cannot be overlooked. Noise alone drives many networks to one answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from portproof.backend import Array, Feeds

_SEED = 31337
#: The range that stands for inputs of which only zeros are known: that of normalised pictures.
_USUAL = (-2.0, 2.0)
#: Of a row: the strength of its waves and of the texture of the inputs that are timed, in parts of
#: their range.
_WAVE, _TEXTURE = 0.25, 0.15


def strong_rows(like: Feeds, count: int) -> dict[str, Array]:
    """``count`` rows for every input. ``like``: the first row that is timed, by input, batch first;
    the values stay within its range. Row *i* is the same whatever the count.
    """
    return {
        name: np.stack([_row(row[0], at, i) for i in range(count)])
        for at, (name, row) in enumerate(like.items())
    }


def _row(like: Array, at: int, number: int) -> Array:
    generator = np.random.default_rng((_SEED, at, number))
    if like.dtype.kind == "f" or like.dtype == np.uint8:
        return _pattern(like, generator, number)
    values = np.unique(like)
    if len(values) == 1 and values[0] in (0, 1):
        # Token ids, masks and segments all may be 0 or 1.
        values = np.array([0, 1], like.dtype)
    row = np.asarray(generator.choice(values, like.shape)).astype(like.dtype)
    if row.ndim:
        # A mask that leaves nothing has no answer.
        row[..., 0] = values[-1]
    return row


def _pattern(like: Array, generator: np.random.Generator, number: int) -> Array:
    """A level for each index of the first axis, a wave along the last two, and texture."""
    low, high = _range(like)
    levels = generator.uniform(size=like.shape[:1] or (1,)).astype(np.float32)
    row: Array = np.broadcast_to(
        levels.reshape(-1, *(1,) * max(0, like.ndim - 1)), like.shape or (1,)
    )
    if like.ndim > 1:
        row = row + np.float32(_WAVE) * _wave(like.shape[-1], generator)
    if like.ndim > 2:
        row = row + np.float32(_WAVE) * _wave(like.shape[-2], generator)[:, None]
    if like.size > 1 and low < high:
        texture = (np.roll(like.reshape(-1), 97 * number).reshape(like.shape) - low) / (high - low)
        row = row + np.float32(_TEXTURE) * (texture.astype(np.float32) - np.float32(0.5))
    scaled = low + (high - low) * np.clip(row, 0, 1)
    return np.ascontiguousarray(scaled).astype(like.dtype).reshape(like.shape)


def _wave(length: int, generator: np.random.Generator) -> Array:
    turns, phase = generator.uniform(0.5, 4), generator.uniform(0, 2 * np.pi)
    wave: Array = np.sin(np.linspace(phase, phase + 2 * np.pi * turns, length, dtype=np.float32))
    return wave


def _range(like: Array) -> tuple[float, float]:
    if like.dtype == np.uint8:
        return 0.0, 255.0
    finite = like[np.isfinite(like)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low < high:
        return low, high
    return (low - abs(low) / 2, low + abs(low) / 2) if low else _USUAL


def turned(feeds: Feeds) -> dict[str, Array]:
    """The same rows, each moved on by one place."""
    return {name: np.roll(array, 1, axis=0) for name, array in feeds.items()}


def taken(feeds: Feeds, places: Sequence[int]) -> dict[str, Array]:
    """The rows at these places, in this order."""
    return {name: np.ascontiguousarray(array[list(places)]) for name, array in feeds.items()}


def one_row(feeds: Mapping[str, Array], place: int) -> dict[str, Array]:
    """A batch of one row."""
    return taken(feeds, [place])
