"""The Ray cluster: its hosts and their resources, waiting for a device, and workers that claim one.

This is the only module that imports Ray.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.core.shell import own_environment
from portproof.fleet.node import Node
from portproof.fleet.plan_file import Claim
from portproof.fleet.versions import deciding, make_probe, refuse_others, versions_here

_SAY_EVERY_S, _POLL_S = 10.0, 0.5
#: Resources that every host has: a claim of these alone is of a host, not of a device.
_OF_EVERY_HOST = {"CPU", "memory", "object_store_memory"}


@dataclass(frozen=True)
class Host:
    """A node of the cluster. ``total``: its resources, in use or not."""

    id: str
    name: str
    total: Mapping[str, float]

    def fits(self, claim: Claim) -> int:
        """How many times the claim fits; at most once if it names no device."""
        times = min(int(self.total.get(name, 0) // amount) for name, amount in claim.items())
        return min(times, 1) if set(claim) <= _OF_EVERY_HOST else times


class LostWorkerError(Exception):
    """A worker or its host is gone; the text says how."""


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        self.cancelled = threading.Event()
        self._checked: dict[tuple[str, str], dict[str, str]] = {}
        self._checking = threading.Lock()

    def hosts(self) -> list[Host]:
        """Those that are alive, in the order of their names."""
        import ray

        known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        nodes = [n for n in known if n["Alive"]]
        found = [Host(n["NodeID"], n["NodeManagerHostname"], n["Resources"]) for n in nodes]
        return sorted(found, key=lambda host: (host.name, host.id))

    def awaited(self, claim: Claim, name: str) -> list[Host]:
        """The hosts that have what a step claims; waits for the first one and says so, and raises
        :class:`ToolError` if none appears.
        """
        began = time.monotonic()
        said = began - _SAY_EVERY_S
        while True:
            hosts = self.hosts()
            fitting = [host for host in hosts if host.fits(claim)]
            if fitting:
                return fitting
            now = time.monotonic()
            if now - began >= self.wait_s:
                raise ToolError(
                    f"no host with {spelled(claim)} joined the cluster in {self.wait_s:g} s, which"
                    f" the step '{name}' needs; the cluster has {_spelled_hosts(hosts)}: start Ray"
                    " on the device's host with these resources, correct 'where' in the plan, or"
                    " wait longer with --wait; then start the same command again, it continues"
                )
            if now - said >= _SAY_EVERY_S:
                said = now
                progress.say(
                    f"fleet: {name} is waiting for {spelled(claim)}; the cluster has"
                    f" {_spelled_hosts(hosts)}"
                )
            if self.cancelled.wait(_POLL_S):
                raise KeyboardInterrupt

    def check(self, host: Host, place: str) -> dict[str, str]:
        """Versions and processor of a host; :class:`InputError` if they are not the driver's."""
        import ray

        with self._checking:
            key = (host.id, place)
            if key in self._checked:
                return self._checked[key]
            packages = deciding(place)
            probe = ray.remote(make_probe()).options(num_cpus=0, scheduling_strategy=_on(host))
            with lost_workers_named():
                there: dict[str, str] = ray.get(probe.remote(packages), timeout=60)
            refuse_others(host.name, there, versions_here(place), packages)
            self._checked[key] = there
            return there

    def worker(self, host: Host, claim: Claim) -> Any:
        """A worker on a host that holds the claim until it is let go."""
        import ray

        own = dict(claim)
        cpus, gpus = own.pop("CPU", 0), own.pop("GPU", 0)
        memory = own.pop("memory", None)
        return (
            ray.remote(Node)
            .options(
                num_cpus=cpus,
                num_gpus=gpus,
                memory=memory,
                resources=own,
                scheduling_strategy=_on(host),
                max_concurrency=4,
                max_restarts=0,
            )
            .remote()
        )

    def answer_of(self, call: Any, during: Any = None) -> Any:
        """What a call returns. ``during``: a function that is called again and again meanwhile.
        Raises :class:`LostWorkerError`, and KeyboardInterrupt when the fleet is cancelled.
        """
        import ray

        with lost_workers_named():
            while True:
                ready, _ = ray.wait([call], timeout=_POLL_S)
                if ready:
                    return ray.get(call)
                if self.cancelled.is_set():
                    raise KeyboardInterrupt
                if during:
                    during()

    def let_go(self, worker: Any, stop: bool) -> None:
        """End a worker, and before that what it runs."""
        import ray

        with contextlib.suppress(Exception):  # it may be gone already
            if stop:
                ray.get(worker.stop.remote(), timeout=45)
        ray.kill(worker)


@contextlib.contextmanager
def connected(
    address: str | None, simulated: Mapping[str, int], wait_s: float
) -> Iterator[Cluster]:
    """The cluster at an address, or one of this host alone that ends with this process.
    ``simulated``: resources that a rehearsal pretends this host to have.
    """
    ray = _ray()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            os.environ.update(PYTHONPATH=own_environment()["PYTHONPATH"])
            ray.init(
                address="local",
                resources={k: float(v) for k, v in simulated.items() if k not in ("CPU", "GPU")},
                num_gpus=simulated.get("GPU"),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except (ConnectionError, ValueError, TimeoutError, RuntimeError) as error:
        where = f"at '{address}' " if address else ""
        raise InputError(
            f"the Ray cluster {where}cannot be used ({_first_line(error)}); check --ray-address,"
            " that 'ray status' works from here, and that Ray and Python have one version on all"
            " hosts"
        ) from error
    finally:
        for number, handler in handlers.items():  # Ray puts its own in the place of ours
            signal.signal(number, handler)
    try:
        yield Cluster(wait_s)
    finally:
        ray.shutdown()


def spelled(claim: Mapping[str, float]) -> str:
    """A claim as people read it.

    >>> spelled({"NPU": 1, "310P": 1})
    'NPU:1 and 310P:1'
    """
    return " and ".join(f"{name}:{amount:g}" for name, amount in claim.items())


def devices(hosts: Collection[Host], claim: Claim) -> int:
    """How many steps with this claim can run at the same time."""
    return sum(host.fits(claim) for host in hosts)


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
    """Ray's errors of workers and hosts that are gone, as one of ours."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        raise ToolError(
            f"a worker failed: {_first_line(error.cause)}; correct it on its host, then start the"
            " same command again"
        ) from error
    except exceptions.RayError as error:
        raise LostWorkerError(_first_line(error)) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingPackageError("ray", "'portproof fleet'", "ray") from None
    return ray


def _on(host: Host) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(host.id, soft=False)


def _spelled_hosts(hosts: Collection[Host]) -> str:
    return "; ".join(f"{host.name} ({_spelled_total(host)})" for host in hosts) or "no host"


def _spelled_total(host: Host) -> str:
    kept = {
        name: amount
        for name, amount in sorted(host.total.items())
        if not name.startswith("node:") and name not in ("memory", "object_store_memory")
    }
    return ", ".join(f"{name}:{amount:g}" for name, amount in kept.items()) or "nothing to claim"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
