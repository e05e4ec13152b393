"""Fixtures that every test may use."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Tests run in a process for each processor. Threads beside those wait for one another in loops, which
# on a loaded machine cost more than the work: a small network's export 20 s of processor time, not 7.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell's background job ignores Ctrl-C, and so would all that it starts: tests that interrupt a
# command would wait for its end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real logs, READMEs and images that continuous integration keeps beside the checkout; a user's
    clone has none.
    """
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of real samples does not stand beside this checkout")
    return folder


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def stage() -> Command:
    """Run a stage file as a user does: ``stage("metrics/topn.py", "result", ..., cwd=...)``;
    returns the finished process.
    """

    def run(
        script: str,
        *arguments: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (env or {})
        command = [sys.executable, str(ROOT / script), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


_SMALL_MODEL = """
from torch import nn


def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
"""

_SMALL_CARD = """
name: colours
builder: colours.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [3]}]
recipe: {resize: {rule: exact, size: [8, 8]}, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
published: {top1: 92.5, source: a | table <b>}
batches: [1, 2]
"""


def make_small_port(folder: Path) -> list[str]:
    """Forty small images of three colours, four of them with a wrong label, and a linear model;
    returns the options of ``port``.
    """
    import numpy as np
    import torch
    from PIL import Image

    images = folder / "images"
    images.mkdir(parents=True)
    (folder / "colours.py").write_text(_SMALL_MODEL)
    (folder / "colours.yaml").write_text(_SMALL_CARD)
    noise, labels = np.random.default_rng(5), []
    for i in range(40):
        pixels = noise.integers(0, 90, (9, 10, 3), dtype=np.uint8)
        pixels[..., i % 3] += 100
        Image.fromarray(pixels).save(images / f"colour_{i:02}.JPEG")
        labels.append(f"colour_{i:02}.JPEG {(i + (i % 10 == 9)) % 3}\n")
    (folder / "labels.txt").write_text("".join(labels))
    weight = torch.zeros(3, 12)
    for channel in range(3):
        weight[channel, 4 * channel : 4 * channel + 4] = 1.0
    torch.save({"2.weight": weight, "2.bias": torch.zeros(3)}, folder / "weights.pth")
    return [
        "--model",
        str(folder / "colours.yaml"),
        "--weights",
        str(folder / "weights.pth"),
        "--images",
        str(images),
        "--labels",
        str(folder / "labels.txt"),
        "--margin-pp",
        "20",
        "--workers",
        "1",
    ]


@pytest.fixture(scope="session")
def small_port() -> Callable[[Path], list[str]]:
    """:func:`make_small_port`."""
    return make_small_port


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that ``make`` filled, once for all workers of a parallel run: the first that asks
    makes it, the others wait.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, mark = base / name, base / f"{name}.made"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            mark.touch()
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with slow tests begin first, so that no worker of a parallel run ends with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory that the real stages made from a small model; its inputs are beside it.
    Copy it before changing anything.
    """
    folder = tmp_path_factory.mktemp("ported")
    command = [sys.executable, "-m", "portproof", "port", *make_small_port(folder)]
    command += ["--run-dir", str(folder / "run"), "--starts", "4"]
    # One thread: with as many as there are processors, a loaded machine makes a bench of
    # microseconds take minutes.
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


@pytest.fixture(scope="session")
def demonstration(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demonstration, run as docs/first-port.md says: its run directory and the finished process.
    tests/portproof/rundir/test_port.py alone may change it.
    """
    folder = made_once(tmp_path_factory, "demonstration", _demonstrate)
    said = json.loads((folder / "process.json").read_text())
    return folder / "run", subprocess.CompletedProcess(**said)


@pytest.fixture(scope="session")
def demonstration_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demonstration's run directory, as it was made."""
    return made_once(tmp_path_factory, "demonstration", _demonstrate) / "copy"


def _demonstrate(folder: Path) -> None:
    done = run_cpu("--run-dir", folder / "run", "--batch", "1,4", "--starts", "4")
    said = {name: getattr(done, name) for name in ("args", "returncode", "stdout", "stderr")}
    (folder / "process.json").write_text(json.dumps(said))
    shutil.copytree(folder / "run", folder / "copy")


def run_cpu(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``bash run_cpu.sh`` where its environment stands beside it; else the command that it
    ends in.
    """
    command = (
        ["bash", str(ROOT / "run_cpu.sh")]
        if Path(sys.prefix) == ROOT / ".venv"
        else [sys.executable, "-m", "portproof", "port"]
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="session")
def port_command() -> Command:
    """Run ``bash run_cpu.sh`` with more options."""
    return run_cpu


@pytest.fixture(scope="session")
def packed() -> Callable[..., Path]:
    """Pack a folder of result files into another one, ``-packed``, in another order, with what its
    sidecar says: ``packed(folder, dtype of .bin files)``.
    """
    import numpy as np

    from portproof.proof.sidecar import read_proof, record_of, root_of, sidecar_of

    def pack(folder: Path, dtype: str = "float32") -> Path:
        names = sorted(path.name for path in folder.iterdir())
        ids = sorted({name.rpartition("_")[0] for name in names}, key=lambda name: name[::-1])
        out = folder.with_name(f"{folder.name}-packed")
        out.mkdir()
        (out / "ids.txt").write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
        for ending in sorted({name.rpartition("_")[2] for name in names}):
            number, form = ending.split(".")
            paths = [folder / f"{i}_{ending}" for i in ids]
            rows = [np.load(p) if form == "npy" else np.fromfile(p, dtype) for p in paths]
            np.save(out / f"output{number}.npy", np.stack(rows))
        if sidecar_of(folder).is_file():
            said = json.loads(sidecar_of(folder).read_text())
            records = [record_of(path, root_of(out)) for path in sorted(out.iterdir())]
            said["outputs"] = [
                {name: getattr(record, name) for name in record.__struct_fields__}
                for record in records
            ]
            sidecar_of(out).write_text(json.dumps(said))
            read_proof(sidecar_of(out))
        return out

    return pack


_SHAPE = (3, 4, 4)
_CLASSES = 10


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``image`` (batch, 3, 4, 4) to ``class`` (batch, 10), the last node ``/fc/Gemm``, like an
    exported classifier.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    weight = numpy_helper.from_array(rng.normal(size=(48, _CLASSES)).astype(np.float32) / 4, "w")
    bias = numpy_helper.from_array(rng.normal(size=_CLASSES).astype(np.float32), "b")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"], name="/Flatten"),
            helper.make_node("Gemm", ["flat", "w", "b"], ["class"], name="/fc/Gemm"),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *_SHAPE])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", _CLASSES])],
        [weight, bias],
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
        str(path),
    )
    return path


@pytest.fixture(scope="session")
def two_input_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the samples with two inputs and five outputs: x float32 [n, 4] and y int64 [n,
    1].
    """
    import onnx
    from onnx import TensorProto, helper

    def cast(source: str, out: str, to: int, name: str) -> Any:
        return helper.make_node("Cast", [source], [out], name=name, to=to)

    nodes = [
        cast("y", "yf", TensorProto.FLOAT, "cast_y"),
        helper.make_node("Add", ["x", "yf"], ["total"], name="add_1"),
        cast("total", "half", TensorProto.FLOAT16, "cast_h"),
        helper.make_node("Add", ["y", "y"], ["twice"], name="add_2"),
        helper.make_node("Greater", ["total", "x"], ["more"], name="greater_1"),
        cast("total", "dbl", TensorProto.DOUBLE, "cast_d"),
    ]
    kinds = {
        "total": (TensorProto.FLOAT, 4),
        "half": (TensorProto.FLOAT16, 4),
        "twice": (TensorProto.INT64, 1),
        "more": (TensorProto.BOOL, 4),
        "dbl": (TensorProto.DOUBLE, 4),
    }
    graph = helper.make_graph(
        nodes,
        "multi",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info(name, kind, ["n", width])
            for name, (kind, width) in kinds.items()
        ],
    )
    path = tmp_path_factory.mktemp("multi") / "multi.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
        str(path),
    )
    return path


@pytest.fixture(scope="session")
def om_models(
    tmp_path_factory: pytest.TempPathFactory, tiny_onnx: Path, two_input_onnx: Path
) -> Path:
    """A folder with ``bs1.om``, ``bs4.om``, ``dymbatch.om``, ``dymdims.om``, ``dymshape.om``,
    ``multi.om`` and ``garbage.om``.
    """
    from portproof.rehearsal.om import write_om

    folder = tmp_path_factory.mktemp("om") / "models"
    folder.mkdir()
    for batch in (1, 4):
        write_om(
            tiny_onnx,
            folder / f"bs{batch}.om",
            "Ascend310P3",
            {"image": (batch, *_SHAPE)},
            half=False,
        )
    dynamic = {"image": (-1, *_SHAPE)}
    write_om(
        tiny_onnx,
        folder / "dymbatch.om",
        "Ascend310P3",
        dynamic,
        kind="batch",
        gears=[[1], [4], [8], [16]],
        half=False,
    )
    write_om(
        tiny_onnx,
        folder / "dymdims.om",
        "Ascend310P3",
        dynamic,
        kind="dims",
        gears=[[n, *_SHAPE] for n in (1, 4, 8)],
        half=False,
    )
    write_om(tiny_onnx, folder / "dymshape.om", "Ascend310P3", dynamic, kind="shape", half=False)
    write_om(
        two_input_onnx, folder / "multi.om", "Ascend310P3", {"x": (2, 4), "y": (2, 1)}, half=False
    )
    (folder / "garbage.om").write_bytes(b"no model")
    return folder
