"""PyTorch on an Ascend NPU: what the package ``torch_npu`` adds to it, asked and checked.

Written to its public interfaces (https://www.hiascend.com/document, "Ascend Extension for PyTorch",
6.0 to 7.3), which no NPU has tried here. Importing ``torch_npu`` adds ``torch.npu``, which has what
``torch.cuda`` has; an operator without a kernel for the NPU is computed on the processor, and a
warning says so once.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable
from typing import Any

from portproof.core.errors import InputError, ToolError
from portproof.host.cann import HOW_TO_GET_TORCH_NPU

_FALLBACK = re.compile(r"operator '?(?P<name>[\w:.]+)'?.*fall\w* back to run on the CPU", re.DOTALL)


def import_npu() -> Any:
    """The package ``torch_npu``; :class:`InputError` without it, :class:`ToolError` when it does
    not load, as without CANN.
    """
    try:
        return importlib.import_module("torch_npu")
    except ModuleNotFoundError as error:
        raise InputError(
            f"the Python package '{error.name}' is not installed here and the backend 'torch_npu'"
            f" needs it: {HOW_TO_GET_TORCH_NPU}"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ToolError(
            f"torch_npu does not load here ({reason}): {HOW_TO_GET_TORCH_NPU}"
        ) from error


def npu_device(torch: Any, device: str) -> str:
    """The device with its number, made the current one, with fp32 computed in fp32: HF32, which
    ``conv`` uses unless it is told otherwise, is off.
    """
    kind, _, index = device.partition(":")
    if kind != "npu":
        raise InputError(
            f"the backend 'torch_npu' runs on an Ascend NPU: --device is '{device}', 'npu:0' was"
            " expected"
        )
    count = torch.npu.device_count() if torch.npu.is_available() else 0
    if not (index or "0").isdigit() or int(index or 0) >= count:
        raise InputError(
            f"torch_npu sees {count} NPU devices, --device asks for {device}; nothing falls back to"
            " the CPU"
        )
    torch.npu.conv.allow_hf32 = torch.npu.matmul.allow_hf32 = False
    torch.npu.set_device(int(index or 0))
    return f"npu:{int(index or 0)}"


def graph_of(torch: Any, module: Any) -> Any:
    """The module compiled to a graph by TorchAir when it is first run, for one batch size."""
    try:
        torchair = importlib.import_module("torchair")
    except ImportError as error:
        raise InputError(
            "the Python package 'torchair' is not installed here and --option mode=graph needs it:"
            " it comes with torch_npu from 2.1 on; leave the option out, or install a newer one"
        ) from error
    backend = torchair.get_npu_backend(compiler_config=torchair.CompilerConfig())
    return torch.compile(module, backend=backend, dynamic=False)


class OnNpu:
    """A module whose first call is a :class:`ToolError` when an operator is computed on the
    processor and that is not ``allowed``. torch_npu warns once, so later calls are not watched.
    """

    def __init__(self, module: Callable[..., Any], allowed: bool) -> None:
        self._module, self._is_watched = module, not allowed

    def __call__(self, *tensors: Any) -> Any:
        """The module's answer."""
        if not self._is_watched:
            return self._module(*tensors)
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            answer = self._module(*tensors)
        matches = [_FALLBACK.search(str(warning.message)) for warning in given]
        names = dict.fromkeys(match["name"] for match in matches if match)
        if names:
            raise ToolError(
                f"torch_npu has no kernel for {', '.join(names)} and computes it on the host's"
                " processor: what is timed would not be the NPU; change the model, or allow it with"
                " --option fallback=cpu"
            )
        for warning in given:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        self._is_watched = False
        return answer
