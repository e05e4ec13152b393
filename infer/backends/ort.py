"""Backend ``ort``: ONNX Runtime.

The option ``provider`` names the execution provider (``cpu``, ``cuda``, ``tensorrt``, ``openvino``,
``cann``). ONNX Runtime falls back to the CPU in silence, for the whole model where the provider
cannot be loaded and operator by operator where it has no kernel, so after loading it is asked which
operators the provider serves: none is an error, and what the CPU serves beside it is reported.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.convert.onnxfile.read import OnnxHead, read_onnx
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.measurement import WIDENED, Boundary

SUFFIXES = (".onnx",)
DEFAULT_FOR = (".onnx",)
PACKAGES = ("onnxruntime",)

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": _CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cann": "CANNExecutionProvider",
}
_DEVICES = {"cpu": "cpu", "openvino": "cpu", "cuda": "cuda", "tensorrt": "cuda", "cann": "npu"}
#: fp32 means fp32 on CUDA; the TensorRT provider has no such setting.
_TF32 = {"cuda": "TF32 off", "tensorrt": "TF32 as TensorRT chooses"}
#: Since 1.24 a session reports which provider serves each operator. Before, an operator that only
#: the CPU serves ends the loading.
_TOLD, _TELL, _REFUSE = (
    "get_provider_graph_assignment_info",
    "session.record_ep_graph_assignment_info",
    "session.disable_cpu_ep_fallback",
)
#: Optimisation levels, the weakest first; ``--option level=none``. The last is the default.
LEVELS = ("none", "basic", "extended", "all")
_DTYPES = {"float": "float32", "double": "float64"}


class OrtSession:
    """A loaded ONNX file. Inputs and outputs are copied between host and device inside ``run``."""

    boundaries: tuple[Boundary, ...] = ()

    def __init__(self, session: Any, head: OnnxHead, device: str, provider: str) -> None:
        self._session: Any = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._names = [s.name for s in self.outputs]
        self.device = device
        self.provider: str | None = provider
        self.precision = _precision(head, device)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch."""
        try:
            return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise ToolError(
                f"ONNX Runtime failed while it ran the model: {_one_line(error)}"
            ) from error

    def sync(self) -> None:
        """``run`` returns host arrays: nothing is left to wait for."""

    def reported_s(self, boundary: Boundary) -> float:
        """Never asked: it knows no boundary of its own."""
        raise NotImplementedError(boundary)

    def close(self) -> None:
        """Free the runtime's threads and memory."""
        self._session = None


def load(model: Path, request: LoadRequest) -> OrtSession:
    """Load an ONNX file on one execution provider, with no other behind it."""
    request.refuse_other_options("ort", ("provider", "level"))
    head = read_onnx(model)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "the backend 'ort'", "ort") from error
    name = request.options.get("provider", "cpu")
    provider, device, settings = _provider(name, request, onnxruntime.get_available_providers())
    if device.startswith("cuda"):
        _preload(onnxruntime)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = _level(onnxruntime, request.options.get("level", LEVELS[-1]))
    if request.threads:
        options.intra_op_num_threads = request.threads
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(
            f"session.{pool}.allow_spinning", "1" if request.spinning else "0"
        )
    if provider != _CPU:
        options.add_session_config_entry(
            _TELL if hasattr(onnxruntime.InferenceSession, _TOLD) else _REFUSE, "1"
        )
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=[(provider, settings)], enable_fallback=0
        )
    except Exception as error:  # see run
        if provider != _CPU:
            raise ToolError(
                f"ONNX Runtime {onnxruntime.__version__} could not load '{model}' on {provider}:"
                f" {_one_line(error)}"
            ) from error
        raise InputError(
            f"ONNX Runtime {onnxruntime.__version__} does not accept '{model}' (opset"
            f" {head.opset}, IR version {head.ir_version}): {_one_line(error)}"
        ) from error
    session.disable_fallback()
    notes = [_proven(session, provider, model), *([_TF32[name]] if name in _TF32 else [])]
    if head.half and device == "cpu":
        notes.append(WIDENED)
    loaded = OrtSession(session, head, device, ", ".join(notes))
    if request.precision not in (None, loaded.precision):
        raise InputError(
            f"'{model}' runs in {loaded.precision} on ONNX Runtime, --precision asks for"
            f" {request.precision}; convert the file instead"
        )
    return loaded


