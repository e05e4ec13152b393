"""A port on a real Ray cluster of nodes with resources of their own, on this host: equal to a port
on one host, and what happens when a worker, a node, a disk, a device or a version fails.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

#: A model that, where a file says so, begins and does not go on until it is killed.
HANGING = """
import os
import time
from pathlib import Path

from torch import nn


def build():
    hang = Path(__file__).with_name("hang.txt")
    folder = Path(hang.read_text().strip()) if hang.is_file() else None
    mark = Path(os.environ.get("PORTPROOF_FLEET_STORE", "none")).name
    if folder and (folder / mark).is_file():
        (folder / mark).rename(folder / f"{mark}.begun")
        time.sleep(600)
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
"""
#: The command, with one step of the port alone: the others of a copied run are done.
ONE_STEP = """
import runpy
import sys

from portproof.rundir import execute

steps, name = execute.steps, sys.argv[1]
execute.steps = lambda *given: (step for step in steps(*given) if step.name == name)
sys.argv = ["portproof fleet", *sys.argv[2:]]
runpy.run_module("portproof.commands.fleet", run_name="__main__")
"""
PLAN = """
port:
  targets: [310p]
  model: in/colours.yaml
  weights: in/weights.pth
  images: in/images
  labels: in/labels.txt
  margin_pp: 20
  rehearse: true
where:
  export: {CPU: 1}
  preprocess: {CPU: 1}
  eager: {CPU: 1}
  310p: {NPU: 1, 310P: 1}
