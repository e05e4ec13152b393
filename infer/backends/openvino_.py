"""Backend ``openvino``: OpenVINO, on ONNX files or its own IR (``.xml`` with its ``.bin`` beside
it).

The precision is always given to the runtime, fp32 when nothing was asked for: on processors with
bfloat16 units OpenVINO would choose that by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.convert.onnxfile.read import read_onnx
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.measurement import WIDENED, Boundary

SUFFIXES = (".onnx", ".xml")
DEFAULT_FOR = (".xml",)
PACKAGES = ("openvino",)

_PRECISIONS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class OpenVinoSession:
    """A compiled model and one inference request."""

    #: The request's own clock, which ``benchmark_app`` prints too: it stands while Python hands
    #: over inputs and takes results.
    boundaries: tuple[Boundary, ...] = ("device",)

    def __init__(self, compiled: Any, device: str, quantized: bool, half: bool) -> None:
        self._request: Any = compiled.create_infer_request()
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self.device = device
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = (
            "int8"
            if quantized
            else next((name for name, theirs in _PRECISIONS.items() if theirs == used), used)
        )
        self.provider: str | None = WIDENED if half and self.precision == "fp32" else None

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch. The caller's inputs are read where they lie; the results are copies."""
        try:
            results = self._request.infer(dict(feeds), share_inputs=True)
        except RuntimeError as error:
            raise ToolError(
                f"OpenVINO failed while it ran the model: {_one_line(error)}"
            ) from error
        return {spec.name: results[index] for index, spec in enumerate(self.outputs)}

    def sync(self) -> None:
        """``run`` waits for the results: nothing is left to wait for."""

    def reported_s(self, boundary: Boundary) -> float:
        """Seconds of the last ``run`` from the request's start to its end."""
        return float(self._request.latency) / 1000

    def close(self) -> None:
        """Free the request and the model."""
        self._request = None


def load(model: Path, request: LoadRequest) -> OpenVinoSession:
    """Compile the model for one device, for latency: one stream with all threads."""
    request.refuse_other_options("openvino")
    half = False
    if model.suffix == ".onnx":
        half = read_onnx(model).half  # and OpenVINO would read tensor data from anywhere
    precision = request.precision or "fp32"
    if precision not in (*_PRECISIONS, "int8"):
        raise InputError(
            f"OpenVINO runs {', '.join(_PRECISIONS)} and int8, --precision asks for {precision}"
        )
    try:
        import openvino
    except ImportError as error:
        raise MissingPackageError("openvino", "the backend 'openvino'", "openvino") from error
    core = openvino.Core()
    device = (request.device or "cpu").upper()
    if device.partition(":")[0] not in {d.partition(".")[0] for d in core.available_devices}:
        raise InputError(
            f"OpenVINO sees {', '.join(core.available_devices)} here, --device asks for"
            f" {request.device}"
        )
    # What a quantized file leaves in floating point is computed in float32.
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _PRECISIONS.get(precision, "f32"),
    }
    if request.threads:
        settings["INFERENCE_NUM_THREADS"] = request.threads
    try:
        read = core.read_model(str(model))
        quantized = any(op.get_type_name() == "FakeQuantize" for op in read.get_ops())
        loaded = OpenVinoSession(
            core.compile_model(read, device, settings), device.lower(), quantized, half
        )
    except RuntimeError as error:
        raise InputError(
            f"OpenVINO {openvino.__version__} does not accept '{model}': {_one_line(error)}"
        ) from error
    if loaded.precision != precision and (request.precision or not quantized):
        raise InputError(
            f"OpenVINO runs '{model}' in {loaded.precision} on {device}, {precision} was asked for;"
            " choose what the file and the device have"
        )
    return loaded


def _spec(port: Any) -> TensorSpec:
    shape = tuple(d.get_length() if d.is_static else None for d in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), port.get_element_type().to_dtype().name, shape)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
