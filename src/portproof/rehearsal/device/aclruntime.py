"""A strict double of the extension module ``aclruntime`` 0.0.2, argument for argument.

Positional arguments only; only the number of bytes is checked; strides are ignored; outputs come
back on the device; a context belongs to one thread and ``finalize`` to the whole process. Where the
real library ends in a segmentation fault, :class:`SimulatedCrash` is raised.
"""

from __future__ import annotations

import ctypes
import operator
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import MARK, has_fault
from portproof.rehearsal.device.acl import ERROR, WARN, SimulatedCrash, acl, failure
from portproof.rehearsal.device.acl_model import SELF, LoadedModel
from portproof.rehearsal.device.acl_tensor import (
    BaseTensor,
    MemorySummary,
    Tensor,
    batch,
    note_copy,
)
from portproof.rehearsal.device.acl_types import (
    INT,
    dtype,
    is_int,
    memory_type,
    mismatch,
    session_options,
    sumary,
    tensor_desc,
)

REHEARSAL = MARK
type = memory_type  # the library's own name for it
globals().update(dtype.__members__ | memory_type.__members__)

_live: weakref.WeakSet[InferenceSession] = weakref.WeakSet()


def model(
    modelPath: str, deviceId: int = 0, options: session_options | None = None
) -> InferenceSession:
    """The factory; like the class, it does not survive ``None`` as options."""
    return InferenceSession(modelPath, deviceId, options)


