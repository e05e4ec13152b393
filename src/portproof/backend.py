"""The backend protocol: what executes a model in this process.

A backend is one file, ``infer/backends/<name>.py``, found by its name. It defines ``SUFFIXES`` (the model files it opens) and
``load(model, request) -> Session``. Nothing else changes when a backend is added.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from portproof.errors import InputError
from portproof.measurement import Boundary

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output: name, numpy dtype name, shape with the batch first; None is a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def nbytes(self, batch: int) -> int | None:
        """Bytes of this tensor for a batch; None when a dimension other than the batch is dynamic."""
        rest = self.shape[1:]
        if any(d is None for d in rest):
            return None
        return batch * int(np.prod([cast(int, d) for d in rest], dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """How to load: the batch that will be run, the device (``cpu``, ``cuda:0``, ``npu:0``; None is the backend's default), the precision
    (``fp32``, ``fp16``, ``bf16``; None is the model file's own), threads (None is the runtime's default), the model card (needed for
    ``.pth``), and options that only this backend knows.
    """

    batch: int = 1
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    card: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Session(Protocol):
    """A loaded model. Not thread-safe: one thread, the one that loaded it, uses it."""

    #: Inputs and outputs in the model's order.
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    #: What really runs, as the runtime reports it after loading: device, precision, provider.
    device: str
    precision: str
    #: Timing boundaries that the backend itself can report after a run, beside ``call``, which the harness measures.
    boundaries: tuple[Boundary, ...]

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch: C-contiguous arrays by input name to host arrays by output name, batch first. Blocks until the results are there."""

    def sync(self) -> None:
        """Wait for all work on the device; the harness calls it around a timed block."""

    def reported_s(self, boundary: Boundary) -> float:
        """Seconds of the last run at a boundary of ``boundaries``, from the runtime's own clock."""

    def close(self) -> None:
        """Free the device. The session is not used again."""


class Backend(Protocol):
    """The module of a backend."""

    #: Suffixes of the model files that it opens, with the dot.
    SUFFIXES: tuple[str, ...]

    def load(self, model: Path, request: LoadRequest) -> Session:
        """Load a model; :class:`InputError` for a wrong file or option, :class:`ToolError` when the runtime or the device fails."""


def names() -> list[str]:
    """The names of all backends, sorted. Imports none of them."""
    package = importlib.import_module("portproof.infer.backends")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def find(name: str) -> Backend:
    """The backend of that name; :class:`InputError` lists the names there are."""
    known = names()
    if name not in known:
        raise InputError(f"there is no backend '{name}'; there are {', '.join(known)}")
    return cast(Backend, _import(name))


def _import(name: str) -> ModuleType:
    return importlib.import_module(f"portproof.infer.backends.{name}")


def check_feeds(feeds: Feeds, inputs: tuple[TensorSpec, ...]) -> None:
    """Check names, dtypes, shapes and contiguity before a call, because some runtimes check only the number of bytes."""
    missing = [s.name for s in inputs if s.name not in feeds]
    unknown = [n for n in feeds if n not in {s.name for s in inputs}]
    if missing or unknown:
        raise InputError(f"the model's inputs are {[s.name for s in inputs]}, but {sorted(feeds)} were given")
    for spec in inputs:
        array = feeds[spec.name]
        if array.dtype != np.dtype(spec.dtype):
            raise InputError(f"input '{spec.name}' is {array.dtype}, the model takes {spec.dtype}")
        fits = array.ndim == len(spec.shape) and all(want is None or want == got for want, got in zip(spec.shape, array.shape, strict=True))
        if not fits:
            raise InputError(f"input '{spec.name}' has the shape {array.shape}, the model takes {spec.shape} (None: any)")
        if not array.flags.c_contiguous:
            raise InputError(f"input '{spec.name}' is not C-contiguous; pass numpy.ascontiguousarray(...)")
