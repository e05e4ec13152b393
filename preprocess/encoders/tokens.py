"""Token ids of a text by a vocabulary file: WordPiece as BERT has it, words, or characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.core.text import listed
from portproof.preprocess.dataset.sequence_files import Source
from portproof.preprocess.encoders import Encoded
from portproof.sequence import Tokens

SUFFIXES = (".txt",)
#: A longer word is unknown, as in BERT's tokenizer.
_LONGEST_WORD = 100
#: Ranges of ideographs, each of which is a word, in BERT's tokenizer.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def encoder(sequence: Tokens, folder: Path) -> Callable[[Source], Encoded]:
    """What makes (length,) int64 ids, mask and types of one text or pair.

    :class:`InputError` for a vocabulary that lacks a special token, or has a token twice.
    """
    known = _vocabulary(folder / sequence.vocabulary, sequence)

    def encode(source: Source) -> Encoded:
        if source.text is None:
            raise InputError("a text was expected")
        texts = [source.text] if source.pair is None else [source.text, source.pair]
        ids = [[known[t] for t in tokens_of(text, sequence, known)] for text in texts]
        return _framed(ids, sequence, known)

    return encode


def _framed(ids: list[list[int]], sequence: Tokens, known: dict[str, int]) -> Encoded:
    """The texts with what stands around them, cut and padded."""
    first = [known[sequence.first]] if sequence.first is not None else []
    last = [known[sequence.last]] if sequence.last is not None else []
    room = sequence.length - len(first) - len(ids) * len(last)
    cut = sum(map(len, ids)) > room
    if cut and sequence.too_long == "refuse":
        raise InputError(
            f"it has {sum(map(len, ids))} tokens and there is room for {room}; shorten it, or set"
            " 'too_long: cut' in the card's 'sequence'"
        )
    if cut:
        kept = [room] if len(ids) == 1 else _kept(len(ids[0]), len(ids[1]), room)
        ids = [own[:count] for own, count in zip(ids, kept, strict=True)]
    filled = [*first, *ids[0], *last]
    types = [0] * len(filled)
    for second in ids[1:]:
        filled += [*second, *last]
        types += [1] * (len(second) + len(last))
    mask = [1] * len(filled)
    padding = known[sequence.padding]
    parts = {"ids": (filled, padding), "mask": (mask, 0), "types": (types, 0)}
    return Encoded({k: _padded(v, p, sequence.length) for k, (v, p) in parts.items()}, cut)


def _kept(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text of a pair stay: the longer one is cut down to the other, then
    both (Hugging Face's ``tokenizers``, ``longest_first``).
    """
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (long, short) if first > second else (short, long)


def _padded(values: list[int], padding: int, length: int) -> NDArray[np.int64]:
    return np.array(values + [padding] * (length - len(values)), np.int64)


def _vocabulary(path: Path, sequence: Tokens) -> dict[str, int]:
    lines = read_text(path, "vocabulary").split("\n")
    tokens = [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    known = {token: number for number, token in enumerate(tokens)}
    if len(known) != len(tokens):
        twice = sorted({t for t in tokens if tokens.count(t) > 1})
        raise InputError(
            f"vocabulary '{path}': {len(twice)} tokens are there more than once ({listed(twice)});"
            " one token a line was expected"
        )
    special = (sequence.first, sequence.last, sequence.padding, sequence.unknown)
    missing = [token for token in special if token is not None and token not in known]
    if missing:
        raise InputError(
            f"vocabulary '{path}' has no token {listed(missing)}; name those of this vocabulary in"
            " the card's 'sequence' (first, last, padding, unknown), null for none"
        )
    return known


def tokens_of(text: str, sequence: Tokens, known: dict[str, int]) -> Iterator[str]:
    """The tokens of a text, each of the vocabulary."""
    if sequence.algorithm == "wordpiece":
        for word in _words(text, sequence.lowercase):
            yield from _pieces(word, sequence.unknown, known)
        return
    plain = _without_accents(text).lower() if sequence.lowercase else text
    for token in plain.split() if sequence.algorithm == "words" else plain:
        yield token if token in known else sequence.unknown


def _words(text: str, lowercase: bool) -> list[str]:
    """BERT's basic tokenizer (Devlin et al., ``tokenization.py``): control characters out,
    ideographs and punctuation apart, words at blanks.
    """
    cleaned = "".join(_cleaned(c) for c in text)
    if lowercase:
        cleaned = _without_accents(cleaned).lower()
    return "".join(f" {c} " if _is_punctuation(c) else c for c in cleaned).split()


def _cleaned(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    if char in "\0\ufffd" or unicodedata.category(char).startswith("C"):
        return ""
    return f" {char} " if any(low <= ord(char) <= high for low, high in _IDEOGRAPHS) else char


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def _is_punctuation(char: str) -> bool:
    ascii_sign = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_sign or unicodedata.category(char).startswith("P")


def _pieces(word: str, unknown: str, known: dict[str, int]) -> list[str]:
    """The longest known pieces from the left; a word with an unknown rest is unknown."""
    if len(word) > _LONGEST_WORD:
        return [unknown]
    pieces, start = list[str](), 0
    while start < len(word):
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((e for e in ends if mark + word[start:e] in known), None)
        if end is None:
            return [unknown]
        pieces.append(mark + word[start:end])
        start = end
    return pieces
