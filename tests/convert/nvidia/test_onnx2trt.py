"""Engines from ONNX by the doubles of trtexec and of TensorRT's Python API, run afterwards by the
backend ``trt``.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portproof.convert.nvidia.engines import EngineRequest, convert
from portproof.core.errors import InputError, ToolError

DOUBLES = Path(__file__).resolve().parents[2] / "doubles"
IMAGE = (3, 4, 4)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """``tool("10.16.1")``: that version of trtexec and of the Python package is here."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    install = importlib.import_module("trtexec_fixture").install

    def use(version: str) -> None:
        importlib.import_module("cuda_double").forget()
        install(monkeypatch, tmp_path / "bin", version)

    monkeypatch.chdir(tmp_path)
    yield use
    importlib.import_module("cuda_double").forget()


def plan_of(engine: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.read_bytes()[28:].rpartition(b"\0")[2])
    return found


VERSIONS = ["8.2.1", "8.4.0", "8.6.1", "10.16.1", "11.1.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_trtexec_of_every_version_takes_its_command_line(
    tool: Any, tiny_onnx: Path, tmp_path: Path, version: str
) -> None:
    tool(version)
    proofs = convert(EngineRequest(tiny_onnx, "engines", (1, 4)))
    assert [p.outputs[0].path for p in proofs] == ["tiny_bs1.plan", "tiny_bs4.plan"]
    assert proofs[1].parameters["tensorrt"] == version
    assert proofs[1].parameters["shapes"] == {"image": [[4, *IMAGE]] * 3}
    assert proofs[1].facts["compute_capability"] == "7.5"
    engine = tmp_path / "engines" / "tiny_bs4.plan"
    assert plan_of(engine)["profiles"] == [{"image": [[4, *IMAGE]] * 3}]
    made = engine.stat().st_mtime_ns
    convert(EngineRequest(tiny_onnx, "engines", (4,)))
    assert engine.stat().st_mtime_ns == made, "it was built again although nothing changed"


@pytest.mark.parametrize("version", ["10.16.1", "11.1.0"])
@pytest.mark.parametrize("via", ["trtexec", "python"])
def test_what_is_built_runs(
    tool: Any, tiny_onnx: Path, tmp_path: Path, version: str, via: str
) -> None:
    import numpy as np

    from portproof.backend import LoadRequest, find

    tool(version)
    request = EngineRequest(
        tiny_onnx, "e{batch}", via=via, shapes=("image:1x3x4x4,2x3x4x4,4x3x4x4",)
    )
    (proof,) = convert(request)
    assert proof.facts["timing_cache_sha256"]["after"]
    importlib.import_module("tensorrt")
    session = find("trt").load(tmp_path / "edynamic" / "tiny_dynamic.plan", LoadRequest(batch=3))
    feeds = {"image": np.random.default_rng(1).normal(size=(3, *IMAGE)).astype(np.float32)}
    np.testing.assert_array_equal(
        session.run(feeds)["class"], find("ort").load(tiny_onnx, LoadRequest()).run(feeds)["class"]
    )
    assert session.precision == "fp32"
    session.close()


@pytest.mark.parametrize("via", ["trtexec", "python"])
def test_fp16_is_a_flag_up_to_ten_and_the_files_matter_from_eleven(
    tool: Any, tiny_onnx: Path, via: str
) -> None:
    tool("10.16.1")
    (proof,) = convert(EngineRequest(tiny_onnx, "engines", precision="fp16", via=via))
    assert "--fp16" in str(proof.facts)
    assert (
        plan_of(Path("engines/tiny_bs1.plan"))["layers"][0]["Outputs"][0]["Format/Datatype"]
        == "Half"
    )
    tool("11.1.0")
    with pytest.raises(InputError, match="takes the precision from the file"):
        convert(EngineRequest(tiny_onnx, "engines", precision="fp16", via=via))


