"""Backend ``om``: Ascend 310 and 310P, by the extension module ``aclruntime`` (0.0.2).

Options, for models with dynamic dimensions: ``dims`` (``name:d,d;name:d,d``) or ``hw``
(``height,width``) choose a gear, ``shape`` a shape, and ``outsize`` gives each output's bytes where
they are unknown; without one, the batch is chosen. ``acl_json``: a configuration for ACL.
"""

from __future__ import annotations

import atexit
import importlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof import rehearsal
from portproof.backend import Array, Feeds, LoadRequest, TensorSpec, check_feeds
from portproof.core.errors import InputError, ToolError
from portproof.core.files import existing_file
from portproof.infer.runtimes.acl_dtypes import DTYPES
from portproof.infer.runtimes.acl_errors import explained
from portproof.infer.runtimes.acl_json import configuration
from portproof.infer.runtimes.acl_lines import kept_from_stdout, reason_in
from portproof.infer.runtimes.npu_devices import device_index
from portproof.infer.runtimes.om_shapes import bytes_of, check_outputs, choose, chosen
from portproof.measurement import Boundary
from portproof.proof.sidecar import proof_of

SUFFIXES = (".om",)
DEFAULT_FOR = (".om",)
PACKAGES = ("aclruntime",)

_OPTIONS = ("acl_json", "dims", "hw", "outsize", "shape")
_LOG_WARNINGS = 3
#: What atc computes in on these chips unless an option says otherwise.
_USUAL_PRECISION = "fp16"


class _Runtime:
    """The library in this process. ``finalize`` ends it for every session at once, so it is called
    once, when the process ends.
    """

    def __init__(self) -> None:
        self._last: Any = None
        self._registered = False

    def open(self, module: Any, path: str, device: int, options: Any) -> Any:
        """A native session. The one kept for the end is freed first: it holds memory."""
        self._last = None
        self._last = module.InferenceSession(path, device, options)
        if not self._registered:
            atexit.register(self._finalize)
            self._registered = True
        return self._last

    def _finalize(self) -> None:
        native, self._last = self._last, None
        if hasattr(native, "finalize"):
            native.finalize()


_runtime = _Runtime()


