"""ONNX to TensorRT engines, by trtexec or by TensorRT's Python API: what is built, and whether it was."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof import progress
from portproof.convert.inherit import normalisation_fact
from portproof.convert.onnx_load import load_without_weights
from portproof.convert.trt_package import tensorrt
from portproof.convert.trtexec import Build, Profile, Shape, Trtexec, build_command, find_trtexec
from portproof.errors import InputError, ToolError
from portproof.files import sha256_of
from portproof.provenance import Proof, Work, read_proof
from portproof.shell import Finished, run_program, spelled

PRECISIONS = ("fp32", "fp16", "int8")
_FLOAT16 = 10  # onnx.TensorProto.FLOAT16
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})
_REASON = re.compile(r"\[E\] (.*)")
_CAPABILITY = re.compile(r"Compute Capability: (\d+\.\d+)")
_GPU_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built. ``out`` may hold ``{batch}``. ``shapes``: ``name:min,opt,max`` with dimensions as in ``1x3x224x224``, for one engine
    with a profile; without them there is one engine a batch.
    """

    model: Path
    out: str
    batches: tuple[int, ...] = (1,)
    precision: str = "fp32"
    via: str = "trtexec"
    shapes: tuple[str, ...] = ()

    def engine(self, batch: int | None) -> Path:
        """The engine's file: ``<model>_bs<N>.plan``, or ``<model>_dynamic.plan`` for a profile."""
        kind = "dynamic" if batch is None else f"bs{batch}"
        return Path(self.out.replace("{batch}", str(batch or "dynamic"))) / f"{self.model.stem}_{kind}.plan"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """An ONNX file: its inputs (name -> shape, None where dynamic), whether it holds float16 tensors or quantizing nodes, and its files."""

    inputs: Mapping[str, tuple[int | None, ...]]
    half: bool
    quantized: bool
    files: tuple[Path, ...]


def convert(request: Request, *, timeout_s: float | None = None, dry_run: bool = False) -> list[Proof]:
    """Build every engine of a request; the sidecar of each (none with ``dry_run``, which prints what would be done).

    Raises :class:`InputError` for a request that fits neither the model nor the version of TensorRT, before anything is built, and
    :class:`ToolError` when the build fails.
    """
    facts = read_model(request.model)
    if request.precision not in PRECISIONS:
        raise InputError(f"the precision is '{request.precision}', one of {', '.join(PRECISIONS)} was expected")
    tool = find_trtexec() if request.via == "trtexec" else None
    version = tool.version_text if tool else str(tensorrt("--via python").__version__)
    builds = [_build(request, facts, batch, version) for batch in ([None] if request.shapes else request.batches)]
    if not dry_run:
        return [_make(one, request, facts, tool, timeout_s) for one in builds]
    for one in builds:
        print(spelled(build_command(tool, one)) if tool else f"TensorRT {version} (Python) builds {one.engine} from {one.model}")
    return []


def read_model(path: Path) -> ModelFacts:
    """Read an ONNX file's head; :class:`InputError` when it is none."""
    model = load_without_weights(path, "checking a model before its conversion", "convert")
    weights = {w.name: w for w in model.graph.initializer}
    inputs = {
        v.name: tuple(d.dim_value if d.HasField("dim_value") else None for d in v.type.tensor_type.shape.dim)
        for v in model.graph.input
        if v.name not in weights
    }
    outside = {e.value for w in weights.values() for e in w.external_data if e.key == "location"}
    return ModelFacts(
        inputs,
        half=any(w.data_type == _FLOAT16 for w in weights.values()),
        quantized=any(n.op_type in _QUANTIZING for n in model.graph.node),
        files=(path, *(path.parent / name for name in sorted(outside))),
    )


def profile_of(request: Request, facts: ModelFacts, batch: int | None) -> Profile:
    """The shapes to build for; empty for a model without dynamic dimensions. :class:`InputError` where batch or shapes do not fit the model."""
    dynamic = {name: shape for name, shape in facts.inputs.items() if None in shape}
    if batch is None:
        return _given(request.shapes, facts.inputs)
    for name, shape in facts.inputs.items():
        if shape and shape[0] not in (None, batch):
            raise InputError(
                f"'{request.model}' has the fixed batch {shape[0]} in '{name}', --batch asks for {batch}; export it with a dynamic batch"
            )
        if None in shape[1:]:
            raise InputError(f"input '{name}' has other dynamic dimensions beside the batch: give --shapes {name}:MIN,OPT,MAX")
    return {name: ((batch, *(d or 0 for d in shape[1:])),) * 3 for name, shape in dynamic.items()}


