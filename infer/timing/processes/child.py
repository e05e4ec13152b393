"""The worker process of a bench: loads one subject, and times calls by order.

Between its blocks it waits on the pipe, and only after its threads are at rest: runtimes let their
threads spin for a while after a call, which makes a neighbour slower that is timed then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, cast

from portproof import backend as backends
from portproof.backend import Array, LoadRequest, Session, check_batch, check_feeds, complete
from portproof.core.errors import PortProofError
from portproof.core.shell import die_with_parent
from portproof.infer.load_test.arrivals import Served
from portproof.infer.load_test.arrivals import serve as serve_requests
from portproof.infer.load_test.loadgen import Settings as LoadGenSettings
from portproof.infer.load_test.loadgen import run_loadgen
from portproof.infer.timing.answers.witness import Evidence, Listening, Witness
from portproof.infer.timing.processes.clock import Times, time_calls
from portproof.infer.timing.processes.counters import (
    Usage,
    UsageMeter,
    memory_bytes,
    peak_memory_bytes,
)
from portproof.infer.timing.processes.feed import Feeding
from portproof.measurement import Boundary

#: Warm-up goes on until a window of calls is not faster than the one before by more than 5 %, but
#: not for longer than this.
WARM_UP_LIMIT_S, WARM_UP_GAIN, WARM_UP_WINDOW_S = 3.0, 0.05, 0.05
_REST_WINDOW_S, _REST_SHARE, _REST_LIMIT_S = 0.004, 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker's answer after loading. ``load_s`` has the runtime already imported;
    ``first_inference_s`` is the call after it.
    """

    load_s: float
    first_inference_s: float
    device: str
    precision: str
    provider: str | None
    boundaries: tuple[Boundary, ...]
    memory_before_bytes: int | None


@dataclass(frozen=True, slots=True)
class Warm:
    """The warm-up: seconds of its calls, whether they had settled (None: too few to tell), and the
    seconds of a settled call.
    """

    calls: list[float]
    settled: bool | None
    call_s: float


