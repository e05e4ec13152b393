"""A session under MLPerf LoadGen (``mlcommons-loadgen``), in the worker's process.

LoadGen sends queries from a thread of its own; a session belongs to the thread that loaded it, so
the queries go through a queue. Its settings are those of
https://github.com/mlcommons/inference/blob/master/loadgen/test_settings.h.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.backend import Feeds, Session
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.infer.load_test.arrivals import Served
from portproof.infer.load_test.record import MLPERF, LoadGenResult, Scenario
from portproof.logs.read import only

SUMMARY, DETAIL = "mlperf_log_summary.txt", "mlperf_log_detail.txt"
#: Samples of a query in MultiStream, by MLPerf's rules.
STREAMS = 8
#: A file of this name in the working directory changes LoadGen's settings without a word.
AUDIT = "audit.config"


@dataclass(frozen=True, slots=True)
class Settings:
    """``queries``: at least so many, for at least ``seconds``; ``rate``: of the queries in Server,
    and the samples per second that Offline is expected to reach, by which it decides how many there
    are; ``target_s``: the latency that 99 % of Server's queries must keep; ``call_s``: about how
    long a batch takes.
    """

    scenario: Scenario
    queries: int
    seconds: float
    rate: float
    target_s: float
    seed: int
    call_s: float


def check_settings(scenario: Scenario, batch: int) -> None:
    """Refuse what LoadGen would measure as something else."""
    name = scenario.removeprefix(MLPERF)
    if name in ("SingleStream", "Server") and batch != 1:
        raise InputError(
            f"{scenario} sends one sample a query, the batch is {batch}: use --batch 1"
        )
    if name == "MultiStream" and STREAMS % batch:
        raise InputError(
            f"{scenario} sends {STREAMS} samples a query, which are no whole number of batches of"
            f" {batch}: use --batch 1, 2, 4 or 8"
        )
    if Path(AUDIT).exists():
        raise InputError(
            f"'{AUDIT}' in the working directory would change LoadGen's settings: move it away"
        )


def run_loadgen(
    session: Session, feeds: Sequence[Feeds], batch: int, settings: Settings, folder: str
) -> Served:
    """Run one test; its logs are in ``folder`` then, and what is returned has no requests. Sample
    *i* is row *i* of the feeds, and a query's samples are answered in whole batches, of which the
    last may hold more than was asked.
    """
    try:
        import mlperf_loadgen as lg  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        needed_for = f"the scenario {settings.scenario}"
        raise MissingPackageError("mlcommons-loadgen", needed_for, "loadgen") from error
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    library = len(feeds) * batch
    sut = lg.ConstructSUT(orders.put, lambda: None)
    qsl = lg.ConstructQSL(library, library, lambda _: None, lambda _: None)

    def test() -> None:
        lg.StartTestWithLogSettings(
            sut, qsl, _test_settings(lg, settings, batch), _log_settings(lg, folder)
        )
        orders.put(None)

    thread = threading.Thread(target=test, daemon=True)
    used, busy, ended = time.process_time(), 0.0, 0.0
    thread.start()
    try:
        while (samples := orders.get()) is not None:
            for at in range(0, len(samples), batch):
                asked = samples[at : at + batch]
                start = time.perf_counter()
                session.run(feeds[asked[0].index // batch])
                ended = time.perf_counter()
                busy += ended - start
                lg.QuerySamplesComplete([lg.QuerySampleResponse(s.id, 0, 0) for s in asked])
        thread.join()
    finally:
        if not thread.is_alive():
            lg.DestroyQSL(qsl)
            lg.DestroySUT(sut)
    return Served([], [], ended, busy, time.process_time() - used)


def _test_settings(lg: Any, settings: Settings, batch: int) -> Any:
    """LoadGen makes its queries before the test, as many as last for its time at the expected
    latency: too few end it early, so half of what a call took is expected.
    """
    expected_ns = round(1e9 * settings.call_s / 2)
    name = settings.scenario.removeprefix(MLPERF)
    chosen = lg.TestSettings()
    chosen.scenario = getattr(lg.TestScenario, name)
    chosen.mode = lg.TestMode.PerformanceOnly
    chosen.min_query_count = settings.queries
    chosen.min_duration_ms = round(1e3 * settings.seconds)
    chosen.multi_stream_samples_per_query = STREAMS
    chosen.single_stream_expected_latency_ns = expected_ns
    chosen.multi_stream_expected_latency_ns = expected_ns * (STREAMS // batch)
    chosen.server_target_qps = chosen.offline_expected_qps = settings.rate
    chosen.server_target_latency_ns = round(1e9 * settings.target_s)
    chosen.qsl_rng_seed = chosen.sample_index_rng_seed = chosen.schedule_rng_seed = settings.seed
    return chosen


def _log_settings(lg: Any, folder: str) -> Any:
    chosen = lg.LogSettings()
    chosen.log_output.outdir = folder
    return chosen


def result_in(folder: Path, beside: Path) -> LoadGenResult:
    """What LoadGen's logs say: its word VALID is believed only without an error in the detail log.
    ``beside``: the folder that the names of the logs are relative to.
    """
    summary, detail = folder / SUMMARY, folder / DETAIL
    if not (summary.is_file() and detail.is_file()):
        raise ToolError(f"LoadGen ended without its logs '{SUMMARY}' and '{DETAIL}' in '{folder}'")
    run = only(summary, "loadgen")
    reasons = [*run.warnings, *_errors_in(detail)]
    if run.status != "ok" and not reasons:
        reasons.append(f"LoadGen's result is {run.status}, VALID was expected")
    figures = {f.name: f.value for f in run.figures if f.value is not None}
    names = (str(path.relative_to(beside)) for path in (summary, detail))
    return LoadGenResult(
        valid=not reasons,
        samples_a_query=run.batch or 1,
        reasons=reasons,
        figures=figures,
        summary=next(names),
        detail=next(names),
    )


def _errors_in(detail: Path) -> list[str]:
    """The errors of a detail log, each once."""
    found = []
    for line in detail.read_text("utf-8", "replace").splitlines():
        prefix, _, text = line.partition(":::MLLOG ")
        if prefix or not text:
            continue
        try:
            event = json.loads(text)
        except ValueError:
            found.append(f"LoadGen's detail log has a line that is not JSON: {text[:60]}")
            continue
        if event.get("metadata", {}).get("is_error"):
            found.append(f"LoadGen's detail log has an error: {event.get('value')}")
    return list(dict.fromkeys(found))