def test_dry_run_prints_the_command_and_makes_nothing(
    tool: Any, tiny_onnx: Path, stage: Any, tmp_path: Path
) -> None:
    tool("8.6.1")
    done = stage(
        "convert/onnx2trt.py",
        tiny_onnx,
        "engines",
        "--batch",
        "1,4",
        "--precision",
        "fp16",
        "--dry-run",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert "--shapes=image:4x3x4x4" in lines[1]
    assert "--fp16" in lines[1]
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": ("image:1x3x4x4",)}, "NAME:MIN,OPT,MAX was expected"),
        ({"shapes": ("image:1xx3,2x,x",)}, "NAME:MIN,OPT,MAX was expected"),
        ({"shapes": ("picture:1x3x4x4,2x3x4x4,4x3x4x4",)}, "the inputs are image"),
        ({"shapes": ("image:4x3x4x4,2x3x4x4,8x3x4x4",)}, "does not fit the input 'image'"),
        ({"shapes": ("image:1x1x4x4,2x1x4x4,8x1x4x4",)}, "does not fit the input 'image'"),
        ({"precision": "fp8"}, "the precision is 'fp8'"),
        ({"precision": "int8"}, r"convert/quantize\.py"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_before_anything_is_built(
    tool: Any, tiny_onnx: Path, changes: dict[str, Any], words: str
) -> None:
    tool("10.16.1")
    with pytest.raises(InputError, match=words):
        convert(EngineRequest(tiny_onnx, "engines", **changes))
    assert not Path("engines").exists()


def test_a_fixed_batch_is_another_engines_batch_only(
    tool: Any, tiny_onnx: Path, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(tiny_onnx)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, tmp_path / "fixed.onnx")
    tool("10.16.1")
    with pytest.raises(InputError, match="fixed batch 2 in 'image', --batch asks for 4"):
        convert(EngineRequest(tmp_path / "fixed.onnx", "engines", (4,)))
    (proof,) = convert(EngineRequest(tmp_path / "fixed.onnx", "engines", (2,)))
    assert not any("hapes=" in word for word in proof.facts["command"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("oom", r"built no engine: Error\[1\].*out of memory"),
        ("no-verdict", "it ended with exit code 0 without a verdict"),
        ("no-engine", "it ended with exit code 0 and printed PASSED, but wrote no file"),
    ],
)
def test_a_build_that_fails_leaves_no_engine(
    tool: Any, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    tool("10.16.1")
    monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", fault)
    with pytest.raises(ToolError, match=words):
        convert(EngineRequest(tiny_onnx, "engines"))
    assert {p.name for p in Path("engines").iterdir()} == {"logs"}


def test_a_build_that_is_killed_leaves_what_was_there_and_is_done_again(
    tool: Any, tiny_onnx: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("10.16.1")
    convert(EngineRequest(tiny_onnx, "engines", precision="fp16"))
    kept = {
        p.name: p.read_bytes()
        for p in Path("engines").iterdir()
        if p.suffix in (".plan", ".json", ".cache") and "proof" not in p.name
    }
    assert len(kept) == 3
    monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", "hang")
    process = subprocess.Popen([sys.executable, root / "convert/onnx2trt.py", tiny_onnx, "engines"])
    drafts, deadline = ".tiny_bs1.plan.*.tmp/tiny_bs1.layers.json", time.monotonic() + 60
    while not list(Path("engines").glob(drafts)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert {name: Path("engines", name).read_bytes() for name in kept} == kept
    monkeypatch.delenv("TRTEXEC_DOUBLE_FAULT")
    (proof,) = convert(EngineRequest(tiny_onnx, "engines"))
    assert proof.facts["computes_in"] == "fp32"
    assert not list(Path("engines").glob(".*"))


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tool: Any, tiny_onnx: Path, stage: Any, tmp_path: Path
) -> None:
    tool("10.16.1")
    (tmp_path / "taken").write_text("")
    done = stage("convert/onnx2trt.py", tiny_onnx, "taken", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("portproof: error:")) == (2, 1), done.stderr


def test_what_the_layers_compute_in_is_kept_and_another_precision_is_said(
    tool: Any, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    tool("10.16.1")
    (proof,) = convert(EngineRequest(tiny_onnx, "engines", precision="fp16"))
    assert proof.facts["computes_in"] == "fp16"
    assert "compute in" not in capsys.readouterr().err
    monkeypatch.setenv("TRTEXEC_DOUBLE_FAULT", "fp32")
    (proof,) = convert(EngineRequest(tiny_onnx, "others", precision="fp16"))
    assert proof.facts["computes_in"] == "fp32"
    assert "was asked for in fp16; its layers compute in fp32" in capsys.readouterr().err
    tool("8.0.3")
    (proof,) = convert(EngineRequest(tiny_onnx, "old", precision="fp32"))
    assert proof.facts["computes_in"] is None


@pytest.mark.parametrize("held", [b"damaged", b"elsewhere"])
def test_a_timing_cache_that_is_of_no_use_here_is_begun_anew(
    tool: Any, tiny_onnx: Path, held: bytes
) -> None:
    tool("11.1.0")
    Path("engines").mkdir()
    Path("engines/timing_11.1.0.cache").write_bytes(held)
    (proof,) = convert(EngineRequest(tiny_onnx, "engines", via="python"))
    assert Path("engines/timing_11.1.0.cache").read_bytes() == b"entry"
    assert len(set(proof.facts["timing_cache_sha256"].values())) == 2
    assert (proof.facts["computes_in"], len(proof.outputs)) == ("fp32", 2)


def test_a_gpu_is_asked_for_as_its_driver_answers(
    tool: Any, tiny_onnx: Path, tmp_path: Path
) -> None:
    tool("8.2.1")
    smi = tmp_path / "bin/nvidia-smi"
    smi.write_text(
        '#!/bin/sh\ncase "$1" in *compute_cap*) exit 2;; esac\necho "Tesla T4, 470.82.01"\n'
    )
    smi.chmod(0o755)
    (proof,) = convert(EngineRequest(tiny_onnx, "engines"))
    assert (proof.parameters["gpu"], proof.facts["compute_capability"]) == (
        "Tesla T4, 470.82.01",
        "7.5",
    )
    smi.write_text('#!/bin/sh\necho "Tesla T4, 7.5, 595.10"\n')
    tool("10.16.1")
    (proof,) = convert(EngineRequest(tiny_onnx, "others", via="python"))
    assert (proof.parameters["gpu"], proof.facts["compute_capability"]) == (
        "Tesla T4, 7.5, 595.10",
        "7.5",
    )


def test_a_calibration_cache_decides_the_engine(tool: Any, tiny_onnx: Path, tmp_path: Path) -> None:
    tool("8.6.1")
    (tmp_path / "int8.cache").write_text("TRT-8601-EntropyCalibration2")
    request = EngineRequest(tiny_onnx, "engines", precision="int8", calibration=Path("int8.cache"))
    (proof,) = convert(request)
    assert [r.path for r in proof.inputs["calibration"]] == [str(tmp_path / "int8.cache")]
    with pytest.raises(InputError, match="read by trtexec only"):
        convert(replace(request, via="python"))


def test_a_table_beside_the_batch_keeps_its_shape(tool: Any, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    shapes: dict[str, list[Any]] = {"x": ["n", 3], "t": [3, 5], "y": ["n", 5]}
    x, t, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "t"], ["y"])], "g", [x, t], [y])
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "table.onnx",
    )
    tool("10.16.1")
    (proof,) = convert(EngineRequest(tmp_path / "table.onnx", "engines", (4,)))
    assert proof.parameters["shapes"] == {"x": [[4, 3]] * 3}


def test_an_operator_that_tensorrt_lacks_is_named(tool: Any, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Odd", ["x"], ["y"], domain="odd")], "g", value[:1], value[1:]
    )
    onnx.save(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("odd", 1)]
        ),
        tmp_path / "odd.onnx",
    )
    tool("11.1.0")
    with pytest.raises(ToolError, match="No importer registered for op: Odd"):
        convert(EngineRequest(tmp_path / "odd.onnx", "engines", via="python"))


def test_sizes_and_a_range_are_not_asked_for_together(
    tiny_onnx: Path, stage: Any, tmp_path: Path
) -> None:
    done = stage(
        "convert/onnx2trt.py",
        tiny_onnx,
        "engines",
        "--batch",
        "1",
        "--shapes",
        "image:1x3x4x4,2x3x4x4,4x3x4x4",
        cwd=tmp_path,
    )
    assert (done.returncode, "give one of them" in done.stderr) == (2, True)


def test_without_trtexec_it_says_where_to_get_it(
    tiny_onnx: Path, stage: Any, tmp_path: Path
) -> None:
    done = stage("convert/onnx2trt.py", tiny_onnx, tmp_path / "engines", env={"PATH": "/nowhere"})
    assert done.returncode == 2
    assert "'trtexec' was not found" in done.stderr
