"""Dumps of msprobe's PrecisionDebugger (MindStudio): ``step<N>/rank<M>/dump.json`` beside
``dump_tensor_data``, with a ``.pt`` (PyTorch) or ``.npy`` (MindSpore) file a tensor.

``dump.json`` has under ``data`` an entry for each call of a module
(``Module.conv1.Conv2d.forward.0``) or function (``Functional.relu.0.forward``) with
``input_args``, ``input_kwargs`` and ``output``, whose items name their file in ``data_name``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array, Feeds, TensorSpec
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.metrics.layerwise import graph
from portproof.metrics.layerwise.graph import Run, Tensor

_MODULE = re.compile(r"Module\.(?P<node>.+)\.(?P<op>\w+)\.forward\.(?P<count>\d+)")
_FUNCTION = re.compile(r"[A-Za-z]+\.(?P<op>\w+)\.(?P<count>\d+)\.forward")


def find(path: Path) -> DebuggerDump | None:
    """The dump at a path, a folder above its steps or one rank's own; None if it is no such."""
    if not path.is_dir():
        return None
    ranks = sorted((f.parent for f in path.glob("**/dump.json")), key=lambda p: _numbers(p, path))
    if not ranks:
        return None
    names = {rank.name for rank in ranks}
    if len(names) > 1:
        raise InputError(
            f"'{path}' holds dumps of several ranks ({', '.join(sorted(names))}): give one rank's"
            " folder"
        )
    return DebuggerDump(path, ranks)


def _numbers(folder: Path, root: Path) -> list[int]:
    """step2 comes before step10."""
    return [int(n) for n in re.findall(r"\d+", str(folder.relative_to(root)))]


@dataclass(frozen=True)
class _Call:
    """One call: the tensor's name, its operator and module, and the files of inputs and result."""

    name: str
    op: str
    node: str
    inputs: tuple[str, ...]
    output: str


class DebuggerDump:
    """Steps as runs; the calls of the first step are the tensors. A tensor bears its module's name
    (``conv1``, ``relu/1`` for its second call), or the function's with its number (``relu.0``).

    Nothing says which call reads which result: an input is the result that has the same bytes; one
    that no call gives comes from outside, or from an operator that level L0 does not dump, and is
    taken to depend on the call before. A module around others reads their results too, and is left
    out if its own is one of them.
    """

    inputs: tuple[TensorSpec, ...] = ()

    def __init__(self, path: Path, steps: Sequence[Path]) -> None:
        self.path, self._steps, self.runs = path, list(steps), len(steps)
        self._calls = [{c.name: c for c in _calls(step / "dump.json")} for step in self._steps]
        self._sizes: dict[str, int] = {}
        self._given: list[str] = []
        self.precision = "fp32"
        self.tensors = self._graph()
        if not self.tensors:
            raise InputError(
                f"'{path}' holds no results of forward calls: dump with task 'tensor', not"
                " 'statistics'"
            )
        self.outputs = [self.tensors[-1].name]

    def _graph(self) -> list[Tensor]:
        made: dict[str, str] = {}
        free: set[str] = set()
        found: dict[str, Tensor] = {}
        for call in _in_order(list(self._calls[0].values())):
            reads = [n for n, t in found.items() if t.node.startswith(f"{call.node}.")]
            for file in call.inputs:
                digest = _digest(self._load(0, file))
                if digest in made:
                    reads.append(made[digest])
                    continue
                reads += list(found)[-1:]
                if digest not in free:
                    free.add(digest)
                    self._given.append(file)
            array = self._load(0, call.output)
            if array.dtype == np.float16:
                self.precision = "fp16"
            digest = _digest(array)
            if digest not in made:
                made[digest] = call.name
                self._sizes[call.name] = 8 * array.size
                found[call.name] = Tensor(call.name, call.op, call.node, tuple(reads))
        return list(found.values())

    def given(self, run: int) -> list[Array] | None:
        """What is read and no call gives in one step: the model's inputs are among it."""
        folder = self._steps[run] / "dump_tensor_data"
        if not self._given or not all((folder / file).is_file() for file in self._given):
            return None
        return [self._load(run, file) for file in self._given]

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""
        return graph.in_groups(names, self._sizes, graph.TOGETHER_BYTES)

    def opened(self, names: Sequence[str]) -> Run:
        """What reads the files of these tensors."""

        def run(number: int, _: Feeds) -> list[Array | None]:
            calls = self._calls[number]
            return [
                self._load(number, calls[name].output) if name in calls else None for name in names
            ]

        return run

    def _load(self, step: int, file: str) -> Array:
        if Path(file).name != file:
            raise InputError(
                f"'{self._steps[step]}/dump.json' names the file '{file}': a name in"
                " dump_tensor_data was expected"
            )
        return load_array(self._steps[step] / "dump_tensor_data" / file)


def _in_order(calls: Sequence[_Call]) -> list[_Call]:
    """The calls as their results come: a module around others after them (the file lists some
    versions' calls as they begin).
    """
    last = {}
    for at, call in enumerate(calls):
        inside = [i for i, c in enumerate(calls) if c.node.startswith(f"{call.node}.")]
        last[call.name] = max([at, *inside] if call.node else [at])
    return sorted(calls, key=lambda c: (last[c.name], -c.node.count(".")))


def _calls(file: Path) -> Iterator[_Call]:
    """The forward calls of a ``dump.json`` that have a result."""
    try:
        data = json_in(read_file(file, "dump"))["data"]
        entries = [(str(name), call) for name, call in data.items()]
        for name, call in entries:
            known = _MODULE.fullmatch(name) or _FUNCTION.fullmatch(name)
            outputs = _files(call.get("output"))
            if known is None or not outputs:
                continue
            node = known.groupdict().get("node") or ""
            count = int(known["count"])
            short = f"{known['op']}.{count}" if not node else f"{node}/{count}" if count else node
            inputs = (*_files(call.get("input_args")), *_files(call.get("input_kwargs")))
            yield _Call(short, known["op"], node, inputs, outputs[0])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{file}' is not msprobe's dump.json ({error!r}): an object with 'data' and an entry a"
            " call was expected"
        ) from error


def _files(part: Any) -> tuple[str, ...]:
    """The files of the tensors in a part of an entry, however deep."""
    if isinstance(part, dict):
        if isinstance(part.get("data_name"), str) and part["data_name"] != "-1":
            return (part["data_name"],)
        return tuple(f for value in part.values() for f in _files(value))
    if isinstance(part, list):
        return tuple(f for value in part for f in _files(value))
    return ()


def load_array(file: Path) -> Array:
    """The tensor of a ``.npy`` or ``.pt`` file, bfloat16 as float32; :class:`InputError` if it is
    no such file.
    """
    if not file.is_file():
        raise InputError(f"the dumped tensor '{file}' is missing: copy the whole dump folder")
    try:
        if file.suffix == ".npy":
            array: Array = np.load(file, allow_pickle=False)
            return array
        try:
            import torch
        except ImportError as error:
            raise MissingPackageError("torch", "reading msprobe's .pt files", "convert") from error
        tensor = torch.load(file, map_location="cpu", weights_only=True).detach()
        values: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return values
    except InputError:
        raise
    except Exception as error:  # numpy and torch raise whatever a damaged file leads to
        raise InputError(
            f"the dumped tensor '{file}' cannot be read ({type(error).__name__}): a .npy or .pt"
            " file with one tensor was expected"
        ) from error


def _digest(array: Array) -> str:
    return hashlib.sha256(
        f"{array.dtype}{array.size}".encode() + np.ascontiguousarray(array).tobytes()
    ).hexdigest()
