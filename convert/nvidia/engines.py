"""ONNX to TensorRT engines, by trtexec or by TensorRT's Python API: what is built, and whether it
was.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portproof.convert.nvidia.layers import computing_precision
from portproof.convert.nvidia.package import tensorrt
from portproof.convert.nvidia.trtexec import (
    Build,
    Profile,
    Shape,
    Trtexec,
    build_command,
    find_trtexec,
    has_passed,
    run_of,
    why_it_failed,
)
from portproof.convert.onnxfile.inherit import normalisation_fact
from portproof.convert.onnxfile.load import load_without_weights
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.core.files import existing_file, sha256_of
from portproof.core.shell import run_program, spelled
from portproof.proof.sidecar import Proof, Work, read_proof

PRECISIONS = ("fp32", "fp16", "int8")
_FLOAT16 = 10  # onnx.TensorProto.FLOAT16
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})
_THREE_SHAPES = re.compile(r"[0-9]+(?:x[0-9]+)*(?:,[0-9]+(?:x[0-9]+)*){2}")
_CAPABILITY_OF_SMI = re.compile(r", (\d+\.\d+),")
#: Drivers before 495 know no compute_cap.
_GPU_QUERIES = ("name,compute_cap,driver_version", "name,driver_version")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built. ``out`` may hold ``{batch}``. ``shapes``: ``name:min,opt,max`` with
    dimensions as in ``1x3x224x224``, for one engine with a profile; without them there is one
    engine a batch. ``calibration``: a calibration cache of TensorRT 8 or 10, for int8 by trtexec.
    """

    model: Path
    out: str
    batches: tuple[int, ...] = (1,)
    precision: str = "fp32"
    via: str = "trtexec"
    shapes: tuple[str, ...] = ()
    calibration: Path | None = None

    def engine(self, batch: int | None) -> Path:
        """The engine's file: ``<model>_bs<N>.plan``, or ``<model>_dynamic.plan`` for a profile."""
        kind = "dynamic" if batch is None else f"bs{batch}"
        return (
            Path(self.out.replace("{batch}", str(batch or "dynamic")))
            / f"{self.model.stem}_{kind}.plan"
        )


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """An ONNX file: its inputs (name -> shape, None where dynamic), whether it holds float16
    tensors or quantizing nodes, and its files.
    """

    inputs: Mapping[str, tuple[int | None, ...]]
    half: bool
    quantized: bool
    files: tuple[Path, ...]


def convert(
    request: Request, *, timeout_s: float | None = None, dry_run: bool = False
) -> list[Proof]:
    """Build every engine of a request; the sidecar of each (none with ``dry_run``, which prints
    what would be done).

    Raises :class:`InputError` for a request that fits neither the model nor the version of
    TensorRT, before anything is built, and :class:`ToolError` when the build fails.
    """
    facts = read_model(request.model)
    if request.precision not in PRECISIONS:
        raise InputError(
            f"the precision is '{request.precision}', one of {', '.join(PRECISIONS)} was expected"
        )
    if request.calibration and request.via != "trtexec":
        raise InputError(
            "a calibration cache is read by trtexec only: leave --via out, or make an int8 file"
            " with convert/quantize.py"
        )
    tool = find_trtexec() if request.via == "trtexec" else None
    version = tool.version_text if tool else str(tensorrt("--via python").__version__)
    builds = [
        _build(request, facts, batch, version)
        for batch in ([None] if request.shapes else request.batches)
    ]
    if not dry_run:
        return [_make(one, request, facts, tool, timeout_s) for one in builds]
    for one in builds:
        print(
            spelled(build_command(tool, one))
            if tool
            else f"TensorRT {version} (Python) builds {one.engine} from {one.model}"
        )
    return []


