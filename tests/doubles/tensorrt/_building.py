"""Building engines: network, parser, configuration, builder."""

from __future__ import annotations

import enum
import os
import tempfile
from pathlib import Path
from typing import Any

import cuda_double
import onnx
from tensorrt_plans import write_plan

from tensorrt._types import MAJOR, ILogger, __version__, check


class NetworkDefinitionCreationFlag(enum.IntEnum):
    if MAJOR < 11:
        EXPLICIT_BATCH = 0
        STRONGLY_TYPED = 1
    else:
        STRONGLY_TYPED = 0


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class BuilderFlag(enum.Enum):
    DEBUG = 2
    TF32 = 6
    if MAJOR < 11:
        FP16 = 0
        INT8 = 1
        VERSION_COMPATIBLE = 13
        BF16 = 17
    else:
        VERSION_COMPATIBLE = 12


class INetworkDefinition:
    def __init__(self, strong: bool) -> None:
        self.strong = strong
        self.model: Any = None


class ParserError:
    def desc(self) -> str:
        return "No importer registered for op: Odd"


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        check(network, INetworkDefinition, "network")
        check(logger, ILogger, "logger")
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, model: str) -> bool:
        check(model, str, "model")
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
            check(shape, tuple, "shape")
        if not len(min) == len(opt) == len(max) or not all(
            0 <= a <= b <= c for a, b, c in zip(min, opt, max, strict=True)
        ):
            raise ValueError("Shape provided for min, opt and max are inconsistent")
        self.shapes[input] = [min, opt, max]


class ITimingCache:
    def __init__(self, blob: bytes) -> None:
        check(blob, bytes, "serialized_timing_cache")
        self._blob = blob

    def serialize(self) -> memoryview:
        return memoryview(self._blob + b"entry")


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.profiles: list[IOptimizationProfile] = []
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self._cache: ITimingCache | None = None

    def set_flag(self, flag: BuilderFlag) -> None:
        check(flag, BuilderFlag, "flag")
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        check(flag, BuilderFlag, "flag")
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        check(pool, MemoryPoolType, "pool")
        check(pool_size, int, "pool_size")

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        check(profile, IOptimizationProfile, "profile")
        if any(not low <= best <= high for low, best, high in profile.shapes.values()):
            return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        """A damaged one is none; "elsewhere" was made on another GPU, which shows when it is
        attached.
        """
        known = not serialized_timing_cache or serialized_timing_cache.startswith(
            (b"entry", b"cache", b"elsewhere")
        )
        return ITimingCache(serialized_timing_cache) if known else None

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        check(cache, ITimingCache, "cache")
        if cache._blob == b"elsewhere" and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        check(logger, ILogger, "logger")
        self._logger = logger

    def create_network(self, flags: int) -> INetworkDefinition:
        check(flags, int, "flags")
        return INetworkDefinition(
            MAJOR >= 11 or bool(flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        )

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> Any:
        dynamic = [
            v.name
            for v in network.model.graph.input
            if any(d.dim_param for d in v.type.tensor_type.shape.dim)
        ]
        half = any(w.data_type == onnx.TensorProto.FLOAT16 for w in network.model.graph.initializer)
        by_flag = [
            f for f in ("FP16", "INT8", "BF16") if getattr(BuilderFlag, f, None) in config.flags
        ]
        if (network.strong and by_flag) or (
            dynamic and (not config.profiles or set(config.profiles[0].shapes) != set(dynamic))
        ):
            self._logger.log(
                ILogger.ERROR,
                f"Error Code 4: API Usage Error (profiles or {by_flag} do not fit the network)",
            )  # type: ignore[attr-defined]
            return None
        kind = "Half" if half or "FP16" in by_flag else "Float"
        layers: list[Any] = [n.name for n in network.model.graph.node]
        if config.profiling_verbosity is ProfilingVerbosity.DETAILED:
            layers = [
                {"Name": n, "Outputs": [{"Name": n, "Format/Datatype": kind}]} for n in layers
            ]
        with tempfile.TemporaryDirectory() as folder:
            here = ".".join(map(str, cuda_double.compute_capability))
            path = write_plan(
                Path(folder, "p"),
                Path(network.path),
                __version__,
                here,
                layers=layers,  # type: ignore[attr-defined]
                profiles=[p.shapes for p in config.profiles],
            )
            return memoryview(path.read_bytes())
