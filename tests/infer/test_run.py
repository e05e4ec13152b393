"""infer/run.py from outside: results, bad input, up to date, resumed after a kill, never a mix."""

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

Stage = Callable[..., subprocess.CompletedProcess[str]]


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_one_file_a_sample_and_output_in_its_own_dtype(tiny: Any, stage: Stage, batch: int) -> None:
    done = stage("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", batch, cwd=tiny.folder)
    assert done.returncode == 0, done.stderr
    assert sorted(results(tiny.folder / "result")) == sorted(f"{s}_{k}.bin" for s in tiny.data for k in (1, 2))
    for name in tiny.data:
        logits = np.fromfile(tiny.folder / "result" / f"{name}_1.bin", "<f4")
        np.testing.assert_allclose(logits, tiny.logits(name)[0], rtol=1e-5, atol=1e-6)
        assert np.fromfile(tiny.folder / "result" / f"{name}_2.bin", "<i8").tolist() == [tiny.logits(name).argmax()]


def test_fixed_batch_is_padded_and_the_padding_dropped(tiny: Any, stage: Stage) -> None:
    tiny.save_model("bs4.onnx", tiny.weight, batch=4)
    assert stage("infer/run.py", "bs4.onnx", "--info", "prep.info", "--out", "fixed", "--batch", 4, cwd=tiny.folder).returncode == 0
    assert stage("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "dynamic", "--batch", 4, cwd=tiny.folder).returncode == 0
    fixed, dynamic = results(tiny.folder / "fixed"), results(tiny.folder / "dynamic")
    assert list(fixed) == list(dynamic)
    for name in fixed:
        kind = "<f4" if name.endswith("_1.bin") else "<i8"
        np.testing.assert_allclose(np.frombuffer(fixed[name], kind), np.frombuffer(dynamic[name], kind), rtol=1e-5)
    wrong = stage("infer/run.py", "bs4.onnx", "--info", "prep.info", "--out", "wrong", "--batch", 8, cwd=tiny.folder)
    assert wrong.returncode == 2
    assert "fixed batch 4" in wrong.stderr


def test_text_and_npy_hold_the_same_values(tiny: Any, stage: Stage) -> None:
    for form in ("bin", "txt", "npy"):
        done = stage("infer/run.py", "model.onnx", "--info", "prep.info", "--out", form, "--format", form, "--batch", 3, cwd=tiny.folder)
        assert done.returncode == 0, done.stderr
    for name in tiny.data:
        exact = np.fromfile(tiny.folder / "bin" / f"{name}_1.bin", "<f4")
        line = (tiny.folder / "txt" / f"{name}_1.txt").read_text()
        assert line.count("\n") == 1
        assert np.array_equal(np.array(line.strip().split(" "), np.float32), exact)
        assert np.array_equal(np.load(tiny.folder / "npy" / f"{name}_1.npy"), exact)
        assert np.load(tiny.folder / "npy" / f"{name}_2.npy").shape == ()


def test_second_run_does_nothing_and_a_changed_sample_runs_again(tiny: Any, stage: Stage) -> None:
    arguments = ("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", 4, "--perf-file", "perf.txt")
    assert stage(*arguments, cwd=tiny.folder).returncode == 0
    before = {p: p.stat().st_mtime_ns for p in (tiny.folder / "result").iterdir()}
    again = stage(*arguments, cwd=tiny.folder)
    assert again.returncode == 0
    assert "up to date" in again.stderr
    assert before == {p: p.stat().st_mtime_ns for p in (tiny.folder / "result").iterdir()}
    np.zeros(12, np.float32).tofile(tiny.folder / "prep" / "s3.bin")
    changed = stage(*arguments, cwd=tiny.folder)
    assert "s3.bin' changed" in changed.stderr
    assert not np.fromfile(tiny.folder / "result" / "s3_1.bin", "<f4").any()


def test_sidecar_names_what_was_fed_and_the_rate_is_labelled(tiny: Any, stage: Stage) -> None:
    import hashlib

    arguments = ("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", 4, "--perf-file", "perf.txt")
    assert stage(*arguments, cwd=tiny.folder).returncode == 0
    proof = json.loads((tiny.folder / "result.proof.json").read_text())
    fed = {Path(r["path"]).name: r["sha256"] for r in proof["inputs"]["samples"]}
    assert fed == {f"{n}.bin": hashlib.sha256(a.tobytes()).hexdigest() for n, a in tiny.data.items()}
    assert proof["facts"]["end_to_end"]["boundary"] == "end_to_end"
    assert proof["facts"]["outputs"][0] == {"name": "class", "dtype": "float32", "shape": [5]}
    assert proof["facts"]["provider"] == "CPUExecutionProvider"
    assert {Path(r["path"]).name for r in proof["outputs"]} == {*results(tiny.folder / "result"), "perf.txt"}
    head, e2e, read = (tiny.folder / "perf.txt").read_text().splitlines()
    assert head.startswith("# PortProof ")
    assert head.endswith(" boundary=end_to_end")
    rate, latency = (float(part.rsplit(" ", 1)[1]) for part in e2e.split(","))
    assert rate * latency / 1000 == pytest.approx(11, rel=1e-4)
    rate, latency = (float(part.rsplit(" ", 1)[1]) for part in read.split(","))
    assert rate * latency / 1000 == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("damage", "sizes"),
    [("missing", ["s7.bin", "missing"]), ("short", ["s7.bin", "47", "48"]), ("long", ["s7.bin", "49", "48"]), ("half", ["24", "float16"])],
)
def test_wrong_sample_file_is_named_before_anything_runs(tiny: Any, stage: Stage, damage: str, sizes: list[str]) -> None:
    path = tiny.folder / "prep" / "s7.bin"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes({"short": 47, "long": 49, "half": 24}[damage]))
    done = stage("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", 2, cwd=tiny.folder)
    assert done.returncode == 2
    assert all(s in done.stderr for s in sizes), done.stderr
    assert not (tiny.folder / "result").exists()


