"""Ways in which a file can be wrong: the bytes of a good file -> the bytes of a bad one.

``MUTATIONS`` change the content, ``PLACES`` what stands at the path instead of a file.
"""

from __future__ import annotations

import json
import os
import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path

Mutation = Callable[[bytes, random.Random], bytes]


def _cut(share: float) -> Mutation:
    return lambda data, rng: data[: int(len(data) * share)]


def _numbers(text: str) -> Mutation:
    """Put ``text`` where a number stands, one that is chosen by chance."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        found = list(re.finditer(rb"\d+(?:\.\d+)?", data))
        if not found:
            return data + text.encode()
        chosen = rng.choice(found)
        return data[: chosen.start()] + text.encode() + data[chosen.end() :]

    return mutate


def _words(text: bytes) -> Mutation:
    """Put ``text`` where a word stands."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        found = list(re.finditer(rb"[A-Za-z_]+", data))
        if not found:
            return data + text
        chosen = rng.choice(found)
        return data[: chosen.start()] + text + data[chosen.end() :]

    return mutate


def _insert(text: bytes) -> Mutation:
    def mutate(data: bytes, rng: random.Random) -> bytes:
        at = rng.randint(0, len(data))
        return data[:at] + text + data[at:]

    return mutate


def _lines(change: Callable[[list[bytes], random.Random], list[bytes]]) -> Mutation:
    return lambda data, rng: b"\n".join(change(data.split(b"\n"), rng))


def _shuffled(lines: list[bytes], rng: random.Random) -> list[bytes]:
    return rng.sample(lines, len(lines))


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(changed), 1 + len(changed) // 200)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _retyped(data: bytes, rng: random.Random) -> bytes:
    """Give one value of a JSON document another type."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(document, dict | list) or not document:
        return data
    at: object = document
    while True:
        key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))  # type: ignore[arg-type]
        inner = at[key]  # type: ignore[index]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            others = (None, True, 7, -1, 1e300, "text", "\ud800", [], {}, [[]], {"x": {}})
            at[key] = rng.choice(others)  # type: ignore[index]
            return json.dumps(document).encode()
        at = inner


def _deep(opening: bytes, closing: bytes, times: int) -> Mutation:
    def mutate(data: bytes, rng: random.Random) -> bytes:
        return opening * times + data + closing * times

    return mutate


MUTATIONS: dict[str, Mutation] = {
    "nothing changed": lambda data, rng: data,
    "empty": lambda data, rng: b"",
    "cut at 10 %": _cut(0.1),
    "cut in the middle": _cut(0.5),
    "cut at 90 %": _cut(0.9),
    "last byte gone": lambda data, rng: data[:-1],
    "twice": lambda data, rng: data + data,
    "backwards": lambda data, rng: data[::-1],
    "flipped bits": _flipped,
    "a NUL": _insert(b"\0"),
    "only NULs": lambda data, rng: bytes(len(data)),
    "noise": lambda data, rng: rng.randbytes(max(len(data), 64)),
    "noise appended": lambda data, rng: data + rng.randbytes(64),
    "UTF-8 mark": lambda data, rng: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
    "not UTF-8": _insert(b"\xff\xfe\xe9"),
    "CRLF": lambda data, rng: data.replace(b"\n", b"\r\n"),
    "CR": lambda data, rng: data.replace(b"\n", b"\r"),
    "no newlines": lambda data, rng: data.replace(b"\n", b" "),
    "tabs": lambda data, rng: data.replace(b" ", b"\t"),
    "blanks gone": lambda data, rng: data.replace(b" ", b""),
    "lines shuffled": _lines(_shuffled),
    "a line twice": _lines(lambda lines, rng: [*lines, rng.choice(lines)]),
    "a line gone": _lines(lambda lines, rng: rng.sample(lines, len(lines))[1:]),
    "a long line": _insert(b"x" * 300_000),
    "terminal escapes": _insert(b"\x1b]0;owned\x07\x1b[2J"),
    "4400 digits": _numbers("9" * 4400),
    "25 digits": _numbers("9" * 25),
    "superscript": _numbers("\u00b2"),
    "Arabic digits": _numbers("\u0663"),
    "underscored number": _numbers("1_000"),
    "negative": _numbers("-1"),
    "zero": _numbers("0"),
    "infinite": _numbers("inf"),
    "overflowing": _numbers("1e999"),
    "not a number": _numbers("nan"),
    "comma": _numbers("1,5"),
    "text for a number": _numbers("abc"),
    "null for a number": _numbers("null"),
    "a list for a number": _numbers("[1, [2]]"),
    "an object for a number": _numbers('{"a": {}}'),
    "impossible date": _numbers("2024-13-45"),
    "impossible time": _numbers("2001-12-14t99:99:99Z"),
    "tagged number": _numbers("!!int abc"),
    "tagged bytes": _numbers("!!binary ???"),
    "tagged object": _numbers("!!python/object/apply:os.system ['true']"),
    "an alias": _numbers("*a"),
    "a key that is a list": _insert(b"\n? [a, b]\n: c\n"),
    "a key that is an object": _insert(b"\n? {a: b}\n: c\n"),
    "another document": _insert(b"\n---\n"),
    "word gone": _words(b""),
    "NUL in a word": _words(b"a\\u0000b\0"),
    "path upwards": _words(b"../../../../etc/passwd"),
    "endless file": _words(b"/dev/zero"),
    "lone surrogate": _words(b"\\ud800"),
    "open bracket": _insert(b"["),
    "open brackets": _insert(b"[" * 50_000),
    "open braces": _insert(b'{"a":' * 20_000),
    "open parentheses": _insert(b"(" * 50_000),
    "deep lists": _deep(b"[", b"]", 50_000),
    "retyped": _retyped,
    "retyped twice": lambda data, rng: _retyped(_retyped(data, rng), rng),
    "a page": lambda data, rng: b"<!DOCTYPE html><html><body>Sign in</body></html>" + data,
    "gzip": lambda data, rng: b"\x1f\x8b\x08\0" + zlib.compress(data),
    "a zip's head": lambda data, rng: b"PK\x03\x04" + data,
}


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


#: What stands where a file should.
PLACES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": _fifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to("/dev/null"),
    "a link to itself": _loop,
}