def _level(onnxruntime: Any, name: str) -> Any:
    """ONNX Runtime's own name of an optimisation level."""
    if name not in LEVELS:
        raise InputError(f"the level is '{name}', one of {', '.join(LEVELS)} was expected")
    spelled = {"none": "ORT_DISABLE_ALL"}.get(name, f"ORT_ENABLE_{name.upper()}")
    return getattr(onnxruntime.GraphOptimizationLevel, spelled)


def _preload(onnxruntime: Any) -> None:
    """Load CUDA's and TensorRT's libraries from the packages that pip installs, where the loader of
    shared libraries does not look.
    """
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(ImportError):
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        importlib.import_module("tensorrt")


def _proven(session: Any, provider: str, model: Path) -> str:
    """The provider, and how many operators another one serves beside it; :class:`ToolError` when it
    is not there or serves none.
    """
    first = session.get_providers()[0]
    if first != provider:
        raise ToolError(
            f"ONNX Runtime was asked for {provider} and loaded '{model}' on {first}: it could not"
            " load that provider's libraries (see its reason above)"
        )
    if provider == _CPU or not hasattr(session, _TOLD):
        return provider
    served: Counter[str] = Counter()
    for part in getattr(session, _TOLD)():
        served[part.ep_name] += len(part.get_nodes())
    total, others = served.total(), sorted(name for name in served if name != provider)
    if not served[provider]:
        raise ToolError(
            f"{provider} serves none of the {total} operators of '{model}', {' and '.join(others)}"
            " would run them; choose it as --provider"
        )
    return (
        f"{provider} for {served[provider]} of {total} operators, else {' and '.join(others)}"
        if others
        else provider
    )


def _provider(
    name: str, request: LoadRequest, available: list[str]
) -> tuple[str, str, dict[str, str]]:
    """ONNX Runtime's name of the provider, the device it uses, and its settings."""
    if name not in _PROVIDERS:
        raise InputError(f"there is no provider '{name}'; there are {', '.join(_PROVIDERS)}")
    if _PROVIDERS[name] not in available:
        here = ", ".join(k for k, v in _PROVIDERS.items() if v in available)
        raise InputError(
            f"this build of ONNX Runtime has no {_PROVIDERS[name]} (it has: {here}); install the"
            " build that has it, or choose another --provider"
        )
    kind, _, index = (request.device or _DEVICES[name]).partition(":")
    if kind != _DEVICES[name]:
        raise InputError(
            f"the provider '{name}' runs on {_DEVICES[name]}, --device asks for {request.device};"
            " give the --provider of that device"
        )
    settings = {"device_id": index or "0"} if kind != "cpu" else {}
    if name == "cuda":
        settings["use_tf32"] = "0"
    if name == "openvino":
        settings = {"device_type": "CPU", "precision": "FP32"} | (
            {"num_of_threads": str(request.threads)} if request.threads else {}
        )
    return _PROVIDERS[name], kind if kind == "cpu" else f"{kind}:{index or '0'}", settings


def _spec(node: Any) -> TensorSpec:
    kind = node.type
    if not kind.startswith("tensor(") or kind == "tensor(string)":
        raise InputError(f"'{node.name}' is a {kind}, tensors of numbers were expected")
    element = kind.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(
        node.name,
        _DTYPES.get(element, element),
        tuple(d if isinstance(d, int) else None for d in node.shape),
    )


def _precision(head: OnnxHead, device: str) -> str:
    """What the arithmetic is done in: on a processor, float16 files are computed in float32 (by
    OpenVINO's provider too).
    """
    if head.quantized:
        return "int8"
    return "fp16" if head.half and device != "cpu" else "fp32"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