class InferenceSession(LoadedModel):
    """A loaded model on one device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wanted = (
            f"aclruntime.InferenceSession(arg0: str, arg1: {INT}, arg2: aclruntime.session_options)"
        )
        right = not kwargs and len(args) == 3 and isinstance(args[0], str) and is_int(args[1])
        if not right or not (args[2] is None or isinstance(args[2], session_options)):
            raise mismatch("__init__", "constructor", [wanted], args, kwargs)
        if args[2] is None:
            raise SimulatedCrash("None as session options")
        super().__init__(args[0], operator.index(args[1]), args[2])
        self._times: list[float] = []
        _live.add(self)

    def __del__(self) -> None:
        if getattr(self, "_loaded", False):
            self.unload()

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle 'aclruntime.InferenceSession' object")

    def options(self) -> session_options:
        """The live options."""
        return self._options

    def sumary(self) -> sumary:
        """The executions' times since the last reset."""
        result = sumary()
        result.exec_time_list = list(self._times)
        return result

    def reset_sumaryinfo(self) -> int:
        """Forget the executions' times."""
        self._times.clear()
        return 0

    def finalize(self) -> int:
        """End ACL in this process, for every session."""
        if not acl.initialised:
            acl.not_initialised(self._device)
            acl.out.write("SetDevice failed. ret=100001\n")
            acl.log(ERROR, "TensorContext::SetContext failed. ret=100001")
            return 100001
        self.unload()
        acl.end()
        return 0

    def create_tensor_from_fileslist(self, desc: tensor_desc, files: Sequence[str]) -> Tensor:
        """One tensor on the device with the files' bytes in order; the rest is unchanged."""
        data = b""
        for index, file in enumerate(files):
            try:
                data += Path(file).read_bytes()
            except OSError:
                acl.log(ERROR, f"open file {file} failed")
                acl.log(ERROR, "ReadBinFile ToMemory failed ret:1")
                acl.log(ERROR, f"TensorBaseMalloc i:{index} file:{file} failed ret:1")
                raise failure(1) from None
        names = [t.name for t in self._header.inputs]
        index = names.index(desc.name)
        shape = (self._gear or self._header.largest)[index]
        filled = data.ljust(desc.realsize, b"\xcd")[: desc.realsize]
        return Tensor.on_device(
            np.frombuffer(filled, self._header.inputs[index].dtype).reshape(shape), self._device
        )

    def run(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """Execute ``loop`` times: outputs by name, feeds by position or by name; the outputs stay
        on the device.
        """
        names, feeds = self._checked(args, kwargs)
        data = self._inputs(feeds)
        self._check_outsizes()
        results = self._execute(data)
        known = [t.name for t in self._header.outputs]
        for name in names:
            if name not in known:
                acl.log(ERROR, f"outnames {name} not valid")
                acl.log(ERROR, "Get OutTensors failed ret:-1")
                raise failure(-1)
        return [
            (
                Tensor.null()
                if name in names[:i]
                else Tensor.on_device(results[known.index(name)], self._device)
            )
            for i, name in enumerate(names)
        ]

    def _checked(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[str], list[Any]]:
        """Output names and feeds in the inputs' order, or what pybind11 and the library say."""
        kinds = (
            "Sequence[aclruntime.Tensor]",
            "Mapping[str, aclruntime.Tensor]",
            "Sequence[aclruntime.BaseTensor]",
        )
        wanted = [
            f"({SELF}, arg0: collections.abc.Sequence[str], arg1: collections.abc.{k}) ->"
            " list[aclruntime.Tensor]"
            for k in kinds
        ]
        names, feeds = args if len(args) == 2 and not kwargs else ((), None)
        values = (
            list(feeds.values())
            if isinstance(feeds, Mapping)
            else list(feeds)
            if isinstance(feeds, Sequence)
            else None
        )
        one_kind = values is not None and any(
            all(isinstance(v, k) for v in values) for k in (Tensor, BaseTensor)
        )
        if (
            not one_kind
            or values is None
            or isinstance(names, str)
            or not all(isinstance(n, str) for n in names)
        ):
            raise mismatch("run", "function", wanted, (self, *args), kwargs)
        if not isinstance(feeds, Mapping):
            return list(names), values
        for index, tensor in enumerate(self._header.inputs):
            if tensor.name not in feeds:
                acl.log(ERROR, f"intensors i:{index} name:{tensor.name} not find")
                acl.log(ERROR, "Check InVector failed ret:-1")
                raise failure(-1)
        return list(names), [feeds[t.name] for t in self._header.inputs]

    def _inputs(self, feeds: list[Any]) -> list[bytes]:
        """The feeds' bytes, after the only check there is."""
        inputs = self.get_inputs()
        if len(feeds) > len(inputs):
            raise SimulatedCrash("more feeds than inputs")
        if feeds and isinstance(feeds[0], BaseTensor) and not acl.has_context:
            acl.recent_error("aclrtMalloc: no current context (ret=107002)")
            acl.out.write(
                "[107002][Error code unknown] Malloc ptrData failed.[ERROR]"
                f" MemoryHelper::MxbsMalloc failed device size:{feeds[0].size} ret:2\n"
            )
            self._refuse_size(0, inputs[0], 2)
        if len(feeds) < len(inputs):
            acl.log(WARN, f"intensors in:{len(feeds)} need:{len(inputs)} not match")
            acl.log(ERROR, "Set InputsData failed ret:-1")
            raise failure(-1)
        data = []
        for index, (feed, desc) in enumerate(zip(feeds, inputs, strict=True)):
            size = feed.size if isinstance(feed, BaseTensor) else len(feed.data)
            if size != desc.realsize or has_fault("size-mismatch", self._device):
                self._refuse_size(index, desc, size)
            if isinstance(feed, Tensor) and feed.device < 0:
                self._fail_execute(f"input {desc.name} is not in device memory (ret=107000)")
            data.append(_bytes_at(feed) if isinstance(feed, BaseTensor) else feed.data)
        return data

    def _refuse_size(self, index: int, desc: tensor_desc, size: int) -> None:
        need = desc.realsize * (2 if size == desc.realsize else 1)
        acl.log(ERROR, f"Check i:{index} name:{desc.name} in size:{size} needsize:{need} not match")
        acl.log(ERROR, "Check InVector failed ret:-1")
        raise failure(-1)

    def _check_outsizes(self) -> None:
        if self._header.kind == "shape" and not self._outsizes:
            acl.log(ERROR, "out i:0 size is zero")
            acl.log(ERROR, "create outmemory data failed:3011")
            acl.log(ERROR, "Set InputsData failed ret:3011")
            raise failure(3011)

    def _fail_execute(self, why: str) -> None:
        acl.recent_error(f"aclmdlExecute: {why}")
        acl.log(ERROR, f"execute model failed, modelId is {self._id}")
        acl.log(ERROR, "acl execute failed:1")
        acl.log(ERROR, "Execute Infer failed ret:-1")
        raise failure(-1)

    def _execute(self, data: Sequence[bytes]) -> list[np.ndarray[Any, Any]]:
        if self._gear is None:
            self._fail_execute("no gear was set (ret=145013)")
        assert self._gear is not None
        if self._header.kind == "static" and self._gear != [t.shape for t in self._header.inputs]:
            self._fail_execute("the model has no dynamic shape (ret=145016)")
        arrays = [
            np.frombuffer(d, t.dtype).reshape(s)
            for d, t, s in zip(data, self._header.inputs, self._gear, strict=True)
        ]
        results: list[np.ndarray[Any, Any]] = []
        if self._options.loop > 1:
            acl.out.write("\n")
        for index in range(self._options.loop):
            if self._options.loop > 1:
                acl.out.write(f"\rloop inference exec: ({index + 1}/{self._options.loop})")
                acl.out.flush()
            results, milliseconds = acl.execute(self._model, arrays, self._device)
            self._times.append(milliseconds)
        if self._options.loop > 1:
            acl.out.write("\n")
        for tensor, size, result in zip(
            self._header.outputs, self._outsizes, results, strict=False
        ):
            if result.nbytes > size:
                self._times.pop()
                self._fail_execute(
                    f"output {tensor.name} needs {result.nbytes} bytes, the buffer has {size}"
                    " (ret=100018)"
                )
        return results or [
            np.full([abs(d) for d in t.shape], 0.4, t.dtype) for t in self._header.outputs
        ]


def _bytes_at(feed: BaseTensor) -> bytes:
    note_copy(True, 0.001)
    return ctypes.string_at(feed.buf, feed.size)


def _unload_all() -> None:
    for session in list(_live):
        session.unload()


acl.unload_all = _unload_all
for _kind in (
    BaseTensor,
    InferenceSession,
    MemorySummary,
    Tensor,
    batch,
    model,
    session_options,
    sumary,
    tensor_desc,
):
    _kind.__module__ = "aclruntime"