def _given(words: Sequence[str], inputs: Mapping[str, tuple[int | None, ...]]) -> Profile:
    found: dict[str, tuple[Shape, Shape, Shape]] = {}
    for word in words:
        name, _, text = word.rpartition(":")
        shapes = [tuple(int(d) for d in part.split("x")) for part in text.split(",")] if re.fullmatch(r"[\dx]+(,[\dx]+){2}", text) else []
        known = inputs.get(name)
        if known is None or len(shapes) != 3:
            raise InputError(
                f"'{word}' is no profile: NAME:MIN,OPT,MAX was expected, as in image:1x3x224x224,8x3x224x224,32x3x224x224; the inputs are {', '.join(inputs)}"
            )
        low, best, high = shapes
        fits = all(len(s) == len(known) and all(k in (None, d) for k, d in zip(known, s, strict=True)) for s in shapes)
        if not fits or not all(a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
            raise InputError(f"the profile '{word}' does not fit the input '{name}' of shape {known} (None: any), smallest first")
        found[name] = (low, best, high)
    missing = [name for name, shape in inputs.items() if None in shape and name not in found]
    if missing:
        raise InputError(f"the input '{missing[0]}' has dynamic dimensions too: give its --shapes")
    return {name: shapes for name, shapes in found.items() if None in inputs[name]}


def _build(request: Request, facts: ModelFacts, batch: int | None, version: str) -> Build:
    engine = request.engine(batch)
    cache = engine.parent / f"timing_{version}.cache"
    return Build(request.model, engine, request.precision, profile_of(request, facts, batch), facts.half, facts.quantized, cache,
                 engine.with_suffix(".layers.json"))  # fmt: skip


def _make(build: Build, request: Request, facts: ModelFacts, tool: Trtexec | None, timeout_s: float | None) -> Proof:
    """One engine, unless its sidecar says that nothing changed: the model, TensorRT, the GPU, the shapes and the precision."""
    version = tool.version_text if tool else str(tensorrt("--via python").__version__)
    parameters = {"via": request.via, "tensorrt": version, "precision": build.precision, "shapes": dict(build.profile), "gpu": gpu_here()}
    work = Work("onnx2trt", build.engine, inputs={"model": list(facts.files)}, parameters=parameters)
    if work.is_done():
        return read_proof(work.sidecar)
    command = build_command(tool, build) if tool else []  # refuses what this version cannot build, before anything is touched
    work.begin()
    build.engine.parent.mkdir(parents=True, exist_ok=True)
    draft = build.engine.with_name(f".{build.engine.name}.tmp")
    before = sha256_of(build.timing_cache) if build.timing_cache.is_file() else None
    try:
        found = _by_trtexec(command, build, draft, timeout_s) if tool else _by_python(build, draft)
        os.replace(draft, build.engine)
    finally:
        draft.unlink(missing_ok=True)
    progress.say(f"onnx2trt: {build.engine} is made")
    cache = {"before": before, "after": sha256_of(build.timing_cache) if build.timing_cache.is_file() else None}
    outputs = [build.engine, *([build.layers] if build.layers.is_file() else [])]
    return work.finish(outputs, found | {"timing_cache_sha256": cache} | normalisation_fact(request.model))


def _by_trtexec(command: list[str], build: Build, draft: Path, timeout_s: float | None) -> dict[str, Any]:
    command = [f"--saveEngine={draft}" if word.startswith("--saveEngine=") else word for word in command]
    done = run_program(command, build.engine.parent / "logs" / f"trtexec_build_{build.engine.stem}.log", timeout_s=timeout_s)
    output = done.output
    if done.exit_code != 0 or "&&&& PASSED TensorRT.trtexec" not in output or not draft.is_file():
        raise done.failure(f"trtexec built no engine: {_reason(done, output)}")
    capability = _CAPABILITY.search(output)
    return {"command": list(done.command), "seconds": done.seconds, "compute_capability": capability[1] if capability else None}


def _reason(done: Finished, output: str) -> str:
    """The first error that it printed; else how it ended."""
    errors = _REASON.findall(output)
    return errors[0].strip()[:200] if errors else f"it {done.how} without a verdict" if "&&&& FAILED" not in output else f"it {done.how}"


def _by_python(build: Build, draft: Path) -> dict[str, Any]:
    from portproof.convert.trt_builder import build_plan

    plan, facts = build_plan(build)
    draft.write_bytes(plan)
    return facts


def gpu_here() -> str | None:
    """Name, compute capability and driver of the GPUs of this host, as nvidia-smi lists them; None without it: an engine is of its GPU."""
    if shutil.which(_GPU_QUERY[0]) is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(_GPU_QUERY, capture_output=True, text=True, timeout=60, check=False)
        return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else None
    raise ToolError("nvidia-smi does not answer; check the driver")
