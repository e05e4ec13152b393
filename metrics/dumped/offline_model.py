"""Dumps of an offline model (``.om``) on an Ascend device: what ``acl.json``, ``ais_bench --dump``
and ``msprobe compare`` leave, as it is or converted by ``msaccucmp.py``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from portproof.backend import Array, Feeds, TensorSpec
from portproof.core.errors import InputError
from portproof.metrics.dumped import compiled_graph, device_file, device_folder, device_value
from portproof.metrics.dumped.compiled_graph import Compiled
from portproof.metrics.dumped.device_file import DeviceFile, itemsize
from portproof.metrics.dumped.device_folder import Operator
from portproof.metrics.dumped.device_layout import UnknownLayoutError
from portproof.metrics.dumped.device_value import Value
from portproof.metrics.layerwise import graph
from portproof.metrics.layerwise.graph import Origin, Run, Tensor

#: Operators of a model in int8, and what narrow floats say of the rest.
_OF_INT8 = {"AscendQuant", "AscendDequant", "AscendRequant"}
_PRECISION = {"float16": "fp16", "bfloat16": "bf16"}


def find(path: Path, om_json: Path | None) -> OfflineModel | None:
    """The dump below a folder, None if it holds none. ``om_json``: the compiled model as JSON."""
    runs = device_folder.find(path) if path.is_dir() else []
    if not runs:
        return None
    return OfflineModel(path, runs, compiled_graph.read(om_json) if om_json else {})


class OfflineModel:
    """Inferences as runs; what the operators of the first give are the tensors, in the order in
    which they ended, by the names of their files (``Conv_0Relu_1``; ``Split_3:1`` for a second).

    What an operator is in the model, its file's header says, or the compiled graph, or its name
    (:class:`Origin`). What it reads, the compiled graph says; else an input is the output that has
    the same bytes, as far as inputs were dumped; else it is taken to read the one before.
    """

    inputs: tuple[TensorSpec, ...] = ()

    def __init__(
        self,
        path: Path,
        runs: Sequence[Mapping[str, Operator]],
        compiled: Mapping[str, Compiled],
    ) -> None:
        self.path, self.runs, self._runs, self._compiled = path, len(runs), runs, compiled
        self._opened: dict[Path, DeviceFile] = {}
        self._places: dict[str, tuple[str, int]] = {}
        self._free: dict[str, tuple[str, int]] = {}
        self.tensors: list[Tensor] = []
        self._sizes: dict[str, int] = {}
        self.precision = "fp32"
        made: dict[str, str] = {}
        for operator in runs[0].values():
            self._add(operator, made)
        if not self.tensors:
            raise InputError(
                f'\'{path}\' holds no outputs of operators: dump with "dump_mode": "output" or'
                ' "all" in acl.json'
            )
        if any(operator.type in _OF_INT8 for operator in runs[0].values()):
            self.precision = "int8"
        self.outputs = self._outputs()

    def _add(self, operator: Operator, made: dict[str, str]) -> None:
        """Make tensors of what an operator gives; ``made``: what gave the bytes of a digest."""
        reads = self._reads(operator, made)
        for value in self._values(operator, "output"):
            if not value.comparable():
                continue
            name, held = _name(operator.name, value.number), value.held
            origin = Origin(*(held.origin or (operator.name, value.number)), bool(held.origin))
            self.tensors.append(Tensor(name, operator.type, origin.name, reads, origin))
            self.precision = _PRECISION.get(held.dtype, self.precision)
            self._places[name] = (operator.name, value.number)
            self._sizes[name] = 8 * math.prod(held.shape)
            if self._with_inputs():
                made.setdefault(value.digest(), name)

    def _reads(self, operator: Operator, made: Mapping[str, str]) -> tuple[str, ...]:
        reads = []
        for value in self._values(operator, "input"):
            digest = value.digest()
            if digest in made:
                reads.append(made[digest])
            else:
                self._free.setdefault(digest, (operator.name, value.number))
        known = self._compiled.get(operator.name)
        if known is not None:
            return tuple(name for one in known.reads if (name := _name(*one)) in self._places)
        if self._with_inputs():
            return tuple(reads)
        return (self.tensors[-1].name,) if self.tensors else ()

    def _with_inputs(self) -> bool:
        """Whether any operator's inputs were dumped."""
        return bool(self._free)

    def _outputs(self) -> list[str]:
        """What the compiled graph gives out; without it, what was computed last."""
        finals = [c for c in self._compiled.values() if c.type == "NetOutput"]
        names = [_name(*one) for final in finals for one in final.reads]
        return [n for n in names if n in self._places] or [self.tensors[-1].name]

    def _values(self, operator: Operator, side: str) -> Iterator[Value]:
        whole = None
        if operator.whole is not None:
            if operator.whole not in self._opened:
                self._opened[operator.whole] = device_file.read(operator.whole)
            whole = self._opened[operator.whole]
        known = self._compiled.get(operator.name)
        return device_value.values(operator, side, whole, known)

    def _value(self, run: int, side: str, place: tuple[str, int]) -> Value | None:
        operator = self._runs[run].get(place[0])
        found = self._values(operator, side) if operator else ()
        return next((value for value in found if value.number == place[1]), None)

    def given(self, run: int) -> list[Array] | None:
        """What is read and no operator gives in one run: the model's inputs are among it."""
        found = [self._value(run, "input", place) for place in self._free.values()]
        if not found or None in found:
            return None
        arrays = []
        for value in found:
            with contextlib.suppress(UnknownLayoutError):  # weights in a layout of their own
                if value is not None and itemsize(value.held.dtype):
                    arrays.append(value.load())
        return arrays

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""
        return graph.in_groups(names, self._sizes, graph.TOGETHER_BYTES)

    def opened(self, names: Sequence[str]) -> Run:
        """What reads the files of these tensors."""

        def run(number: int, _: Feeds) -> list[Array | None]:
            return [self._loaded(number, name) for name in names]

        return run

    def _loaded(self, run: int, name: str) -> Array | None:
        value = self._value(run, "output", self._places[name])
        return value.load() if value is not None and value.comparable() else None


def _name(operator: str, number: int) -> str:
    return f"{operator}:{number}" if number else operator
