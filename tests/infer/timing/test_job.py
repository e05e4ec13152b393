"""The shell around every way of timing: up to date, what the sidecar holds, unstable, ratios; and
that each way goes through it.
"""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.nvidia.engines import EngineRequest, convert
from portproof.core.errors import InputError
from portproof.core.progress import Meter
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.job import bench, plan_for, run, way_of
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.protocol import Job, Plan, Timed
from portproof.infer.timing.subject import parse_subject
from portproof.measurement import Measurement, read_performance
from portproof.proof.sidecar import proof_of
from portproof.rehearsal.installing import install

DOUBLES = Path(__file__).resolve().parents[2] / "doubles"
Stage = Callable[..., subprocess.CompletedProcess[str]]


class Drifting:
    """A made-up way of timing: two subjects of which the second becomes slower, block by block."""

    packages = ("numpy", "no-such-distribution")
    devices = (None,)
    blocks, alternates, keeps_logs = 8, True, False

    def __init__(self) -> None:
        self.parameters, self.versions, self.measured = {"toy": 3}, {"toolkit": "1.2"}, 0

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        self.measured += 1
        slower = [[0.1 * 1.1**i] * 3 for i in range(8)]
        yield Timed([measured("a", [[0.1] * 3] * 8), measured("b", slower)], ["a: a doubt"])


def measured(label: str, blocks: list[list[float]]) -> Measurement:
    return Measurement(
        label=label,
        model="model.onnx",
        backend="null",
        batch=2,
        boundary="call",
        precision="fp32",
        clients=1,
        inputs="random",
        blocks=blocks,
    )


@pytest.fixture
def job(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tiny.folder)
    subjects = (parse_subject("a=null:model.onnx"), parse_subject("b=null:model.onnx"))
    return Job(subjects, (2,), "card.yaml", Feeding("random", None, {}), Plan())


def test_the_shell_writes_doubts_ratios_and_what_decided_them(job: Job) -> None:
    timer = Drifting()
    performance = run(job, timer, Path("perf.json"))
    assert performance.status == "unstable"
    assert performance.reasons[0] == "a: a doubt"
    assert any(why.startswith("b, batch 2, call: calls became") for why in performance.reasons)
    (ratio,) = performance.ratios
    assert (ratio.a, ratio.b) == ("a", "b")
    assert ratio.ratio == pytest.approx(1.1**3.5)  # the middle of the pairs' logarithms
    assert ratio.ci95 is None  # where nothing is known of starts
    assert set(performance.versions) == {"portproof", "numpy", "toolkit"}
    assert read_performance("perf.json") == performance
    proof = proof_of("perf.json")
    assert proof is not None
    assert (proof.stage, set(proof.versions)) == ("bench", {"numpy"})
    assert proof.parameters["toy"] == 3
    assert [s["label"] for s in proof.parameters["subjects"]] == ["a", "b"]
    assert {"batches", "card", "inputs", "plan", "host"} <= set(proof.parameters)
    assert {"model", "card", "builder"} <= set(proof.inputs)
    assert proof.facts["reasons"] == performance.reasons


