"""Building an engine by TensorRT's Python API, 10 and 11, where no trtexec is.

From 11 the precision is the file's; in 10 it is the file's too where the file has it (strong
typing), else a flag. Nothing raises in this API: None and False are failures, whose reasons go to
the logger.
"""

from __future__ import annotations

import re
from typing import Any

from portproof.convert.nvidia.package import collecting_logger, tensorrt
from portproof.convert.nvidia.trtexec import Build, precision_flags
from portproof.core.errors import ToolError

_WORKSPACE_BYTES = 4096 << 20


def build_engine(build: Build) -> dict[str, Any]:
    """Write the engine, the list of its layers and the timing cache; facts for its sidecar.
    :class:`ToolError` when TensorRT refuses the model, cannot build it, or does not load what it
    built.
    """
    trt = tensorrt("--via python")
    numbers = re.findall(r"\d+", trt.__version__)
    flags = precision_flags((int(numbers[0]), int(numbers[1]), int(numbers[2])), build)
    messages = collecting_logger(trt)
    builder = trt.Builder(messages)
    strong = "--stronglyTyped" in flags
    network = builder.create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if strong else 0
    )
    parser = trt.OnnxParser(network, messages)
    if not parser.parse_from_file(str(build.model)):
        errors = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
        raise ToolError(
            f"TensorRT {trt.__version__} does not take '{build.model}':"
            f" {errors[0] if errors else messages.last}",
            "\n".join(errors),
        )
    config = _configured(trt, builder, build, flags, messages)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ToolError(
            f"TensorRT {trt.__version__} could not build '{build.model}':"
            f" {messages.last or 'it gives no reason'}"
        )
    build.engine.write_bytes(plan)
    cache = config.get_timing_cache()
    if cache is not None:
        build.timing_cache.write_bytes(cache.serialize())
    engine = trt.Runtime(messages).deserialize_cuda_engine(bytes(plan))
    if engine is None:
        raise ToolError(
            f"TensorRT {trt.__version__} does not load the engine that it built of '{build.model}':"
            f" {messages.last}"
        )
    build.layers.write_text(
        engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON),
        encoding="utf-8",
    )
    return {"flags": flags}


def _configured(trt: Any, builder: Any, build: Build, flags: list[str], messages: Any) -> Any:
    """The configuration: workspace, flags, the profile and the timing cache."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)
    for name in ("fp16", "int8"):
        if f"--{name}" in flags:
            config.set_flag(getattr(trt.BuilderFlag, name.upper()))
    if build.profile:
        _add_profile(builder, config, build, messages)
    # A cache that is damaged, or of another GPU, is refused; then timing begins anew.
    for held in (build.timing_cache.read_bytes() if build.timing_cache.is_file() else b"", b""):
        cache = config.create_timing_cache(held)
        if cache is not None and config.set_timing_cache(cache, False):
            break
    return config


def _add_profile(builder: Any, config: Any, build: Build, messages: Any) -> None:
    profile = builder.create_optimization_profile()
    for name, (low, best, high) in build.profile.items():
        profile.set_shape(name, low, best, high)
    if config.add_optimization_profile(profile) < 0:
        raise ToolError(
            f"TensorRT refuses the shapes {dict(build.profile)}:"
            f" {messages.last or 'it gives no reason'}"
        )
