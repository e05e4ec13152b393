"""A loaded model of the simulated ``aclruntime``: its description and its choices."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal.device.acl import DEBUG, ERROR, INFO, WARN, acl, failure
from portproof.rehearsal.device.acl_types import (
    INT,
    dtype_of,
    is_int,
    mismatch,
    session_options,
    tensor_desc,
)
from portproof.rehearsal.device.description import lines
from portproof.rehearsal.om import Executable, Header, NotAnOm, at_gear, read_om

SELF = "self: aclruntime.InferenceSession"


class LoadedModel:
    """The part of ``InferenceSession`` that executes nothing."""

    def __init__(self, path: str, device: int, options: session_options) -> None:
        self._path, self._device, self._options = path, device, options
        self._loaded = False
        acl.open(device, options.acl_json_path)
        acl.log_level = options.log_level
        self._header, self._model = self._load()
        self._gear: list[list[int]] | None = (
            None if self._header.kind != "static" else [t.shape for t in self._header.inputs]
        )
        self._outsizes: list[int] = []

    def _load(self) -> tuple[Header, Executable]:
        try:
            header, data = read_om(Path(self._path))
            loaded = Executable(header, data)
        except (OSError, NotAnOm) as error:
            why = (
                f"cannot open model file {self._path} (ret=145002)"
                if isinstance(error, OSError)
                else (
                    f"cannot load model: Load model from {self._path} failed: it is no file of a"
                    " rehearsal (ret=545001)"
                )
            )
            acl.recent_error(f"aclmdlLoadFromFile: {why}")
            acl.log(ERROR, f"load model from file failed, model file is {self._path}")
            acl.log(WARN, "Check failed:processModel->LoadModelFromFile(modelPath), ret:1\n")
            acl.log(WARN, "no model had been loaded, unload failed")
            raise failure(1) from None
        acl.models += 1
        self._id, self._loaded = acl.models, True
        acl.log(INFO, f"load model {self._path} success")
        acl.log(INFO, "create model description success")
        if acl.log_level <= DEBUG:
            acl.log(DEBUG, "get input dynamic gear count success")
            acl.out.write("\n".join([*lines(header), ""]))
        return header, loaded

    def unload(self) -> None:
        """Free the model; only once."""
        if self._loaded:
            self._loaded = False
            acl.log(INFO, f"unload model success, model Id is {self._id}")

    def get_inputs(self) -> list[tensor_desc]:
        """``realsize`` follows the gear, ``size`` and ``shape`` do not."""
        header = self._header
        sizes = [
            0 if header.kind == "shape" else _nbytes(s, t.dtype)
            for s, t in zip(header.largest, header.inputs, strict=True)
        ]
        real = (
            [_nbytes(s, t.dtype) for s, t in zip(self._gear, header.inputs, strict=True)]
            if self._gear
            else sizes
        )
        return [
            self._desc(t, size, now)
            for t, size, now in zip(header.inputs, sizes, real, strict=True)
        ]

    def get_outputs(self) -> list[tensor_desc]:
        """The sizes of the largest gear."""
        sizes = [0 if -1 in t.shape else _nbytes(t.shape, t.dtype) for t in self._header.outputs]
        return [
            self._desc(t, size, size) for t, size in zip(self._header.outputs, sizes, strict=True)
        ]

    def _desc(self, tensor: Any, size: int, realsize: int) -> tensor_desc:
        form = (
            2
            if len(tensor.shape) != 4
            else 1
            if tensor.dtype == "uint8" and self._header.aipp
            else 0
        )  # ND, NHWC, NCHW
        return tensor_desc(
            self,
            name=tensor.name,
            datatype=dtype_of(tensor.dtype),
            format=form,
            shape=list(tensor.shape),
            size=size,
            realsize=realsize,
        )

    def __str__(self) -> str:
        def rows(descs: Sequence[tensor_desc]) -> str:
            shapes = [", ".join(map(str, d.shape)) for d in descs]
            return "".join(
                f"  #{i}    {d.name}  ({s})  {d.datatype.name}  {d.size}  {d.realsize}\n"
                for i, (d, s) in enumerate(zip(descs, shapes, strict=True))
            )

        inputs, outputs = rows(self.get_inputs()), rows(self.get_outputs())
        return f"<Model>\ndevice:\t{self._device}\ninput:\n{inputs}output:\n{outputs}"

    __repr__ = __str__

    def set_staticbatch(self) -> int:
        """Nothing to choose."""
        return 0

    def set_dynamic_batchsize(self, *args: Any, **kwargs: Any) -> int:
        """Choose a batch gear."""
        self._ints("set_dynamic_batchsize", 1, args, kwargs)
        gears = self._header.gears
        if self._header.kind != "batch" or list(args) not in gears:
            if self._header.kind != "batch":
                acl.log(
                    ERROR, "the dynamic_batch_size parameter is not specified for model conversion"
                )
            else:
                acl.log(ERROR, "the dymBatch parameter is not correct")
                listed = "".join(f"[{g[0]}]" for g in gears)
                acl.log(
                    ERROR,
                    f"model has dynamic batch size:{{{listed}}}, please set correct dynamic batch"
                    " size",
                )
            acl.log(
                WARN,
                "Check failed:processModel->CheckDynamicBatchSize(batchsize, is_dymbatch), ret:1\n",
            )
            raise failure(1)
        acl.log(INFO, "check dynamic batch success")
        self._gear = at_gear(self._header, list(args))
        return 0

    def set_dynamic_hw(self, *args: Any, **kwargs: Any) -> int:
        """Choose an image size: height first, whatever the parameters' names say."""
        self._ints("set_dynamic_hw", 2, args, kwargs)
        if self._header.kind != "hw" or list(args) not in self._header.gears:
            static = "the dynamic_image_size parameter is not specified for model conversion"
            acl.log(
                ERROR, "the dymHW parameter is not correct" if self._header.kind == "hw" else static
            )
            acl.log(
                WARN, "Check failed:processModel->CheckDynamicHWSize(dynamicHW, is_dymHW), ret:1\n"
            )
            raise failure(1)
        acl.log(INFO, "check dynamic image size success.")
        self._gear = at_gear(self._header, list(args))
        return 0

    def set_dynamic_dims(self, *args: Any, **kwargs: Any) -> int:
        """Choose a gear of dimensions, ``name:d,d;name:d,d``: the numbers count in the order in
        which they are written, whatever the names are.
        """
        self._one_text("set_dynamic_dims", args, kwargs)
        gears = self._header.gears
        if self._header.kind != "dims":
            acl.out.write("the dynamic_dims parameter is not specified for model conversion")
            raise failure(-1)
        numbers = [
            int(d)
            for part in args[0].split(";")
            for d in part.rpartition(":")[2].split(",")
            if d.strip().lstrip("-").isdigit()
        ]
        if numbers not in gears:
            acl.log(ERROR, "the dynamic_dims parameter is not correct")
            acl.log(ERROR, f"model has {len(gears)} gear of dims")
            for index, gear in enumerate(gears):
                acl.log(ERROR, f"dims[{index}]:{''.join(f'[{d}]' for d in gear)}")
            acl.log(ERROR, "check dynamic dims failed, please set correct dymDims paramenter")
            raise failure(-1)
        self._gear = at_gear(self._header, numbers)
        return 0

    def set_dynamic_shape(self, *args: Any, **kwargs: Any) -> int:
        """Choose any shape; whether the model has a dynamic one shows in its execution."""
        self._one_text("set_dynamic_shape", args, kwargs)
        shapes, given = self._shapes(args[0]), len([p for p in args[0].split(";") if p])
        if shapes is None or given != len(self._header.inputs):
            why = "the dymShape parameter set error, please check input name"
            if given != len(self._header.inputs):
                why = (
                    f"om has {len(self._header.inputs)} input, but dymShape parametet give {given}"
                )
            acl.log(ERROR, why)
            acl.log(ERROR, "check dynamic shape failed")
            raise failure(-1)
        self._gear = shapes
        return 0

    def set_custom_outsize(self, *args: Any, **kwargs: Any) -> int:
        """Bytes of each output's buffer."""
        if (
            kwargs
            or len(args) != 1
            or isinstance(args[0], str | bytes)
            or not all(is_int(a) for a in args[0])
        ):
            raise self._wrong(
                "set_custom_outsize", f"arg0: collections.abc.Sequence[{INT}]", args, kwargs
            )
        self._outsizes = [operator.index(a) for a in args[0]]
        return 0

    def _ints(self, name: str, count: int, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if kwargs or len(args) != count or not all(is_int(a) for a in args):
            raise self._wrong(name, ", ".join(f"arg{i}: {INT}" for i in range(count)), args, kwargs)

    def _one_text(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        if kwargs or len(args) != 1 or not isinstance(args[0], str):
            raise self._wrong(name, "arg0: str", args, kwargs)

    def _shapes(self, text: str) -> list[list[int]] | None:
        """``name:d,d;name:d,d`` as the inputs' shapes; None when a name or number is wrong."""
        parts = dict(part.rpartition(":")[::2] for part in text.split(";") if part)
        try:
            return [[int(d) for d in parts[t.name].split(",")] for t in self._header.inputs]
        except (KeyError, ValueError):
            return None

    def _wrong(
        self, name: str, wanted: str, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> TypeError:
        return mismatch(name, "function", [f"({SELF}, {wanted}) -> int"], (self, *args), kwargs)


def _nbytes(shape: Sequence[int], name: str) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(name).itemsize
