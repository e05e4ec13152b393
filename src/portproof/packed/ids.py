"""Ids of millions of samples in few bytes: a Python string takes 70 bytes and more, one of these
its own bytes and four.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from portproof.manifest import check_unique

#: Ids that are Python strings at one time.
_TOGETHER = 1 << 16
#: Names of files that are no UTF-8 come as lone surrogates: they come back as they were.
_ERRORS = "surrogatepass"


class SampleIds(Sequence[str]):
    """A sequence of sample ids, held as the bytes of all of them (UTF-8) and where each begins.

    Equal to another, or to a tuple of strings, with the same ids in the same order.
    """

    def __init__(self, content: bytes, bounds: NDArray[np.unsignedinteger]) -> None:
        """``bounds``: where each id begins in ``content``, and where the last ends."""
        self._content, self._bounds = content, bounds

    @classmethod
    def of(cls, ids: Iterable[str]) -> SampleIds:
        """The same ids, in the same order."""
        if isinstance(ids, SampleIds):
            return ids
        builder, rest = IdBuilder(), iter(ids)
        while part := list(islice(rest, _TOGETHER)):
            builder.add(part)
        return builder.ids()

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> SampleIds: ...
    def __getitem__(self, at: int | slice) -> str | SampleIds:
        if isinstance(at, slice):
            return self.take(np.arange(len(self))[at])
        place = range(len(self))[at]
        begin, end = self._bounds[place : place + 2].tolist()
        return self._content[begin:end].decode("utf-8", _ERRORS)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _TOGETHER):
            for text in self._texts(first, first + _TOGETHER):
                yield text.decode("utf-8", _ERRORS)

    def __contains__(self, sample: object) -> bool:
        return isinstance(sample, str) and bool(SampleIds.of([sample]).places_in(self)[0] >= 0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleIds):
            return isinstance(other, tuple) and tuple(self) == other
        return self._content == other._content and np.array_equal(self._bounds, other._bounds)

    def __hash__(self) -> int:
        return hash((self._content, len(self)))

    def __repr__(self) -> str:
        return f"SampleIds of {len(self)}"

    def take(self, at: NDArray[np.int64]) -> SampleIds:
        """The ids at these places, in this order."""
        bounds, content, builder = self._bounds, self._content, IdBuilder()
        for first in range(0, len(at), _TOGETHER):
            part = at[first : first + _TOGETHER]
            pairs = zip(bounds[part].tolist(), bounds[part + 1].tolist(), strict=True)
            builder.add_bytes([content[begin:end] for begin, end in pairs])
        return builder.ids()

    def places_in(self, other: SampleIds) -> NDArray[np.int64]:
        """Where in ``other`` each of these ids is; -1 where it is not. In ``other`` an id is there
        once (see :meth:`check_unique`).

        The two are joined by a hash of 64 bits, and every match is looked at byte by byte.
        """
        if self == other:
            return np.arange(len(self))
        if not len(self) or not len(other):
            return np.full(len(self), -1)
        order = np.argsort(other._hashes, kind="stable")
        found = np.searchsorted(other._hashes[order], self._hashes)
        place = order[np.minimum(found, len(other) - 1)]
        for first in range(0, len(self), _TOGETHER):
            part = place[first : first + _TOGETHER]
            pairs = zip(
                self._texts(first, first + _TOGETHER), other.take(part)._texts(0, None), strict=True
            )
            part[[one != two for one, two in pairs]] = -1
        self._settle_collisions(other, place)
        return place

    def check_unique(self, what: str) -> None:
        """:class:`portproof.core.errors.InputError` if an id is there twice (see
        :func:`portproof.manifest.check_unique`).
        """
        check_unique((self[i] for i in self._suspects.tolist()), what)

    @functools.cached_property
    def _hashes(self) -> NDArray[np.int64]:
        """Python's own keyed hash of each id's bytes: nobody can choose ids that share one."""
        parts = [np.zeros(0, np.int64)]
        for first in range(0, len(self), _TOGETHER):
            texts = self._texts(first, first + _TOGETHER)
            parts.append(np.fromiter(map(hash, texts), np.int64, len(texts)))
        return np.concatenate(parts)

    @functools.cached_property
    def _suspects(self) -> NDArray[np.int64]:
        """The places of ids that share their hash with another."""
        order = np.argsort(self._hashes, kind="stable")
        ordered = self._hashes[order]
        is_shared = np.zeros(len(self), np.bool_)
        same = ordered[1:] == ordered[:-1]
        is_shared[1:] |= same
        is_shared[:-1] |= same
        return np.sort(order[is_shared])

    def _settle_collisions(self, other: SampleIds, place: NDArray[np.int64]) -> None:
        """Find what was not found because another id of ``other`` has the same hash."""
        if not len(other._suspects):
            return
        by_id = {other[i]: i for i in other._suspects.tolist()}
        for i in np.flatnonzero(place < 0).tolist():
            place[i] = by_id.get(self[i], -1)

    def _texts(self, first: int, last: int | None) -> list[bytes]:
        """The bytes of each id from ``first`` to before ``last``."""
        content = self._content
        cuts = self._bounds[first : None if last is None else last + 1].tolist()
        return [content[begin:end] for begin, end in pairwise(cuts)]


class IdBuilder:
    """Puts :class:`SampleIds` together, part by part."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]

    def add(self, ids: Sequence[str]) -> None:
        """Append ids."""
        self.add_bytes([sample.encode("utf-8", _ERRORS) for sample in ids])

    def add_bytes(self, texts: Sequence[bytes]) -> None:
        """Append ids that are UTF-8 already."""
        self._content += b"".join(texts)
        self._lengths.append(np.fromiter(map(len, texts), np.int64, len(texts)))

    def ids(self) -> SampleIds:
        """What was added; nothing can be added after it."""
        lengths, self._lengths = self._lengths, []
        content, self._content = bytes(self._content), bytearray()
        kind = np.uint32 if len(content) < 2**32 else np.uint64
        bounds = np.concatenate([part.astype(kind) for part in lengths])
        return SampleIds(content, np.cumsum(bounds, out=bounds))
