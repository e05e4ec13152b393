"""The measurement file of a load test, with every request's seconds; statistics are derived when
they are asked for.
"""

from __future__ import annotations

import os
import statistics
from typing import Literal, get_args

import msgspec

from portproof.core.files import write_bytes
from portproof.core.jsonfile import one_record_a_line, read_record
from portproof.measurement import Answers, Moment, calls_needed, nearest_rank

SCHEMA = "portproof.load/1"

#: How requests come: each client's next one when it has its answer; at random moments of a given
#: rate; all at once; or as MLPerf LoadGen sends them.
Scenario = Literal[
    "closed-loop",
    "open-loop",
    "offline",
    "mlperf:SingleStream",
    "mlperf:MultiStream",
    "mlperf:Server",
    "mlperf:Offline",
]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
MLPERF = "mlperf:"


class LoadGenResult(msgspec.Struct, kw_only=True):
    """What LoadGen itself says. ``valid``: its word VALID, and no error in its detail log.
    ``reasons``: why not. ``figures``: its own, with units seconds and samples per second, by the
    names that ``throughput`` gives them. ``summary`` and ``detail``: its logs, beside this file.
    """

    valid: bool
    samples_a_query: int
    reasons: list[str]
    figures: dict[str, float]
    summary: str
    detail: str


class LoadRun(msgspec.Struct, kw_only=True):
    """One model at one batch. A request is one batch.

    ``latencies_s``: seconds of each request, in the order in which they were due: in a closed loop
    from its call, else from the moment at which it was due, so that waiting for a free client
    counts. ``arrivals_s``: those moments after the start, of an open loop. ``wall_s``: from the
    start to the last answer. ``busy_s``: seconds in which the clients did not wait for a request,
    all together; ``cpu_s``: processor seconds of their processes in that time. ``rate``: requests
    per second that were asked for. LoadGen keeps the times of its scenarios in its own logs: there
    are no latencies here then, and ``loadgen`` holds its figures, of a query of ``samples_a_query``
    in MultiStream.
    """

    label: str
    model: str
    backend: str
    batch: int
    scenario: Scenario
    clients: int
    requests: int
    precision: str
    inputs: Literal["random", "zeros", "real"]
    rate: float | None = None
    seed: int | None = None
    wall_s: float
    busy_s: float
    cpu_s: float
    latencies_s: list[float] = msgspec.field(default_factory=list)
    arrivals_s: list[float] = msgspec.field(default_factory=list)
    loadgen: LoadGenResult | None = None
    device: str | None = None
    provider: str | None = None
    threads: int | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)
    counters: dict[str, float | int | None] = msgspec.field(default_factory=dict)
    answers: Answers | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether its answers were found to be wrong: it has no rate and no latency then."""
        return self.answers is not None and self.answers.ok is False

    @property
    def valid(self) -> list[float]:
        """The latencies of which statistics are formed, ascending; of an offline run there is one
        query, whose latency is the run's time, so none; and none for wrong answers.
        """
        no = self.is_wrong or self.scenario == "offline"
        return [] if no else sorted(self.latencies_s)

    @property
    def requests_per_second(self) -> float | None:
        """Answered requests per second of wall time; None for wrong answers and for LoadGen's
        scenarios.
        """
        told = bool(self.latencies_s) and not self.is_wrong
        return len(self.latencies_s) / self.wall_s if told else None

    @property
    def images_per_second(self) -> float | None:
        """The same in images (samples), by LoadGen's own figure in its scenarios if it is valid."""
        if self.loadgen is not None:
            return self._of_loadgen("throughput")
        rate = self.requests_per_second
        return None if rate is None else self.batch * rate

    @property
    def mean_s(self) -> float | None:
        """Mean latency."""
        if self.loadgen is not None:
            return self._of_loadgen("latency_mean")
        return statistics.fmean(self.valid) if self.valid else None

    def percentile_s(self, percent: float) -> float | None:
        """As :meth:`portproof.measurement.Measurement.percentile_s`."""
        if self.loadgen is not None:
            return self._of_loadgen(f"latency_p{percent:g}".replace("p50", "median"))
        ordered = self.valid
        return nearest_rank(ordered, percent) if len(ordered) >= calls_needed(percent) else None

    def slowest_s(self, place: int) -> float | None:
        """The latency of the request that is ``place`` from the slowest (1 is the slowest); None
        with fewer requests.
        """
        ordered = self.valid
        return ordered[-place] if len(ordered) >= place else None

    def _of_loadgen(self, name: str) -> float | None:
        """A figure of LoadGen's own, if its result is valid and the answers are not wrong."""
        assert self.loadgen is not None
        valid = self.loadgen.valid and not self.is_wrong
        return self.loadgen.figures.get(name) if valid else None

    @property
    def cpu_percent(self) -> float:
        """Processor use of its processes, 100 for one processor."""
        return 100 * self.cpu_s / self.wall_s


class LoadTest(msgspec.Struct, kw_only=True):
    """The content of the file. ``reasons`` says why it is ``unstable``; ``timeline``: the counters
    of the host and the devices over the time.
    """

    schema: str = SCHEMA
    status: Literal["ok", "unstable"] = "ok"
    reasons: list[str] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)
    runs: list[LoadRun]
    timeline: list[Moment] = msgspec.field(default_factory=list)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    simulated: bool = False


def read_load_test(path: str | os.PathLike[str]) -> LoadTest:
    """Read the file; :class:`InputError` if it is missing, damaged or of another schema."""
    return read_record(path, LoadTest, SCHEMA, "load test", "test again with this version")


def write_load_test(path: str | os.PathLike[str], test: LoadTest) -> None:
    """Write the file, atomically, a run a line."""
    write_bytes(path, one_record_a_line(test))
