"""Kills runs by SIGKILL, at every moment between two changes of the disk and at random ones, and
lets each be continued; prints how often it killed, or fails at the first difference.

A program of its own: it forks, so it must not have threads then. ``killed.py FORM`` in a folder
with the tiny model's card and samples.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from portproof.core import progress
from portproof.infer.offline.inference import run
from portproof.proof.journal import Journal

FORM = sys.argv[1]
CALLS = ("write", "replace", "ftruncate", "open", "unlink")


def infer(delay_s: float = 0.0) -> None:
    """The run, in ``result``."""
    run(
        "model.onnx",
        "prep.info",
        "result",
        backend="null",
        batch=2,
        card="card.yaml",
        form=FORM,
        options={"delay_s": str(delay_s)},
    )


def in_child(work: Callable[[], None]) -> int:
    """A child that does the work; its number."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def dies_at(moment: int) -> Callable[[], None]:
    """A run that is killed at its ``moment``-th change of the disk, in the middle of a note too."""
    left = [moment]

    def die() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            die()
            return real(*arguments, **options)

        return call

    note = Journal._write

    def torn(self: Journal, lines: bytes) -> None:
        if left[0] == 0:
            note(self, lines[: random.randrange(len(lines) + 1)])
        die()
        note(self, lines)

    def work() -> None:
        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        Journal._write = torn  # type: ignore[method-assign]
        infer()

    return work


def outcome(child: int) -> int:
    """The signal that ended the child, 0 for none; an error of its own fails here."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"exit code {code}"
    return -code


def content() -> dict[str, bytes]:
    """Names and bytes of what is there, beside and in the result folder."""
    assert not [p for p in os.listdir() if p.startswith(".") and not p.endswith(".lock")]
    return {p.name: p.read_bytes() for p in sorted(Path("result").iterdir())}


def again() -> None:
    """Forget the run."""
    shutil.rmtree("result", ignore_errors=True)
    for path in (*Path().glob("result.*"), *Path().glob(".result*")):
        path.unlink()


def main() -> None:
    """Every moment once, also of the run that continues; then random times."""
    progress.configure(quiet=True)
    random.seed(int(os.environ.get("SEED", "0")))
    infer()  # here, so that no child imports anything
    expected, kills, moment = content(), 0, 0
    again()
    while outcome(in_child(dies_at(moment))):
        kills += 1 + (outcome(in_child(dies_at(random.randrange(40)))) > 0)
        assert outcome(in_child(infer)) == 0
        assert content() == expected, f"moment {moment}"
        again()
        moment += 1
    for _ in range(10):
        child = in_child(lambda: infer(0.002))
        time.sleep(random.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        kills += outcome(child) > 0
        assert outcome(in_child(lambda: infer(0.002))) == 0
        assert content() == expected
        again()
    print(kills)


if __name__ == "__main__":
    main()
