"""The command lines of trtexec, held against the help texts of eight real versions and the table of
flags of 11.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from portproof.convert.nvidia.trtexec import (
    Build,
    Mode,
    Trtexec,
    bench_command,
    build_command,
    mode_flags,
)
from portproof.core.errors import InputError
from portproof.host.tensorrt_versions import version_in_help

VERSIONS = {
    "8.2.1": (8, 2, 1),
    "8.5.0": (8, 5, 0),
    "8.6.0": (8, 6, 0),
    "8.6.1": (8, 6, 1),
    "10.0.1": (10, 0, 1),
    "10.6.0": (10, 6, 0),
    "10.14.1": (10, 14, 1),
    "10.16.1": (10, 16, 1),
}
ONE = {"image": ((4, 3, 8, 8),) * 3}
RANGE = {"image": ((1, 3, 8, 8), (4, 3, 8, 8), (8, 3, 8, 8)), "mask": ((1, 9), (4, 9), (8, 9))}
#: Flags that 11 no longer has, of the table of flags; used or not, none may be built.
GONE_IN_11 = {
    "--explicitBatch",
    "--workspace",
    "--buildOnly",
    "--fp16",
    "--int8",
    "--best",
    "--fp8",
    "--bf16",
    "--int4",
    "--calib",
    "--precisionConstraints",
}
#: Those that only warn there, so they are not used either.
WARN_IN_11 = {
    "--useCudaGraph",
    "--useSpinWait",
    "--noDataTransfers",
    "--streams",
    "--stronglyTyped",
}


def build(
    precision: str = "fp32", half: bool = False, quantized: bool = False, dynamic: bool = False
) -> Build:
    folder = Path("out")
    return Build(
        Path("m.onnx"),
        folder / "m.plan",
        precision,
        RANGE if dynamic else ONE,
        half,
        quantized,
        folder / "cache",
        folder / "layers.json",
    )


CALIBRATED = replace(build("int8"), calibration=Path("int8.cache"))
KINDS = [
    build(),
    build("fp16"),
    build("fp16", half=True),
    build("int8", quantized=True),
    build(dynamic=True),
]
MODES = [Mode(*flags) for flags in itertools.product((False, True), repeat=3)]


def names(command: list[str]) -> set[str]:
    assert all(word.startswith("--") for word in command[1:])
    return {word.partition("=")[0] for word in command[1:]}


def commands(version: tuple[int, int, int]) -> list[list[str]]:
    tool = Trtexec("trtexec", version)
    kinds = [*KINDS, CALIBRATED] if version[0] < 11 else [k for k in KINDS if k != build("fp16")]
    builds = [build_command(tool, b) for b in kinds]
    return builds + [
        bench_command(
            tool, Path("m.plan"), {"image": (4, 3, 8, 8)}, mode, times=Path("t.json"), seconds=10
        )
        for mode in MODES
    ]


@pytest.mark.parametrize("name", VERSIONS)
def test_no_version_is_given_a_flag_that_its_help_does_not_list(shared: Path, name: str) -> None:
    text = (shared / f"samples/trtexec_help/help_{name}.txt").read_text(errors="replace")
    version = version_in_help(text)
    assert version == VERSIONS[name]
    listed = set(re.findall(r"--[A-Za-z0-9]+", text))
    for command in commands(version):
        assert names(command) <= listed, command


@pytest.mark.parametrize("name", VERSIONS)
def test_what_replaced_a_removed_flag_is_used(shared: Path, name: str) -> None:
    version = VERSIONS[name]
    command = names(build_command(Trtexec("trtexec", version), build("fp16")))
    assert ("--skipInference" in command) == (version >= (8, 6, 0))
    assert ("--buildOnly" in command) == (version < (8, 6, 0))
    assert ("--workspace" in command) == (version < (8, 4, 0))
    assert "--fp16" in command


def test_eleven_has_neither_removed_nor_warning_flags() -> None:
    for command in commands((11, 1, 0)):
        assert not names(command) & (GONE_IN_11 | WARN_IN_11)


def test_a_mode_is_the_same_on_both_sides_of_eleven() -> None:
    """The comparable pairs of NVIDIA's change of defaults."""
    fast, plain = (
        Mode(graph=True, spin=True, transfers=False),
        Mode(graph=False, spin=False, transfers=True),
    )
    assert mode_flags((10, 16, 1), fast) == ["--useCudaGraph", "--useSpinWait", "--noDataTransfers"]
    assert mode_flags((11, 0, 0), fast) == []
    assert mode_flags((10, 16, 1), plain) == []
    assert mode_flags((11, 0, 0), plain) == [
        "--noCudaGraph",
        "--noSpinWait",
        "--includeDataTransfers",
    ]
    for mode in MODES:
        old, new = mode_flags((8, 6, 1), mode), mode_flags((11, 1, 0), mode)
        assert len(old) + len(new) == 3