"""


@dataclass
class Fleet:
    """The cluster, and the folder with the plan and the model. ``done``: a run that ended well."""

    cluster: Any
    folder: Path
    root: Path

    @property
    def done(self) -> Path:
        return self.folder / "done-REHEARSAL"

    def node(self, name: str, **resources: Any) -> Any:
        """One more node, with a store of its own."""
        cpus = resources.pop("CPU", 1)
        environment = resources.pop("environment", {})
        return self.cluster.add_node(
            num_cpus=cpus,
            resources=resources,
            object_store_memory=80_000_000,
            env_vars={
                "PORTPROOF_FLEET_STORE": str(self.folder / name),
                "PYTHONPATH": str(self.root / "src"),
            }
            | environment,
        )

    def start(self, plan: str, out: Path, *more: object, step: str = "") -> subprocess.Popen[str]:
        """Start the command, or one step of it."""
        path = self.folder / f"{out.name}.yaml"
        path.write_text(plan)
        words = [str(path), "--out", str(out), "--ray-address", self.cluster.address]
        command = ["-c", ONE_STEP, step] if step else ["-m", "portproof", "fleet"]
        return subprocess.Popen(
            [sys.executable, *command, *words, *map(str, more)],
            env=os.environ | {"PYTHONPATH": str(self.root / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, plan: str, out: Path, *more: object, step: str = "") -> tuple[int, str]:
        """The exit code of the command, and what it printed."""
        process = self.start(plan, out, *more, step=step)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def again(self, name: str, *lacking: str) -> Path:
        """A copy of the finished run in which the artefacts ``lacking`` must be made again."""
        copy = self.folder / f"{name}-REHEARSAL"
        shutil.copytree(self.done, copy)
        for artefact in lacking:
            (copy / f"{artefact}.proof.json").unlink()
            shutil.rmtree(copy / artefact)
        return copy

    def hang(self, *stores: str) -> Path:
        """Let the reference's next step on the hosts with these stores begin and not go on; the
        folder in which a file tells that it has begun.
        """
        folder = self.folder / f"hang{time.monotonic_ns()}"
        folder.mkdir()
        for store in stores:
            (folder / store).touch()
        (self.folder / "in" / "hang.txt").write_text(str(folder))
        return folder


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, root: Path, small_port: Callable[[Path], list[str]]
) -> Iterator[Fleet]:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'portproof[ray]'")
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("fleet")
    small_port(folder / "in")
    (folder / "in" / "colours.py").write_text(HANGING)
    card = (folder / "in" / "colours.yaml").read_text()
    (folder / "in" / "colours.yaml").write_text(f"{card}class_names: [red, green, hang.txt]\n")
    (folder / "in" / "hang.txt").write_text("")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "include_dashboard": False,
            "object_store_memory": 80_000_000,
            # A node that is gone is noticed in 2 seconds, not in 30.
            "_system_config": {
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 500,
                "health_check_failure_threshold": 3,
            },
            "env_vars": {
                "PORTPROOF_FLEET_STORE": str(folder / "first"),
                "PYTHONPATH": str(root / "src"),
            },
        },
    )
    made = Fleet(cluster, folder, root)
    try:
        made.node("second", NPU=1, **{"310P": 1})
        cluster.wait_for_nodes()
        code, output = made.run(PLAN, folder / "done")
        assert code == 0, output
        yield made
    finally:
        cluster.shutdown()
        # A node puts Ray's handlers in the place of this process's, and other tests come after.
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture(scope="module")
def one_host(fleet: Fleet) -> Path:
    """The same port by ``portproof port``."""
    inputs = fleet.folder / "in"
    words = ["--model", inputs / "colours.yaml", "--weights", inputs / "weights.pth"]
    words += ["--images", inputs / "images", "--labels", inputs / "labels.txt"]
    words += ["--margin-pp", "20", "--target", "310p", "--rehearse"]
    done = portproof(fleet.root, "port", *words, "--run-dir", fleet.folder / "one")
    assert done.returncode == 0, done.stdout
    return fleet.folder / "one-REHEARSAL"


def portproof(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def files_of(run: Path) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}


#: What two runs on one host differ in, too.
VOLATILE = {"mtime_ns", "inode", "started", "seconds", "directory"}
#: What a run on several hosts says beside, and the rate that it has not.
OF_A_FLEET = {"hosts", "end_to_end"}


def stable(data: Any) -> Any:
    if isinstance(data, dict):
        kept = {k: v for k, v in data.items() if k not in VOLATILE | OF_A_FLEET}
        return {k: stable(v) for k, v in kept.items()}
    return [stable(item) for item in data] if isinstance(data, list) else data


def test_bytes_are_those_of_one_host(fleet: Fleet, one_host: Path) -> None:
    alone, spread = files_of(one_host), files_of(fleet.done)
    assert alone.keys() == spread.keys()
    samples = [name for name in alone if name.endswith(".bin")]
    assert len(samples) == 40 + 3 * 40  # prepared, eager, 310p bs1 and bs2
    models = ["model.onnx", "310p/bs1/model_bs1.om", "310p/bs2/model_bs2.om"]
    figures = ["prep.info", "compare.json", "310p/bs2/result.json", "310p/bs2/outcomes.csv"]
    for name in [*samples, *models, *figures]:
        assert alone[name] == spread[name], name


@pytest.mark.parametrize("artefact", ["prep", "model.onnx", "eager/bs2/result"])
def test_sidecar_is_what_one_run_writes(fleet: Fleet, one_host: Path, artefact: str) -> None:
    one, many = (
        stable(json.loads((run / f"{artefact}.proof.json").read_text()))
        for run in (one_host, fleet.done)
    )
    rate = "perf_vision_batchsize_2_device_0.txt"
    for proof in (one, many):
        proof["outputs"] = [r for r in proof["outputs"] if not r["path"].endswith(rate)]
    assert one == many


def test_samples_were_cut_over_both_nodes(fleet: Fleet) -> None:
    for artefact in ("prep", "eager/bs2/result"):
        proof = json.loads((fleet.done / f"{artefact}.proof.json").read_text())
        assert [host["samples"] for host in proof["facts"]["hosts"]] == [20, 20]
    rate = fleet.done / "eager/bs2/perf_vision_batchsize_2_device_0.txt"
    assert rate.read_text().count("\n") == 1  # a rate of two hosts is none of one device


def test_verify_finds_nothing(fleet: Fleet) -> None:
    done = portproof(fleet.root, "verify", fleet.done)
    assert done.returncode == 0, done.stdout


def test_done_is_not_done_again_and_nothing_is_sent_twice(fleet: Fleet) -> None:
    copy = fleet.again("again", "310p/bs1/result")
    kept = {name: (copy / name).stat().st_mtime_ns for name in ("prep", "310p/perf.json")}
    code, output = fleet.run(PLAN, fleet.folder / "again")
    assert code == 0, output
    again = [line.split(" runs on ")[0] for line in output.splitlines() if " runs on " in line]
    assert again == ["fleet: device 310p", "fleet: infer 310p bs1"]
    assert "are sent to" not in output
    assert {name: (copy / name).stat().st_mtime_ns for name in kept} == kept
    for sample in sorted((fleet.done / "310p/bs1/result").iterdir()):
        assert (copy / "310p/bs1/result" / sample.name).read_bytes() == sample.read_bytes()


def test_a_killed_worker_is_replaced(fleet: Fleet) -> None:
    copy, hang = fleet.again("killed", "eager/bs2/result"), fleet.hang("first")
    process = fleet.start(PLAN, fleet.folder / "killed", step="infer eager")
    wait_for(hang, "first", process)
    os.kill(worker_of_step(fleet), signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "was lost with its worker on" in output
    assert "attempt 2 of 3" in output
    same_results(copy, fleet.done)


def test_a_worker_that_is_always_killed_ends_with_a_sentence(fleet: Fleet) -> None:
    copy, hang = fleet.again("twice", "eager/bs2/result"), fleet.hang("first", "second")
    plan = f"{PLAN}shards: 1\n"
    process = fleet.start(plan, fleet.folder / "twice", "--attempts", "2", step="infer eager")
    for _ in range(2):
        wait_for(hang, "*", process)
        os.kill(worker_of_step(fleet), signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 3, output
    assert "infer eager was begun 2 times and never ended" in output
    assert not (copy / "eager/bs2/result.proof.json").exists()


def test_a_lost_node_is_replaced(fleet: Fleet) -> None:
    node = fleet.node("lost")
    copy, hang = fleet.again("gone", "eager/bs2/result"), fleet.hang("lost")
    process = fleet.start(PLAN, fleet.folder / "gone", step="infer eager")
    wait_for(hang, "lost", process)
    fleet.cluster.remove_node(node, allow_graceful=False)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "was lost with its worker on" in output
    same_results(copy, fleet.done)


def test_a_killed_driver_continues(fleet: Fleet) -> None:
    copy, hang = fleet.again("cut", "eager/bs2/result"), fleet.hang("second")
    process = fleet.start(PLAN, fleet.folder / "cut", step="infer eager")
    wait_for(hang, "second", process)
    end = time.monotonic() + 60
    while not list(copy.glob(".fleet/*/*.done")) and time.monotonic() < end:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    code, output = fleet.run(PLAN, fleet.folder / "cut", step="infer eager")
    assert code == 0, output
    assert "infer eager: a part is here already" in output
    same_results(copy, fleet.done)


def test_ctrl_c_leaves_nothing_running(fleet: Fleet) -> None:
    copy, hang = fleet.again("stopped", "eager/bs2/result"), fleet.hang("first", "second")
    process = fleet.start(PLAN, fleet.folder / "stopped", step="infer eager")
    wait_for(hang, "first", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "start the same command again to continue" in output
    assert not steps_of(fleet)
    assert not (copy / "eager/bs2/result.proof.json").exists()


def test_a_full_disk_ends_the_step(fleet: Fleet, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    node = fleet.node("full", CPU=0, FULL=1, environment={"PORTPROOF_FLEET_STORE": str(small)})
    try:
        copy = fleet.again("full", "eager/bs2/result")
        plan = PLAN.replace("eager: {CPU: 1}", "eager: {FULL: 1}")
        code, output = fleet.run(plan, fleet.folder / "full", step="infer eager")
        assert code == 3, output
        assert "the disk is full" in output
        assert "the step 'infer eager' ended with exit code 3" in output
        assert not (copy / "eager/bs2/result.proof.json").exists()
    finally:
        fleet.cluster.remove_node(node)
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_device_that_never_appears(fleet: Fleet) -> None:
    fleet.again("never", "310p/bs1/result")
    plan = PLAN.replace("NPU: 1", "NPU: 2")
    words = (fleet.folder / "never", "--wait", "2")
    code, output = fleet.run(plan, *words, step="infer 310p bs1")
    assert code == 3, output
    assert "is waiting for NPU:2 and 310P:1; the cluster has" in output
    assert "no host with NPU:2 and 310P:1 joined the cluster in 2 s" in output
    assert "NPU:1" in output


def test_a_host_with_another_version_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "portproof").mkdir()
    (tmp_path / "portproof" / "__init__.py").write_text("__version__ = '0.0.1'\n")
    path = f"{tmp_path}{os.pathsep}{fleet.root / 'src'}"
    node = fleet.node("old", CPU=0, OLD=1, environment={"PYTHONPATH": path})
    try:
        plan = PLAN.replace("eager: {CPU: 1}", "eager: {OLD: 1}")
        code, output = fleet.run(plan, fleet.folder / "old")
        assert code == 2, output
        assert "has portproof 0.0.1, the driver has " in output
        assert not (fleet.folder / "old-REHEARSAL").exists()
    finally:
        fleet.cluster.remove_node(node)


def same_results(one: Path, other: Path) -> None:
    for sample in sorted((other / "eager/bs2/result").iterdir()):
        assert (one / "eager/bs2/result" / sample.name).read_bytes() == sample.read_bytes()
    assert (one / "compare.json").read_bytes() == (other / "compare.json").read_bytes()


def wait_for(folder: Path, store: str, process: subprocess.Popen[str]) -> None:
    """Until a step has begun to hang on the host with that store (``*``: any); the mark is taken
    away.
    """
    end = time.monotonic() + 120
    while not (begun := list(folder.glob(f"{store}.begun"))):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "no step began"
        time.sleep(0.05)
    begun[0].unlink()


def steps_of(fleet: Fleet) -> list[int]:
    """The processes of the steps on the nodes: they work in a folder of a store."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            place = os.readlink(entry / "cwd") if entry.name.isdigit() else ""
        except OSError:
            continue
        if place.startswith(str(fleet.folder)) and "/jobs/" in place:
            found.append(int(entry.name))
    return found


def worker_of_step(fleet: Fleet) -> int:
    """The worker whose step hangs: of two that run, the one that has not ended a second later."""
    hanging = set(steps_of(fleet))
    end = time.monotonic() + 60
    while len(hanging) > 1 and time.monotonic() < end:
        time.sleep(0.2)
        hanging &= set(steps_of(fleet))
    status = Path(f"/proc/{hanging.pop()}/status").read_text()
    return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("PPid:"))
