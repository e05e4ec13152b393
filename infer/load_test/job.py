"""Load tests: every subject at every batch in turn, each client in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import portproof
from portproof import backend as backends
from portproof import rehearsal
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.infer.load_test.arrivals import Served, poisson_arrivals, queue_of
from portproof.infer.load_test.loadgen import Settings, check_settings, result_in
from portproof.infer.load_test.record import (
    MLPERF,
    SCENARIOS,
    LoadRun,
    LoadTest,
    Scenario,
    read_load_test,
    write_load_test,
)
from portproof.infer.runtimes.model_files import packages
from portproof.infer.timing.answers.hearing import Hearing
from portproof.infer.timing.devices.timeline import timeline_of
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.job import way_of, work_of
from portproof.infer.timing.processes.child import Warm
from portproof.infer.timing.processes.counters import Usage, UsageMeter, host_doubts, summary
from portproof.infer.timing.processes.parent import Worker, ask, workers_of
from portproof.infer.timing.processes.teams import Team, load
from portproof.infer.timing.protocol import Job
from portproof.infer.timing.subject import Subject
from portproof.measurement import wrong_answers
from portproof.proof.sidecar import environment, versions_of

#: Seconds after which the clients begin, by when all of them wait.
_LEAD_S = 0.05
#: Share of their time in calls from which clients cannot keep up with arrivals: the latencies are
#: those of a queue that grows for as long as the test lasts.
SATURATED = 0.98


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of a load test. ``rate`` in requests per second; ``seconds`` and ``target_s``
    are LoadGen's (:class:`portproof.infer.load_test.loadgen.Settings`).
    """

    scenario: Scenario = "closed-loop"
    clients: int = 1
    requests: int = 1000
    rate: float | None = None
    seconds: float = 10.0
    target_s: float = 0.1
    seed: int = 0

    @property
    def by_loadgen(self) -> bool:
        """Whether LoadGen sends them."""
        return self.scenario.startswith(MLPERF)

    def check(self, batches: Sequence[int]) -> None:
        """:class:`InputError` for what has no meaning."""
        if self.scenario not in SCENARIOS:
            raise InputError(
                f"--scenario is '{self.scenario}', one of {', '.join(SCENARIOS)} was expected"
            )
        needs_rate = self.scenario in ("open-loop", "mlperf:Server")
        if needs_rate and self.rate is None:
            raise InputError(
                f"the scenario {self.scenario} needs the requests per second: give them with --rate"
            )
        if self.rate is not None and not needs_rate and self.scenario != "mlperf:Offline":
            raise InputError(f"--rate has no meaning in the scenario {self.scenario}; leave it out")
        if self.rate is not None and not self.rate > 0:
            raise InputError(f"--rate is {self.rate:g}, more than 0 was expected")
        if self.by_loadgen and self.clients != 1:
            raise InputError(
                f"--clients has no meaning in the scenario {self.scenario}; leave it out"
            )
        for batch in batches if self.by_loadgen else ():
            check_settings(self.scenario, batch)


def load_test(job: Job, traffic: Traffic, out: str | Path) -> LoadTest:
    """Test every subject of a job at every batch, write ``out`` with its sidecar, and read it from
    there if nothing changed since. Raises as :func:`portproof.infer.timing.job.bench`.
    """
    traffic.check(job.batches)
    if way_of(job.subjects).HOW != "by backends":
        raise InputError(
            "a load test times backends of this host; a vendor tool has clients of its own"
        )
    for subject in job.subjects:
        for batch in job.batches:
            backends.check_suffix(subject.backend, subject.model(batch))
    out, names = Path(out), sorted({p for s in job.subjects for p in packages(s.backend, job.card)})
    names += ["mlcommons-loadgen"] if traffic.by_loadgen else []
    work = work_of("load_test", job, out, {"traffic": asdict(traffic)}, names)
    if work.is_done():
        return read_load_test(out)
    work.begin()
    versions = {"portproof": portproof.__version__, **versions_of(names)}
    test = LoadTest(
        runs=[], environment=environment(), versions=versions, simulated=rehearsal.is_active()
    )
    devices = Devices([s.device for s in job.subjects])
    with timeline_of(devices.sources()) as test.timeline:
        for run, doubts in _tested(job, traffic, out.absolute().parent):
            test.runs.append(run)
            test.reasons += [f"{run.label}, batch {run.batch}: {why}" for why in doubts]
    test.wrong = wrong_answers(test.runs)
    test.status = "unstable" if test.reasons else "ok"
    write_load_test(out, test)
    logs = [
        out.absolute().parent / name
        for run in test.runs
        if run.loadgen
        for name in (run.loadgen.summary, run.loadgen.detail)
    ]
    work.finish([out, *logs], {n: getattr(test, n) for n in ("status", "reasons", "wrong")})
    return test


