"""``trtexec``: which one is here, and the command lines that its version takes.

Flags appeared and vanished between 8.0 and 11 (source: the option parsers of the releases and their
help texts), so no version gets a flag that it does not have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import tail_of
from portproof.core.shell import Finished, find_program, run_program
from portproof.host.tensorrt_versions import HINT, PROGRAM_FOLDERS, Version, version_in_help
from portproof.logs.families.trtexec import FAMILY
from portproof.logs.logged import Run
from portproof.logs.read import only

Shape = tuple[int, ...]
#: Input name -> smallest, best and largest shape.
Profile = Mapping[str, tuple[Shape, Shape, Shape]]

_WORKSPACE_MIB = 4096
_HELP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Trtexec:
    """The program and its version."""

    program: str
    version: Version

    @property
    def version_text(self) -> str:
        """The version with dots."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True)
class Build:
    """An engine to build. ``half`` and ``quantized``: the ONNX file holds float16 tensors, or
    quantizing nodes, already. ``profile`` is empty for a model without dynamic dimensions.
    ``calibration``: a cache of ranges that TensorRT 8 or 10 made, for a file without quantizing
    nodes.
    """

    model: Path
    engine: Path
    precision: str
    profile: Profile
    half: bool
    quantized: bool
    timing_cache: Path
    layers: Path
    calibration: Path | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """What a bench by trtexec encloses: whether the engine is launched as a CUDA graph, whether the
    host spins while it waits, and whether inputs and outputs are copied.
    """

    graph: bool
    spin: bool
    transfers: bool


def find_trtexec() -> Trtexec:
    """The trtexec of this host, asked for its version; :class:`InputError` without one."""
    program = str(find_program(["trtexec"], PROGRAM_FOLDERS, HINT))
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        done = run_program(
            [program, "--help"], Path(folder, "trtexec_help.log"), timeout_s=_HELP_TIMEOUT_S
        )
        if done.exit_code != 0:
            raise InputError(f"'trtexec --help' {done.how} ({tail_of(done.log, 1)}); {HINT}")
        tool = Trtexec(program, version_in_help(done.output))
    if tool.version[0] >= 11:
        progress.say(
            f"trtexec {tool.version_text}: its flags and logs are known from its source only"
        )
    return tool


def run_of(done: Finished) -> Run | None:
    """The run that trtexec's log shows; None without one."""
    try:
        return only(done.log, FAMILY)
    except InputError:
        return None


def has_passed(done: Finished) -> bool:
    """Whether a run printed that it passed. A zero exit code without the line proves nothing."""
    run = run_of(done)
    return done.exit_code == 0 and run is not None and run.status == "ok"


def why_it_failed(done: Finished) -> str:
    """The first error that a run printed; else how it ended."""
    run = run_of(done)
    if run and "error" in run.facts:
        return str(run.facts["error"])
    verdict = {"ok": "PASSED", "failed": "FAILED"}.get(run.status if run else "")
    return f"it {done.how} " + (
        f"and printed {verdict}, but wrote no file" if verdict else "without a verdict"
    )


def build_command(tool: Trtexec, build: Build) -> list[str]:
    """The command line that builds an engine and runs nothing."""
    version = tool.version
    workspace = (
        f"--memPoolSize=workspace:{_WORKSPACE_MIB}"
        if version >= (8, 4, 0)
        else f"--workspace={_WORKSPACE_MIB}"
    )
    described = (
        ["--profilingVerbosity=detailed", f"--exportLayerInfo={build.layers}"]
        if version >= (8, 2, 0)
        else []
    )
    return [
        tool.program,
        f"--onnx={build.model}",
        f"--saveEngine={build.engine}",
        *profile_flags(build.profile),
        *precision_flags(version, build),
        workspace,
        f"--timingCacheFile={build.timing_cache}",
        *described,
        "--skipInference" if version >= (8, 6, 0) else "--buildOnly",
    ]


