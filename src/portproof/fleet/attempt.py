"""One part of a step on some host of the cluster: send what the host lacks, run it, bring back what
it made; and the same elsewhere when the worker or its host is lost.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from portproof.core import progress
from portproof.core.errors import EXIT_DONE, EXIT_TOOL, ToolError
from portproof.core.files import sha256_of, write_bytes
from portproof.fleet.cluster import Cluster, Host, LostWorkerError, spelled
from portproof.fleet.file_store import MESSAGE_BYTES, pieces_of
from portproof.fleet.gather import Arrived, path_here
from portproof.fleet.needed import Hashes, Part, key_of
from portproof.fleet.node import Answer, Job, Made
from portproof.fleet.plan_file import Claim
from portproof.fleet.versions import versions_here

_SAY_EVERY_S = 30.0
#: Signals that end a step from outside, such as that of a host without memory: not its own fault.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)


class _Done(msgspec.Struct):
    """What is left beside a part's files once all are here."""

    key: str
    host: str
    jobs: str
    catalog: str
    made: list[str]
    code: int
    output: str


@dataclass
class Attempts:
    """Runs the parts of one step. ``place``: of the plan; ``claim``: what it claims; ``job``: all
    but the key, the words and the files; ``flags``: words that decide no byte; ``said``: takes
    lines that a step says on stderr.
    """

    cluster: Cluster
    place: str
    claim: Claim
    name: str
    job: Job
    root: Path
    hashes: Hashes
    said: Callable[[str], None]
    most: int
    accepted: Sequence[int]
    flags: Sequence[str] = ()
    _sending: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def run(self, part: Part, folder: Path, number: int, count: int) -> tuple[Answer, Arrived]:
        """Run a part; ``folder`` gets what it made. Raises :class:`ToolError` after the last
        attempt.
        """
        here = versions_here(self.place)
        key = key_of(part, self.hashes, (self.job.rehearse, self.job.environment, here))
        earlier = self._earlier(part, folder, key)
        if earlier:
            return earlier
        shutil.rmtree(folder, ignore_errors=True)
        lost: list[Host] = []
        name = self.name if count == 1 else f"{self.name}, part {number + 1} of {count},"
        while True:
            host = self._choose(number + len(lost), lost)
            try:
                return self._on(host, part, key, folder, name)
            except LostWorkerError as error:
                lost.append(host)
                if len(lost) >= self.most:
                    raise ToolError(
                        f"{name.rstrip(',')} was begun {self.most} times and never ended: at last"
                        f" the worker on {host.name} was lost ({error}); see what ends it there"
                        " (memory?), then start the same command again"
                    ) from error
                progress.warn(
                    f"{name} was lost with its worker on {host.name} ({error}); it is run again, on"
                    f" another host if there is one: attempt {len(lost) + 1} of {self.most}"
                )

    def _earlier(self, part: Part, folder: Path, key: str) -> tuple[Answer, Arrived] | None:
        """What an earlier driver brought back of the same part, before it was killed."""
        note = folder.with_suffix(".done")
        if not note.is_file():
            return None
        done = msgspec.json.decode(note.read_bytes(), type=_Done)
        if done.key != key:
            note.unlink()
            return None
        progress.say(f"fleet: {self.name}: a part is here already, {done.host} made it")
        arrived = Arrived(part, tuple(done.made), folder, done.host, done.jobs, key, done.catalog)
        return Answer(done.code, done.output), arrived

    def _choose(self, turn: int, lost: Sequence[Host]) -> Host:
        fitting = self.cluster.awaited(self.claim, self.name)
        others = [h for h in fitting if h.id not in {gone.id for gone in lost}] or fitting
        slots = [host for host in others for _ in range(host.fits(self.claim))]
        return slots[turn % len(slots)]

    def _on(
        self, host: Host, part: Part, key: str, folder: Path, name: str
    ) -> tuple[Answer, Arrived]:
        self.cluster.check(host, self.place)
        worker = self.cluster.worker(host, self.claim)
        is_over = False
        try:
            about = self.cluster.answer_of(worker.about.remote(), self._waiting(host))
            progress.say(f"fleet: {name} runs on {host.name} ({spelled(self.claim)})")
            problem = self._send(worker, host, part)
            answer = problem or self._perform(worker, part, key, f"{about[1]}/{key}", host)
            if answer.problem:
                progress.warn(f"{host.name}: {answer.problem}")
            if answer.code in _FROM_OUTSIDE:
                is_over = True
                raise LostWorkerError(f"its step was killed by {signal.Signals(-answer.code).name}")
            made = answer.made if answer.code in self.accepted else _logs(answer.made)
            self._fetch(worker, key, made, folder)
            names = tuple(m.path for m in made)
            arrived = Arrived(part, names, folder, host.name, about[1], key, about[2])
            if answer.code in self.accepted:
                done = _Done(
                    key, host.name, about[1], about[2], list(names), answer.code, answer.output
                )
                write_bytes(folder.with_suffix(".done"), msgspec.json.encode(done))
                self.cluster.answer_of(worker.forget.remote(key))
            is_over = True
            return answer, arrived
        finally:
            self.cluster.let_go(worker, stop=not is_over)

    def _waiting(self, host: Host) -> Callable[[], None]:
        """Says now and then that the device is there, and in use."""
        last = [time.monotonic()]

        def say() -> None:
            if time.monotonic() - last[0] >= _SAY_EVERY_S:
                last[0] = time.monotonic()
                progress.say(
                    f"fleet: {self.name} is waiting for {spelled(self.claim)} of {host.name},"
                    " which is in use"
                )

        return say

    def _send(self, worker: Any, host: Host, part: Part) -> Answer | None:
        """Send what the host lacks, once even if it has several parts; an answer if that failed."""
        by_hash = {self.hashes.of(path): path for path in part.files.values()}
        with self._sending[host.id]:
            lacking = self.cluster.answer_of(worker.lacks.remote(list(by_hash)))
            if lacking:
                size = sum(by_hash[sha256].stat().st_size for sha256 in lacking)
                progress.say(
                    f"fleet: {len(lacking)} files, {size / 1e6:.1f} MB, are sent to {host.name} for"
                    f" {self.name}"
                )
            for message in pieces_of((sha256, by_hash[sha256]) for sha256 in lacking):
                answer: Answer = self.cluster.answer_of(worker.take.remote(message))
                if answer.problem:
                    return answer
        return None

    def _perform(self, worker: Any, part: Part, key: str, there: str, host: Host) -> Answer:
        files = {name: self.hashes.of(path) for name, path in part.files.items()}
        job = Job(
            key,
            (*part.argv, *self.flags),
            files,
            self.job.environment,
            self.job.rehearse,
            self.job.exclusive,
        )
        waits = [False]

        def listen() -> None:
            text, is_waiting = self.cluster.answer_of(worker.said.remote())
            if is_waiting and not waits[0]:
                progress.say(
                    f"fleet: {self.name} is waiting on {host.name}: nothing runs beside a bench"
                )
            waits[0] = is_waiting
            if text:
                self.said(path_here(text, there, self.root))

        answer: Answer = self.cluster.answer_of(worker.perform.remote(job), listen)
        listen()
        return Answer(
            answer.code, path_here(answer.output, there, self.root), answer.made, answer.problem
        )

    def _fetch(self, worker: Any, key: str, made: Sequence[Made], folder: Path) -> None:
        """Bring files back; one that is not what its host made raises :class:`ToolError`, and so
        does a name outside of the run directory.
        """
        for file in made:
            if os.path.isabs(file.path) or ".." in file.path.split("/"):
                raise ToolError(f"a host made a file outside of its folder, '{file.path}'")
        for message in _messages(made):
            wanted = [(m.path, offset, size) for m, offset, size in message]
            parts = self.cluster.answer_of(worker.read.remote(key, wanted))
            for (file, offset, _), data in zip(message, parts, strict=True):
                path = folder / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "r+b" if offset else "wb") as target:
                    target.seek(offset)
                    target.write(data)
                if offset + len(data) >= file.size and sha256_of(path) != file.sha256:
                    raise ToolError(f"'{file.path}' changed on its host while it was brought here")


def _messages(made: Sequence[Made]) -> Iterator[list[tuple[Made, int, int]]]:
    """Parts of files: name, offset, bytes; those of one message have a message's size at most."""
    message: list[tuple[Made, int, int]] = []
    room = MESSAGE_BYTES
    for file in made:
        offset = 0
        while True:
            size = min(room, file.size - offset)
            message.append((file, offset, size))
            offset, room = offset + size, room - size
            if room <= 0:
                yield message
                message, room = [], MESSAGE_BYTES
            if offset >= file.size:
                break
    if message:
        yield message


def _logs(made: Sequence[Made]) -> tuple[Made, ...]:
    """Of a step that failed, only what says why."""
    return tuple(m for m in made if os.path.splitext(m.path)[1] == ".log")


def worst_of(answers: Sequence[Answer], accepted: Sequence[int]) -> int:
    """The exit code of a step from those of its parts: the first that is not accepted."""
    codes = [a.code if a.code >= 0 else EXIT_TOOL for a in answers]
    return next((code for code in codes if code not in accepted), max(codes, default=EXIT_DONE))
