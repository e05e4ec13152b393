"""Inputs made otherwise: token ids padded, masked or typed wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: The parts of one sample by name: ids, mask, types.
Parts = Mapping[str, Array]

FIXES = {
    "padding-side": "pad on the side that the model was trained with (padding_side of the"
    " tokenizer; the card's 'sequence' pads at the end), and move the mask with it",
    "mask-missing": "give the model its attention mask, 1 for tokens and 0 for padding: look for a"
    " default of ones or an input that is not bound",
    "token-types": "give token types 0 for the first text and 1 for the second, in their own input:"
    " look at the order of the inputs",
    "inputs-exchanged": "bind inputs by name, not by position",
    "special-tokens": "add the special tokens of the card's 'sequence' (first, last), once",
    "padding-token": "pad with the vocabulary's own padding token",
    "vocabulary": "take the vocabulary file of the training: ids are moved against it",
    "length": "cut at the length of the card's 'sequence', not before",
}


@dataclass(frozen=True)
class TokenMistake:
    """One mistake, and what it makes of the parts of a sample."""

    fault: str
    words: str
    make: Any

    def apply(self, parts: Parts) -> dict[str, Array]:
        """The parts as the mistake makes them."""
        changed: dict[str, Array] = {**parts, **self.make(dict(parts))}
        return changed


def token_mistakes(names: tuple[str, ...]) -> Iterator[TokenMistake]:
    """The mistakes that inputs of these names can have."""
    yield TokenMistake("padding-side", "padded at the beginning", _to_the_end)
    if "mask" in names:
        masked = "padded at the beginning, the mask left as it was"
        yield TokenMistake("padding-side", masked, lambda p: {"ids": _moved(p, "ids")})
        yield TokenMistake(
            "mask-missing", "a mask of ones", lambda p: {"mask": np.ones_like(p["mask"])}
        )
        yield TokenMistake(
            "mask-missing", "a mask of zeros", lambda p: {"mask": np.zeros_like(p["mask"])}
        )
        yield TokenMistake("mask-missing", "the mask inverted", lambda p: {"mask": 1 - p["mask"]})
        yield _exchanged("ids", "mask")
    if {"mask", "types"} <= {*names}:
        typed = "padded at the beginning, the types left as they were"
        yield TokenMistake(
            "padding-side", typed, lambda p: {n: _moved(p, n) for n in ("ids", "mask")}
        )
    if "types" in names:
        yield TokenMistake("token-types", "token types of zeros", _zero_types)
        yield TokenMistake("token-types", "token types of ones", lambda p: {
            "types": np.ones_like(p["types"])})  # fmt: skip
        yield TokenMistake("token-types", "token types swapped", lambda p: {
            "types": np.where(_mask(p) > 0, 1 - p["types"], p["types"])})  # fmt: skip
        yield TokenMistake("token-types", "token types swapped, padding too", lambda p: {
            "types": 1 - p["types"]})  # fmt: skip
        yield TokenMistake("token-types", "token types one place too early", lambda p: {
            "types": np.roll(p["types"], -1)})  # fmt: skip
        yield TokenMistake("token-types", "token types one place too late", lambda p: {
            "types": np.roll(p["types"], 1)})  # fmt: skip
        yield _exchanged("ids", "types")
    if {"mask", "types"} <= {*names}:
        yield _exchanged("mask", "types")
    yield TokenMistake("special-tokens", "without the first token", lambda p: _cut(p, 1, 0))
    yield TokenMistake("special-tokens", "without the last token", lambda p: _cut(p, 0, 1))
    yield TokenMistake("special-tokens", "without first and last token", lambda p: _cut(p, 1, 1))
    for token in (0, 1, 2, 3, 100):
        words = f"padding of token {token}"
        yield TokenMistake("padding-token", words, lambda p, t=token: {
            "ids": np.where(_mask(p) > 0, p["ids"], t)})  # fmt: skip
    for by in (1, -1):
        words = f"every id moved by {by:+d}"
        yield TokenMistake(
            "vocabulary", words, lambda p, b=by: {"ids": np.maximum(p["ids"] + b, 0)}
        )
    for share in (2, 4):
        words = f"cut at 1/{share} of the length"
        yield TokenMistake("length", words, lambda p, s=share: _shortened(p, s))


def _exchanged(first: str, second: str) -> TokenMistake:
    return TokenMistake(
        "inputs-exchanged",
        f"{first} and {second} exchanged",
        lambda p: {first: p[second].astype(p[first].dtype),
                   second: p[first].astype(p[second].dtype)},
    )  # fmt: skip


def _mask(parts: Parts) -> Array:
    """1 for tokens: the mask, else all before the padding that the ids end with."""
    if "mask" in parts:
        return parts["mask"]
    ids = parts["ids"]
    other = np.flatnonzero(ids != ids[-1])
    count = int(other[-1]) + 1 if len(other) else len(ids)
    return (np.arange(len(ids)) < count).astype(ids.dtype)


def _moved(parts: Parts, name: str) -> Array:
    return np.roll(parts[name], len(parts[name]) - int((_mask(parts) > 0).sum()))


def _to_the_end(parts: Parts) -> dict[str, Array]:
    return {name: _moved(parts, name) for name in parts}


def _zero_types(parts: Parts) -> dict[str, Array]:
    return {"types": np.zeros_like(parts["types"])}


def _cut(parts: Parts, first: int, last: int) -> dict[str, Array]:
    """Tokens left out at the ends; padding of the same kind fills up."""
    count = int((_mask(parts) > 0).sum())
    made = {}
    for name, array in parts.items():
        kept = array[first : count - last]
        fill = array[-1] if count < len(array) else np.zeros((), array.dtype)
        rest = np.full(len(array) - len(kept), fill, array.dtype)
        made[name] = np.concatenate([kept, rest])
    return made


def _shortened(parts: Parts, share: int) -> dict[str, Array]:
    length = len(parts["ids"]) // share
    count = int((_mask(parts) > 0).sum())
    return _cut(parts, 0, max(0, count - length))
