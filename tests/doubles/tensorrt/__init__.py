"""A strict double of TensorRT's Python API for running engines, versions 10 and 11, over the double of CUDA.

The version is ``TENSORRT_DOUBLE`` (default 10.16.1), the GPU's compute capability ``TENSORRT_DOUBLE_CC`` (default 7.5). Plans are made by
``tensorrt_plans``: they hold an ONNX model, which ONNX Runtime executes. What a version does not have is no attribute here; wrong types raise
TypeError as pybind11 does; failures return None or False and speak through the logger.
"""

from __future__ import annotations

import ctypes
import enum
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cuda_double
import numpy as np
import onnx
import onnxruntime
from tensorrt_plans import write_plan

__version__ = os.environ.get("TENSORRT_DOUBLE", "10.16.1")
_MAJOR = int(__version__.partition(".")[0])
cuda_double.compute_capability = tuple(map(int, os.environ.get("TENSORRT_DOUBLE_CC", "7.5").split(".")))  # type: ignore[assignment]
cuda_double.install()


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(enum.Enum):
    DEVICE = 0
    HOST = 1


class LayerInformationFormat(enum.Enum):
    ONELINE = 0
    JSON = 1


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self) -> None:
        self._made = True


class IOutputAllocator:
    def __init__(self) -> None:
        self._made = True


def _check(value: Any, kind: type, what: str) -> None:
    if type(value) is bool or not isinstance(value, kind):
        raise TypeError(f"incompatible function arguments: {what} must be {kind.__name__}, not {type(value).__name__}")
    if isinstance(value, ILogger | IOutputAllocator) and not hasattr(value, "_made"):
        raise TypeError(f"{type(value).__name__}.__init__() must be called when overriding __init__")


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1
    if _MAJOR < 11:
        EXPLICIT_BATCH = 0


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class BuilderFlag(enum.Enum):
    DEBUG = 2
    TF32 = 7
    VERSION_COMPATIBLE = 11
    if _MAJOR < 11:
        FP16 = 0
        INT8 = 1
        BF16 = 13


class INetworkDefinition:
    def __init__(self, strong: bool) -> None:
        self.strong = strong
        self.model: Any = None


class ParserError:
    def desc(self) -> str:
        return "No importer registered for op: Odd"


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        _check(network, INetworkDefinition, "network")
        _check(logger, ILogger, "logger")
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, model: str) -> bool:
        _check(model, str, "model")
        self._network.model = onnx.load(model)
        self._network.path = os.path.abspath(model)  # type: ignore[attr-defined]
        self.num_errors = sum(n.op_type == "Odd" for n in self._network.model.graph.node)
        return self.num_errors == 0

    def get_error(self, index: int) -> ParserError:
        if not 0 <= index < self.num_errors:
            raise IndexError(index)
        return ParserError()


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        for shape in (min, opt, max):
            _check(shape, tuple, "shape")
        self.shapes[input] = [min, opt, max]


