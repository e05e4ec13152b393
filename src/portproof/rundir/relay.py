"""What the steps of a port say on stderr, passed on as it comes, and each warning once: packages
and runtimes give the same ones in every step that loads them.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from portproof.core.text import printable

_WARNING = re.compile(r"Warning: |\[W[\d: .\]]|\bWARN(?:ING)?\b|\bwarning: ")
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+")
#: How our own warnings begin: these are alike only if no number differs.
_OWN = "portproof: "


class Relay:
    """Passes lines on, and counts warnings."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._left_out = False

    @property
    def environment(self) -> dict[str, str]:
        """What tells a step that its bars reach a terminal, through this relay."""
        columns = str(shutil.get_terminal_size().columns)
        return {"PORTPROOF_COLUMNS": columns} if os.isatty(2) else {}

    @contextmanager
    def writing_end(self) -> Iterator[int]:
        """A file descriptor for a step's stderr; what is written there is passed on by a thread."""
        reading, writing = os.pipe()
        thread = threading.Thread(target=self._pass_on, args=(reading,), daemon=True)
        thread.start()
        try:
            yield writing
        finally:
            os.close(writing)
            # Of a process that the step left behind, nobody waits for the end.
            thread.join(timeout=5)

    def summary(self) -> list[str]:
        """A sentence for each warning that was left out."""
        return [
            f"said {count} more time{'s' if count > 1 else ''}, each like the first:"
            f" {printable(text)}"
            for text, count in ((text, given - 1) for text, given in self._given.items())
            if count
        ]

    def _pass_on(self, reading: int) -> None:
        rest = b""
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            while chunk := pipe.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.take(line + b"\n")
                if b"\r" in rest:  # a bar, which goes on in its line
                    _write(rest)
                    rest = b""
        if rest:
            self.take(rest)

    def take(self, line: bytes) -> None:
        """Pass one line on, with its end, or count it."""
        text = line.decode("utf-8", "replace").rstrip()
        if self._left_out and text.startswith("  "):
            return  # the line of code that Python shows below a warning
        self._left_out = False
        if _WARNING.search(text) and not text.startswith("{"):  # objects are for machines
            kind = text if text.startswith(_OWN) else _NUMBER.sub("#", text)
            first = self._first.setdefault(kind, text)
            self._given[first] += 1
            self._left_out = self._given[first] > 1
        if not self._left_out:
            _write(line)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(2, data) :]