def _tested(
    job: Job, traffic: Traffic, folder: Path
) -> Generator[tuple[LoadRun, list[str]], None, None]:
    """The run of each subject at each batch, with the doubts about it. Whether they answered right
    is known, and written, when all are done.
    """
    hearing, runs = Hearing(job.batches), list[LoadRun]()
    labels = [s.label for s in job.subjects for _ in range(traffic.clients)]
    total = len(job.subjects) * len(job.batches)
    with (
        progress.meter("load test", total, "runs") as meter,
        workers_of(labels) as workers,
    ):
        sides = [workers[i : i + traffic.clients] for i in range(0, len(workers), traffic.clients)]
        for batch in job.batches:
            teams = [
                _team(job, subject, side, batch)
                for subject, side in zip(job.subjects, sides, strict=True)
            ]
            for subject, team in zip(job.subjects, teams, strict=True):
                run, doubts = _run(job, traffic, subject, team, folder)
                runs.append(run)
                yield run, doubts
                meter.advance()
            hearing.take(list(zip(job.subjects, teams, strict=True)), batch)
            ask(workers, "unload")
    hearing.settle(runs)


def _team(job: Job, subject: Subject, side: Sequence[Worker], batch: int) -> Team:
    """A subject's clients, which have loaded it and are warm."""
    requests = [subject.request(batch, job.card)] * len(side)
    loaded = load(side, subject, requests, job.fed)
    warm: list[Warm] = ask(side, "warm_up", job.plan.warmup)
    return Team(subject.label, batch, side, loaded, [warm], [], [])


def _run(
    job: Job, traffic: Traffic, subject: Subject, team: Team, folder: Path
) -> tuple[LoadRun, list[str]]:
    """One subject at one batch under the traffic, and the doubts about it."""
    meter, logs = UsageMeter(), folder / f"loadgen.{subject.label}.bs{team.batch}"
    due: list[float] | None = None
    began = time.perf_counter() + (0 if traffic.by_loadgen else _LEAD_S)
    if traffic.by_loadgen:
        logs.mkdir(parents=True, exist_ok=True)
        settings = _settings(traffic, team)
        served: list[Served] = ask(team.workers, "loadgen", team.batch, settings, str(logs))
    else:
        due = _due(traffic)
        with queue_of(traffic.requests, traffic.clients) as pipe:
            served = ask(team.workers, "requests", str(pipe), due, began)
    wall_s = max(s.ended for s in served) - began
    host_s = meter.usage().host_s
    counters = summary([[Usage(host_s, s.cpu_s, wall_s) for s in served]])
    in_order = sorted(pair for s in served for pair in zip(s.numbers, s.latencies_s, strict=True))
    run = LoadRun(
        label=subject.label,
        model=str(subject.model(team.batch)),
        backend=subject.backend,
        batch=team.batch,
        scenario=traffic.scenario,
        clients=traffic.clients,
        requests=traffic.requests,
        rate=traffic.rate,
        seed=traffic.seed if traffic.rate or traffic.by_loadgen else None,
        precision=team.loaded[0].precision,
        inputs=job.feeding.kind,
        wall_s=wall_s,
        busy_s=sum(s.busy_s for s in served),
        cpu_s=sum(s.cpu_s for s in served),
        latencies_s=[latency for _, latency in in_order],
        arrivals_s=due if due and traffic.rate else [],
        loadgen=result_in(logs, folder) if traffic.by_loadgen else None,
        device=team.loaded[0].device,
        provider=team.loaded[0].provider,
        threads=subject.threads,
        options=dict(subject.options),
        counters=counters,
    )
    return run, [*host_doubts(counters), *team.doubts(), *_doubts(run)]


def _due(traffic: Traffic) -> list[float] | None:
    """When the requests are due, in seconds after the start; None in a closed loop."""
    if traffic.scenario == "offline":
        return [0.0] * traffic.requests
    if traffic.rate is None:
        return None
    return poisson_arrivals(traffic.requests, traffic.rate, traffic.seed)


def _settings(traffic: Traffic, team: Team) -> Settings:
    call_s = max(team.warm[0][0].call_s, 1e-6)
    return Settings(
        traffic.scenario,
        traffic.requests,
        traffic.seconds,
        traffic.rate or team.batch / call_s,
        traffic.target_s,
        traffic.seed,
        call_s,
    )


def _doubts(run: LoadRun) -> list[str]:
    if run.loadgen is not None:
        return run.loadgen.reasons
    share = run.busy_s / (run.clients * run.wall_s)
    if run.scenario != "open-loop" or share < SATURATED:
        return []
    return [
        f"its clients were busy {share:.0%} of the time: {run.rate:g} requests/s are more than they"
        " serve, and the latencies are those of a queue that grows; lower --rate or add --clients"
    ]