class ITimingCache:
    def __init__(self, blob: bytes) -> None:
        _check(blob, bytes, "serialized_timing_cache")
        self._blob = blob

    def serialize(self) -> bytes:
        return self._blob + b"entry"


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.profiles: list[IOptimizationProfile] = []
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self._cache: ITimingCache | None = None

    def set_flag(self, flag: BuilderFlag) -> None:
        _check(flag, BuilderFlag, "flag")
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        _check(flag, BuilderFlag, "flag")
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        _check(pool, MemoryPoolType, "pool")
        _check(pool_size, int, "pool_size")

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        _check(profile, IOptimizationProfile, "profile")
        if any(not low <= best <= high for low, best, high in profile.shapes.values()):
            return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        _check(cache, ITimingCache, "cache")
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        _check(logger, ILogger, "logger")
        self._logger = logger

    def create_network(self, flags: int) -> INetworkDefinition:
        _check(flags, int, "flags")
        return INetworkDefinition(_MAJOR >= 11 or bool(flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED))

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> Any:
        dynamic = [v.name for v in network.model.graph.input if any(d.dim_param for d in v.type.tensor_type.shape.dim)]
        half = any(w.data_type == onnx.TensorProto.FLOAT16 for w in network.model.graph.initializer)
        by_flag = [f for f in ("FP16", "INT8", "BF16") if getattr(BuilderFlag, f, None) in config.flags]
        if (network.strong and by_flag) or (dynamic and (not config.profiles or set(config.profiles[0].shapes) != set(dynamic))):
            self._logger.log(ILogger.ERROR, f"Error Code 4: API Usage Error (profiles or {by_flag} do not fit the network)")  # type: ignore[attr-defined]
            return None
        kind = "Half" if half or "FP16" in by_flag else "Float"
        layers: list[Any] = [n.name for n in network.model.graph.node]
        if config.profiling_verbosity is ProfilingVerbosity.DETAILED:
            layers = [{"Name": n, "Outputs": [{"Name": n, "Format/Datatype": kind}]} for n in layers]
        with tempfile.TemporaryDirectory() as folder:
            here = ".".join(map(str, cuda_double.compute_capability))
            path = write_plan(Path(folder, "p"), Path(network.path), __version__, here, layers=layers,  # type: ignore[attr-defined]
                              profiles=[p.shapes for p in config.profiles])  # fmt: skip
            return memoryview(path.read_bytes())


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        _check(logger, ILogger, "logger")
        self._logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        _check(serialized_engine, bytes, "serialized_engine")
        if serialized_engine[:4] != b"ftrt":
            return self._refuse("Serialization assertion magicTagRead == kMAGIC_TAG failed.")
        plan = json.loads(serialized_engine[28:].rpartition(b"\0")[2])
        built = ".".join(map(str, serialized_engine[24:27]))
        if plan["version_compatible"] and not self.engine_host_code_allowed:
            return self._refuse("Cannot deserialize engine with lean runtime since IRuntime::getEngineHostCodeAllowed() is false.")
        if built != __version__ and not plan["version_compatible"]:
            return self._refuse(
                f"The engine plan file is not compatible with this version of TensorRT, expecting library version {built} got {__version__}"
            )
        here = ".".join(map(str, cuda_double.compute_capability))
        if plan["compute_capability"] != here:
            return self._refuse(
                "The engine plan file is generated on an incompatible device, "
                f"expecting compute {plan['compute_capability']} got compute {here}, please rebuild."
            )
        return ICudaEngine(plan, self._logger)

    def _refuse(self, message: str) -> None:
        self._logger.log(ILogger.ERROR, f"IRuntime::deserializeCudaEngine: Error Code 1: {message}")  # type: ignore[attr-defined]


_KINDS = {"float": "FLOAT", "float16": "HALF", "int8": "INT8", "int32": "INT32", "int64": "INT64", "bool": "BOOL", "uint8": "UINT8"}


