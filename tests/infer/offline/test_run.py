"""infer/run.py from outside: results, bad input, up to date, resumed after a kill, never a mix."""

from __future__ import annotations

import hashlib
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
import onnx
import pytest
from onnx import TensorProto, helper

from portproof.core.errors import InputError
from portproof.infer.offline.inference import run

Stage = Callable[..., subprocess.CompletedProcess[str]]


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture
def here(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tiny model's folder as the working directory, for calls in this process."""
    monkeypatch.chdir(tiny.folder)
    return tiny


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_one_file_a_sample_and_output_in_its_own_dtype(here: Any, batch: int) -> None:
    run("model.onnx", "prep.info", "result", batch=batch)
    assert sorted(results(Path("result"))) == sorted(
        f"{s}_{k}.bin" for s in here.data for k in (1, 2)
    )
    for name in here.data:
        logits = np.fromfile(f"result/{name}_1.bin", "<f4")
        np.testing.assert_allclose(logits, here.logits(name)[0], rtol=1e-5, atol=1e-6)
        assert np.fromfile(f"result/{name}_2.bin", "<i8").tolist() == [here.logits(name).argmax()]


def test_fixed_batch_is_padded_and_the_padding_dropped(here: Any) -> None:
    here.save_model("bs4.onnx", here.weight, batch=4)
    run("bs4.onnx", "prep.info", "fixed", batch=4)
    run("model.onnx", "prep.info", "dynamic", batch=4)
    fixed, dynamic = results(Path("fixed")), results(Path("dynamic"))
    assert list(fixed) == list(dynamic)
    for name in fixed:
        kind = "<f4" if name.endswith("_1.bin") else "<i8"
        np.testing.assert_allclose(
            np.frombuffer(fixed[name], kind), np.frombuffer(dynamic[name], kind), rtol=1e-5
        )
    with pytest.raises(InputError, match="fixed batch 4"):
        run("bs4.onnx", "prep.info", "wrong", batch=8)


def test_text_and_npy_hold_the_same_values(here: Any) -> None:
    for form in ("bin", "txt", "npy"):
        run("model.onnx", "prep.info", form, form=form, batch=3)
    for name in here.data:
        exact = np.fromfile(f"bin/{name}_1.bin", "<f4")
        line = Path(f"txt/{name}_1.txt").read_text()
        assert line.count("\n") == 1
        assert np.array_equal(np.array(line.strip().split(" "), np.float32), exact)
        assert np.array_equal(np.load(f"npy/{name}_1.npy"), exact)
        assert np.load(f"npy/{name}_2.npy").shape == ()


def test_second_run_does_nothing_and_a_changed_sample_runs_again(tiny: Any, stage: Stage) -> None:
    arguments = (
        "infer/run.py",
        "model.onnx",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        4,
        "--perf-file",
        "perf.txt",
    )
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


def test_sidecar_names_what_was_fed_and_the_rate_is_labelled(here: Any) -> None:
    proof = run("model.onnx", "prep.info", "result", batch=4, perf_file="perf.txt")
    assert json.loads(Path("result.proof.json").read_text())["facts"] == proof.facts
    fed = {Path(r.path).name: r.sha256 for r in proof.inputs["samples"]}
    assert fed == {
        f"{n}.bin": hashlib.sha256(a.tobytes()).hexdigest() for n, a in here.data.items()
    }
    assert proof.facts["end_to_end"]["boundary"] == "end_to_end"
    assert proof.facts["outputs"][0] == {"name": "class", "dtype": "float32", "shape": [5]}
    assert proof.facts["provider"] == "CPUExecutionProvider"
    assert {Path(r.path).name for r in proof.outputs} == {*results(Path("result")), "perf.txt"}
    head, e2e = Path("perf.txt").read_text().splitlines()
    assert head.startswith("# PortProof ")
    assert head.endswith(" boundary=end_to_end")
    rate, latency = (float(part.rsplit(" ", 1)[1]) for part in e2e.split(","))
    assert rate * latency / 1000 == pytest.approx(11, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, ["missing"]),
        (47, ["47 bytes", "takes 48"]),
        (49, ["49 bytes", "takes 48"]),
        (24, ["24 bytes", "float16"]),
    ],
)
def test_wrong_sample_file_is_named_before_anything_runs(
    here: Any, size: int | None, words: list[str]
) -> None:
    path = Path("prep/s7.bin")
    path.unlink() if size is None else path.write_bytes(bytes(size))
    with pytest.raises(InputError) as caught:
        run("model.onnx", "prep.info", "result", batch=2)
    assert all(w in str(caught.value) for w in ("prep/s7.bin", *words)), caught.value
    assert not Path("result").exists()


