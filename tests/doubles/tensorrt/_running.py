"""Running engines: runtime, engine, inspector, context."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import cuda_double
import numpy as np
import onnxruntime

from tensorrt._types import (
    DataType,
    Dims,
    ILogger,
    IOutputAllocator,
    LayerInformationFormat,
    TensorIOMode,
    TensorLocation,
    __version__,
    check,
)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        check(logger, ILogger, "logger")
        self._logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        check(serialized_engine, bytes, "serialized_engine")
        if serialized_engine[:4] != b"ftrt":
            return self._refuse("Serialization assertion magicTagRead == kMAGIC_TAG failed.")
        plan = json.loads(serialized_engine[28:].rpartition(b"\0")[2])
        built = ".".join(map(str, serialized_engine[24:27]))
        if plan["version_compatible"] and not self.engine_host_code_allowed:
            return self._refuse(
                "Cannot deserialize engine with lean runtime since"
                " IRuntime::getEngineHostCodeAllowed() is false."
            )
        if built != __version__ and not plan["version_compatible"]:
            return self._refuse(
                "The engine plan file is not compatible with this version of TensorRT, expecting"
                f" library version {built} got {__version__}"
            )
        here = ".".join(map(str, cuda_double.compute_capability))
        if plan["compute_capability"] != here:
            return self._refuse(
                "The engine plan file is generated on an incompatible device, expecting compute"
                f" {plan['compute_capability']} got compute {here}, please rebuild."
            )
        return ICudaEngine(plan, self._logger)

    def _refuse(self, message: str) -> None:
        self._logger.log(ILogger.ERROR, f"IRuntime::deserializeCudaEngine: Error Code 1: {message}")  # type: ignore[attr-defined]


_KINDS = {
    "float": "FLOAT",
    "float16": "HALF",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
    "uint8": "UINT8",
}


class ICudaEngine:
    def __init__(self, plan: dict[str, Any], logger: Any) -> None:
        self._plan, self._logger = plan, logger
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            plan["onnx"], options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {node.name: node for node in self._session.get_inputs()}
        self._outputs = {node.name: node for node in self._session.get_outputs()}
        self.num_io_tensors = len(self._inputs) + len(self._outputs)
        self.num_optimization_profiles = len(plan["profiles"]) or 1

    def get_tensor_name(self, index: int) -> str:
        return [*self._inputs, *self._outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return (
            TensorIOMode.INPUT
            if name in self._inputs
            else TensorIOMode.OUTPUT
            if name in self._outputs
            else TensorIOMode.NONE
        )

    def get_tensor_dtype(self, name: str) -> DataType:
        node = {**self._inputs, **self._outputs}[name]
        return DataType[
            self._plan["dtypes"].get(name)
            or _KINDS[node.type.removeprefix("tensor(").removesuffix(")")]
        ]

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.HOST if name in self._plan["on_host"] else TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> Dims:
        node = {**self._inputs, **self._outputs}[name]
        return Dims(d if isinstance(d, int) else -1 for d in node.shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        if name not in self._inputs:
            raise ValueError("profile shapes are of inputs only")
        static = self.get_tensor_shape(name)
        return (
            [Dims(shape) for shape in self._plan["profiles"][profile_index][name]]
            if -1 in static
            else [static] * 3
        )

    def create_execution_context(self) -> Any:
        return IExecutionContext(self) if self._plan["memory"] else None

    def create_engine_inspector(self) -> Any:
        return EngineInspector(self._plan)


class EngineInspector:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        check(format, LayerInformationFormat, "format")
        return json.dumps({"Layers": self._plan["layers"], "Bindings": []})


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine, self._logger = engine, engine._logger
        self.active_optimization_profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, Any] = {}
        self._ran_with: dict[str, tuple[int, ...]] | None = None
        self._out_shapes: tuple[Any, Any] = (None, None)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        check(profile_index, int, "profile_index")
        if stream_handle not in cuda_double.streams:
            return self._error("invalid stream")
        self.active_optimization_profile = profile_index
        self._shapes = {}
        return 0 <= profile_index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: Any) -> bool:
        check(name, str, "name")
        check(shape, tuple, "shape")
        if name not in self.engine._inputs:
            return self._error(f"{name} is no input")
        static = self.engine.get_tensor_shape(name)
        fits = len(shape) == len(static) and all(
            s in (-1, d) for s, d in zip(static, shape, strict=True)
        )
        if fits and -1 in static:
            low, _, high = self.engine.get_tensor_profile_shape(
                name, self.active_optimization_profile
            )
            fits = all(a <= d <= b for a, d, b in zip(low, shape, high, strict=True))
        if not fits:
            return self._error(f"Given dimensions {shape} for {name} do not satisfy the profile")
        self._shapes[name] = shape
        return True

    def infer_shapes(self) -> list[str]:
        missing = [
            n
            for n in self.engine._inputs
            if -1 in self.engine.get_tensor_shape(n) and n not in self._shapes
        ]
        if not missing:
            self._infer()
        return missing

    def get_tensor_shape(self, name: str) -> Dims:
        static = self.engine.get_tensor_shape(name)
        if name in self.engine._inputs:
            return Dims(self._shapes.get(name, static))
        if name in self.engine._plan["data_dependent"] or self.infer_shapes():
            return static
        return Dims(self._out_shapes[1][name])

    def _infer(self) -> None:
        """The outputs' shapes for these of the inputs, which may not fit together."""
        if self._out_shapes[0] == self._shapes:
            return
        zeros = {n: np.zeros(self.get_tensor_shape(n), self._dtype(n)) for n in self.engine._inputs}
        try:
            found = self.engine._session.run(list(self.engine._outputs), zeros)
        except Exception as error:
            self._logger.log(
                ILogger.ERROR,
                f"IExecutionContext::inferShapes: Error Code 7: Internal Error ({error})",
            )  # type: ignore[attr-defined]
            raise RuntimeError("shape inference failed") from None
        self._out_shapes = (
            dict(self._shapes),
            {n: a.shape for n, a in zip(self.engine._outputs, found, strict=True)},
        )

    def set_tensor_address(self, name: str, memory: int) -> bool:
        check(name, str, "name")
        check(memory, int, "memory")
        self._addresses[name] = memory
        return name in self.engine._inputs or name in self.engine._outputs

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        check(output_allocator, IOutputAllocator, "output_allocator")
        self._allocators[name] = output_allocator
        return name in self.engine._outputs

    def execute_async_v3(self, stream_handle: int) -> bool:
        check(stream_handle, int, "stream_handle")
        if stream_handle not in cuda_double.streams:
            return self._error("the stream is the default stream or none")
        if self.infer_shapes():
            return self._error(f"shapes of {self.infer_shapes()} are not given")
        for name in [
            *self.engine._inputs,
            *(n for n in self.engine._outputs if n not in self._allocators),
        ]:
            nbytes = (
                int(np.prod(self.get_tensor_shape(name))) * np.dtype(self._dtype(name)).itemsize
            )
            if not cuda_double.inside(
                cuda_double.device_memory, self._addresses.get(name, 0), nbytes
            ):
                return self._error(
                    f"Neither address or allocator is set for {name}, or {nbytes} bytes do not fit"
                    " there"
                )
        stream = cuda_double.streams[stream_handle]
        if stream.captured is not None and (
            self._allocators or self._ran_with != self._shapes or self.engine._plan["loops"]
        ):
            stream.captured = None
            return self._error("operation not permitted when stream is capturing")
        self._ran_with = dict(self._shapes)
        addresses, shapes = (
            dict(self._addresses),
            {n: self.get_tensor_shape(n) for n in self.engine._inputs},
        )
        stream.enqueue(lambda: self._execute(addresses, shapes))
        if self._allocators:  # TensorRT waits for the shape
            stream.drain()
        return True

    def _execute(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        cuda_double.history.append("execute")
        feeds = {n: self._read(addresses[n], n, shape) for n, shape in shapes.items()}
        for name, array in zip(
            self.engine._outputs,
            self.engine._session.run(list(self.engine._outputs), feeds),
            strict=True,
        ):
            address = addresses.get(name, 0)
            if name in self._allocators:
                address = self._allocators[name].reallocate_output_async(
                    name, address, array.nbytes, 256, 0
                )
                self._allocators[name].notify_shape(name, array.shape)
            assert cuda_double.inside(cuda_double.device_memory, address, array.nbytes)
            ctypes.memmove(address, np.ascontiguousarray(array).ctypes.data, array.nbytes)

    def _dtype(self, name: str) -> str:
        kind = (
            {**self.engine._inputs, **self.engine._outputs}[name]
            .type.removeprefix("tensor(")
            .removesuffix(")")
        )
        return {"float": "float32", "double": "float64"}.get(kind, kind)

    def _read(self, address: int, name: str, shape: tuple[int, ...]) -> Any:
        dtype = np.dtype(self._dtype(name))
        nbytes = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(address, nbytes), dtype).reshape(shape)

    def _error(self, message: str) -> bool:
        self._logger.log(
            ILogger.ERROR, f"IExecutionContext: Error Code 3: API Usage Error ({message})"
        )
        return False