class ICudaEngine:
    def __init__(self, plan: dict[str, Any], logger: Any) -> None:
        self._plan, self._logger = plan, logger
        self._session = onnxruntime.InferenceSession(plan["onnx"], providers=["CPUExecutionProvider"])
        self._inputs = {node.name: node for node in self._session.get_inputs()}
        self._outputs = {node.name: node for node in self._session.get_outputs()}
        self.num_io_tensors = len(self._inputs) + len(self._outputs)
        self.num_optimization_profiles = len(plan["profiles"]) or 1

    def get_tensor_name(self, index: int) -> str:
        return [*self._inputs, *self._outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT if name in self._outputs else TensorIOMode.NONE

    def get_tensor_dtype(self, name: str) -> DataType:
        node = {**self._inputs, **self._outputs}[name]
        return DataType[self._plan["dtypes"].get(name) or _KINDS[node.type.removeprefix("tensor(").removesuffix(")")]]

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.HOST if name in self._plan["on_host"] else TensorLocation.DEVICE

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        node = {**self._inputs, **self._outputs}[name]
        return tuple(d if isinstance(d, int) else -1 for d in node.shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        if name not in self._inputs:
            raise ValueError("profile shapes are of inputs only")
        return [tuple(shape) for shape in self._plan["profiles"][profile_index][name]]

    def create_execution_context(self) -> Any:
        return IExecutionContext(self) if self._plan["memory"] else None

    def create_engine_inspector(self) -> Any:
        return EngineInspector(self._plan)


class EngineInspector:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        _check(format, LayerInformationFormat, "format")
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
        _check(profile_index, int, "profile_index")
        if stream_handle not in cuda_double.streams:
            return self._error("invalid stream")
        self.active_optimization_profile = profile_index
        self._shapes = {}
        return 0 <= profile_index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: Any) -> bool:
        _check(name, str, "name")
        _check(shape, tuple, "shape")
        if name not in self.engine._inputs:
            return self._error(f"{name} is no input")
        static = self.engine.get_tensor_shape(name)
        fits = len(shape) == len(static) and all(s in (-1, d) for s, d in zip(static, shape, strict=True))
        if fits and -1 in static:
            low, _, high = self.engine.get_tensor_profile_shape(name, self.active_optimization_profile)
            fits = all(a <= d <= b for a, d, b in zip(low, shape, high, strict=True))
        if not fits:
            return self._error(f"Given dimensions {shape} for {name} do not satisfy the profile")
        self._shapes[name] = shape
        return True

    def infer_shapes(self) -> list[str]:
        return [n for n in self.engine._inputs if -1 in self.engine.get_tensor_shape(n) and n not in self._shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self.engine._inputs:
            return self._shapes.get(name, self.engine.get_tensor_shape(name))
        static = self.engine.get_tensor_shape(name)
        if self.infer_shapes():
            return static
        if name in self.engine._plan["data_dependent"]:
            return static
        if self._out_shapes[0] != self._shapes:
            zeros = {n: np.zeros(self.get_tensor_shape(n), self._dtype(n)) for n in self.engine._inputs}
            found = self.engine._session.run(list(self.engine._outputs), zeros)
            self._out_shapes = (dict(self._shapes), {n: a.shape for n, a in zip(self.engine._outputs, found, strict=True)})
        return tuple(self._out_shapes[1][name])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        _check(name, str, "name")
        _check(memory, int, "memory")
        self._addresses[name] = memory
        return name in self.engine._inputs or name in self.engine._outputs

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        _check(output_allocator, IOutputAllocator, "output_allocator")
        self._allocators[name] = output_allocator
        return name in self.engine._outputs

    def execute_async_v3(self, stream_handle: int) -> bool:
        _check(stream_handle, int, "stream_handle")
        if stream_handle not in cuda_double.streams:
            return self._error("the stream is the default stream or none")
        if self.infer_shapes():
            return self._error(f"shapes of {self.infer_shapes()} are not given")
        for name in [*self.engine._inputs, *(n for n in self.engine._outputs if n not in self._allocators)]:
            nbytes = int(np.prod(self.get_tensor_shape(name))) * np.dtype(self._dtype(name)).itemsize
            if not cuda_double.inside(cuda_double.device_memory, self._addresses.get(name, 0), nbytes):
                return self._error(f"Neither address or allocator is set for {name}, or {nbytes} bytes do not fit there")
        stream = cuda_double.streams[stream_handle]
        if stream.captured is not None and (self._allocators or self._ran_with != self._shapes):
            return self._error("operation not permitted when stream is capturing")
        self._ran_with = dict(self._shapes)
        addresses, shapes = dict(self._addresses), {n: self.get_tensor_shape(n) for n in self.engine._inputs}
        stream.enqueue(lambda: self._execute(addresses, shapes))
        if self._allocators:  # TensorRT waits for the shape
            stream.drain()
        return True

    def _execute(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        cuda_double.history.append("execute")
        feeds = {n: self._read(addresses[n], n, shape) for n, shape in shapes.items()}
        for name, array in zip(self.engine._outputs, self.engine._session.run(list(self.engine._outputs), feeds), strict=True):
            address = addresses.get(name, 0)
            if name in self._allocators:
                address = self._allocators[name].reallocate_output_async(name, address, array.nbytes, 256, 0)
                self._allocators[name].notify_shape(name, array.shape)
            assert cuda_double.inside(cuda_double.device_memory, address, array.nbytes)
            ctypes.memmove(address, np.ascontiguousarray(array).ctypes.data, array.nbytes)

    def _dtype(self, name: str) -> str:
        kind = {**self.engine._inputs, **self.engine._outputs}[name].type.removeprefix("tensor(").removesuffix(")")
        return {"float": "float32", "double": "float64"}.get(kind, kind)

    def _read(self, address: int, name: str, shape: tuple[int, ...]) -> Any:
        dtype = np.dtype(self._dtype(name))
        nbytes = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(address, nbytes), dtype).reshape(shape)

    def _error(self, message: str) -> bool:
        self._logger.log(ILogger.ERROR, f"IExecutionContext: Error Code 3: API Usage Error ({message})")
        return False
