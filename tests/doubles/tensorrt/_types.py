"""What the other modules of the double share: the version, enumerations, shapes, and the classes
that are derived from.
"""

from __future__ import annotations

import enum
import os
from typing import Any

__version__ = os.environ.get("TENSORRT_DOUBLE", "10.16.1")
MAJOR = int(__version__.partition(".")[0])


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


class Dims:
    """A shape: a sequence that is no tuple, and is compared with tuples and lists only."""

    def __init__(self, shape: Any) -> None:
        self._shape = tuple(shape)

    def __len__(self) -> int:
        return len(self._shape)

    def __getitem__(self, index: int) -> int:
        return int(self._shape[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | list):
            raise TypeError("__eq__(): incompatible function arguments")
        return self._shape == tuple(other)

    __hash__ = None  # type: ignore[assignment]


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
    class Severity(enum.Enum):
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


def check(value: Any, kind: type, what: str) -> None:
    if type(value) is bool or not isinstance(value, kind):
        raise TypeError(
            f"incompatible function arguments: {what} must be {kind.__name__}, not"
            f" {type(value).__name__}"
        )
    if isinstance(value, ILogger | IOutputAllocator) and not hasattr(value, "_made"):
        raise TypeError(
            f"{type(value).__name__}.__init__() must be called when overriding __init__"
        )
