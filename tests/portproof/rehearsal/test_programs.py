"""The simulated benchmark, msame and npu-smi: their files and figures hold to the contract, and our
readers read them back.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.host.npusmi import check_devices, parse
from portproof.logs.read import read
from portproof.manifest import Sample, write_info
from portproof.rehearsal.installing import install

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def samples(tmp_path: Path) -> np.ndarray[Any, Any]:
    """Six samples of the tiny model as ``prep/img<k>.bin``, and ``prep.info``."""
    values = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype(np.float32)
    (tmp_path / "prep").mkdir()
    for index, value in enumerate(values):
        value.tofile(tmp_path / "prep" / f"img{index}.bin")
    write_info(
        tmp_path / "prep.info", [Sample(f"img{k}", (f"prep/img{k}.bin",), 4, 4) for k in range(6)]
    )
    return values


def tool(
    program: Program, name: str, *arguments: object, **options: object
) -> subprocess.CompletedProcess[str]:
    return program("-m", f"portproof.rehearsal.programs.{name}", *arguments, **options)


def bench(
    program: Program, *arguments: object, **options: object
) -> subprocess.CompletedProcess[str]:
    return tool(
        program,
        "benchmark",
        "-device_id=0",
        "-om_path=models/bs4.om",
        "-batch_size=4",
        *arguments,
        **options,
    )


LIST = (
    "-model_type=vision",
    "-input_text_path=prep.info",
    "-input_width=4",
    "-input_height=4",
    "-useDvpp=False",
)


@pytest.fixture
def expected(tiny_onnx: Path, samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import onnxruntime

    return np.asarray(onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": samples})[0])


def test_benchmark_writes_one_file_a_sample_and_a_perf_file(
    program: Program, tmp_path: Path, expected: np.ndarray[Any, Any]
) -> None:
    done = bench(program, *LIST, "-output_binary=True")
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "result" / "dumpOutput_device0"
    assert sorted(p.name for p in folder.iterdir()) == [f"img{k}_1.bin" for k in range(6)]
    got = np.stack([np.fromfile(folder / f"img{k}_1.bin", np.float32) for k in range(6)])
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    (run,) = read(tmp_path / "result" / "perf_vision_batchsize_4_device_0.txt")
    assert (run.family, run.status, run.batch, run.simulated) == ("benchmark", "ok", 4, True)
    assert [w for w in run.warnings if "REHEARSAL" not in w] == []
    count = run.figure("samples")
    assert count is not None
    assert count.value == 6
    (console,) = read(written(tmp_path, done.stdout))
    assert console.figure("throughput", "device") is not None


def written(folder: Path, text: str) -> Path:
    path = folder / "console.log"
    path.write_text(text)
    return path


def test_benchmark_as_text(
    program: Program, tmp_path: Path, expected: np.ndarray[Any, Any]
) -> None:
    assert bench(program, *LIST, "-output_binary=False").returncode == 0
    line = (tmp_path / "result" / "dumpOutput_device0" / "img2_1.txt").read_text()
    assert line.count("\n") == 1
    np.testing.assert_allclose([float(v) for v in line.split()], expected[2], rtol=1e-4)


def test_benchmark_leaves_stale_files_alone(
    program: Program, tmp_path: Path, samples: np.ndarray[Any, Any]
) -> None:
    stale = tmp_path / "result" / "dumpOutput_device0" / "old_1.bin"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    bench(program, *LIST, "-output_binary=true")
    assert stale.exists()


def test_benchmark_pure_inference(program: Program, tmp_path: Path) -> None:
    done = bench(program, "-round=5")
    assert len(re.findall(r"Dataset number: \d finished cost [\d.]+ms", done.stdout)) == 5
    (run,) = read(tmp_path / "result" / "PureInfer_perf_of_bs4_in_device_0.txt")
    rate, latency = run.figure("throughput"), run.figure("latency_mean")
    assert (run.family, run.status, run.simulated) == ("pureinfer", "ok", True)
    assert rate is not None
    assert latency is not None
    assert rate.value
    assert latency.value


@pytest.mark.parametrize(
    ("arguments", "fault", "text"),
    [
        ((*LIST, "-round"), "", "unknown argument -round"),
        (("-input_text_path=none.info",), "", "the input list 'none.info' cannot be read"),
        (LIST, "size-mismatch", "prep/img0.bin has 192 bytes, the model takes 384"),
    ],
)
def test_benchmark_fails(
    program: Program,
    samples: np.ndarray[Any, Any],
    arguments: tuple[str, ...],
    fault: str,
    text: str,
) -> None:
    done = bench(program, *arguments, env={"PORTPROOF_REHEARSAL_FAULT": fault})
    assert done.returncode == 1
    assert text in done.stdout
    wrong = tool(
        program, "benchmark", "-device_id=0", "-om_path=models/bs4.om", "-batch_size=8", *LIST
    )
    assert "-batch_size=8 is not the batch of the model, 4" in wrong.stdout


def test_benchmark_crashes_in_the_batch_that_it_is_told_to(
    program: Program, tmp_path: Path, samples: np.ndarray[Any, Any]
) -> None:
    done = bench(
        program, *LIST, "-output_binary=true", env={"PORTPROOF_REHEARSAL_FAULT": "crash-in-batch-2"}
    )
    assert done.returncode == -11
    assert len(list((tmp_path / "result" / "dumpOutput_device0").iterdir())) == 4


def test_a_cut_perf_file_is_incomplete(
    program: Program, tmp_path: Path, samples: np.ndarray[Any, Any]
) -> None:
    bench(program, *LIST, "-output_binary=true", env={"PORTPROOF_REHEARSAL_FAULT": "truncated-log"})
    (run,) = read(tmp_path / "result" / "perf_vision_batchsize_4_device_0.txt")
    assert run.status == "incomplete"
    assert run.figure("throughput", "device") is None


def test_msame_takes_whole_batches_and_ends_with_its_success_line(
    program: Program, tmp_path: Path, samples: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]
) -> None:
    (tmp_path / "batches").mkdir()
    for index in range(2):
        samples[index : index + 4].tofile(tmp_path / "batches" / f"b{index}.bin")
    done = tool(
        program,
        "msame",
        "--model",
        "models/bs4.om",
        "--input",
        "batches",
        "--output",
        "out",
        "--outfmt",
        "TXT",
    )
    assert re.search(r"^\[INFO\] pid: \d+ Execute sample success$", done.stdout, re.MULTILINE)
    (folder,) = (tmp_path / "out").iterdir()
    assert re.fullmatch(r"\d{7,8}_\d{1,2}_\d{1,2}_\d{1,2}_\d+", folder.name)
    assert f"out/{folder.name}\n" in done.stdout
    rows = (folder / "b1_output_0.txt").read_text().splitlines()
    np.testing.assert_allclose(
        [[float(v) for v in row.split()] for row in rows], expected[1:5], rtol=1e-4
    )
    (run,) = read(written(tmp_path, done.stdout))
    assert (run.family, run.status, run.simulated) == ("msame", "ok", True)


def test_msame_exits_with_0_on_wrong_arguments_and_says_no_success(program: Program) -> None:
    done = tool(program, "msame", "--model", "models/bs4.om", "--loop", "1000")
    assert done.returncode == 0
    assert "success" not in done.stdout
    short = tool(program, "msame", "--model", "models/bs4.om", "--loop", 3)
    assert "Inference average time without first time: " in short.stdout
    cut = tool(
        program,
        "msame",
        "--model",
        "models/bs4.om",
        env={"PORTPROOF_REHEARSAL_FAULT": "truncated-log"},
    )
    assert "Execute sample success" not in cut.stdout


@pytest.mark.parametrize(("soc", "count", "cards"), [("Ascend310", 4, 1), ("Ascend310P3", 1, 1)])
def test_npu_smi_shows_the_chips(program: Program, soc: str, count: int, cards: int) -> None:
    done = tool(program, "npu_smi", "info", env={"PORTPROOF_REHEARSAL_SOC": soc})
    chips = parse(done.stdout)
    assert len(check_devices(chips, [soc], range(count))) == count
    assert len({c.npu for c in chips}) == cards
    busy = tool(
        program,
        "npu_smi",
        "info",
        env={"PORTPROOF_REHEARSAL_SOC": soc, "PORTPROOF_REHEARSAL_FAULT": "busy-device:0"},
    )
    assert [c.is_idle for c in parse(busy.stdout)] == [False] + [True] * (count - 1)


def test_the_columns_are_those_of_the_real_table(program: Program, shared: Path) -> None:
    real = (shared / "samples" / "logs" / "npu_smi_05.log").read_text().splitlines()
    ours = tool(program, "npu_smi", "info").stdout.splitlines()
    bars = {
        tuple(m.start() for m in re.finditer(r"[|]", line.strip()))
        for line in real
        if line.strip().startswith("|")
    }
    assert {
        tuple(m.start() for m in re.finditer(r"[|]", line)) for line in ours if line.startswith("|")
    } == bars


def test_installed_programs_run_without_our_environment(tmp_path: Path, om_models: Path) -> None:
    environment = install(tmp_path / "a b", "Ascend310", {"PATH": "/usr/bin:/bin", "HOME": "/"})
    assert environment["PORTPROOF_REHEARSAL"] == "1"
    done = subprocess.run(
        ["npu-smi", "info"], env=environment, capture_output=True, text=True, check=True
    )
    assert len(parse(done.stdout)) == 4
    import sys

    code = "import aclruntime; print(aclruntime.InferenceSession)"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "<class 'aclruntime.InferenceSession'>\n"
    done = subprocess.run(
        [sys.executable, "-m", "ais_bench", "--model", str(om_models / "bs1.om")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "throughput 1000*batchsize" in done.stdout
