"""infer/bench.py: what it writes, who waits for whom, and what happens when a worker or the user
ends it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError, ToolError
from portproof.infer.timing.job import bench
from portproof.infer.timing.processes.teams import turns
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.subject import Subject, configured, parse_subject
from portproof.measurement import read_performance

Stage = Callable[..., subprocess.CompletedProcess[str]]
QUICK = Plan(blocks=4, iterations=8, warmup=2)


@pytest.fixture
def here(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tiny.folder)
    return tiny


def test_command_writes_the_file_prints_a_table_and_then_does_nothing(
    tiny: Any, stage: Stage
) -> None:
    arguments = (
        "infer/bench.py",
        "a=ort:model.onnx",
        "b=null:model.onnx",
        "--batch",
        "1,4",
        "--model",
        "card.yaml",
        "--iterations",
        9,
        "--blocks",
        4,
        "--warmup",
        3,
        "--out",
        "perf.json",
    )
    done = stage(*arguments, cwd=tiny.folder)
    assert done.returncode in (0, 4), done.stderr
    data = json.loads((tiny.folder / "perf.json").read_text())
    assert data["status"] == ("unstable" if done.returncode else "ok")
    assert [(m["label"], m["batch"], m["boundary"]) for m in data["measurements"]] == [
        ("a", 1, "call"),
        ("b", 1, "call"),
        ("a", 4, "call"),
        ("b", 4, "call"),
    ]
    for m in data["measurements"]:
        assert [len(b) for b in m["blocks"]] == [3, 2, 2, 2]
        assert len(m["first_calls"]) == 4
        assert len(m["warmup"]) >= 3
        assert min(s for b in m["blocks"] for s in b) > 0
        assert m["load_s"] > 0
        assert m["first_inference_s"] > 0
        assert {"model", "backend", "precision", "clients", "inputs"} <= set(m)
    for r in data["ratios"]:
        assert (r["a"], r["b"]) == ("a", "b")
        assert r["ci95"][0] <= r["ratio"] <= r["ci95"][1]
    assert "images/s" in done.stdout
    assert "a / b, batch 4, call" in done.stdout
    again = stage(*arguments, cwd=tiny.folder)
    assert again.returncode == done.returncode
    assert "up to date" in again.stderr
    assert again.stdout == done.stdout


def test_times_and_clients_are_what_the_clock_saw(here: Any) -> None:
    """A backend that sleeps 10 ms: the latency is that, and two clients double the rate."""
    options = {"delay_s": "0.01"}
    one, two = (
        bench(
            ["n=null:model.onnx"],
            [4],
            card="card.yaml",
            options=options,
            plan=Plan(blocks=4, iterations=12, warmup=2, clients=n),
        )
        for n in (1, 2)
    )
    (a,), (b,) = one.measurements, two.measurements
    assert min(a.samples) >= 0.01
    assert len(b.samples) == 2 * len(a.samples) == 24
    assert len(b.first_calls) == 2 * len(a.first_calls)
    assert a.images_per_second == pytest.approx(4 * 12 / sum(a.samples))
    assert b.images_per_second == pytest.approx(2 * 4 * 24 / sum(b.samples))
    assert a.percentile_s(99) is None


def test_batch_in_the_file_name_and_real_inputs(here: Any) -> None:
    for batch in (2, 3):
        here.save_model(f"m_bs{batch}.onnx", here.weight, batch=batch)
    done = bench(["p=ort:m_bs{batch}.onnx"], [2, 3], inputs="real", info="prep.info", plan=QUICK)
    assert [(m.model, m.batch, m.inputs) for m in done.measurements] == [
        ("m_bs2.onnx", 2, "real"),
        ("m_bs3.onnx", 3, "real"),
    ]
    with pytest.raises(InputError, match=r"p: 'm_bs2\.onnx' has the fixed batch 2"):
        bench(["p=ort:m_bs2.onnx"], [4], plan=QUICK)
    np.zeros(3, np.uint8).tofile("prep/s0.bin")
    with pytest.raises(InputError, match=r"prep/s0\.bin"):
        bench(["p=ort:model.onnx"], [4], inputs="real", info="prep.info", plan=QUICK)


def test_a_settled_warm_up_and_full_blocks_without_counts(here: Any) -> None:
    (m,) = bench(
        ["n=null:model.onnx"],
        [1],
        card="card.yaml",
        options={"delay_s": "0.005"},
        plan=Plan(blocks=4, block_s=0.05),
    ).measurements
    assert len(m.warmup) >= 4
    sizes = {len(block) for block in m.blocks}
    assert len(sizes) == 1
    assert (
        1 <= sizes.pop() <= 10
    )  # a sleep is never shorter than 5 ms, but a busy host makes it longer


def test_a_worker_that_dies_is_a_failed_tool_with_its_last_lines(here: Any, stage: Stage) -> None:
    Path("tiny.py").write_text(
        "import os, sys\n\n\ndef build():\n    print('the reason', file=sys.stderr, flush=True)\n  "
        "  os._exit(7)\n"
    )
    Path("weights.pth").write_bytes(b"")
    with pytest.raises(ToolError, match="'x' ended with code 7") as caught:
        bench(["x=eager:weights.pth"], [1], card="card.yaml", plan=QUICK)
    assert "the reason" in caught.value.log_tail


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int], within_s: float = 30) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{p}").exists() for p in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc to see the worker processes"
)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_is_left_behind(tiny: Any, root: Path, how: signal.Signals) -> None:
    command = [
        sys.executable,
        str(root / "infer/bench.py"),
        "a=null:model.onnx",
        "b=null:model.onnx",
        "--model",
        "card.yaml",
        "--option",
        "delay_s=0.02",
        "--block-seconds",
        "0.2",
        "--blocks",
        "1000",
        "--out",
        "perf.json",
    ]
    process = subprocess.Popen(command, cwd=tiny.folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    workers: list[int] = []
    while len(workers) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        workers = children(process.pid)
    time.sleep(0.5)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=60)
    assert gone(workers)
    assert len(workers) == 2
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in errors
    assert not (tiny.folder / "perf.json").exists()


def test_turns_are_fair() -> None:
    for count in (2, 3, 4):
        rounds = [turns(count, n) for n in range(2 * count)]
        assert all(sorted(order) == list(range(count)) for order in rounds)
        mean_place = [sum(order.index(i) for order in rounds) / len(rounds) for i in range(count)]
        assert mean_place == [(count - 1) / 2] * count


def test_subjects_and_their_own_options() -> None:
    sides = [parse_subject("a=eager:w.pth"), parse_subject("b=eager:w.pth")]
    common = Subject(
        "",
        "",
        "",
        precision="fp32",
        options={"b.precision": "fp16", "b.threads": "2", "a.x": "1", "y": "2"},
    )
    a, b = configured(sides, common)
    assert (a.precision, a.threads, dict(a.options)) == ("fp32", None, {"x": "1", "y": "2"})
    assert (b.precision, b.threads, dict(b.options)) == ("fp16", 2, {"y": "2"})
    with pytest.raises(InputError, match="for 'c'"):
        configured(sides, Subject("", "", "", options={"c.x": "1"}))


@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        (["a=ort"], "LABEL=BACKEND:FILE"),
        (["a=ort:model.onnx", "a=ort:model.onnx"], "a is given twice"),
        (["a=no:model.onnx"], "no backend 'no'"),
        (["a=ort:absent.onnx"], "absent.onnx"),
        (["a=ort:card.yaml"], "opens .onnx"),
    ],
)
def test_wrong_subjects_are_refused_before_anything_starts(
    here: Any, subjects: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        bench(subjects, [1], plan=QUICK, out="perf.json")
    assert not Path("perf.json").exists()


def test_api_writes_what_it_returns(here: Any) -> None:
    import portproof

    performance = portproof.bench(["a=ort:model.onnx"], [1], plan=QUICK, out="perf.json")  # type: ignore[operator]
    assert read_performance("perf.json") == performance


def test_a_rehearsal_is_marked_wherever_it_leaves_a_trace(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portproof.infer.offline.inference import run
    from portproof.infer.timing.show import table
    from portproof.proof.sidecar import proof_of

    monkeypatch.setenv("PORTPROOF_REHEARSAL", "1")
    performance = bench(["n=null:model.onnx"], [1], card="card.yaml", plan=QUICK, out="perf.json")
    assert performance.simulated
    assert all(m.simulated for m in performance.measurements)
    assert table(performance).startswith("REHEARSAL")
    proof = proof_of("perf.json")
    assert proof is not None
    assert proof.simulated
    assert run(
        "model.onnx", "prep.info", "result", backend="null", card="card.yaml", perf_file="perf.txt"
    ).simulated
    assert Path("perf.txt").read_text().splitlines()[0].endswith("boundary=end_to_end REHEARSAL")
