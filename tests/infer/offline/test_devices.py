"""Several chips: the samples dealt by id and joined by id, and the card timed together, on the
simulated device.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.infer.offline.shards import Shard, dealt
from portproof.manifest import Sample, read_info, write_info
from portproof.packed.results import open_results
from portproof.rehearsal.installing import install

Command = Callable[..., subprocess.CompletedProcess[str]]
COUNT = 11


@pytest.fixture
def run(stage: Command, tmp_path: Path, om_models: Path) -> Command:
    (tmp_path / "models").symlink_to(om_models)
    (tmp_path / "prep").mkdir()
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        rng.normal(size=(3, 4, 4)).astype(np.float32).tofile(tmp_path / "prep" / f"s{index}.bin")
    write_info(
        tmp_path / "prep.info", [Sample(f"s{k}", (f"prep/s{k}.bin",), 4, 4) for k in range(COUNT)]
    )
    found = install(tmp_path / "rehearsal", "Ascend310", {"PATH": os.environ["PATH"]})

    def go(
        *arguments: object, script: str = "infer/run.py", fault: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return stage(
            script, *arguments, cwd=tmp_path, env=found | {"PORTPROOF_REHEARSAL_FAULT": fault}
        )

    return go


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_samples_are_dealt_by_id_whatever_their_order() -> None:
    samples = [Sample(f"s{k}", ()) for k in range(10)]
    parts = dealt(samples, 4)
    assert parts == dealt(samples[::-1], 4)
    assert sorted(len(p) for p in parts) == [2, 2, 3, 3]
    assert sorted(s.id for part in parts for s in part) == [f"s{k}" for k in range(10)]


@pytest.mark.parametrize("runner", ["om", "ais_bench"])
def test_four_devices_give_the_bytes_of_one(run: Command, tmp_path: Path, runner: str) -> None:
    common = ("models/bs4.om", "--info", "prep.info", "--batch", 4, "--runner", runner)
    assert run(*common, "--out", "one", "--device", "npu:0").returncode == 0
    done = run(*common, "--out", "four", "--devices", 0, 1, 2, 3)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "four") == files(tmp_path / "one")
    assert len(files(tmp_path / "four")) == COUNT
    facts = json.loads((tmp_path / "four.proof.json").read_text())["facts"]
    assert [d["device"] for d in facts["devices"]] == ["npu:0", "npu:1", "npu:2", "npu:3"]
    assert sum(d["samples"] for d in facts["devices"]) == COUNT
    # as a kill between the sidecar and the end leaves them
    (tmp_path / ".four.shards").mkdir()
    (tmp_path / ".four.journal").touch()
    assert "four is up to date" in run(*common, "--out", "four", "--devices", 0, 1, 2, 3).stderr
    assert not list(tmp_path.glob(".four*"))


@pytest.mark.parametrize("runner", ["om", "ais_bench", "msame"])
def test_packs_of_one_device_and_of_several_are_one(
    run: Command, tmp_path: Path, tiny_onnx: Path, runner: str
) -> None:
    """In the order of the list, which is not that of the ids."""
    (tmp_path / "tiny.onnx").write_bytes(tiny_onnx.read_bytes())
    made = run("tiny.onnx", "om", "--batch", 4, script="convert/onnx2om.py")
    assert made.returncode == 0, made.stderr
    (om,) = (tmp_path / "om").rglob("*.om")
    names = [f"s{k}" for k in (9, 3, 10, 0, 7, 1, 8, 2, 6, 5, 4)]
    write_info(tmp_path / "mixed.info", [Sample(n, (f"prep/{n}.bin",), 4, 4) for n in names])
    model = (om.relative_to(tmp_path), "--info", "mixed.info", "--batch", 4, "--runner", runner)
    assert run(*model, "--out", "files", "--device", "npu:0").returncode == 0
    for out, where in (("one", ("--device", "npu:0")), ("three", ("--devices", 0, 1, 2))):
        done = run(*model, "--out", out, *where, "--format", "pack")
        assert done.returncode == 0, done.stderr
        assert sorted(files(tmp_path / out)) == ["ids.txt", "output1.npy"]
        proof = json.loads((tmp_path / f"{out}.proof.json").read_text())
        assert proof["facts"]["samples"] == COUNT and len(proof["facts"]["outputs"]) == 1
        assert not list(tmp_path.glob(f".{out}*"))
    assert files(tmp_path / "one") == files(tmp_path / "three")
    ids, outputs = open_results(tmp_path / "three")
    assert list(ids) == names
    with outputs[1].open() as reader:
        rows = reader.read(0, COUNT)
    for name, row in zip(names, rows, strict=True):
        assert row.tobytes() == (tmp_path / "files" / f"{name}_1.bin").read_bytes()
    again = run(*model, "--out", "three", "--devices", 0, 1, 2, "--format", "pack")
    assert "three is up to date" in again.stderr


def test_a_pack_of_a_tool_needs_the_types_of_the_outputs(run: Command, tmp_path: Path) -> None:
    (tmp_path / "bare.om").write_bytes((tmp_path / "models/bs1.om").read_bytes())
    words = ("bare.om", "--info", "prep.info", "--runner", "msame", "--format", "pack")
    refused = run(*words, "--out", "bare")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "needs the dtype and shape of every output" in refused.stderr


def test_a_device_that_fails_ends_the_run_and_what_the_others_did_is_kept(
    run: Command, tmp_path: Path
) -> None:
    common = ("models/bs1.om", "--info", "prep.info", "--out", "two", "--devices", "0,1")
    done = run(*common, fault="size-mismatch:1")
    assert (
        done.returncode,
        "error: npu:1: 'models/bs1.om' failed while it ran: [-1]" in done.stderr,
    ) == (3, True), done.stderr
    assert not (tmp_path / "two.proof.json").exists()
    done = run(*common)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "two")) == COUNT
    wrong = run("models/bs1.om", "--info", "prep.info", "--out", "x", "--devices", "0,9")
    assert (wrong.returncode, "npu:9" in wrong.stderr) == (2, True)
    assert (
        run("models/bs1.om", "--info", "prep.info", "--out", "x", "--devices", "0,0").returncode
        == 2
    )


def test_a_run_that_is_terminated_ends_those_of_its_devices_and_goes_on_later(
    run: Command, root: Path, tmp_path: Path
) -> None:
    environment = install(tmp_path / "rehearsal", "Ascend310", dict(os.environ))
    words = ("models/bs1.om", "--info", "prep.info", "--out", "two", "--devices", "0,1")
    process = subprocess.Popen(
        [sys.executable, root / "infer/run.py", *words],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    children, deadline = Path(f"/proc/{process.pid}/task/{process.pid}/children"), time.monotonic()
    while len(pids := children.read_text().split()) < 2:
        assert time.monotonic() < deadline + 60 and process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert run(*words).returncode == 0
    assert len(files(tmp_path / "two")) == COUNT


def test_a_run_of_which_a_part_was_there_before_states_no_rate_of_the_whole(
    run: Command, tmp_path: Path
) -> None:
    """The samples of that part took none of the time."""
    common = ("models/bs1.om", "--info", "prep.info", "--out", "two", "--devices", "0,1")

    def facts() -> dict[str, Any]:
        return dict(json.loads((tmp_path / "two.proof.json").read_text())["facts"])

    assert run(*common).returncode == 0
    assert facts()["end_to_end"]["samples"] == COUNT
    (tmp_path / "two.proof.json").unlink()
    for path in (tmp_path / "two").iterdir():
        path.unlink()
    part = Shard(tmp_path / ".two.shards" / "npu0", 0)
    part.prepare(dealt(read_info(tmp_path / "prep.info"), 2)[0])
    before = run(
        "models/bs1.om",
        "--info",
        part.folder / "part.info",
        "--out",
        part.result,
        "--device",
        "npu:0",
    )
    assert before.returncode == 0, before.stderr
    assert run(*common).returncode == 0
    assert "end_to_end" not in facts()
    assert sum(d["samples"] for d in facts()["devices"]) == COUNT


def test_the_card_is_timed_together_beside_one_chip_times_its_chips(
    run: Command, tmp_path: Path
) -> None:
    arguments = (
        "310=om:models/bs{batch}.om",
        "--batch",
        "1",
        "--devices",
        "0,1",
        "--out",
        "card.json",
    )
    done = run(*arguments, script="infer/bench.py")
    assert done.returncode in (0, 4), done.stderr
    assert "REHEARSAL" in done.stdout
    assert done.stdout.count("2 chips together") == 2
    measurements = json.loads((tmp_path / "card.json").read_text())["measurements"]
    assert [
        (m["label"], m["boundary"], m["chips"], m["clients"])
        for m in measurements
        if m["boundary"] == "device"
    ] == [
        ("310 alone", "device", 1, 1),
        ("310@npu:0", "device", 1, 1),
        ("310@npu:1", "device", 1, 1),
        ("310 card", "device", 2, 2),
    ]
    by_label = {m["label"]: m for m in measurements if m["boundary"] == "call"}
    together = [s for block in by_label["310 card"]["blocks"] for s in block]
    each = [s for k in (0, 1) for block in by_label[f"310@npu:{k}"]["blocks"] for s in block]
    assert sorted(together) == sorted(each)
    assert (
        run(
            "310=om:models/bs1.om", "--devices", "0", "--out", "x.json", script="infer/bench.py"
        ).returncode
        == 2
    )
