"""When requests come, who takes them, and from which moment they are timed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from portproof.core.errors import InputError
from portproof.infer.load_test import arrivals
from portproof.infer.load_test.arrivals import Served, poisson_arrivals, queue_of, serve


class Clock:
    """A clock that only sleeping and serving move, in place of the module's ``time``."""

    def __init__(self, service_s: float) -> None:
        self.now, self.service_s = 100.0, service_s

    def perf_counter(self) -> float:
        self.now += 1e-9  # so that a loop that waits awake ends
        return self.now

    def process_time(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)

    def run(self, feeds: Any) -> dict[str, Any]:
        self.now += self.service_s
        return {}


def served(due: Sequence[float] | None, service_s: float, monkeypatch: Any, count: int) -> Served:
    clock: Any = Clock(service_s)
    monkeypatch.setattr(arrivals, "time", clock)
    monkeypatch.setattr(arrivals, "_AWAKE_S", 0.0)
    with queue_of(count, 1) as pipe:
        return serve(clock, [{}], str(pipe), due, 100.5)


def test_latencies_from_the_intended_arrival_follow_queueing_theory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Waiting in a queue of Poisson arrivals and constant service: Pollaczek and Khinchine."""
    rate, service_s, count = 70.0, 0.01, 60_000
    load = rate * service_s
    due = poisson_arrivals(count, rate, seed=1)
    done = served(due, service_s, monkeypatch, count)
    expected = service_s + load * service_s / (2 * (1 - load))
    assert np.mean(done.latencies_s) == pytest.approx(expected, rel=0.05)
    assert done.busy_s / (done.ended - 100.5) == pytest.approx(load, rel=0.02)


def test_a_closed_loop_times_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    done = served(None, 0.02, monkeypatch, 50)
    assert done.numbers == list(range(50))
    assert done.latencies_s == pytest.approx([0.02] * 50, abs=1e-6)
    assert done.ended - 100.5 == pytest.approx(50 * 0.02, rel=1e-3)
    assert done.busy_s == pytest.approx(50 * 0.02, rel=1e-3)


def test_requests_that_are_all_due_at_once_wait_for_one_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = served([0.0] * 10, 0.1, monkeypatch, 10)
    assert done.latencies_s == pytest.approx([0.1 * n for n in range(1, 11)], abs=1e-5)


def test_poisson_arrivals_have_exponential_gaps() -> None:
    gaps = np.diff([0.0, *poisson_arrivals(5000, 200.0, seed=3)])
    assert stats.kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.01
    assert poisson_arrivals(9, 5.0, seed=1) == poisson_arrivals(9, 5.0, seed=1)
    assert poisson_arrivals(9, 5.0, seed=1) != poisson_arrivals(9, 5.0, seed=2)


def test_clients_share_the_requests_and_each_is_taken_once() -> None:
    class Session:
        def run(self, feeds: Any) -> dict[str, Any]:
            return {}

    taken: list[list[int]] = []
    with queue_of(5000, 3) as pipe:
        threads = [
            threading.Thread(
                target=lambda: taken.append(
                    serve(Session(), [{}], str(pipe), None, 0.0).numbers  # type: ignore[arg-type]
                )
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(n for numbers in taken for n in numbers) == list(range(5000))
    assert len(taken) == 3
    assert all(numbers == sorted(numbers) for numbers in taken)


def test_more_requests_than_fit_are_refused() -> None:
    with pytest.raises(InputError, match="--requests is 1000000, at most 26"), queue_of(10**6, 1):
        pass