@dataclass(frozen=True, slots=True)
class Block:
    """One block: the first call apart, whether the threads came to rest after it, what it used, and
    the most memory so far.
    """

    first: Times
    times: Times
    rested: bool
    usage: Usage
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An error for the user, as it travels over the pipe."""

    exit_code: int
    sentence: str
    log_tail: str


class Server:
    """Carries out the orders that come over the pipe: methods by name. One session at a time."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._feeds: list[dict[str, Array]] = []
        self._witness: Witness | None = None
        self._reload: Callable[[], Session]

    def load(self, backend: str, model: str, request: LoadRequest, feeding: Feeding) -> Loaded:
        """Load a model, drop the one before, and run it once."""
        self.unload()
        module = backends.find(backend)
        for name in module.PACKAGES:
            with contextlib.suppress(ImportError):  # which the backend explains better
                importlib.import_module(name)
        before = memory_bytes()
        began = time.perf_counter()
        self._reload = partial(module.load, Path(model), request)
        session = self._session = self._reload()
        loaded = time.perf_counter()
        check_batch(Path(model), session.inputs, request.batch)
        inputs = complete(session.inputs, feeding.sample_shapes)
        self._feeds = feeding.batches(inputs, request.batch)
        for feeds in self._feeds:
            check_feeds(feeds, inputs)
        if not getattr(module, "HARNESS_ONLY", False):
            numbers = feeding.numbers(request.batch * len(self._feeds))
            fixed = session.inputs[0].shape[0] is not None
            self._witness = Witness(session, self._feeds, numbers, fixed=fixed)
        first = self._heard("first")["call"][0]
        self._rest()
        return Loaded(
            load_s=loaded - began,
            first_inference_s=first,
            device=session.device,
            precision=session.precision,
            provider=session.provider,
            boundaries=("call", *session.boundaries),
            memory_before_bytes=before,
        )

    def warm_up(self, count: int | None, asks: bool = True) -> Warm:
        """``count`` calls, or as many as it takes to settle. Those that the answers are judged by
        come first, and are the first window where no number was given; without ``asks`` there are
        none.
        """
        assert self._session is not None
        asked = self._witness.ask() if self._witness and asks else []
        calls: list[float] = asked if count is None else []
        medians = [statistics.median(calls)] if calls else []
        began = time.perf_counter()
        while True:
            window = self._window(calls, count)
            calls += time_calls(self._session, self._feeds, window)["call"]
            medians.append(statistics.median(calls[-window:]))
            settled = len(medians) > 1 and medians[-1] >= (1 - WARM_UP_GAIN) * medians[-2]
            over = (
                len(calls) >= count
                if count is not None
                else settled or time.perf_counter() - began > WARM_UP_LIMIT_S
            )
            if over:
                self._rest()
                return Warm(calls, settled if len(calls) >= 4 else None, medians[-1])

    def _window(self, calls: list[float], count: int | None) -> int:
        """Calls of the next warm-up window: half of a given count, or the window's time."""
        if count is not None:
            return min(max(1, count // 2), count - len(calls)) or 1
        return max(2, min(1000, int(WARM_UP_WINDOW_S / max(calls[-1], 1e-7)))) if calls else 2

    def block(self, count: int, last: bool) -> Block:
        """One block of counted calls, after one uncounted call that pays for the switch; the answer
        to that of the ``last`` block is kept.
        """
        assert self._session is not None
        first = self._heard("last") if last else time_calls(self._session, self._feeds, 1)
        meter = UsageMeter()
        times = time_calls(self._session, self._feeds, count)
        usage = meter.usage()
        return Block(first, times, self._rest(), usage, peak_memory_bytes())

    def requests(self, pipe: str, due: Sequence[float] | None, began: float) -> Served:
        """One client's part of a load test (:func:`portproof.infer.load_test.arrivals.serve`)."""
        assert self._session is not None
        served = serve_requests(self._session, self._feeds, pipe, due, began)
        self._heard("last")
        self._rest()
        return served

    def loadgen(self, batch: int, settings: LoadGenSettings, folder: str) -> Served:
        """A test of LoadGen, which keeps the times; its logs are in ``folder`` then."""
        assert self._session is not None
        served = run_loadgen(self._session, self._feeds, batch, settings, folder)
        self._heard("last")
        self._rest()
        return served

    def _heard(self, name: Literal["first", "last"]) -> Times:
        """One call whose answer the witness keeps."""
        assert self._session is not None
        listening = Listening(self._session)
        times = time_calls(cast(Session, listening), self._feeds, 1)
        if self._witness:
            self._witness.hear(name, listening.heard)
        return times

    def evidence(self, singles: bool) -> Evidence | None:
        """What was answered, after all blocks; with ``singles`` also to batches of one. None for a
        backend that computes nothing.
        """
        if self._witness is None:
            return None
        if singles:
            self._witness.ask_singles()
        return self._witness.evidence

    def anew(self) -> Evidence:
        """The same of a session that is loaded once more and asked for other rows first."""
        assert self._session is not None
        assert self._witness is not None
        self._session.close()
        self._session = self._reload()
        self._witness.ask_anew(self._session)
        return self._witness.evidence

    def unload(self) -> None:
        """Free the session."""
        if self._session is not None:
            self._session.close()
        self._session, self._feeds, self._witness = None, [], None

    @staticmethod
    def _rest() -> bool:
        """Wait until this process hardly uses the processor; False on timeout."""
        deadline = time.perf_counter() + _REST_LIMIT_S
        while time.perf_counter() < deadline:
            began, used = time.perf_counter(), time.process_time()
            time.sleep(_REST_WINDOW_S)
            if time.process_time() - used < _REST_SHARE * (time.perf_counter() - began):
                return True
        return False


def serve(handle: int) -> None:
    """The worker's main loop: answer orders until the pipe closes; prints go to stderr.

    It dies with its parent, and not only after its present order, since whoever starts the bench
    again would be timed beside it.
    """
    die_with_parent()
    # Ctrl-C reaches the parent too, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    pipe: Connection[Any, Any] = Connection(handle)
    server = Server()
    while True:
        try:
            order, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer: Any = getattr(server, order)(*arguments)
        except PortProofError as error:
            answer = Failure(error.exit_code, str(error), getattr(error, "log_tail", ""))
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return
