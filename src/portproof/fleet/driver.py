"""The driver of a fleet: the steps of a port in their order, each where the plan places it, all
their files in one run directory.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from portproof.core import progress
from portproof.core.errors import EXIT_DONE, EXIT_TOOL, InputError, ToolError
from portproof.core.files import write_text
from portproof.core.interrupts import EXIT_INTERRUPTED
from portproof.core.yamlfile import data_folder
from portproof.fleet.attempt import Attempts, worst_of
from portproof.fleet.cluster import Cluster, LostWorkerError, connected, devices
from portproof.fleet.gather import Arrived, Gathering
from portproof.fleet.host_lock import host_locked
from portproof.fleet.needed import Hashes, cut, images_of, is_cut
from portproof.fleet.node import THREADS, Answer, Job
from portproof.fleet.plan_file import Claim, claims_of, port_of, port_options, read_plan
from portproof.proof.freshness import stale_because
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import Proof, proof_of, stored_path
from portproof.rundir.answers import other_command
from portproof.rundir.execute import Runner, port
from portproof.rundir.layout import RunDir
from portproof.rundir.step import Step
from portproof.target import find_target

#: Variables of ours that belong to one host, and are not sent to others.
_OF_A_HOST = ("PORTPROOF_COLUMNS", "PORTPROOF_TOOLS", "PORTPROOF_FLEET_STORE")


def fleet(options: argparse.Namespace) -> int:
    """Run or continue the port of a plan on a cluster; the exit code is that of ``port``."""
    path = Path(options.plan)
    plan = read_plan(path)
    claims = claims_of(plan, path)
    asked = port_options(plan, path.absolute().parent, options)
    ported = port_of(plan)
    simulated: dict[str, int] = {}
    if ported.rehearse:
        for claim in claims.values():
            simulated |= claim
    with connected(options.ray_address, simulated, options.wait) as cluster:
        for place, claim in claims.items():
            for host in cluster.hosts():
                if host.fits(claim):
                    with contextlib.suppress(LostWorkerError):  # gone meanwhile: nothing runs there
                        cluster.check(host, place)
        runner = functools.partial(
            FleetRunner,
            claims=claims,
            shards=plan.shards,
            cluster=cluster,
            attempts=options.attempts,
        )
        return port(asked, runner)


class FleetRunner(Runner):
    """Runs steps on the hosts where the plan places them, and the others here."""

    def __init__(
        self,
        run: RunDir,
        lock: int,
        options: argparse.Namespace,
        *,
        claims: Mapping[str, Claim],
        shards: int | None,
        cluster: Cluster,
        attempts: int,
    ) -> None:
        super().__init__(run, lock, options)
        if run.settings.parts:
            raise InputError(
                "a fleet runs ports of one model, and this card has 'parts': use 'portproof port'"
            )
        self.claims, self.shards = claims, shards
        self.cluster, self.attempts = cluster, attempts
        self.hashes = Hashes()
        self._speaking = threading.Lock()

    def place_of(self, step: Step) -> str | None:
        """Where the plan places a step: at its target, its command, or its side."""
        labels = {
            side.label: target.name
            for target in self.run.targets
            for side in self.run.sides_of(target)
        }
        label = step.name.split()[1] if " " in step.name else ""
        at_device = step.command in ("infer", "bench", "onnx2om", "onnx2trt", "npu_check")
        side = labels.get(label, label) if at_device else ""
        names = (step.needs, step.command, side)
        return next((name for name in names if name in self.claims), None)

    def _is_kept(self, step: Step) -> bool:
        return self.place_of(step) is None and super()._is_kept(step)

    def _is_for_another_host(self, step: Step) -> bool:
        return self.place_of(step) is None and super()._is_for_another_host(step)

    def _executed(self, step: Step) -> tuple[int, str]:
        place = self.place_of(step)
        if place is None:
            waiting = functools.partial(
                progress.say, f"fleet: {step.name} waits here: nothing runs beside a bench"
            )
            with host_locked(step.command == "bench", waiting):
                return super()._executed(step)
        if step.makes and self._stale(step, place) is None:
            progress.say(f"fleet: {step.name}: {', '.join(step.makes)} is up to date")
            return EXIT_DONE, ""
        try:
            return self._elsewhere(step, place)
        except ToolError as error:
            progress.warn(str(error))
            return EXIT_TOOL, f"{error}\n"

    def _elsewhere(self, step: Step, place: str) -> tuple[int, str]:
        """Run a step on the hosts of its place, and put together what they made."""
        scratch = self.run.root / ".fleet" / step.name.replace(" ", "_")
        claim = self.claims[place]
        hosts = self.cluster.awaited(claim, step.name)
        for read in (*step.reads, self.run.prep):
            if proof := proof_of(self.run.root / read):
                self.hashes.believe(proof.outputs, self.run.root)
        count = (self.shards or devices(hosts, claim)) if is_cut(self.run, step) else 1
        parts = cut(self.run, step, count, scratch / "lists")
        attempts = Attempts(
            self.cluster,
            place,
            claim,
            step.name,
            self._job(step),
            self.run.root,
            self.hashes,
            self._relay,
            self.attempts,
            step.accepted,
            self.flags,
        )
        done = self._all(
            [
                functools.partial(attempts.run, part, scratch / f"part{k}", k, len(parts))
                for k, part in enumerate(parts)
            ]
        )
        answers = [answer for answer, _ in done]
        code = worst_of(answers, step.accepted)
        output = "".join(dict.fromkeys(answer.output for answer in answers))
        if code == EXIT_INTERRUPTED:
            return code, output
        arrived = [arrived for _, arrived in done]
        if code in step.accepted:
            self._warn_of_processors(step, place, arrived)
            gathering = Gathering(self.run, step, arrived, self.hashes)
            gathering.finish(self.flags, str(data_folder("models").parent))
            shutil.rmtree(scratch)
            with contextlib.suppress(OSError):  # of another step that failed, parts are kept
                scratch.parent.rmdir()
        else:
            self._keep_logs(arrived)
        return code, output + "".join(f"{a.problem}\n" for a in answers if a.problem)

    def _all(self, calls: Sequence[Any]) -> list[tuple[Answer, Arrived]]:
        """All at the same time; the first that fails, or Ctrl-C, ends the others."""
        with ThreadPoolExecutor(max_workers=len(calls)) as pool:
            futures = [pool.submit(call) for call in calls]
            try:
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, timeout=0.5, return_when="FIRST_EXCEPTION")
                    for future in done:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                self.cluster.cancelled.set()
                wait(futures)
                raise
            finally:
                self.cluster.cancelled.clear()

    def _job(self, step: Step) -> Job:
        """What all parts of a step have in common."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in THREADS or (name.startswith("PORTPROOF_") and name not in _OF_A_HOST)
        }
        rehearse = None
        if self.run.settings.rehearse:
            target = find_target(step.needs) if step.needs else None
            rehearse = (target.soc_version or "", target.chips_per_card) if target else ("", None)
        return Job("", (), {}, environment, rehearse, exclusive=step.command == "bench")

    def _relay(self, text: str) -> None:
        with self._speaking:
            for line in text.encode().splitlines(keepends=True):
                self.relay.take(line)

    def _stale(self, step: Step, place: str) -> str | None:
        """Why a step that hosts run must run; None if all that it makes is up to date."""
        for make in step.makes:
            proof = proof_of(self.run.root / make)
            if proof is None:
                return "it has not been done yet"
            why = other_command(Stage(make, proof), step, self.run.root) or stale_because(
                proof, self.run.root, versions=self._versions(proof, place)
            )
            if why or step.command != "preprocess":
                return why
            listed = [r.path for r in proof.inputs.get("images", [])]
            if listed != [stored_path(p, self.run.root) for p in images_of(self.run)]:
                return "there are other images now"
        return None

    def _versions(self, proof: Proof, place: str) -> Mapping[str, str]:
        """The packages of a sidecar as a host of the place has them; as they were while no such
        host is there.
        """
        claim, there = self.claims[place], dict[str, str]()
        host = next((h for h in self.cluster.hosts() if h.fits(claim)), None)
        if host:
            with contextlib.suppress(LostWorkerError):
                there = self.cluster.check(host, place)
        return {name: there.get(name, version) for name, version in proof.versions.items()}

    def _warn_of_processors(self, step: Step, place: str, arrived: Sequence[Arrived]) -> None:
        """Parts of other processors may have other last bits than a run on one of them."""
        found = {}
        for host in self.cluster.hosts():
            if host.name in {a.host for a in arrived} and host.fits(self.claims[place]):
                with contextlib.suppress(LostWorkerError):
                    there = self.cluster.check(host, place)
                    found[f"{there['processor']} with {there['cpus']} processors"] = host.name
        if len(found) > 1:
            progress.warn(
                f"{step.name} ran on {' and on '.join(f'{h} ({p})' for p, h in found.items())}:"
                " last bits may differ from a run on one host"
            )

    def _keep_logs(self, arrived: Sequence[Arrived]) -> None:
        """Of a step that failed: its logs, where one host would have left them."""
        for part in arrived:
            for name in part.names:
                text = (part.folder / name).read_text(encoding="utf-8", errors="replace")
                write_text(self.run.root / name, text)
