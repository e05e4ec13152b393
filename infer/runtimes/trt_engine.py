"""TensorRT engines: reading the version off a plan, deserialising it, and what the engine itself
says about its layers.

Only what both TensorRT 10 and 11 have is used. Nothing raises there: a failure is a None, and its
reason goes to the logger, so the logger's words are kept and end up in the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.convert.nvidia.layers import computing_precision
from portproof.convert.nvidia.package import collecting_logger, tensorrt
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.proof.sidecar import proof_of

#: The head of a plan, as trtexec's --getPlanVersionOnly reads it: a tag, the serialisation's
#: version 0, and TensorRT's version in bytes 24 to 27.
PLAN_TAG = b"ftrt"
_VERSION_AT = slice(24, 28)
NEEDED_FOR = "the backend 'trt'"


@dataclass(frozen=True, slots=True)
class Engine:
    """A deserialised engine. ``runtime`` and ``messages`` (the logger) must outlive it."""

    trt: Any
    engine: Any
    runtime: Any
    messages: Any


def plan_version(head: bytes) -> str | None:
    """The TensorRT version that built a plan, from its first 28 bytes; None when they are no plan's
    or of another form.

    >>> plan_version(b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]))
    '10.3.0.26'
    """
    if head[:4] != PLAN_TAG or head[4:8] != bytes(4) or len(head) < _VERSION_AT.stop:
        return None
    return ".".join(map(str, head[_VERSION_AT]))


def open_engine(model: Path, compute_capability: str, version_compatible: bool) -> Engine:
    """Deserialise a plan on the current device, whose compute capability is given.

    ``version_compatible`` lets plans run that bring their own runtime, which means running code
    from the plan; so only when asked.
    """
    plan = existing_file(model, "TensorRT engine").read_bytes()
    trt = tensorrt(NEEDED_FOR)
    messages = collecting_logger(trt)
    runtime = trt.Runtime(messages)
    if version_compatible:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise InputError(
            _why_refused(model, plan, trt.__version__, compute_capability, messages.last)
        )
    return Engine(trt, engine, runtime, messages)


def _why_refused(
    model: Path, plan: bytes, version: str, compute_capability: str, reason: str
) -> str:
    """One sentence: what built the engine, and what is here."""
    built_by = plan_version(plan[: _VERSION_AT.stop])
    if plan[:4] != PLAN_TAG:
        return (
            f"'{model}' is not a TensorRT engine (a plan begins with '{PLAN_TAG.decode()}'); build"
            " one with convert/onnx2trt.py"
        )
    proof = proof_of(model)
    capability = proof.facts.get("compute_capability") if proof else None
    built = f"TensorRT {built_by or 'of unknown version'}" + (
        f" for compute capability {capability}" if capability else ""
    )
    return (
        f"'{model}' was built by {built} and does not load here, in TensorRT {version} on a GPU of"
        f" compute capability {compute_capability} (TensorRT says: {reason or 'nothing'}): an"
        " engine runs only in the version and on the kind of GPU that it was built for; build it"
        " again here, or give --option version_compatible=on when it was built so"
    )


def precision_of(opened: Engine, model: Path) -> str:
    """What its layers compute in, as the engine's inspector lists them.

    An engine that was built without detailed profiling verbosity lists only names; then it is what
    its sidecar says, or ``unknown``.
    """
    listed = opened.engine.create_engine_inspector().get_engine_information(
        opened.trt.LayerInformationFormat.JSON
    )
    return computing_precision(listed) or stated_precision(model)


def stated_precision(model: Path) -> str:
    """The precision in an engine's sidecar: that of its layers when it was built, else the one
    that was asked for.
    """
    proof = proof_of(model)
    return str(
        (proof.facts.get("computes_in") or proof.parameters.get("precision") if proof else None)
        or "unknown"
    )
