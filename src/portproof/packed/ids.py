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

Places = NDArray[np.int64]


class SampleIds(Sequence[str]):
    """A sequence of sample ids, held as the bytes of all of them (UTF-8) and where each begins.

    Equal to another, or to a tuple of strings, with the same ids in the same order. Two of them are
    joined by a hash of 64 bits, and every match is looked at byte by byte.
    """

    def __init__(self, content: bytes, bounds: NDArray[np.unsignedinteger]) -> None:
        """``bounds``: where each id begins in ``content``, and where the last ends."""
        self._content, self._bounds = content, bounds
        self._joined: tuple[SampleIds, Places] | None = None

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
            first, last, step = at.indices(len(self))
            if step != 1:
                return self.take(np.arange(first, last, step))
            bounds = self._bounds[first : max(first, last) + 1]
            content = self._content[int(bounds[0]) : int(bounds[-1])]
            return SampleIds(content, bounds - bounds[0])
        return self._bytes_at(range(len(self))[at]).decode("utf-8", _ERRORS)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _TOGETHER):
            for text in self._part(first):
                yield text.decode("utf-8", _ERRORS)

    def __contains__(self, sample: object) -> bool:
        return isinstance(sample, str) and self.find(sample) >= 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleIds):
            return isinstance(other, tuple) and tuple(self) == other
        return self is other or (
            self._content == other._content and np.array_equal(self._bounds, other._bounds)
        )

    #: Equal tuples would have to hash alike.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SampleIds of {len(self)}"

    def take(self, at: Places) -> SampleIds:
        """The ids at these places, in this order."""
        builder = IdBuilder()
        for first in range(0, len(at), _TOGETHER):
            builder.add_bytes(self._texts(at[first : first + _TOGETHER]))
        return builder.ids()

    def find(self, sample: str) -> int:
        """Where an id is; -1 where it is not."""
        text = sample.encode("utf-8", _ERRORS)
        ordered, order = self._index
        at = int(np.searchsorted(ordered, hash(text)))
        while at < len(self) and ordered[at] == hash(text):
            if self._bytes_at(int(order[at])) == text:
                return int(order[at])
            at += 1
        return -1

    def places_in(self, other: SampleIds) -> Places:
        """Where in ``other`` each of these ids is; -1 where it is not. In ``other`` an id is there
        once (see :meth:`check_unique`). The last answer is kept; it is read-only.
        """
        if self._joined is None or self._joined[0] is not other:
            places = np.arange(len(self)) if self == other else self._join(other)
            places.setflags(write=False)
            self._joined = other, places
        return self._joined[1]

    def _join(self, other: SampleIds) -> Places:
        place = np.full(len(self), -1)
        if not len(self) or not len(other):
            return place
        mine, theirs = self._hashes(), other._hashes()
        order, needles = np.argsort(theirs), np.argsort(mine)
        ordered = theirs[order]
        found = np.searchsorted(ordered, mine[needles])
        place[needles] = order[np.minimum(found, len(other) - 1)]
        for first in range(0, len(self), _TOGETHER):
            part = place[first : first + _TOGETHER]
            pairs = zip(self._part(first), other._texts(part), strict=True)
            part[[one != two for one, two in pairs]] = -1
        if len(shared := _shared(ordered)):
            by_id = {other[i]: i for i in np.flatnonzero(np.isin(theirs, shared)).tolist()}
            for i in np.flatnonzero(np.isin(mine, shared)).tolist():
                place[i] = by_id.get(self[i], -1)
        return place

    def apart_from(self, other: SampleIds) -> list[str]:
        """The ids that only one of the two has, sorted."""
        if self == other:
            return []
        sides = ((self, self.places_in(other)), (other, other.places_in(self)))
        return sorted(ids[i] for ids, places in sides for i in np.flatnonzero(places < 0).tolist())

    def check_unique(self, what: str) -> None:
        """:class:`portproof.core.errors.InputError` if an id is there twice (see
        :func:`portproof.manifest.check_unique`).
        """
        hashes = self._hashes()
        if len(shared := _shared(np.sort(hashes))):
            suspects = np.flatnonzero(np.isin(hashes, shared)).tolist()
            check_unique((self[i] for i in suspects), what)

    def _hashes(self) -> NDArray[np.int64]:
        """Python's own keyed hash of each id's bytes: nobody can choose ids that share one."""
        hashes = np.empty(len(self), np.int64)
        for first in range(0, len(self), _TOGETHER):
            texts = self._part(first)
            hashes[first : first + len(texts)] = np.fromiter(map(hash, texts), np.int64, len(texts))
        return hashes

    @functools.cached_property
    def _index(self) -> tuple[NDArray[np.int64], Places]:
        """The hashes, sorted, and the place of each."""
        hashes = self._hashes()
        order = np.argsort(hashes)
        return hashes[order], order

    def _part(self, first: int) -> list[bytes]:
        """The bytes of many ids, from ``first`` on."""
        content = self._content
        cuts = self._bounds[first : first + _TOGETHER + 1].tolist()
        return [content[begin:end] for begin, end in pairwise(cuts)]

    def _texts(self, at: Places) -> list[bytes]:
        """The bytes of the ids at these places."""
        content = self._content
        pairs = zip(self._bounds[at].tolist(), self._bounds[at + 1].tolist(), strict=True)
        return [content[begin:end] for begin, end in pairs]

    def _bytes_at(self, place: int) -> bytes:
        begin, end = self._bounds[place : place + 2].tolist()
        return self._content[begin:end]


def _shared(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers that are there more than once, of sorted ones."""
    again: NDArray[np.int64] = ordered[1:][ordered[1:] == ordered[:-1]]
    return again


class IdBuilder:
    """Puts :class:`SampleIds` together, part by part."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._lengths: list[NDArray[np.uint32]] = [np.zeros(1, np.uint32)]

    def add(self, ids: Sequence[str]) -> None:
        """Append ids."""
        together = "\0".join([*ids, ""]).encode("utf-8", _ERRORS)
        ends = np.flatnonzero(np.frombuffer(together, np.uint8) == 0)
        if len(ends) != len(ids):  # one has the mark in itself
            self.add_bytes([sample.encode("utf-8", _ERRORS) for sample in ids])
            return
        self.add_content(together.replace(b"\0", b""), np.diff(ends, prepend=-1) - 1)

    def add_bytes(self, texts: Sequence[bytes]) -> None:
        """Append ids that are UTF-8 already."""
        self.add_content(b"".join(texts), np.fromiter(map(len, texts), np.int64, len(texts)))

    def add_content(self, content: bytes, lengths: NDArray[np.int64]) -> None:
        """Append ids that stand one after the other in UTF-8 ``content``."""
        self._content += content
        self._lengths.append(lengths.astype(np.uint32))

    def ids(self) -> SampleIds:
        """What was added; nothing can be added after it."""
        lengths, self._lengths = np.concatenate(self._lengths), []
        content, self._content = bytes(self._content), bytearray()
        if len(content) >= 2**32:
            return SampleIds(content, np.cumsum(lengths, dtype=np.uint64))
        return SampleIds(content, np.cumsum(lengths, dtype=np.uint32, out=lengths))
