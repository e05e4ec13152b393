"""ONNX to .om: the exact command, what is refused before it, and what counts as success."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from portproof.rehearsal.installing import install
from portproof.rehearsal.om import read_om

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def convert(stage: Command, tmp_path: Path, tiny_onnx: Path) -> Command:
    """Run ``onnx2om.py tiny.onnx om`` with the simulated programs on the path."""
    (tmp_path / "tiny.onnx").write_bytes(tiny_onnx.read_bytes())
    environment = install(tmp_path / "rehearsal", "Ascend310P3", {"PATH": os.environ["PATH"]})

    def run(
        *arguments: object,
        model: str = "tiny.onnx",
        out: str = "om",
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return stage(
            "convert/onnx2om.py",
            model,
            out,
            *arguments,
            cwd=tmp_path,
            env=environment | (env or {}),
        )

    return run


def dry(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    return [shlex.split(line)[1:] for line in done.stdout.splitlines()]


def test_a_dry_run_prints_the_exact_command_of_each_batch(convert: Command, tmp_path: Path) -> None:
    commands = dry(convert("--target", "310p", "--batch", "1,16", "--dry-run"))
    assert commands == [
        [
            "--framework=5",
            "--model=tiny.onnx",
            f"--output=om/tiny_bs{n}",
            "--soc_version=Ascend310P3",
            "--input_format=NCHW",
            f"--input_shape=image:{n},3,4,4",
            "--log=error",
        ]
        for n in (1, 16)
    ]
    assert not (tmp_path / "om").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--batch", "4,1", "--dynamic-batch"),
            ["--input_shape=image:-1,3,4,4", "--dynamic_batch_size=1,4"],
        ),
        (
            ("--dynamic-dims", "1;4"),
            ["--input_format=ND", "--input_shape=image:-1,3,4,4", "--dynamic_dims=1;4"],
        ),
        (("--shape-range", "image:[1~8,3,4,4]"), ["--input_shape_range=image:[1~8,3,4,4]"]),
        (
            ("--flag", "optypelist_for_implmode=Gelu,Sigmoid"),
            ["--optypelist_for_implmode=Gelu,Sigmoid", "--log=error"],
        ),
        (
            ("--flag=--log=info", "--flag", "out_nodes=/fc/Gemm:0;/x:1"),
            ["--log=info", "--out_nodes=/fc/Gemm:0;/x:1"],
        ),
        (("--precision", "fp32"), ["--precision_mode_v2=origin"]),
        (("--output-type", "FP16"), ["--output_type=FP16"]),
        (("--target", "310", "--soc-version", "Ascend310"), ["--soc_version=Ascend310"]),
        (("--soc-version", "Ascend710"), ["--soc_version=Ascend710"]),
        (("--tune",), ["--job_type=2"]),
    ],
)
def test_the_flags_of_each_option(
    convert: Command, options: tuple[str, ...], expected: list[str]
) -> None:
    words = [word for command in dry(convert(*options, "--dry-run")) for word in command]
    assert set(expected) <= set(words)


def test_the_older_spelling_of_the_precision(convert: Command, tmp_path: Path) -> None:
    old = tmp_path / "old" / "atc"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho '--precision_mode precision mode'\n")
    old.chmod(0o755)
    done = convert(
        "--precision", "fp16", "--dry-run", env={"PATH": f"{old.parent}:{os.environ['PATH']}"}
    )
    assert not (tmp_path / "om").exists()
    assert "--precision_mode=force_fp16" in dry(done)[0]


def test_conversion_makes_a_file_a_batch_and_is_done_once(convert: Command, tmp_path: Path) -> None:
    done = convert("--batch", "1,4", out="310p/bs{batch}")
    assert done.returncode == 0, done.stderr
    header, _ = read_om(tmp_path / "310p" / "bs4" / "tiny_bs4.om")
    assert (header.soc_version, header.largest, header.outputs[0].name) == (
        "Ascend310P3",
        [[4, 3, 4, 4]],
        "/fc/Gemm:0:class",
    )
    proof = json.loads((tmp_path / "310p" / "bs4" / "tiny_bs4.om.proof.json").read_text())
    assert (proof["simulated"], proof["parameters"]["precision"]) == (True, "fp16")
    assert (
        "ATC run success" in (tmp_path / "310p" / "bs4" / "logs" / "atc_tiny_bs4.log").read_text()
    )
    again = convert("--batch", "1,4", out="310p/bs{batch}")
    assert again.stderr.count("is up to date") == 2
    assert convert("--batch", "4", "--tune", out="310p/bs{batch}").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "t4"), "the target 't4' takes no .om files"),
        (("--soc-version", "Ascend310"), "--soc-version Ascend310 is not of the target 310p"),
        (
            ("--input-shape", "picture:1,3,4,4"),
            "--input-shape names 'picture', the model's inputs are image",
        ),
        (("--input-shape", "image:1,3,8,8"), "has the shape (None, 3, 4, 4) in the model"),
        (("--input-shape", "image"), "'image' is not an input shape"),
        (
            ("--input-shape", "image:4,3,4,4"),
            (
                "--input-shape gives 'image' the shape [4, 3, 4, 4], --batch asks for 1; they must"
                " agree"
            ),
        ),
        (("--aipp", "none.cfg"), "AIPP configuration: 'none.cfg' does not exist"),
        (
            ("--dynamic-dims", "1,4;2"),
            "--dynamic-dims: the gear '1,4' must hold 1 positive whole number, one",
        ),
        (("--dynamic-dims", "1;a"), "--dynamic-dims: the gear 'a' must hold"),
        (
            ("--dynamic-image-size", "8,8", "--batch", "1,2"),
            "a choice of image sizes has one batch: give one --batch",
        ),
        (
            ("--dynamic-image-size", "8,8,8"),
            "--dynamic-image-size: the gear '8,8,8' must hold 2 positive whole numbers",
        ),
        (
            ("--dynamic-image-size", "8,8", "--input-shape", "image:-1,3,-1,-1"),
            "only height and width of an image (NCHW) can be open",
        ),
        (
            ("--dynamic-batch", "--input-shape", "image:4,3,4,4"),
            "with --dynamic-batch the batch and nothing else is open",
        ),
        (
            ("--dynamic-batch", "--input-shape", "image:-1,3,-1,4"),
            "with --dynamic-batch the batch and nothing else is open",
        ),
        (("--shape-range", "image:1~8,3,4,4"), "'image:1~8,3,4,4' is not a range of shapes"),
        (
            ("--shape-range", "image:[1~8,3,4]"),
            "--shape-range gives 'image' 3 dimensions, the model has 'image' 4 dimensions",
        ),
        (
            ("--shape-range", "picture:[1~8,3,4,4]"),
            "--shape-range gives 'picture' 4 dimensions, the model has 'image' 4 dimensions",
        ),
        (("--flag", "op_select_implmode"), "--flag 'op_select_implmode' is not NAME=VALUE"),
        (("--flag", "soc_version=Ascend310"), "--flag soc_version is decided by another option"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_atc(
    convert: Command, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = convert(*options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.rglob("*.om"))


def test_the_batch_of_a_model_with_image_sizes_is_filled_in(
    convert: Command, tmp_path: Path
) -> None:
    save_identity(tmp_path / "open.onnx", ["b", 3, "h", "w"])
    (command,) = dry(
        convert("--dynamic-image-size", "8,8;16,12", "--batch", "2", "--dry-run", model="open.onnx")
    )
    assert {"--input_shape=image:2,3,-1,-1", "--dynamic_image_size=8,8;16,12"} <= set(command)


def save_identity(path: Path, shape: list[Any], op: str = "Identity", *more: str) -> None:
    value = helper.make_tensor_value_info
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [], [1.0]) for name in more]
    graph = helper.make_graph(
        [helper.make_node(op, ["image", *more], ["y"])],
        "g",
        [value("image", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT if op == "Identity" else TensorProto.UINT8, None)],
        weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        str(path),
    )


def test_an_int8_file_is_refused_before_atc(convert: Command, tmp_path: Path) -> None:
    save_identity(tmp_path / "int8.onnx", [1, 4], "QuantizeLinear", "scale")
    done = convert(model="int8.onnx")
    assert done.returncode == 2
    assert "holds QuantizeLinear or DequantizeLinear nodes, which atc does not take" in done.stderr


def test_a_file_that_a_flag_names_is_absolute_and_decides_whether_it_is_done(
    convert: Command, tmp_path: Path
) -> None:
    (tmp_path / "fusion.cfg").write_text("{}")
    options = ("--flag", "fusion_switch_file=fusion.cfg")
    assert (
        f"--fusion_switch_file={tmp_path / 'fusion.cfg'}" in dry(convert(*options, "--dry-run"))[0]
    )
    assert convert(*options).returncode == 0
    assert "is up to date" in convert(*options).stderr
    (tmp_path / "fusion.cfg").write_text("{ }")
    assert "running because" in convert(*options).stderr


def test_a_missing_atc_says_to_source_the_environment(convert: Command) -> None:
    done = convert("--soc-version", "Ascend310P3", env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2
    assert (
        "the program 'atc' was not found on this host; source"
        " /usr/local/Ascend/ascend-toolkit/set_env.sh first" in done.stderr
    )


FAILURES = {
    "E19010: No parser is registered for Op [x]": (
        255,
        "atc failed with E19010 (the parser does not know an operator at this opset",
    ),
    "E10007: [PID: 10490] 2025-03-18-09:02:18.501.341 [--framework] is required.": (
        255,
        "atc failed with E10007 (a required parameter is missing)",
    ),
    "EZ3003: [PID: 1] unsupported op": (1, "EZ3003 (an operator is not supported on this chip)"),
    "atc: error while loading shared libraries: libascend_hal.so": (
        127,
        "a library of the driver or of CANN is missing",
    ),
    "ATC run success, welcome to the next use.": (0, "but made no .om file"),
    "E1000: no code": (0, "ended with exit code 0 without its line 'ATC run success'"),
}


@pytest.mark.parametrize("line", FAILURES)
def test_every_kind_of_failure_is_exit_code_3_with_its_meaning(
    convert: Command, tmp_path: Path, line: str
) -> None:
    code, message = FAILURES[line]
    atc = tmp_path / "bad" / "atc"
    atc.parent.mkdir()
    atc.write_text(
        f"#!/bin/sh\necho 'ATC start working now, please wait for a moment.'\necho '{line}'\nexit"
        f" {code}\n"
    )
    atc.chmod(0o755)
    done = convert(
        "--soc-version", "Ascend310P3", env={"PATH": f"{atc.parent}:{os.environ['PATH']}"}
    )
    assert (done.returncode, message in done.stderr, line in done.stderr) == (3, True, True), (
        done.stderr
    )
    assert not list(tmp_path.rglob("*.om*"))


def test_a_model_named_after_the_host_is_found(convert: Command, tmp_path: Path) -> None:
    atc = tmp_path / "new" / "atc"
    atc.parent.mkdir()
    atc.write_text(
        '#!/bin/sh\nfor w; do case $w in --output=*) echo om >"${w#--output=}_linux_x86_64.om";;'
        ' esac; done\necho "ATC run success"\n'
    )
    atc.chmod(0o755)
    assert (
        convert(
            "--soc-version", "Ascend310P3", env={"PATH": f"{atc.parent}:{os.environ['PATH']}"}
        ).returncode
        == 0
    )
    assert (tmp_path / "om" / "tiny_bs1.om").read_text() == "om\n"