def test_nan_is_allowed_and_counted(tiny: Any, stage: Stage) -> None:
    np.full(12, np.nan, np.float32).tofile(tiny.folder / "prep" / "s2.bin")
    done = stage("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", 4, "--quiet", cwd=tiny.folder)
    assert done.returncode == 0
    assert "1 of 11 samples have a NaN" in done.stderr
    assert "s2" in done.stderr


def test_folder_never_mixes_two_models(tiny: Any, stage: Stage) -> None:
    arguments = ("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "result", "--batch", 4)
    assert stage(*arguments, cwd=tiny.folder).returncode == 0
    tiny.save_model("model.onnx", -tiny.weight)
    (tiny.folder / "prep.info").write_text("0 prep/s0.bin 2 2\n")
    done = stage(*arguments, cwd=tiny.folder)
    assert done.returncode == 0
    assert "model" in done.stderr
    assert sorted(results(tiny.folder / "result")) == ["s0_1.bin", "s0_2.bin"]
    np.testing.assert_allclose(np.fromfile(tiny.folder / "result" / "s0_1.bin", "<f4"), -tiny.logits("s0")[0], rtol=1e-5)
    (tiny.folder / "result" / "other_1.bin").write_bytes(b"1234")
    (tiny.folder / "result.proof.json").unlink()
    strange = stage(*arguments, cwd=tiny.folder)
    assert strange.returncode == 2
    assert (tiny.folder / "result" / "other_1.bin").exists()


def test_samples_of_several_inputs(tmp_path: Path, stage: Stage) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["difference"])],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.INT32, ["N", 3]) for n in ("a", "b")],
        [helper.make_tensor_value_info("difference", TensorProto.INT32, ["N", 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7), tmp_path / "two.onnx")
    lines = []
    for i in range(3):
        for name, value in (("a", 10 * i), ("b", i)):
            np.full(3, value, np.int32).tofile(tmp_path / f"q{i}{name}.bin")
            lines.append(f"{i} q{i}{name}.bin\n")
    (tmp_path / "list.info").write_text("".join(lines))
    done = stage("infer/run.py", "two.onnx", "--info", "list.info", "--out", "result", "--batch", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.fromfile(tmp_path / "result" / "q2a_1.bin", "<i4").tolist() == [18, 18, 18]
    (tmp_path / "list.info").write_text("0 q0a.bin\n1 q1a.bin\n")
    wrong = stage("infer/run.py", "two.onnx", "--info", "list.info", "--out", "other", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "2 inputs" in wrong.stderr


def test_eager_gives_what_the_module_gives(tiny: Any, stage: Stage) -> None:
    import torch

    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    torch.save(module.state_dict(), tiny.folder / "weights.pth")
    common = ("infer/run.py", "weights.pth", "--info", "prep.info", "--batch", 4)
    done = stage(*common, "--out", "full", "--model", "card.yaml", cwd=tiny.folder)
    assert done.returncode == 0, done.stderr
    half = stage(*common, "--out", "half", "--model", "card.yaml", "--precision", "fp16", cwd=tiny.folder)
    assert half.returncode == 0, half.stderr
    for name, array in tiny.data.items():
        expected = module(torch.from_numpy(array)[None])[0].detach().numpy()
        np.testing.assert_allclose(np.fromfile(tiny.folder / "full" / f"{name}_1.bin", "<f4"), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.fromfile(tiny.folder / "half" / f"{name}_1.bin", "<f2"), expected, rtol=2e-2, atol=2e-2)
    refused = stage(*common, "--out", "none", cwd=tiny.folder)
    assert refused.returncode == 2
    assert "--model" in refused.stderr
    absent = stage(*common, "--out", "gpu", "--model", "card.yaml", "--device", "cuda:99", cwd=tiny.folder)
    assert absent.returncode == 2
    assert "nothing falls back" in absent.stderr


def test_killed_and_started_again_gives_the_same_bytes(tiny: Any, root: Path, stage: Stage) -> None:
    """SIGKILL in the middle; the second run redoes no finished file, and the folder equals that of a run that was not killed."""
    tiny.save_samples({f"k{i:03}": np.full((3, 2, 2), i, np.float32) for i in range(40)})
    arguments = ["model.onnx", "--info", "prep.info", "--batch", "2", "--backend", "null", "--model", "card.yaml"]
    killed = [*arguments, "--out", "killed", "--option", "delay_s=0.05"]
    process = subprocess.Popen([sys.executable, str(root / "infer/run.py"), *killed], cwd=tiny.folder, stderr=subprocess.DEVNULL)
    folder = tiny.folder / "killed"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.bin")) if folder.is_dir() else []) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    early = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.glob("*.bin")}
    assert 6 <= len(early) < 40
    assert not (tiny.folder / "killed.proof.json").exists()
    again = stage("infer/run.py", *killed, cwd=tiny.folder)
    assert again.returncode == 0, again.stderr
    assert "continuing" in again.stderr
    kept = {n: (p.stat().st_mtime_ns, p.stat().st_ino) for n in early if (p := folder / n).exists()}
    # The last file may have been renamed into place before the journal had its line: that one is written again.
    assert sum(kept[n] != early[n] for n in early) <= 1
    assert stage("infer/run.py", *arguments, "--out", "whole", "--option", "delay_s=0.0", cwd=tiny.folder).returncode == 0
    assert results(folder) == results(tiny.folder / "whole")
    proof = json.loads((tiny.folder / "killed.proof.json").read_text())
    assert len(proof["inputs"]["samples"]) == 40
    assert proof["facts"]["continued_from"] >= 5


def test_unknown_backend_option_and_wrong_suffix_are_refused(tiny: Any, stage: Stage) -> None:
    common = ("infer/run.py", "model.onnx", "--info", "prep.info", "--out", "r")
    for extra, word in (
        (("--backend", "nope"), "there is no backend 'nope'"),
        (("--option", "x=1"), "no option 'x'"),
        (("--backend", "eager"), "opens"),
    ):
        done = stage(*common, *extra, cwd=tiny.folder)
        assert done.returncode == 2
        assert word in done.stderr
