"""The backend protocol: what executes a model in this process.

A backend is one file, ``infer/backends/<name>.py``, found by its name, that defines what
:class:`Backend` lists. Nothing else changes when a backend is added. The module imports its runtime
inside ``load``, so that finding it costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from portproof.core.errors import InputError
from portproof.measurement import Boundary

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output: name, numpy dtype name, shape, batch first; None is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def nbytes(self, batch: int) -> int | None:
        """Bytes of this tensor for a batch; None if a dimension other than the batch is dynamic."""
        if any(d is None for d in self.shape[1:]):
            return None
        return (
            batch * int(np.prod(self.sample_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize
        )

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch; its other dimensions must be known."""
        return tuple(cast(int, d) for d in self.shape[1:])


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """How to load: the batch that will be run, the device (``cpu``, ``cuda:0``, ``npu:0``; None is
    the backend's default), the precision (``fp32``, ``fp16``, ``bf16``; None is the model file's
    own), threads (None is the runtime's default), the model card (needed for ``.pth``), and options
    that only this backend knows. ``spinning`` False: other threads work beside the runtime's, so
    these must not burn the processor while they wait.
    """

    batch: int = 1
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    card: str | None = None
    spinning: bool = True
    options: Mapping[str, str] = field(default_factory=dict)

    def refuse_other_options(self, backend: str, known: tuple[str, ...] = ()) -> None:
        """:class:`InputError` for an option that the backend does not know: it would be ignored."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            there_are = f"it knows {', '.join(known)}" if known else "it has none"
            raise InputError(f"the backend '{backend}' has no option '{unknown[0]}'; {there_are}")


class Session(Protocol):
    """A loaded model. Not thread-safe: one thread, the one that loaded it, uses it."""

    #: Inputs and outputs in the model's order.
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    #: What really runs, as the runtime reports it after loading: device, precision, provider.
    device: str
    precision: str
    provider: str | None
    #: Timing boundaries that the backend itself can report after a run, beside ``call``, which the
    #: harness measures.
    boundaries: tuple[Boundary, ...]

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch: C-contiguous arrays by input name to host arrays by output name, batch first.
        Blocks until the results are there.

        The harness has checked the feeds (:func:`check_feeds`). Outputs are new arrays, or stay as
        they are until the next run at least.
        """

    def sync(self) -> None:
        """Wait for all work on the device; the harness calls it around a timed block."""

    def reported_s(self, boundary: Boundary) -> float:
        """Seconds of the last run at a boundary of ``boundaries``, from the runtime's own clock."""

    def close(self) -> None:
        """Free the device. The session is not used again."""


class Backend(Protocol):
    """The module of a backend. One that computes nothing also says ``HARNESS_ONLY = True``: a bench
    does not judge its answers.
    """

    #: Suffixes of the model files that it opens, with the dot; empty: any.
    SUFFIXES: tuple[str, ...]
    #: Those of them for which it is the backend when none is named.
    DEFAULT_FOR: tuple[str, ...]
    #: The packages of its runtime, whose versions decide its numbers; import name and distribution
    #: name are the same.
    PACKAGES: tuple[str, ...]

    def load(self, model: Path, request: LoadRequest) -> Session:
        """Load a model; :class:`InputError` for a wrong file or option, :class:`ToolError` when the
        runtime or the device fails.
        """


def names() -> list[str]:
    """The names of all backends, sorted. Imports none of them."""
    package = importlib.import_module("portproof.infer.backends")
    return sorted(
        m.name.rstrip("_").replace("_", "-") for m in pkgutil.iter_modules(package.__path__)
    )


def find(name: str) -> Backend:
    """The backend of that name; :class:`InputError` lists the names there are."""
    known, name = names(), name.replace("_", "-")
    if name not in known:
        raise InputError(f"there is no backend '{name}'; there are {', '.join(known)}")
    # A backend that is named like a third-party package has a file with an underscore after
    # its name.
    module = f"portproof.infer.backends.{name.replace('-', '_')}"
    return cast(
        Backend,
        importlib.import_module(module if importlib.util.find_spec(module) else f"{module}_"),
    )


def default_for(model: Path) -> str:
    """The backend of a model file when none is named, by its suffix."""
    for name in names():
        if model.suffix in find(name).DEFAULT_FOR:
            return name
    raise InputError(
        f"'{model}': no backend is the usual one for '{model.suffix}' files; name one with"
        f" --backend ({', '.join(names())})"
    )


def check_suffix(name: str, model: Path) -> None:
    """Refuse a model file that the backend does not open."""
    suffixes = find(name).SUFFIXES
    if suffixes and model.suffix not in suffixes:
        raise InputError(
            f"the backend '{name}' opens {', '.join(suffixes)} files, '{model}' is not one; choose"
            " another --backend or model file"
        )


def check_batch(model: Path, inputs: tuple[TensorSpec, ...], batch: int) -> None:
    """Refuse a batch that a model with a fixed batch was not built for."""
    for spec in inputs:
        if not spec.shape:
            raise InputError(
                f"'{model}': input '{spec.name}' is a scalar, a batch dimension was expected"
            )
        if spec.shape[0] not in (None, batch):
            raise InputError(
                f"'{model}' has the fixed batch {spec.shape[0]}, --batch asks for {batch}; use"
                f" {spec.shape[0]} or a model with a dynamic batch"
            )


def complete(
    inputs: tuple[TensorSpec, ...], sample_shapes: Mapping[str, tuple[int, ...]]
) -> tuple[TensorSpec, ...]:
    """The inputs with every dimension beside the batch known: dynamic ones are filled from
    ``sample_shapes`` (a model card's), by input name.
    """
    done = []
    for spec in inputs:
        shape = sample_shapes.get(spec.name)
        if spec.nbytes(1) is None:
            if shape is None or len(shape) != len(spec.shape) - 1:
                raise InputError(
                    f"input '{spec.name}' has the shape {spec.shape} (None: dynamic); give a model"
                    " card with --model that has its shape"
                )
            spec = replace(
                spec,
                shape=(
                    spec.shape[0],
                    *(c if d is None else d for d, c in zip(spec.shape[1:], shape, strict=True)),
                ),
            )
        done.append(spec)
    return tuple(done)


def check_feeds(feeds: Feeds, inputs: tuple[TensorSpec, ...]) -> None:
    """Check names, dtypes, shapes and contiguity before a call, because some runtimes check only
    the number of bytes.
    """
    missing = [s.name for s in inputs if s.name not in feeds]
    unknown = [n for n in feeds if n not in {s.name for s in inputs}]
    if missing or unknown:
        raise InputError(
            f"the model's inputs are {[s.name for s in inputs]}, but {sorted(feeds)} were given"
        )
    for spec in inputs:
        array = feeds[spec.name]
        if array.dtype != np.dtype(spec.dtype):
            raise InputError(f"input '{spec.name}' is {array.dtype}, the model takes {spec.dtype}")
        fits = array.ndim == len(spec.shape) and all(
            want is None or want == got for want, got in zip(spec.shape, array.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"input '{spec.name}' has the shape {array.shape}, the model takes {spec.shape}"
                " (None: any)"
            )
        if not array.flags.c_contiguous:
            raise InputError(
                f"input '{spec.name}' is not C-contiguous; pass numpy.ascontiguousarray(...)"
            )