def test_nan_is_allowed_and_counted(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    np.full(12, np.nan, np.float32).tofile("prep/s2.bin")
    assert run("model.onnx", "prep.info", "result", batch=4).facts["samples_with_nan"] == 1
    assert "1 of 11 samples have a NaN in an output (s2)" in capsys.readouterr().err


def test_folder_never_mixes_two_models(here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("model.onnx", "prep.info", "result", batch=4)
    here.save_model("model.onnx", -here.weight)
    Path("prep.info").write_text("0 prep/s0.bin 2 2\n")
    run("model.onnx", "prep.info", "result", batch=4)
    assert "model 'model.onnx' changed" in capsys.readouterr().err
    assert sorted(results(Path("result"))) == ["s0_1.bin", "s0_2.bin"]
    np.testing.assert_allclose(
        np.fromfile("result/s0_1.bin", "<f4"), -here.logits("s0")[0], rtol=1e-5
    )
    Path("result/other_1.bin").write_bytes(b"1234")
    Path("result.proof.json").unlink()
    with pytest.raises(InputError, match="did not write"):
        run("model.onnx", "prep.info", "result", batch=4)
    assert Path("result/other_1.bin").exists()


def test_samples_of_several_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["difference"])],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.INT32, ["N", 3]) for n in ("a", "b")],
        [helper.make_tensor_value_info("difference", TensorProto.INT32, ["N", 3])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7),
        "two.onnx",
    )
    lines = []
    for i in range(3):
        for name, value in (("a", 10 * i), ("b", i)):
            np.full(3, value, np.int32).tofile(f"q{i}{name}.bin")
            lines.append(f"{i} q{i}{name}.bin\n")
    Path("list.info").write_text("".join(lines))
    run("two.onnx", "list.info", "result", batch=2)
    assert np.fromfile("result/q2a_1.bin", "<i4").tolist() == [18, 18, 18]
    Path("list.info").write_text("0 q0a.bin\n1 q1a.bin\n")
    with pytest.raises(InputError, match="2 inputs"):
        run("two.onnx", "list.info", "other")


def test_eager_gives_what_the_module_gives(here: Any) -> None:
    import torch

    torch.manual_seed(3)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    torch.save(module.state_dict(), "weights.pth")
    run("weights.pth", "prep.info", "full", batch=4, card="card.yaml")
    run("weights.pth", "prep.info", "half", batch=4, card="card.yaml", precision="fp16")
    for name, array in here.data.items():
        expected = module(torch.from_numpy(array)[None])[0].detach().numpy()
        np.testing.assert_allclose(
            np.fromfile(f"full/{name}_1.bin", "<f4"), expected, rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(
            np.fromfile(f"half/{name}_1.bin", "<f2"), expected, rtol=2e-2, atol=2e-2
        )
    with pytest.raises(InputError, match="--model"):
        run("weights.pth", "prep.info", "none")
    with pytest.raises(InputError, match="nothing falls back"):
        run("weights.pth", "prep.info", "gpu", card="card.yaml", device="cuda:99")


def test_killed_and_started_again_gives_the_same_bytes(tiny: Any, root: Path, stage: Stage) -> None:
    """SIGKILL in the middle; the second run redoes no finished file, and the folder equals that of
    a run that was not killed.
    """
    tiny.save_samples({f"k{i:03}": np.full((3, 2, 2), i, np.float32) for i in range(40)})
    arguments = [
        "model.onnx",
        "--info",
        "prep.info",
        "--batch",
        "2",
        "--backend",
        "null",
        "--model",
        "card.yaml",
    ]
    killed = [*arguments, "--out", "killed", "--option", "delay_s=0.05"]
    process = subprocess.Popen(
        [sys.executable, str(root / "infer/run.py"), *killed],
        cwd=tiny.folder,
        stderr=subprocess.DEVNULL,
    )
    folder = tiny.folder / "killed"
    deadline = time.monotonic() + 60
    while (
        len(list(folder.glob("*.bin")) if folder.is_dir() else []) < 6
        and time.monotonic() < deadline
    ):
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
    # The last file may have been renamed into place before the journal had its line: that one is
    # written again.
    assert sum(kept[n] != early[n] for n in early) <= 1
    assert (
        stage(
            "infer/run.py", *arguments, "--out", "whole", "--option", "delay_s=0.0", cwd=tiny.folder
        ).returncode
        == 0
    )
    assert results(folder) == results(tiny.folder / "whole")
    proof = json.loads((tiny.folder / "killed.proof.json").read_text())
    assert len(proof["inputs"]["samples"]) == 40
    assert proof["facts"]["continued_from"] >= 5


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"backend": "nope"}, "there is no backend 'nope'"),
        ({"options": {"x": "1"}}, "no option 'x'"),
        ({"backend": "eager"}, "opens .pth"),
    ],
)
def test_what_a_backend_does_not_know_is_refused(
    here: Any, extra: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run("model.onnx", "prep.info", "result", **extra)


def test_bad_input_is_one_sentence_and_exit_code_2(tiny: Any, stage: Stage) -> None:
    done = stage(
        "infer/run.py", "absent.onnx", "--info", "prep.info", "--out", "result", cwd=tiny.folder
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == "portproof: error: model file: 'absent.onnx' does not exist; check the path\n"
    )
