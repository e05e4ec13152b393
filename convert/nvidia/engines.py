"""ONNX to TensorRT engines, by trtexec or by TensorRT's Python API."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portproof.convert.nvidia.layers import computing_precision
from portproof.convert.nvidia.package import tensorrt
from portproof.convert.nvidia.profiles import profile_of
from portproof.convert.nvidia.trtexec import (
    Build,
    Trtexec,
    build_command,
    find_trtexec,
    has_passed,
    run_of,
    why_it_failed,
)
from portproof.convert.onnxfile.inherit import normalisation_fact
from portproof.convert.onnxfile.read import OnnxHead, read_onnx
from portproof.core import progress
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError
from portproof.core.files import existing_file, sha256_of
from portproof.core.shell import run_program, spelled
from portproof.host import nvidiasmi
from portproof.proof.sidecar import Proof, read_proof
from portproof.proof.work import Work

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class EngineRequest:
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


def convert(
    request: EngineRequest, *, timeout_s: float | None = None, dry_run: bool = False
) -> list[Proof]:
    """Build every engine of a request; the sidecar of each (none with ``dry_run``, which prints
    what would be done).

    Raises :class:`InputError` for a request that fits neither the model nor the version of
    TensorRT, before anything is built, and :class:`ToolError` when the build fails.
    """
    model = read_onnx(request.model)
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
        _build(request, model, batch, version)
        for batch in ([None] if request.shapes else request.batches)
    ]
    if not dry_run:
        return [_make(build, request, model, tool, timeout_s) for build in builds]
    for build in builds:
        print(
            spelled(build_command(tool, build))
            if tool
            else f"TensorRT {version} (Python) builds {build.engine} from {build.model}"
        )
    return []


def _build(request: EngineRequest, model: OnnxHead, batch: int | None, version: str) -> Build:
    engine = request.engine(batch)
    cache = engine.parent / f"timing_{version}.cache"
    return Build(
        request.model,
        engine,
        request.precision,
        profile_of(model, request.shapes, batch),
        model.half,
        model.quantized,
        cache,
        engine.with_suffix(".layers.json"),
        request.calibration,
    )


def _make(
    build: Build,
    request: EngineRequest,
    model: OnnxHead,
    tool: Trtexec | None,
    timeout_s: float | None,
) -> Proof:
    """One engine, unless its sidecar says that nothing changed: the model, TensorRT, the GPU, the
    shapes and the precision.
    """
    gpus = nvidiasmi.query()
    parameters = {
        "via": request.via,
        "tensorrt": tool.version_text if tool else str(tensorrt("--via python").__version__),
        "precision": build.precision,
        "shapes": dict(build.profile),
        "gpu": nvidiasmi.named(gpus),
    }
    calibration = (
        [existing_file(build.calibration, "calibration cache")] if build.calibration else []
    )
    work = Work(
        "onnx2trt",
        build.engine,
        inputs={"model": model.files, "calibration": calibration},
        parameters=parameters,
    )
    if work.is_done():
        return read_proof(work.sidecar)
    if tool:  # refuses what this version cannot build, before anything is touched
        build_command(tool, build)
    work.begin()
    build.engine.parent.mkdir(parents=True, exist_ok=True)
    before = _hash_of(build.timing_cache)
    with _drafts(build) as draft:
        facts = _by_trtexec(tool, draft, build, timeout_s) if tool else _by_python(draft)
    facts = (
        {"compute_capability": gpus[0].compute_capability if gpus else None}
        | facts
        | {"computes_in": _computes_in(build)}
    )
    progress.say(f"onnx2trt: {build.engine} is made")
    cache = {"before": before, "after": _hash_of(build.timing_cache)}
    outputs = [build.engine, *([build.layers] if build.layers.is_file() else [])]
    return work.finish(
        outputs, facts | {"timing_cache_sha256": cache} | normalisation_fact(request.model)
    )


@contextmanager
def _drafts(build: Build) -> Iterator[Build]:
    """The same build with its files in a folder of its own: whatever ends it leaves the engine, the
    layers and the timing cache as they were.
    """
    with draft_folder(build.engine) as folder:
        files = {
            name: folder / getattr(build, name).name
            for name in ("engine", "layers", "timing_cache")
        }
        if build.timing_cache.is_file():
            shutil.copyfile(build.timing_cache, files["timing_cache"])
        yield replace(build, **files)
        # Those of an engine before, if this version lists none.
        build.layers.unlink(missing_ok=True)
        for name, file in files.items():
            if file.is_file():
                os.replace(file, getattr(build, name))


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
    precision = (
        computing_precision(build.layers.read_text(encoding="utf-8", errors="replace"))
        if build.layers.is_file()
        else None
    )
    if precision not in (None, build.precision):
        progress.warn(
            f"'{build.engine}' was asked for in {build.precision}; its layers compute in"
            f" {precision}, and its figures are labelled so"
        )
    return precision


def _holds_bytes(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _hash_of(file: Path) -> str | None:
    return sha256_of(file) if file.is_file() else None
