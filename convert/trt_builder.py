"""Building an engine by TensorRT's Python API, 10 and 11, where no trtexec is.

From 11 the precision is the file's; in 10 it is the file's too where the file has it (strong typing), else a flag. Nothing raises in this API:
None and False are failures, whose reasons go to the logger.
"""

from __future__ import annotations

from typing import Any

from portproof.convert.trt_package import collecting_logger, tensorrt
from portproof.convert.trtexec import Build, precision_flags
from portproof.errors import ToolError

_WORKSPACE_BYTES = 4096 << 20


def build_plan(build: Build) -> tuple[bytes, dict[str, Any]]:
    """The serialised engine and facts for its sidecar. :class:`ToolError` when TensorRT refuses the model or cannot build it."""
    trt = tensorrt("--via python")
    version = [int(word) for word in trt.__version__.split(".")[:3]]
    flags = precision_flags((version[0], version[1], version[2]), build)
    messages = collecting_logger(trt)
    builder = trt.Builder(messages)
    strong = "--stronglyTyped" in flags
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if strong else 0)
    parser = trt.OnnxParser(network, messages)
    if not parser.parse_from_file(str(build.model)):
        errors = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
        raise ToolError(
            f"TensorRT {trt.__version__} does not take '{build.model}': {errors[0] if errors else messages.last}", "\n".join(errors)
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)
    for name in ("fp16", "int8"):
        if f"--{name}" in flags:
            config.set_flag(getattr(trt.BuilderFlag, name.upper()))
    if build.profile:
        _add_profile(builder, config, build, messages)
    cache = config.create_timing_cache(build.timing_cache.read_bytes() if build.timing_cache.is_file() else b"")
    config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ToolError(f"TensorRT {trt.__version__} could not build '{build.model}': {messages.last or 'it gives no reason'}")
    build.timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan), {"flags": flags}


def _add_profile(builder: Any, config: Any, build: Build, messages: Any) -> None:
    profile = builder.create_optimization_profile()
    for name, (low, best, high) in build.profile.items():
        profile.set_shape(name, low, best, high)
    if config.add_optimization_profile(profile) < 0:
        raise ToolError(f"TensorRT refuses the shapes {dict(build.profile)}: {messages.last or 'it gives no reason'}")