def precision_flags(version: Version, build: Build) -> list[str]:
    """How the precision is asked for: by flags up to 9.x; in 10 by flags too, unless the file
    itself has it; from 11 only by the file.

    :class:`InputError` where the file would have to be converted first. TF32 is always off, so that
    fp32 means fp32.
    """
    flags = ["--noTF32"]
    if build.calibration:
        return [*flags, "--int8", *_calibrated(version, build, build.calibration)]
    if build.precision == "int8" and not build.quantized:
        raise InputError(
            f"'{build.model}' has no QuantizeLinear nodes, and calibration by TensorRT ended with"
            " 10: make an int8 file with convert/quantize.py"
        )
    if build.precision != "int8" and build.quantized:
        raise InputError(
            f"'{build.model}' holds QuantizeLinear nodes: build it with --precision int8"
        )
    if build.precision == "fp32" and build.half:
        raise InputError(f"'{build.model}' holds float16 tensors: build it with --precision fp16")
    if version[0] >= 11:
        if build.precision == "fp16" and not build.half:
            raise InputError(
                f"TensorRT {version[0]} takes the precision from the file, and '{build.model}' is"
                " float32: convert it with convert/quantize.py --precision fp16 first"
            )
        return flags
    in_the_file = build.half or build.quantized
    if version[0] == 10 and in_the_file:
        return [*flags, "--stronglyTyped"]
    return flags if build.precision == "fp32" else [*flags, f"--{build.precision}"]


def _calibrated(version: Version, build: Build, cache: Path) -> list[str]:
    if version[0] >= 11:
        raise InputError(
            f"TensorRT {version[0]} has no calibration: make an int8 file with convert/quantize.py"
            " instead of giving --calib"
        )
    if build.precision != "int8" or build.quantized or build.half:
        raise InputError(
            "--calib is for --precision int8 of an fp32 file without QuantizeLinear nodes; leave"
            " it out"
        )
    return [f"--calib={cache}"]


def profile_flags(profile: Profile) -> list[str]:
    """The flags of an optimization profile; ``--shapes`` alone if its three shapes are equal."""
    if not profile:
        return []
    if all(low == best == high for low, best, high in profile.values()):
        return [f"--shapes={_spelled(profile, 1)}"]
    return [
        f"--{name}Shapes={_spelled(profile, index)}"
        for index, name in enumerate(("min", "opt", "max"))
    ]


def bench_command(
    tool: Trtexec,
    engine: Path,
    shapes: Mapping[str, Shape],
    mode: Mode,
    *,
    times: Path,
    seconds: float,
) -> list[str]:
    """The command line that times an engine. The mode is given in full, since its defaults were
    reversed in 11; all versions take the same time.
    """
    given = (
        [
            "--shapes="
            + ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
        ]
        if shapes
        else []
    )
    percentiles = "50,90,95,99" if tool.version >= (8, 5, 0) else "99"
    return [
        tool.program,
        f"--loadEngine={engine}",
        *given,
        "--warmUp=1000",
        f"--duration={seconds:g}",
        "--iterations=100",
        f"--percentile={percentiles}",
        f"--exportTimes={times}",
        *mode_flags(tool.version, mode),
    ]


def mode_flags(version: Version, mode: Mode) -> list[str]:
    """The flags that make a mode. Up to 10 all three are off until asked for (transfers: on); from
    11 graph and spinning are on, transfers off, and only the opposite has a flag.
    """
    if version[0] >= 11:
        wanted: Sequence[tuple[bool, str]] = (
            (not mode.graph, "--noCudaGraph"),
            (not mode.spin, "--noSpinWait"),
            (mode.transfers, "--includeDataTransfers"),
        )
    else:
        wanted = (
            (mode.graph, "--useCudaGraph"),
            (mode.spin, "--useSpinWait"),
            (not mode.transfers, "--noDataTransfers"),
        )
    return [flag for on, flag in wanted if on]


def _spelled(profile: Profile, index: int) -> str:
    return ",".join(
        f"{name}:" + "x".join(map(str, shapes[index])) for name, shapes in profile.items()
    )