class OmSession:
    """A loaded ``.om``. Inputs are copied to the device and outputs back inside ``run``; ``device``
    is the library's own time of execution.
    """

    boundaries: tuple[Boundary, ...] = ("device",)

    def __init__(
        self, module: Any, native: Any, model: Path, device: int, outsizes: Sequence[int] | None
    ) -> None:
        self._module, self._native, self._model = module, native, model
        self._thread = threading.get_ident()
        self._outsizes = outsizes
        inputs, outputs = native.get_inputs(), native.get_outputs()
        self.dynamic_shape = any(d.size == 0 for d in inputs)
        self._native_names = [d.name for d in outputs]
        names = _plain_names(self._native_names)
        self.inputs = tuple(_spec(d.name, d) for d in inputs)
        any_batch = any(-1 in d.shape for d in inputs)
        self.outputs = tuple(
            _spec(name, d, any_batch) for name, d in zip(names, outputs, strict=True)
        )
        self.device = f"npu:{device}"
        proof = proof_of(model)
        self.precision = str(
            (proof.parameters.get("precision") if proof else None) or _USUAL_PRECISION
        )
        self.provider: str | None = "aclruntime" + (
            f" {rehearsal.MARK}" if hasattr(module, rehearsal.MARK) else ""
        )
        self._shape: str | None = None

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch."""
        if threading.get_ident() != self._thread:
            raise ToolError(
                f"'{self._model}' was loaded in another thread: a context of ACL belongs to one"
                " thread; load it in the thread that runs it"
            )
        check_feeds(feeds, self.inputs)
        arrays = [feeds[s.name] for s in self.inputs]
        try:
            if self.dynamic_shape:
                self._choose_shape(arrays)
            # The tensors borrow the arrays' memory, which `feeds` keeps alive until the call is
            # over.
            borrowed = [
                self._module.BaseTensor(a.__array_interface__["data"][0], a.nbytes) for a in arrays
            ]
            tensors = self._native.run(self._native_names, borrowed)
            for tensor in tensors:
                tensor.to_host()
        except RuntimeError as error:
            raise explained(error, f"'{self._model}' failed while it ran") from error
        return {s.name: np.array(t) for s, t in zip(self.outputs, tensors, strict=True)}

    def _choose_shape(self, arrays: Sequence[Array]) -> None:
        """Give a dynamic-shape model the shapes of this call and the bytes of its outputs."""
        shape = ";".join(
            f"{s.name}:{','.join(map(str, a.shape))}"
            for s, a in zip(self.inputs, arrays, strict=True)
        )
        if shape == self._shape:
            return
        self._native.set_dynamic_shape(shape)
        self._native.set_custom_outsize(
            list(self._outsizes or bytes_of(self.outputs, len(arrays[0]), self._model))
        )
        self._shape = shape

    def sync(self) -> None:
        """``run`` returns host arrays: nothing is left to wait for."""

    def reported_s(self, boundary: Boundary) -> float:
        """Seconds of the last execution on the device. Emptied, since reading copies the list."""
        times = _times_of(self._native)
        if not times:
            raise ToolError(
                f"aclruntime has no time of the last run of '{self._model}'; its version is not"
                " known here, time it at 'call' only"
            )
        (
            self._native.reset_summaryinfo
            if hasattr(self._native, "reset_summaryinfo")
            else self._native.reset_sumaryinfo
        )()
        return float(times[-1]) / 1000

    def close(self) -> None:
        """Let go of the model; its memory is freed when the next one is loaded, or at the end of
        the process.
        """
        self._native = None


def load(model: Path, request: LoadRequest) -> OmSession:
    """Load an ``.om`` on an NPU (``npu:N``, default 0) and choose batch, dims or shape."""
    request.refuse_other_options("om", _OPTIONS)
    existing_file(model, "offline model")
    device = device_index(request.device)
    if request.threads:
        raise InputError("the backend 'om' runs on the NPU and has no --threads; leave it out")
    module = _module()
    options = module.session_options()
    options.log_level = _LOG_WARNINGS
    if "acl_json" in request.options:
        options.acl_json_path = str(configuration(request.options["acl_json"]))
    try:
        with kept_from_stdout() as lines:
            native = _runtime.open(module, str(model), device, options)
    except RuntimeError as error:
        raise explained(
            error,
            f"'{model}' could not be loaded on NPU device {device}",
            loading=True,
            reason=reason_in(lines),
        ) from error
    try:
        with kept_from_stdout() as lines:
            outsizes = choose(native, model, request)
    except RuntimeError as error:
        what = f"'{model}' refused the batch, dimensions or shape asked for"
        raise explained(error, what, choosing=True, reason=reason_in(lines)) from error
    check_outputs(native, model)
    session = OmSession(module, native, model, device, outsizes)
    if any(None in s.shape for s in session.inputs) and (
        not session.dynamic_shape or "shape" in request.options
    ):
        session.inputs = chosen(session.inputs, request, native)
    if request.precision not in (None, session.precision):
        raise InputError(
            f"'{model}' was converted for {session.precision}, --precision asks for"
            f" {request.precision}; convert it again instead"
        )
    return session


def _module() -> Any:
    try:
        module = importlib.import_module("aclruntime")
    except ImportError as error:
        if getattr(error, "name", None) != "aclruntime":
            raise ToolError(
                f"aclruntime is installed but cannot be loaded ({error}): source the CANN"
                " environment first (source /usr/local/Ascend/ascend-toolkit/set_env.sh) and check"
                " the driver's libraries"
            ) from error
        raise InputError(
            f"aclruntime is not installed for {sys.executable}; it comes with the ais_bench wheels"
            " of the CANN release, not from PyPI: make the environment from the interpreter that"
            " has it (PORTPROOF_PYTHON=... bash run_310p.sh), or rehearse with port --rehearse"
        ) from error
    if hasattr(module, rehearsal.MARK) and not rehearsal.is_active():
        raise InputError(
            "the aclruntime found here is the simulated one; it works in a rehearsal only (port"
            f" --rehearse, or {rehearsal.ACTIVE}=1)"
        )
    return module


def _spec(name: str, desc: Any, any_batch: bool = False) -> TensorSpec:
    """A copy of a description of the library, whose own must not outlive its session."""
    code = int(desc.datatype)
    if code not in DTYPES:
        raise InputError(f"'{name}' has ACL's element type {code}, which numpy does not have")
    shape: list[int | None] = [None if d == -1 else int(d) for d in desc.shape]
    return TensorSpec(
        name, DTYPES[code], tuple([None, *shape[1:]] if any_batch and shape else shape)
    )


def _plain_names(names: Sequence[str]) -> list[str]:
    """The tensors' names: an ``.om`` calls the output ``class`` of the node ``/fc/Gemm``
    ``/fc/Gemm:0:class``.

    >>> _plain_names(["/fc/Gemm:0:class", "probs"]), _plain_names(["a:0:x", "b:0:x"])
    (['class', 'probs'], ['a:0:x', 'b:0:x'])
    """
    plain = [name.rpartition(":")[2] or name for name in names]
    return plain if len(set(plain)) == len(plain) else list(names)


def _times_of(native: Any) -> list[float]:
    """The library's execution times in ms: ``summary`` in newer versions, ``sumary`` in older ones;
    a list, or an object that holds it.
    """
    found = (native.summary if hasattr(native, "summary") else native.sumary)()
    return list(getattr(found, "exec_time_list", found))
