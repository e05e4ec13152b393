"""The parent's end of the worker processes of a bench: one process a client of a subject."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from typing import Any, NoReturn

from portproof.core.errors import EXIT_BAD_INPUT, InputError, ToolError
from portproof.infer.timing.processes.child import Failure

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from"
    " portproof.infer.timing.processes.child import serve; serve(int(sys.argv[2]))"
)
#: Bytes that the environment grows by from start to start; a prime, so that it meets every place of
#: a page.
_PADDING_STEP = 1237
_TAIL_LINES = 20
_PATIENCE_S = 3.0


class Worker:
    """One worker process. A process of its own, not a fork and not of a pool: runtimes keep
    threads, and some one context a process.
    """

    def __init__(self, label: str, padding: int = 0) -> None:
        self.label = label
        # The size of the environment moves the stack, and with it what shares a cache line:
        # Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", 2009.
        environment = {**os.environ, "PORTPROOF_PADDING": "x" * padding}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, order: str, *arguments: Any) -> None:
        """Give an order; the answer is taken by :meth:`answer`."""
        try:
            self._pipe.send((order, *arguments))
        except OSError:
            self._raise_death()

    def answer(self) -> Any:
        """The answer to the order given; what the worker raised for the user is raised here."""
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._raise_death()
        if not isinstance(answer, Failure):
            return answer
        sentence = f"{self.label}: {answer.sentence}"
        raise (
            InputError(sentence)
            if answer.exit_code == EXIT_BAD_INPUT
            else ToolError(sentence, answer.log_tail)
        )

    def hang_up(self) -> None:
        """Close the pipe: the process ends after its present order and frees its device."""
        self._pipe.close()

    def close(self) -> None:
        """End the process, in a few seconds at most."""
        self.hang_up()
        for insist in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                insist()
        self._process.wait()
        self._log.close()

    def _raise_death(self) -> NoReturn:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        code = self._process.returncode
        how = (
            f"was killed by signal {-code}"
            if code is not None and code < 0
            else f"ended with code {code}"
        )
        raise ToolError(
            f"the process that ran '{self.label}' {how}; see its last lines above", self._tail()
        )

    def _tail(self) -> str:
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - 8192))
        return "\n".join(self._log.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])


@contextlib.contextmanager
def workers_of(labels: Sequence[str], start: int = 0) -> Iterator[list[Worker]]:
    """One process a label, all of them ended at the end, whatever happens. ``start``: how often
    they were started before; who is first and where their memory lies differ from start to start.
    """
    workers: list[Worker] = []
    order = labels if start % 2 == 0 else labels[::-1]
    try:
        for label in order:
            workers.append(Worker(label, (start * _PADDING_STEP + len(workers)) % 4096))
        yield workers if start % 2 == 0 else workers[::-1]
    finally:
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.close()


def ask(workers: Sequence[Worker], order: str, *arguments: Any) -> list[Any]:
    """Give one order to all workers before any answer is awaited; their answers."""
    for worker in workers:
        worker.send(order, *arguments)
    return [worker.answer() for worker in workers]
