"""The vendor tools as runners: what is asked of them, and that every way in which they fail or
mislead is noticed.

The tools are the simulated ones, installed as programs, and run through ``infer/run.py`` and
``infer/bench.py`` as a user does.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from portproof.logs.read import read
from portproof.manifest import Sample, write_info
from portproof.rehearsal.installing import install
from portproof.rehearsal.om import write_om

Command = Callable[..., subprocess.CompletedProcess[str]]
TOOLS = ("ais_bench", "benchmark", "msame")


@pytest.fixture
def folder(tmp_path: Path, om_models: Path) -> Path:
    """A working folder with models and six samples whose names are awkward for the tools."""
    (tmp_path / "models").symlink_to(om_models)
    (tmp_path / "prep").mkdir()
    names = ["img2.bin", "img10.bin", "img1.bin", "a_1.bin", "b.bin", "c-3.bin"]
    for index, name in enumerate(names):
        images()[index].tofile(tmp_path / "prep" / name)
    write_info(
        tmp_path / "prep.info", [Sample(n.split(".")[0], (f"prep/{n}",), 4, 4) for n in names]
    )
    return tmp_path


def images() -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(size=(6, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def run(stage: Command, folder: Path) -> Command:
    environment = install(
        folder / "rehearsal",
        "Ascend310P3",
        {k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    ours = {k: environment[k] for k in ("PATH", "PORTPROOF_REHEARSAL", "PORTPROOF_REHEARSAL_SOC")}

    def go(
        *arguments: object, script: str = "infer/run.py", fault: str = ""
    ) -> subprocess.CompletedProcess[str]:
        # The stage file puts its own source first, so the simulated Python modules are given as a
        # site folder.
        return stage(
            script,
            *arguments,
            cwd=folder,
            env={
                **ours,
                "PYTHONPATH": environment["PYTHONPATH"],
                "PORTPROOF_REHEARSAL_FAULT": fault,
            },
        )

    return go


def infer(
    run: Command, tool: str, *more: object, **options: Any
) -> subprocess.CompletedProcess[str]:
    return run(
        "models/bs4.om",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        4,
        "--runner",
        tool,
        *more,
        **options,
    )


@pytest.mark.parametrize("tool", [*TOOLS, "om"])
def test_every_runner_gives_the_same_result_folder(
    run: Command, folder: Path, tiny_onnx: Path, tool: str
) -> None:
    done = infer(run, tool)
    assert done.returncode == 0, done.stderr
    ids = ["img2", "img10", "img1", "a_1", "b", "c-3"]
    assert sorted(p.name for p in (folder / "result").iterdir()) == sorted(
        f"{i}_1.bin" for i in ids
    )
    expected = onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": images()})[0]
    got = np.stack([np.fromfile(folder / "result" / f"{i}_1.bin", np.float32) for i in ids])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    proof = json.loads((folder / "result.proof.json").read_text())
    assert (proof["stage"], proof["simulated"], len(proof["outputs"])) == ("infer", True, 6)
    assert not list(folder.glob(".result*"))
    again = infer(run, tool)
    assert again.returncode == 0
    assert "result is up to date" in again.stderr


@pytest.mark.parametrize("tool", ["ais_bench", "benchmark"])
def test_text_results(run: Command, folder: Path, tool: str) -> None:
    assert infer(run, tool, "--format", "txt").returncode == 0
    assert len((folder / "result" / "img10_1.txt").read_text().split()) == 10


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_own_log_and_figures_are_kept_and_readable(
    run: Command, folder: Path, tool: str
) -> None:
    assert infer(run, tool, "--perf-file", "perf_vision_batchsize_4_device_0.txt").returncode == 0
    family = {"benchmark": "benchmark"}.get(tool, tool)
    (log,) = read(folder / "logs" / f"{tool}.log")
    (perf,) = read(folder / "perf_vision_batchsize_4_device_0.txt")
    assert {(r.family, r.status, r.simulated) for r in (log, perf)} == {(family, "ok", True)}


FAILURES = {
    ("ais_bench", "size-mismatch"): "ais_bench ended with exit code 1",
    ("ais_bench", "truncated-log"): "ended without its throughput line",
    ("ais_bench", "crash-in-batch-2"): "ais_bench was killed by SIGSEGV",
    ("benchmark", "size-mismatch"): "benchmark ended with exit code 1",
    ("benchmark", "truncated-log"): "benchmark left no whole perf file",
    ("benchmark", "crash-in-batch-2"): "benchmark ended with exit code",
    ("msame", "size-mismatch"): "msame ended with exit code 1",
    ("msame", "truncated-log"): "without its line 'Execute sample success'",
    ("msame", "crash-in-batch-2"): "msame ended with exit code",
    ("om", "size-mismatch"): "an input has another number of bytes",
}


@pytest.mark.parametrize(("tool", "fault"), FAILURES)
def test_a_failure_is_exit_code_3_with_the_log_and_no_result_that_looks_finished(
    run: Command, folder: Path, tool: str, fault: str
) -> None:
    done = infer(run, tool, fault=fault)
    assert done.returncode == 3, done.stderr
    assert FAILURES[tool, fault] in done.stderr.replace(
        "was killed by SIGSEGV",
        "was killed by SIGSEGV" if tool == "ais_bench" else "ended with exit code",
    )
    assert not (folder / "result.proof.json").exists()
    assert list((folder / "result").iterdir()) == []
    if tool != "om":
        assert (folder / "logs" / f"{tool}.log").is_file()
    assert infer(run, tool).returncode == 0


@pytest.mark.parametrize("tool", TOOLS)
def test_a_wrong_batch_is_refused(run: Command, folder: Path, tool: str) -> None:
    done = run(
        "models/bs4.om", "--info", "prep.info", "--out", "result", "--batch", 2, "--runner", tool
    )
    assert done.returncode in (2, 3)
    assert "traceback is in" not in done.stderr
    assert not (folder / "result.proof.json").exists()


def test_bad_input_is_refused_before_the_tool_runs(run: Command, folder: Path) -> None:
    cases = {
        "there is no vendor tool 'nope'; there are ais_bench, benchmark, msame": infer(run, "nope"),
        "writes bin, --format asks for txt": infer(run, "msame", "--format", "txt"),
        "--precision is for backends in this process": infer(run, "msame", "--precision", "fp16"),
        "the device is 'cuda:0', 'npu:0'": infer(run, "msame", "--device", "cuda:0"),
    }
    for text, done in cases.items():
        assert done.returncode == 2
        assert text in done.stderr
    (folder / "prep" / "b.bin").write_bytes(b"short")
    done = infer(run, "ais_bench")
    assert (done.returncode, "'prep/b.bin' has 5 bytes, 'img2' has 192" in done.stderr) == (2, True)
    (folder / "prep" / "b.bin").unlink()
    assert "'prep/b.bin' is missing" in infer(run, "ais_bench").stderr
    (folder / "prep.info").write_text("0 prep/a.1.bin 4 4\n1 prep/a.2.bin 4 4\n")
    assert "sample ids belong to more than one file (a)" in infer(run, "ais_bench").stderr
    assert not (folder / "logs").exists()


def test_two_inputs_stay_together(run: Command, folder: Path, two_input_onnx: Path) -> None:
    write_om(
        two_input_onnx, folder / "multi.om", "Ascend310P3", {"x": (2, 4), "y": (2, 1)}, half=False
    )
    samples = []
    for index in (3, 11, 2):
        files = (f"prep/x{index}.bin", f"prep/y{index}.bin")
        np.full(4, index, np.float32).tofile(folder / files[0])
        np.array([10 * index], np.int64).tofile(folder / files[1])
        samples.append(Sample(f"x{index}", files))
    write_info(folder / "two.info", samples)
    for tool in TOOLS:
        done = run("multi.om", "--info", "two.info", "--out", tool, "--batch", 2, "--runner", tool)
        assert done.returncode == 0, done.stderr
        for index in (3, 11, 2):
            assert (
                np.fromfile(folder / tool / f"x{index}_1.bin", np.float32).tolist()
                == [11 * index] * 4
            )
            assert np.fromfile(folder / tool / f"x{index}_3.bin", np.int64).tolist() == [20 * index]
        assert len(list((folder / tool).iterdir())) == 15


@pytest.fixture
def converted(run: Command, folder: Path, tiny_onnx: Path) -> Path:
    """``om/``: models that onnx2om.py made, with sidecars: of batch 4, with batches 1, 4 and 6 to
    choose from, by dimensions, and of any shape.
    """
    (folder / "tiny.onnx").write_bytes(tiny_onnx.read_bytes())
    for options in (
        ("--batch", 4),
        ("--batch", "1,4,6", "--dynamic-batch"),
        ("--dynamic-dims", "1;4"),
        ("--shape-range", "image:[1~8,3,4,4]"),
    ):
        done = run("tiny.onnx", "om", *options, script="convert/onnx2om.py")
        assert done.returncode == 0, done.stderr
    return folder / "om"


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("dymbatch", ()),
        ("dymdims", ("--option", "dims=image:4,3,4,4")),
        ("dymshape", ("--option", "shape=image:4,3,4,4")),
    ],
)
@pytest.mark.parametrize("tool", ["ais_bench", "msame", "om"])
def test_a_model_with_a_choice_runs_with_what_is_chosen(
    run: Command,
    folder: Path,
    converted: Path,
    tiny_onnx: Path,
    tool: str,
    model: str,
    options: tuple[str, ...],
) -> None:
    done = run(
        f"om/tiny_{model}.om",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        4,
        "--runner",
        tool,
        *options,
    )
    assert done.returncode == 0, done.stderr
    expected = onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": images()})[0]
    got = np.stack(
        [
            np.fromfile(folder / "result" / f"{i}_1.bin", np.float32)
            for i in ["img2", "img10", "img1", "a_1", "b", "c-3"]
        ]
    )
    np.testing.assert_allclose(got, expected, atol=0.02)
    facts = json.loads((folder / "result.proof.json").read_text())["facts"]
    assert facts["outputs"] == [{"name": "class", "dtype": "float32", "shape": [10]}]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("om/tiny_bs4.om", ("--batch", 2), "has the fixed batch 4, --batch asks for 2"),
        ("om/tiny_bs4.om", ("--batch", 4, "--option", "batch=4"), "was converted without a choice"),
        (
            "om/tiny_dymbatch.om",
            ("--batch", 4, "--option", "batch=1"),
            "the option batch is 1, --batch is 4",
        ),
        ("om/tiny_dymbatch.om", ("--batch", 4, "--option", "hw=1,2"), "only one can be given"),
        (
            "om/tiny_dymdims.om",
            ("--batch", 4),
            "choose one of those that atc was given with --option dims=...",
        ),
        (
            "om/tiny_dymshape.om",
            ("--batch", 4),
            "choose one of those that atc was given with --option shape=...",
        ),
        (
            "om/tiny_bs4.om",
            ("--batch", 4, "--option", "speed=1"),
            "have no option 'speed' here; there are batch, hw, dims, shape, outsize",
        ),
    ],
)
@pytest.mark.parametrize("tool", ["ais_bench", "msame"])
def test_what_does_not_fit_the_model_is_refused_before_the_tool(
    run: Command,
    folder: Path,
    converted: Path,
    tool: str,
    model: str,
    options: tuple[object, ...],
    message: str,
) -> None:
    done = run(model, "--info", "prep.info", "--out", "result", "--runner", tool, *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (folder / "logs").exists()


@pytest.mark.parametrize("tool", TOOLS)
def test_samples_for_another_model_are_refused_before_the_tool(
    run: Command, folder: Path, converted: Path, tool: str
) -> None:
    for path in (folder / "prep").iterdir():
        path.write_bytes(path.read_bytes() * 2)
    done = run(
        "om/tiny_bs4.om", "--info", "prep.info", "--out", "result", "--batch", 4, "--runner", tool
    )
    assert done.returncode == 2
    assert (
        "has 384 bytes, input 'image' (float32 3x4x4) takes 192; preprocess it again for this model"
        in done.stderr
    )


def test_msame_runs_on_files_that_are_too_long_and_we_ask_it_what_the_model_takes(
    run: Command, folder: Path
) -> None:
    for path in (folder / "prep").iterdir():
        path.write_bytes(path.read_bytes() * 2)
    done = infer(run, "msame")
    assert done.returncode == 2
    assert "has 384 bytes, input 'image' (float32 3x4x4) takes 192" in done.stderr


def test_the_benchmark_tool_has_no_choice(run: Command, folder: Path, converted: Path) -> None:
    done = run(
        "om/tiny_dymbatch.om",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        4,
        "--runner",
        "benchmark",
    )
    assert (done.returncode, "runs models of a fixed batch" in done.stderr) == (2, True)


def test_a_model_with_batches_from_elsewhere_is_told_by_the_option(
    run: Command, folder: Path
) -> None:
    words = (
        "models/dymbatch.om",
        "--info",
        "prep.info",
        "--out",
        "result",
        "--batch",
        4,
        "--runner",
        "ais_bench",
    )
    done = run(*words)
    assert (done.returncode, "choose with --option batch=N" in done.stderr) == (2, True)
    assert run(*words, "--option", "batch=4").returncode == 0


def test_an_output_without_a_batch_is_refused_before_the_tool(run: Command, folder: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, 4, 4])
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0)],
        "g",
        [image],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
        str(folder / "mean.onnx"),
    )
    assert run("mean.onnx", "om", "--batch", 4, script="convert/onnx2om.py").returncode == 0
    for tool in TOOLS:
        done = run(
            "om/mean_bs4.om",
            "--info",
            "prep.info",
            "--out",
            "result",
            "--batch",
            4,
            "--runner",
            tool,
        )
        assert (
            done.returncode,
            "output 'mean' of 'om/mean_bs4.om' has the shape ()" in done.stderr,
        ) == (2, True), done.stderr


@pytest.mark.parametrize("tool", ["ais_bench", "msame"])
def test_a_bench_chooses_the_batch_too(
    run: Command, folder: Path, converted: Path, tool: str
) -> None:
    done = run(
        f"310p={tool}:om/tiny_dymbatch.om",
        "--batch",
        "1,6",
        "--inputs",
        "random",
        "--iterations",
        3,
        "--blocks",
        2,
        "--out",
        "perf.json",
        script="infer/bench.py",
    )
    assert done.returncode in (0, 4), done.stderr
    perf = json.loads((folder / "perf.json").read_text())
    assert [(m["batch"], m["inputs"]) for m in perf["measurements"]] == [
        (1, "random"),
        (6, "random"),
    ]


CARD = """\
name: tiny
builder: tiny.py:build
inputs: [{name: image, shape: [3, 4, 4]}]
outputs: [{name: class, shape: [10]}]
recipe: {crop: [4, 4]}
"""


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("inputs", ["random", "zeros"])
def test_a_bench_by_a_tool(run: Command, folder: Path, tool: str, inputs: str) -> None:
    (folder / "tiny.yaml").write_text(CARD)
    (folder / "tiny.py").touch()
    done = run(
        f"310p={tool}:models/bs{{batch}}.om",
        "--batch",
        "1,4",
        "--inputs",
        inputs,
        "--model",
        "tiny.yaml",
        "--iterations",
        5,
        "--blocks",
        2,
        "--out",
        "perf.json",
        script="infer/bench.py",
    )
    if (tool, inputs) == ("benchmark", "zeros"):
        assert done.returncode == 2
        assert "is timed with random inputs" in done.stderr
        return
    assert done.returncode in (0, 4), done.stderr
    perf = json.loads((folder / "perf.json").read_text())
    assert perf["simulated"]
    assert [
        (m["label"], m["backend"], m["batch"], m["boundary"], [len(b) for b in m["blocks"]])
        for m in perf["measurements"]
    ] == [("310p", tool, batch, "device", [5, 5]) for batch in (1, 4)]
    assert "REHEARSAL" in perf["measurements"][0]["provider"]


def test_the_runner_of_a_bench_is_the_old_spelling_of_its_subject(
    run: Command, folder: Path
) -> None:
    words = ("--batch", 4, "--iterations", 2, "--blocks", 2, "--inputs", "zeros")
    old = ("310p=om:models/bs{batch}.om", *words, "--runner", "msame", "--out", "perf.json")
    done = run(*old, script="infer/bench.py")
    assert done.returncode in (0, 4), done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "old spelling" in line]
    assert "310p=msame:models/bs{batch}.om" in line
    new = run(
        "310p=msame:models/bs{batch}.om", *words, "--out", "perf.json", script="infer/bench.py"
    )
    assert "perf.json is up to date" in new.stderr
    assert "old spelling" not in new.stderr
    wrong = run("a=ort:m.onnx", "--runner", "msame", "--out", "x.json", script="infer/bench.py")
    assert wrong.returncode == 2
    assert "times .om files, LABEL=om:FILE was expected for 'a'" in wrong.stderr


def test_a_setting_of_backends_has_no_meaning_for_a_tool(run: Command, folder: Path) -> None:
    subject = ("310p=msame:models/bs4.om", "--batch", 4, "--inputs", "zeros", "--out", "perf.json")
    for more, words in (
        (("--precision", "fp16"), "--precision is for backends in this process"),
        (("--clients", 2), "--clients has no meaning for a bench by a vendor tool"),
        (("--device", "cuda:0"), "the device is 'cuda:0', 'npu:0'"),
    ):
        done = run(*subject, *more, script="infer/bench.py")
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not (folder / "perf.json").exists()