def test_what_is_up_to_date_is_read_and_what_changed_is_timed_again(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    timer = Drifting()
    first = run(job, timer, Path("perf.json"))
    assert run(job, timer, Path("perf.json")) == first
    assert timer.measured == 1
    assert "perf.json is up to date" in capsys.readouterr().err
    timer.parameters = {"toy": 4}
    run(job, timer, Path("perf.json"))
    assert timer.measured == 2
    assert "toy was 3, now 4" in capsys.readouterr().err


def test_without_a_file_nothing_is_written_and_logs_need_one(job: Job) -> None:
    before = sorted(Path().iterdir())
    timer = Drifting()
    assert run(job, timer, None).status == "unstable"
    assert sorted(Path().iterdir()) == before
    timer.keeps_logs = True
    with pytest.raises(InputError, match="keeps the tool's logs beside its file"):
        run(job, timer, None)


@pytest.fixture
def ways(
    tiny: Any, om_models: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[list[str], dict[str, str]]]:
    """``ways(name)`` prepares a host for a way of timing; the command's words, and the
    environment.
    """
    monkeypatch.chdir(tiny.folder)
    (tiny.folder / "models").symlink_to(om_models)

    def words(name: str) -> tuple[list[str], dict[str, str]]:
        if name == "trtexec":
            monkeypatch.syspath_prepend(str(DOUBLES))
            double = importlib.import_module("trtexec_fixture")
            double.install(monkeypatch, tiny.folder / "bin", "10.16.1")
            convert(EngineRequest(tiny_onnx, "engines", (4,)))
            engine = "t4=trtexec:engines/tiny_bs{batch}.plan"
            return [engine, "--batch", "4", "--blocks", "2", "--block-seconds", "0.1"], {}
        if name == "backends":
            subjects = ["a=ort:model.onnx", "b=null:model.onnx"]
            return [*subjects, "--batch", "4", "--model", "card.yaml", "--iterations", "8"], {}
        soc = "Ascend310" if name == "board" else "Ascend310P3"
        environment = install(tiny.folder / "rehearsal", soc, {"PATH": os.environ["PATH"]})
        if name == "board":
            board = ["310=om:models/bs{batch}.om", "--devices", "0,1", "--block-seconds", "0.05"]
            return [*board, "--batch", "4"], environment
        tool = [f"310p={name}:models/bs{{batch}}.om", "--iterations", "3", "--blocks", "2"]
        kind = "random" if name == "benchmark" else "zeros"
        return [*tool, "--batch", "4", "--inputs", kind], environment

    return words


@pytest.mark.parametrize("name", ["backends", "board", "benchmark", "msame", "trtexec"])
def test_every_way_goes_through_the_shell(ways: Any, stage: Stage, name: str) -> None:
    words, environment = ways(name)

    def command() -> subprocess.CompletedProcess[str]:
        arguments = ("infer/bench.py", *words, "--out", "out/perf.json")
        return stage(*arguments, cwd=Path.cwd(), env=environment)

    done = command()
    assert done.returncode in (0, 4), done.stderr
    performance = read_performance("out/perf.json")
    assert (performance.status == "unstable") == (done.returncode == 4)
    for measurement in performance.measurements:
        assert measurement.blocks
        # The host was watched, and the device where it has counters.
        assert measurement.counters["processors"] >= 1
        if name not in ("backends", "trtexec") and measurement.scope != "together":
            assert measurement.counters["device"]["name"].startswith("Ascend310")
    assert performance.environment
    proof = proof_of("out/perf.json")
    assert proof is not None
    assert proof.stage == "bench"
    assert {"subjects", "batches", "plan", "host"} <= set(proof.parameters)
    if name == "trtexec":
        assert proof.parameters["tensorrt"] == performance.versions["tensorrt"] == "10.16.1"
    else:
        assert proof.versions["numpy"] == performance.versions["numpy"]
    again = command()
    assert (again.returncode, again.stdout) == (done.returncode, done.stdout)
    assert "perf.json is up to date" in again.stderr


def test_an_unstable_clock_is_exit_code_4(
    ways: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, _ = ways("trtexec")
    monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", "ignored")
    done = stage("infer/bench.py", *words, "--out", "perf.json", cwd=Path.cwd())
    assert done.returncode == 4, done.stderr
    assert "unstable: t4, batch 4: CUDA graph capture failed" in done.stdout


def test_trtbench_is_the_old_spelling_and_says_so_in_one_line(ways: Any, stage: Stage) -> None:
    words, _ = ways("trtexec")
    old = ("t4=engines/tiny_bs{batch}.plan", "--batch", "4", "--repeats", "2", "--seconds", "0.1")
    done = stage("infer/trtbench.py", *old, "--out", "perf.json", cwd=Path.cwd())
    assert done.returncode in (0, 4), done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "old spelling" in line]
    assert "bench t4=trtexec:engines/tiny_bs{batch}.plan" in line
    new = stage("infer/bench.py", *words, "--out", "perf.json", cwd=Path.cwd())
    assert "perf.json is up to date" in new.stderr
    assert "old spelling" not in new.stderr


@pytest.mark.parametrize(
    ("subjects", "devices", "given", "words"),
    [
        (["a=ort:m.onnx", "b=trtexec:m.plan"], (), {}, "backends and trtexec cannot be timed in"),
        (["a=om:m.om", "b=msame:m.om"], (), {}, "a vendor tool and backends cannot be timed in"),
        (["a=msame:m.om"], (), {"clients": 2}, "--clients has no meaning for a bench by a vendor"),
        (["a=msame:m.om"], (), {"block_s": 1.0}, "--block-seconds has no meaning for a bench by a"),
        (["a=trtexec:m.plan"], (), {"iterations": 2}, "--iterations has no meaning for a bench by"),
        (["a=om:m.om"], (0, 1), {"clients": 2}, "--clients has no meaning for a bench with --dev"),
    ],
)
def test_what_has_no_meaning_for_a_way_is_refused(
    subjects: list[str], devices: tuple[int, ...], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        plan_for(subjects, devices, **given)


def test_each_way_has_its_own_plan_and_takes_what_is_given() -> None:
    assert plan_for(["a=ort:m.onnx"], ()) == Plan(10, 0.1)
    assert plan_for(["a=om:m.om"], (0, 1), blocks=7) == Plan(7, 0.5)
    assert plan_for(["a=trtexec:m.plan"], (), block_s=1.5) == Plan(3, 1.5)
    assert plan_for(["a=msame:m.om"], (), iterations=4) == Plan(10, 0.1, iterations=4)
    ways = {way_of([parse_subject(f"a={x}:m")]) for x in ("ais_bench", "benchmark", "msame")}
    assert len(ways) == 1


def test_every_start_that_is_asked_for_has_a_block() -> None:
    """Starts beyond the usual blocks would be left out without a word."""
    sides = ["a=ort:m.onnx", "b=ort:m.onnx"]
    assert plan_for(sides, (), starts=25) == Plan(25, 0.1, starts=25)
    assert plan_for(sides, (), starts=25).started(2) == 25
    assert plan_for(sides, (), starts=4) == Plan(10, 0.1, starts=4)
    with pytest.raises(InputError, match="--starts is 9 and --blocks 4: every start has a block"):
        plan_for(sides, (), starts=9, blocks=4)


def test_a_board_is_one_subject_of_a_backend(job: Job) -> None:
    Path("m.om").touch()
    for subjects, devices, words in (
        (["a=msame:m.om"], (0, 1), "by a backend of this process"),
        (["a=om:m.om", "b=om:m.om"], (0, 1), "times one subject"),
        (["a=om:m.om"], (0,), "at least two, each once"),
        (["a=om:m.om"], (1, 1), "at least two, each once"),
        (["a=ort:m.om"], (0, 1), "opens .onnx"),
    ):
        with pytest.raises(InputError, match=words):
            bench(subjects, [1], devices=devices)