def read_model(path: Path) -> ModelFacts:
    """Read an ONNX file's head; :class:`InputError` when it is none."""
    model = load_without_weights(path, "checking a model before its conversion", "convert")
    weights = {w.name: w for w in model.graph.initializer}
    inputs = {
        v.name: tuple(
            d.dim_value if d.dim_value > 0 else None for d in v.type.tensor_type.shape.dim
        )
        for v in model.graph.input
        if v.name not in weights
    }
    outside = {e.value for w in weights.values() for e in w.external_data if e.key == "location"}
    return ModelFacts(
        inputs,
        half=_FLOAT16 in _element_types(model.graph),
        quantized=any(n.op_type in _QUANTIZING for n in model.graph.node),
        files=(path, *(path.parent / name for name in sorted(outside))),
    )


def _element_types(graph: Any) -> set[int]:
    """The element types of weights, constants, inputs and outputs."""
    constants = {
        a.t.data_type
        for node in graph.node
        if node.op_type == "Constant"
        for a in node.attribute
        if a.HasField("t")
    }
    return (
        constants
        | {w.data_type for w in graph.initializer}
        | {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    )


def profile_of(request: Request, facts: ModelFacts, batch: int | None) -> Profile:
    """The shapes to build for; empty for a model without dynamic dimensions. :class:`InputError`
    where batch or shapes do not fit the model.
    """
    dynamic = {name: shape for name, shape in facts.inputs.items() if None in shape}
    if batch is None:
        return _given(request.shapes, facts.inputs)
    any_batch = any(shape[0] is None for shape in dynamic.values())
    for name, shape in facts.inputs.items():
        if (
            shape and shape[0] not in (None, batch) and not any_batch
        ):  # else it is a table that all samples share
            raise InputError(
                f"'{request.model}' has the fixed batch {shape[0]} in '{name}', --batch asks for"
                f" {batch}; export it with a dynamic batch"
            )
        if None in shape[1:]:
            raise InputError(
                f"input '{name}' has other dynamic dimensions beside the batch: give --shapes"
                f" {name}:MIN,OPT,MAX"
            )
    return {
        name: (tuple(batch if d is None else d for d in shape),) * 3
        for name, shape in dynamic.items()
    }


def _given(words: Sequence[str], inputs: Mapping[str, tuple[int | None, ...]]) -> Profile:
    found: dict[str, tuple[Shape, Shape, Shape]] = {}
    for word in words:
        name, _, text = word.rpartition(":")
        shapes = (
            [tuple(int(d) for d in part.split("x")) for part in text.split(",")]
            if _THREE_SHAPES.fullmatch(text)
            else []
        )
        known = inputs.get(name)
        if known is None or len(shapes) != 3:
            raise InputError(
                f"'{word}' is no profile: NAME:MIN,OPT,MAX was expected, as in"
                f" image:1x3x224x224,8x3x224x224,32x3x224x224; the inputs are {', '.join(inputs)}"
            )
        low, best, high = shapes
        fits = all(
            len(s) == len(known) and all(k in (None, d) for k, d in zip(known, s, strict=True))
            for s in shapes
        )
        if not fits or not all(a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
            raise InputError(
                f"the profile '{word}' does not fit the input '{name}' of shape {known} (None:"
                " any), smallest first"
            )
        found[name] = (low, best, high)
    missing = [name for name, shape in inputs.items() if None in shape and name not in found]
    if missing:
        raise InputError(f"the input '{missing[0]}' has dynamic dimensions too: give its --shapes")
    return {name: shapes for name, shapes in found.items() if None in inputs[name]}


def _build(request: Request, facts: ModelFacts, batch: int | None, version: str) -> Build:
    engine = request.engine(batch)
    cache = engine.parent / f"timing_{version}.cache"
    return Build(
        request.model,
        engine,
        request.precision,
        profile_of(request, facts, batch),
        facts.half,
        facts.quantized,
        cache,
        engine.with_suffix(".layers.json"),
        request.calibration,
    )


def _make(
    build: Build, request: Request, facts: ModelFacts, tool: Trtexec | None, timeout_s: float | None
) -> Proof:
    """One engine, unless its sidecar says that nothing changed: the model, TensorRT, the GPU, the
    shapes and the precision.
    """
    version, gpu = (
        tool.version_text if tool else str(tensorrt("--via python").__version__),
        gpu_here(),
    )
    parameters = {
        "via": request.via,
        "tensorrt": version,
        "precision": build.precision,
        "shapes": dict(build.profile),
        "gpu": gpu,
    }
    calibration = (
        [existing_file(build.calibration, "calibration cache")] if build.calibration else []
    )
    work = Work(
        "onnx2trt",
        build.engine,
        inputs={"model": list(facts.files), "calibration": calibration},
        parameters=parameters,
    )
    if work.is_done():
        return read_proof(work.sidecar)
    if tool:
        build_command(
            tool, build
        )  # refuses what this version cannot build, before anything is touched
    work.begin()
    build.engine.parent.mkdir(parents=True, exist_ok=True)
    before = _hash_of(build.timing_cache)
    with _drafts(build) as draft:
        found = _by_trtexec(tool, draft, build, timeout_s) if tool else _by_python(draft)
    capability = _CAPABILITY_OF_SMI.search(gpu or "")
    found = (
        {"compute_capability": capability[1] if capability else None}
        | found
        | {"computes_in": _computes_in(build)}
    )
    progress.say(f"onnx2trt: {build.engine} is made")
    cache = {"before": before, "after": _hash_of(build.timing_cache)}
    outputs = [build.engine, *([build.layers] if build.layers.is_file() else [])]
    return work.finish(
        outputs, found | {"timing_cache_sha256": cache} | normalisation_fact(request.model)
    )


@contextmanager
def _drafts(build: Build) -> Iterator[Build]:
    """The same build with its files in a folder of its own: whatever ends it leaves the engine, the
    layers and the timing cache as they were.
    """
    folder = build.engine.with_name(f".{build.engine.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        files = {
            name: folder / getattr(build, name).name
            for name in ("engine", "layers", "timing_cache")
        }
        if build.timing_cache.is_file():
            shutil.copyfile(build.timing_cache, files["timing_cache"])
        yield replace(build, **files)
        build.layers.unlink(
            missing_ok=True
        )  # those of an engine before, where this version lists none
        for name, file in files.items():
            if file.is_file():
                os.replace(file, getattr(build, name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _by_trtexec(
    tool: Trtexec, draft: Build, build: Build, timeout_s: float | None
) -> dict[str, Any]:
    log = build.engine.parent / "logs" / f"trtexec_build_{build.engine.stem}.log"
    done = run_program(build_command(tool, draft), log, timeout_s=timeout_s)
    if not has_passed(done) or not _holds_bytes(draft.engine):
        raise done.failure(f"trtexec built no engine: {why_it_failed(done)}")
    run = run_of(done)
    capability = run.facts.get("compute_capability") if run else None
    return {"command": list(done.command), "seconds": done.seconds} | (
        {"compute_capability": capability} if capability else {}
    )


def _by_python(draft: Build) -> dict[str, Any]:
    from portproof.convert.nvidia.by_python import build_engine

    return build_engine(draft)


def _computes_in(build: Build) -> str | None:
    """What the layers compute in, None where they are not listed; a warning where TensorRT chose
    something else than was asked for.
    """
    found = (
        computing_precision(build.layers.read_text(encoding="utf-8", errors="replace"))
        if build.layers.is_file()
        else None
    )
    if found not in (None, build.precision):
        progress.warn(
            f"'{build.engine}' was asked for in {build.precision}; its layers compute in {found},"
            " and its figures are labelled so"
        )
    return found


def _holds_bytes(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _hash_of(file: Path) -> str | None:
    return sha256_of(file) if file.is_file() else None


def gpu_here() -> str | None:
    """Name, compute capability and driver of the GPUs of this host, as nvidia-smi lists them; None
    without it: an engine is of its GPU.
    """
    if shutil.which("nvidia-smi") is None:
        return None
    for query in _GPU_QUERIES:
        try:
            command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError("nvidia-smi does not answer; check the driver") from error
        if done.returncode == 0:
            return "; ".join(done.stdout.split("\n")).strip("; ")
    return None
