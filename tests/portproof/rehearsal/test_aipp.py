"""Raw pixels through an ``.om`` that crops and normalises them, against the recipe's own floats
through ONNX Runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from portproof.rehearsal.aipp import read_aipp
from portproof.rehearsal.installing import install
from portproof.rehearsal.om import read_om

Stage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(stage: Stage, tmp_path: Path) -> Callable[..., None]:
    """A stage that must succeed, in ``tmp_path``, with the simulated programs; there are ``val``
    with two images and ``means.onnx``.
    """
    environment = install(tmp_path / "rehearsal", "Ascend310P3", {"PATH": os.environ["PATH"]})
    (tmp_path / "val").mkdir()
    noise = np.random.default_rng(2)
    for name, size in (("a", (300, 400)), ("b", (500, 333))):
        Image.fromarray(noise.integers(0, 256, (*size, 3), dtype=np.uint8)).resize(size[::-1]).save(
            tmp_path / "val" / f"{name}.JPEG", quality=95
        )
    nodes = [
        helper.make_node("AveragePool", ["image"], ["p"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Flatten", ["p"], ["means"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, 224, 224])],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, ["b", 147])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
        str(tmp_path / "means.onnx"),
    )

    def go(script: str, *arguments: object) -> None:
        done = stage(script, *arguments, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr

    return go


@pytest.mark.parametrize("runner", ["om", "ais_bench", "benchmark", "msame"])
def test_raw_pixels_give_what_normalised_floats_give(
    run: Callable[..., None], root: Path, tmp_path: Path, runner: str
) -> None:
    run("preprocess/imagenet.py", "val", "floats", "--model", "resnet50", "--workers", 1)
    run(
        "preprocess/imagenet.py",
        "val",
        "raw",
        "--model",
        "resnet50",
        "--recipe",
        root / "catalog" / "recipes" / "resnet_aipp.yaml",
        "--workers",
        1,
    )
    run("preprocess/get_info.py", "bin", "raw", "raw.info", 256, 256)
    run(
        "preprocess/aipp.py",
        "--model",
        "resnet50",
        "--prepared-by",
        "resnet_aipp",
        "--out",
        "aipp.config",
    )
    run("convert/onnx2om.py", "means.onnx", "om", "--batch", 2, "--aipp", "aipp.config")
    chosen = () if runner == "om" else ("--runner", runner)
    run(
        "infer/run.py",
        "om/means_bs2.om",
        "--info",
        "raw.info",
        "--out",
        "result",
        "--batch",
        2,
        *chosen,
    )
    header, _ = read_om(tmp_path / "om" / "means_bs2.om")
    assert [(t.dtype, t.shape) for t in header.inputs] == [("uint8", [2, 256, 256, 3])]
    assert (
        json.loads((tmp_path / "om" / "means_bs2.om.proof.json").read_text())["facts"][
            "normalisation"
        ]["where"]
        == "in the model"
    )
    floats = np.stack(
        [
            np.fromfile(tmp_path / "floats" / f"{name}.bin", np.float32).reshape(3, 224, 224)
            for name in "ab"
        ]
    )
    (expected,) = onnxruntime.InferenceSession(str(tmp_path / "means.onnx")).run(
        None, {"image": floats}
    )
    got = np.stack(
        [np.fromfile(tmp_path / "result" / f"{name}_1.bin", np.float32) for name in "ab"]
    )
    assert expected.std() > 0.02  # a mean of a constant would hide a wrong crop
    np.testing.assert_allclose(got, expected, atol=3e-3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "no aipp_op"),
        ("aipp_op{ aipp_mode: dynamic\n input_format : RGB888_U8 }", "only aipp_mode static"),
        (
            "aipp_op{aipp_mode:static\ninput_format:YUV420SP_U8\ncsc_switch:true}",
            "only aipp_mode static with input_format RGB888_U8",
        ),
        (
            (
                "aipp_op{aipp_mode:static input_format:RGB888_U8 src_image_size_h:8"
                " src_image_size_w:8 crop:true load_start_pos_h:4 crop_size_h:6}"
            ),
            "crop",
        ),
    ],
)
def test_what_is_not_simulated_is_said(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "aipp.cfg").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_aipp(tmp_path / "aipp.cfg")


def test_the_forms_in_circulation_are_read(tmp_path: Path) -> None:
    (tmp_path / "aipp.cfg").write_text(
        "aipp_op{\n  aipp_mode:static  # comment : 3\n  input_format : RGB888_U8\n rbuv_swap_switch"
        " : true\n src_image_size_w : 5\n src_image_size_h:4\n mean_chn_0 : 1\n min_chn_0 : 0.5\n"
        " var_reci_chn_0 : 2.0\n}\n"
    )
    aipp = read_aipp(tmp_path / "aipp.cfg")
    assert (aipp.source, aipp.start, aipp.size) == ((4, 5), (0, 0), (4, 5))
    image = np.arange(60, dtype=np.uint8).reshape(1, 4, 5, 3)
    done = aipp.apply(image)
    assert done.shape == (1, 3, 4, 5)
    assert (done[0, 0, 0, 0], done[0, 2, 0, 0]) == ((2 - 1.5) * 2, 0)
