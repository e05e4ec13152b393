"""Backend ``trt``: TensorRT 10 and 11, on engines (``.plan``, ``.engine``).

Options: ``buffers`` (``torch``, ``cuda-python``, ``pycuda``: who manages the memory; the first that
works when not given), ``graph=on`` (the engine is launched as one CUDA graph),
``version_compatible=on`` (engines that bring their own runtime may run it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.convert.nvidia.package import tensorrt
from portproof.core.errors import InputError, ToolError
from portproof.infer.runtimes.gpu import Gpu, open_gpu
from portproof.infer.runtimes.trt_engine import NEEDED_FOR, Engine, open_engine, precision_of
from portproof.infer.runtimes.trt_memory import Buffer, output_allocator
from portproof.measurement import Boundary

SUFFIXES = (".plan", ".engine", ".trt")
DEFAULT_FOR = (".plan", ".engine")
PACKAGES = ("tensorrt",)

_OPTIONS = ("buffers", "graph", "version_compatible")
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


class TrtSession:
    """An engine with one context on one stream.

    ``device`` is the engine alone, ``device+copies`` also the copies from and to page-locked
    memory, both by CUDA events; an output whose shape depends on the data is copied only after the
    engine has reported its shape to the host, so then there is no ``device+copies``.
    """

    def __init__(
        self, opened: Engine, gpu: Gpu, *, device: str, batch: int, precision: str, use_graph: bool
    ) -> None:
        self._opened, self._gpu, self._use_graph = opened, gpu, use_graph
        self.device, self.precision = device, precision
        engine = opened.engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        is_input = {n: engine.get_tensor_mode(n) == opened.trt.TensorIOMode.INPUT for n in names}
        self.inputs = tuple(_spec(opened, n) for n in names if is_input[n])
        self.outputs = tuple(_spec(opened, n) for n in names if not is_input[n])
        self._context = engine.create_execution_context()
        if self._context is None:
            raise self._failure("there is no memory for the engine")
        self._choose_profile(batch)
        self._buffers = {n: Buffer(gpu) for n in names}
        self._events = [gpu.event() for _ in range(4)]
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._allocators: dict[str, Any] = {}
        self._launch: Callable[[], None] = self._enqueue
        self.boundaries: tuple[Boundary, ...] = ("device", "device+copies")
        self._probe(batch)
        graph = ", CUDA graph" if use_graph else ""
        self.provider: str | None = (
            f"TensorRT {opened.trt.__version__}, buffers by {gpu.package}{graph}"
        )

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch."""
        shapes = {s.name: feeds[s.name].shape for s in self.inputs}
        if shapes != self._shapes:
            self._prepare(shapes)
        gpu, events = self._gpu, self._events
        for spec in self.inputs:
            self._buffers[spec.name].fill(feeds[spec.name])
        gpu.record(events[0])
        for spec in self.inputs:
            self._buffers[spec.name].to_device()
        gpu.record(events[1])
        self._launch()
        gpu.record(events[2])
        if self._allocators:
            gpu.synchronize()
        shapes = {s.name: self._output_shape(s.name) for s in self.outputs}
        for spec in self.outputs:
            self._buffers[spec.name].to_host(
                int(np.prod(shapes[spec.name], dtype=np.int64)) * np.dtype(spec.dtype).itemsize
            )
        gpu.record(events[3])
        gpu.synchronize()
        return {s.name: self._buffers[s.name].read(s.dtype, shapes[s.name]) for s in self.outputs}

    def sync(self) -> None:
        """Wait for the stream."""
        self._gpu.synchronize()

    def reported_s(self, boundary: Boundary) -> float:
        """Seconds of the last run between the events around the engine (``device``), or around the
        copies too.
        """
        start, end = (1, 2) if boundary == "device" else (0, 3)
        return self._gpu.elapsed_s(self._events[start], self._events[end])

    def close(self) -> None:
        """Free the context, the engine and the device's memory, in this order."""
        self._launch = self._context = None  # type: ignore[assignment]
        self._opened = None  # type: ignore[assignment]
        self._gpu.close()

    def _choose_profile(self, batch: int) -> None:
        """The optimization profile that was made for this batch, or else the first that admits it;
        and the inputs as it leaves them.
        """
        engine = self._opened.engine
        dynamic = [s.name for s in self.inputs if s.shape and s.shape[0] is None]
        if dynamic:
            ranges = [
                tuple(shape[0] for shape in self._range(dynamic[0], i))
                for i in range(engine.num_optimization_profiles)
            ]
            admit = [i for i, (low, _, high) in enumerate(ranges) if low <= batch <= high]
            if not admit:
                has = ", ".join(f"{low} to {high}" for low, _, high in ranges)
                raise InputError(
                    f"the engine was built for batches of {has}, --batch asks for {batch}; build"
                    " one for it"
                )
            index = next((i for i in admit if ranges[i][1] == batch), admit[0])
            if not self._context.set_optimization_profile_async(index, self._gpu.stream):
                raise self._failure(f"profile {index} was refused")
            self._gpu.synchronize()
        self.inputs = tuple(self._narrowed(s) for s in self.inputs)

    def _narrowed(self, spec: TensorSpec) -> TensorSpec:
        """An input with the dimensions that its profile leaves no choice of: an engine for one
        batch is of a fixed batch.
        """
        if None not in spec.shape:
            return spec
        low, _, high = self._range(spec.name, self._context.active_optimization_profile)
        return replace(
            spec,
            shape=tuple(
                d if d is not None or a != b else a
                for d, a, b in zip(spec.shape, low, high, strict=True)
            ),
        )

    def _range(self, name: str, profile: int) -> list[tuple[int, ...]]:
        """The smallest, best and largest shape of an input in a profile."""
        return [
            tuple(map(int, shape))
            for shape in self._opened.engine.get_tensor_profile_shape(name, profile)
        ]

    def _probe(self, batch: int) -> None:
        """Find outputs of data-dependent shape: unknown though all inputs' shapes are known."""
        self._set_shapes({s.name: self._usual_shape(s, batch) for s in self.inputs})
        unknown = [
            s.name for s in self.outputs if -1 in tuple(self._context.get_tensor_shape(s.name))
        ]
        if unknown and self._use_graph:
            raise InputError(
                f"output '{unknown[0]}' has a shape that depends on the data, which no CUDA graph"
                " can hold; leave the option graph out"
            )
        for name in unknown:
            self._allocators[name] = output_allocator(self._opened.trt, self._buffers[name])
            if not self._context.set_output_allocator(name, self._allocators[name]):
                raise self._failure(f"the allocator of output '{name}' was refused")
        if unknown:
            self.boundaries = ("device",)

    def _usual_shape(self, spec: TensorSpec, batch: int) -> tuple[int, ...]:
        """An input's shape at this batch, its other open dimensions the best of the profile."""
        if None not in spec.shape[1:]:
            return tuple(batch if d is None else d for d in spec.shape)
        best = self._range(spec.name, self._context.active_optimization_profile)[1]
        return (batch if spec.shape[0] is None else spec.shape[0], *best[1:])

    def _set_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise InputError(
                    f"the engine does not take the shape {shape} for input '{name}': it lies"
                    " outside its profile; build one for it"
                )
        try:
            missing = list(self._context.infer_shapes())
        except RuntimeError as error:  # the one call of this API that raises
            raise InputError(
                f"the engine does not take these shapes together: {shapes}"
                f" ({self._opened.messages.last or error})"
            ) from error
        if missing:
            raise InputError(
                f"the shapes of {', '.join(missing)} are still open: give all inputs a shape"
            )

    def _prepare(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Buffers and, where asked for, a new CUDA graph for inputs of these shapes."""
        self._shapes = {}
        self._set_shapes(shapes)
        for spec in (*self.inputs, *self.outputs):
            if spec.name in self._allocators:
                continue
            shape = shapes[spec.name] if spec.name in shapes else self._output_shape(spec.name)
            address = self._buffers[spec.name].reserve(
                int(np.prod(shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
            )
            if not self._context.set_tensor_address(spec.name, address):
                raise self._failure(f"the address of '{spec.name}' was refused")
        self._launch = self._enqueue
        if self._use_graph:
            self._enqueue()  # what TensorRT prepares at the first call cannot be captured
            self._gpu.synchronize()
            self._launch = self._gpu.capture(self._enqueue)
        self._shapes = shapes

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(stream_handle=self._gpu.stream):
            raise self._failure("the engine could not be run")

    def _output_shape(self, name: str) -> tuple[int, ...]:
        known = (
            self._allocators[name].shape
            if name in self._allocators
            else self._context.get_tensor_shape(name)
        )
        return tuple(int(d) for d in known)

    def _failure(self, what: str) -> ToolError:
        return ToolError(
            f"TensorRT failed: {what} (it says: {self._opened.messages.last or 'nothing'})"
        )


def load(model: Path, request: LoadRequest) -> TrtSession:
    """Load an engine on one GPU (``cuda:N``, default ``cuda:0``)."""
    request.refuse_other_options("trt", _OPTIONS)
    switches = {name: request.options.get(name, "off") for name in ("graph", "version_compatible")}
    wrong = [name for name, value in switches.items() if value not in ("on", "off")]
    if wrong:
        raise InputError(
            f"the option {wrong[0]} is '{switches[wrong[0]]}', 'on' or 'off' was expected"
        )
    kind, _, number = (request.device or "cuda:0").partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise InputError(
            f"the backend 'trt' runs on an NVIDIA GPU: --device is '{request.device}', 'cuda:0' (or"
            " another number) was expected"
        )
    if request.threads:
        raise InputError("the backend 'trt' runs on the GPU and has no --threads; leave it out")
    tensorrt(NEEDED_FOR)  # reported first: it is what is missing most often
    gpu = open_gpu(int(number or 0), request.options.get("buffers"))
    opened = open_engine(model, gpu.compute_capability, switches["version_compatible"] == "on")
    precision = precision_of(opened, model)
    if request.precision not in (None, precision):
        raise InputError(
            f"'{model}' computes in {precision}, --precision asks for {request.precision}; build"
            " another engine instead"
        )
    return TrtSession(
        opened,
        gpu,
        device=f"cuda:{int(number or 0)}",
        batch=request.batch,
        precision=precision,
        use_graph=switches["graph"] == "on",
    )


def _spec(opened: Engine, name: str) -> TensorSpec:
    kind = opened.engine.get_tensor_dtype(name).name
    if kind not in _DTYPES:
        raise InputError(
            f"'{name}' is {kind}, which numpy does not have; build the engine with float inputs and"
            " outputs"
        )
    if opened.engine.get_tensor_location(name) != opened.trt.TensorLocation.DEVICE:
        raise InputError(
            f"'{name}' is a shape that the engine reads on the host, which this backend does not"
            " give; export the model without it"
        )
    dims: Sequence[int] = opened.engine.get_tensor_shape(name)
    return TensorSpec(name, _DTYPES[kind], tuple(None if d == -1 else int(d) for d in dims))
