"""What a long command says while it works, on stderr: bars on a terminal, plain lines elsewhere,
JSON lines when asked, nothing when quiet.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portproof.core.text import printable

_PLAIN_EVERY_S = 10.0


@dataclass
class _Settings:
    quiet: bool = False
    as_json: bool = False


_settings = _Settings()


def configure(quiet: bool = False, log_json: bool = False) -> None:
    """Set how this process speaks; commands call it with their ``--quiet`` and ``--log-json``."""
    _settings.quiet, _settings.as_json = quiet, log_json


def settings() -> tuple[bool, bool]:
    """What this process was configured with, for another that speaks as it does."""
    return _settings.quiet, _settings.as_json


@contextmanager
def silenced() -> Iterator[None]:
    """Quiet inside: of work that is a detail of other work, which says how far it is."""
    before, _settings.quiet = _settings.quiet, True
    try:
        yield
    finally:
        _settings.quiet = before


def say(sentence: str) -> None:
    """One line for people (or one JSON object); nothing when quiet."""
    if _settings.quiet:
        return
    if _settings.as_json:
        _emit({"event": "message", "text": sentence})
    else:
        print(printable(sentence), file=sys.stderr, flush=True)


def warn(sentence: str) -> None:
    """A warning: shown even when quiet, since a number may depend on it."""
    if _settings.as_json:
        _emit({"event": "warning", "text": sentence})
    else:
        print(f"portproof: warning: {printable(sentence)}", file=sys.stderr, flush=True)


@dataclass
class Meter:
    """Counts finished items. ``done``: a resumed run's start; the rate is of this process."""

    stage: str
    total: int
    unit: str
    done: int = 0
    _began: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)
    _first: int = 0
    _bar: object = None

    def advance(self, count: int = 1) -> None:
        """Count items and show the state when it is time to."""
        self.done += count
        if _settings.quiet:
            return
        if self._bar is not None:
            self._bar.update(count)  # type: ignore[attr-defined]
            return
        now = time.monotonic()
        if now - self._said >= _PLAIN_EVERY_S:
            self._said = now
            self._show(now)

    def rate(self, now: float | None = None) -> float:
        """Items per second since this process began counting."""
        return (self.done - self._first) / max((now or time.monotonic()) - self._began, 1e-9)

    def _show(self, now: float) -> None:
        rate = self.rate(now)
        left_s = (self.total - self.done) / rate if rate else None
        if _settings.as_json:
            _emit(
                {
                    "event": "progress",
                    "stage": self.stage,
                    "done": self.done,
                    "total": self.total,
                    "per_second": rate,
                    "seconds_left": left_s,
                }
            )
        else:
            left = "" if left_s is None else f", {left_s:.0f} s left"
            print(
                f"{self.stage}: {self.done} of {self.total} {self.unit}, {rate:.1f} per"
                f" second{left}",
                file=sys.stderr,
                flush=True,
            )


@contextmanager
def meter(stage: str, total: int, unit: str, done: int = 0) -> Iterator[Meter]:
    """A meter over ``total`` items, of which ``done`` are finished: a bar, or lines."""
    counter = Meter(stage, total, unit, done, _first=done)
    # A step of a port writes to a pipe, whose reader may have a terminal.
    columns = int(os.environ.get("PORTPROOF_COLUMNS") or 0)
    on_terminal = sys.stderr.isatty() or columns > 0
    on_terminal = on_terminal and not _settings.quiet and not _settings.as_json
    if not on_terminal:
        yield counter
        return
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=done,
        desc=stage,
        unit=f" {unit}",
        file=sys.stderr,
        dynamic_ncols=not columns,
        ncols=columns or None,
    ) as bar:
        counter._bar = bar
        yield counter


def _emit(event: dict[str, object]) -> None:
    print(json.dumps({"time": round(time.time(), 3), **event}), file=sys.stderr, flush=True)
