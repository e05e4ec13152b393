"""The Python package ``tensorrt``: found, of a version that is driven, and with a logger that keeps
what it says.

Failures are None and False in its API; their reasons go to the logger only.
"""

from __future__ import annotations

import importlib
from typing import Any

from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.host.tensorrt_versions import is_package_driven


def tensorrt(needed_for: str) -> Any:
    """The package; :class:`InputError` when it is missing or of a version that is not driven."""
    try:
        trt = importlib.import_module("tensorrt")
    except ImportError as error:
        if error.name != "tensorrt":
            raise ToolError(
                f"tensorrt is installed but cannot be loaded ({error}): check its libraries and"
                " LD_LIBRARY_PATH"
            ) from error
        raise MissingPackageError("tensorrt", needed_for, "trt") from error
    version = str(getattr(trt, "__version__", "of unknown version"))
    if not is_package_driven(version):
        raise InputError(
            f"{needed_for} drives TensorRT 10 and 11 from Python, this is {version}; use trtexec"
            " instead, or install another one"
        )
    return trt


def collecting_logger(trt: Any) -> Any:
    """An ``ILogger`` whose ``last`` is the last error that TensorRT logged, on one line."""

    class Messages(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 asks for the explicit call
            self.last = ""

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.last = " ".join(msg.split())[:300]

    return Messages()