def test_the_precision_of_eleven_and_of_int8_is_a_property_of_the_file() -> None:
    new, old = Trtexec("trtexec", (11, 1, 0)), Trtexec("trtexec", (10, 16, 1))
    with pytest.raises(
        InputError, match=r"takes the precision from the file.*--precision fp16 first"
    ):
        build_command(new, build("fp16"))
    assert "--stronglyTyped" in names(build_command(old, build("fp16", half=True)))
    assert not names(build_command(new, build("fp16", half=True))) & {"--fp16", "--stronglyTyped"}
    for tool in (new, old):
        with pytest.raises(InputError, match="has no QuantizeLinear nodes"):
            build_command(tool, build("int8"))
        with pytest.raises(InputError, match="--precision int8"):
            build_command(tool, build("fp32", quantized=True))
        with pytest.raises(InputError, match="--precision fp16"):
            build_command(tool, build("fp32", half=True))


def test_a_calibration_cache_is_for_versions_that_calibrate() -> None:
    for version in ((8, 2, 1), (10, 16, 1)):
        command = build_command(Trtexec("trtexec", version), CALIBRATED)
        assert {"--int8", "--calib=int8.cache"} <= set(command)
        assert "--stronglyTyped" not in command
    with pytest.raises(
        InputError,
        match=r"TensorRT 11 has no calibration: make an int8 file with convert/quantize\.py",
    ):
        build_command(Trtexec("trtexec", (11, 0, 0)), CALIBRATED)
    for wrong in ({"precision": "fp16"}, {"quantized": True}, {"half": True}):
        with pytest.raises(InputError, match="of an fp32 file without QuantizeLinear"):
            build_command(Trtexec("trtexec", (10, 16, 1)), replace(CALIBRATED, **wrong))  # type: ignore[arg-type]


def test_profiles_are_spelled_as_trtexec_reads_them() -> None:
    command = build_command(Trtexec("trtexec", (10, 16, 1)), build(dynamic=True))
    shapes = [w for w in command if "Shapes=" in w]
    assert shapes == [
        "--minShapes=image:1x3x8x8,mask:1x9",
        "--optShapes=image:4x3x8x8,mask:4x9",
        "--maxShapes=image:8x3x8x8,mask:8x9",
    ]
    assert "--shapes=image:4x3x8x8" in build_command(Trtexec("trtexec", (10, 16, 1)), build())


@pytest.mark.parametrize(
    ("banner", "words"),
    [
        (
            "&&&& RUNNING TensorRT.trtexec # trtexec --help",
            "TensorRT 7, which is read but not driven",
        ),
        (
            "&&&& RUNNING TensorRT.trtexec [TensorRT v9200] # trtexec --help",
            "TensorRT 9, which is read but not driven",
        ),
        ("usage: something else", "no banner"),
    ],
)
def test_versions_that_are_not_driven_are_one_sentence(banner: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        version_in_help(banner)


def test_the_banner_of_eleven() -> None:
    assert version_in_help(
        "&&&& RUNNING TensorRT.trtexec [TensorRT v110100] [b12] # trtexec --help"
    ) == (11, 1, 0)
