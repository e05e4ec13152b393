"""Outputs that Polygraphy wrote (``polygraphy run --save-outputs FILE.json``, with every tensor
marked as an output), and the inputs of ``--save-inputs`` beside them.

An array is base64 of an ``.npy`` file under ``array``. Results are ``{"lst": [[runner, [{"outputs":
{name: {"values": array}}}]]]}``, with one entry an iteration; inputs a list of ``{name: array}``.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array, Feeds, TensorSpec
from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.metrics.layerwise import graph
from portproof.metrics.layerwise.graph import Run, Tensor


def find(path: Path) -> RunResults | None:
    """The results in a file, or in the JSON files of a folder; None if there are none."""
    files = [path] if path.is_file() else sorted(path.glob("*.json"))
    results, inputs = [], []
    for file in files:
        data = _read(file)
        if isinstance(data, dict) and isinstance(data.get("lst"), list):
            results.append((file, data["lst"]))
        elif isinstance(data, list) and data and all(isinstance(d, dict) for d in data):
            inputs.append(data)
    if not results:
        return None
    if len(results) > 1 or len(results[0][1]) != 1:
        raise InputError(
            f"'{path}' holds the outputs of several runners or files: give the one that is asked"
            " about"
        )
    return RunResults(path, results[0][1][0], inputs[0] if inputs else None)


def _read(file: Path) -> Any:
    try:
        return json_in(read_file(file, "outputs of Polygraphy"))
    except ValueError as error:
        raise InputError(f"'{file}' is not JSON: {error}") from error


class RunResults:
    """Iterations as runs. Nothing says which tensor reads which; they are in the order of the
    file, which is that of the engine's outputs.
    """

    inputs: tuple[TensorSpec, ...] = ()
    precision = "fp32"

    def __init__(self, path: Path, runner: Any, inputs: list[dict[str, Any]] | None) -> None:
        self.path, self._given = path, inputs
        try:
            self._runs: list[Mapping[str, Any]] = [run["outputs"] for run in runner[1]]
            names = list(self._runs[0])
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"'{path}' is not what Polygraphy writes with --save-outputs ({error!r}):"
                " iterations with 'outputs' were expected"
            ) from error
        self.runs = len(self._runs)
        before: tuple[str, ...] = ()
        self.tensors = []
        for name in names:
            self.tensors.append(Tensor(name, "", name, before))
            before = (name,)
        self.outputs = names[-1:]
        kinds = {array_of(v, path).dtype for v in self._runs[0].values()}
        if np.dtype(np.float16) in kinds:
            self.precision = "fp16"

    def given(self, run: int) -> list[Array] | None:
        """The inputs of one iteration, in the order of the file."""
        if not self._given or run >= len(self._given):
            return None
        return [array_of(value, self.path) for value in self._given[run].values()]

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names together: the file is in memory as a whole."""
        return graph.in_groups(names, dict.fromkeys(names, 0), graph.TOGETHER_BYTES)

    def opened(self, names: Sequence[str]) -> Run:
        """What decodes these tensors."""

        def run(number: int, _: Feeds) -> list[Array | None]:
            values = self._runs[number]
            return [array_of(values[n], self.path) if n in values else None for n in names]

        return run


def array_of(value: Any, path: Path) -> Array:
    """An array as Polygraphy writes it; :class:`InputError` if it is none."""
    try:
        inner = value.get("values", value)
        text: str = inner["array"]
        try:
            raw = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raw = text.encode("latin-1")  # as versions before 0.35 wrote it
        array = np.load(io.BytesIO(raw), allow_pickle=False)
        return array if isinstance(array, np.ndarray) else next(iter(array.values()))
    except Exception as error:  # numpy raises whatever a damaged file leads to
        raise InputError(
            f"'{path}' holds an array that cannot be read ({type(error).__name__}): base64 of .npy"
            " was expected, as Polygraphy writes it"
        ) from error
