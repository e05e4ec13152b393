"""A strict double of TensorRT's Python API for running engines, versions 10 and 11, over the double
of CUDA.

The version is ``TENSORRT_DOUBLE`` (default 10.16.1), the GPU's compute capability
``TENSORRT_DOUBLE_CC`` (default 7.5). Plans are made by ``tensorrt_plans``: they hold an ONNX model,
which ONNX Runtime executes. What a version does not have is no attribute here; wrong types raise
TypeError as pybind11 does; failures return None or False and speak through the logger.
"""

from __future__ import annotations

import os

import cuda_double

from tensorrt._building import (
    Builder,
    BuilderFlag,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    ProfilingVerbosity,
)
from tensorrt._running import Runtime
from tensorrt._types import (
    DataType,
    Dims,
    ILogger,
    IOutputAllocator,
    LayerInformationFormat,
    TensorIOMode,
    TensorLocation,
    __version__,
)

__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "Dims",
    "ILogger",
    "IOutputAllocator",
    "LayerInformationFormat",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ProfilingVerbosity",
    "Runtime",
    "TensorIOMode",
    "TensorLocation",
    "__version__",
]

cuda_double.compute_capability = tuple(
    map(int, os.environ.get("TENSORRT_DOUBLE_CC", "7.5").split("."))
)  # type: ignore[assignment]
cuda_double.install()
