"""The small types of the simulated ``aclruntime``, and pybind11's way to refuse arguments."""

from __future__ import annotations

import enum
import operator
import weakref
from collections.abc import Sequence
from typing import Any

from portproof.rehearsal.device.acl import SimulatedCrash

INT = "typing.SupportsInt | typing.SupportsIndex"


class _Enum(enum.Enum):
    """pybind11's enum: converts to int, compares with its own kind only."""

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __repr__(self) -> str:
        return f"<{self}: {self.value}>"


class dtype(_Enum):
    """ACL's element types."""

    int8, uint8, int16, uint16, int32, uint32, int64, uint64 = 2, 4, 6, 7, 3, 8, 9, 10
    float16, float32, double, bool = 1, 0, 11, 12


class memory_type(_Enum):
    """Where a tensor's memory is; the library calls it ``type``."""

    memory_host, memory_device, memory_dvpp = 0, 1, 2


memory_type.__name__ = "type"


def dtype_of(name: str) -> Any:
    """The member for a numpy dtype's name; what is not known becomes ``uint8``, in silence."""
    return dtype.__members__.get({"float64": "double"}.get(name, name), dtype["uint8"])


def mismatch(
    name: str, kind: str, signatures: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]
) -> TypeError:
    """pybind11's error for arguments that fit no signature."""
    given = [", ".join(repr(a) for a in args)] if args else []
    given += ["kwargs: " + ", ".join(f"{k}={v!r}" for k, v in kwargs.items())] if kwargs else []
    listed = "".join(f"    {i}. {s}\n" for i, s in enumerate(signatures, start=1))
    return TypeError(
        f"{name}(): incompatible {kind} arguments. The following argument types are"
        f" supported:\n{listed}\nInvoked with: {', '.join(given)}"
    )


def is_int(value: Any) -> bool:
    """Whether pybind11 takes it for an int."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


class session_options:
    """``loop``: executions a run; ``log_level``: 1 debug to 4 error, of the whole process;
    ``acl_json_path``.
    """

    __slots__ = ("acl_json_path", "log_level", "loop")
    loop: int
    log_level: int
    acl_json_path: str

    def __init__(self) -> None:
        self.loop, self.log_level, self.acl_json_path = 1, 2, ""

    def __setattr__(self, name: str, value: Any) -> None:
        kind = str if name == "acl_json_path" else int
        if name in self.__slots__ and not (
            isinstance(value, str) if kind is str else is_int(value)
        ):
            wanted = "str" if kind is str else INT
            raise mismatch(
                "",
                "function",
                [f"(self: aclruntime.session_options, arg0: {wanted}) -> None"],
                (self, value),
                {},
            )
        if name not in self.__slots__:
            raise AttributeError(f"'aclruntime.session_options' object has no attribute '{name}'")
        object.__setattr__(self, name, value if kind is str else operator.index(value))


class sumary:
    """``exec_time_list``: ms of each execution, in float32."""

    def __init__(self) -> None:
        self.exec_time_list: list[float] = []


class tensor_desc:
    """An input or output. It refers into its session and must not outlive it."""

    def __init__(self, session: object | None = None, **facts: Any) -> None:
        self._session = weakref.ref(session) if session is not None else None
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        if name not in ("name", "datatype", "format", "shape", "size", "realsize"):
            raise AttributeError(f"'aclruntime.tensor_desc' object has no attribute '{name}'")
        if self._session is None or self._session() is None:
            raise SimulatedCrash("a tensor_desc was used after its session was gone")
        value = self._facts[name]
        return list(value) if isinstance(value, list) else value
