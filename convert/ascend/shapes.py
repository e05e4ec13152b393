"""The shapes that ``atc`` compiles for: as a user writes them, and whether they fit the model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from portproof.backend import TensorSpec
from portproof.core.errors import InputError

_SHAPE = re.compile(r"^(?P<name>.+):(?P<dims>\s*-?\d+(?:\s*,\s*-?\d+)*\s*)$")
_RANGE = re.compile(r"^(?P<name>.+):\[(?P<dims>[-\d~,\s]+)\]$")


def check_gears(option: str, text: str, numbers: int) -> None:
    """Each gear has a number for each open dimension."""
    for gear in text.split(";"):
        words = gear.split(",")
        if len(words) != numbers or not all(w.strip().isdigit() and int(w) > 0 for w in words):
            plural = "" if numbers == 1 else "s"
            raise InputError(
                f"{option}: the gear '{gear}' must hold {numbers} positive whole number{plural},"
                " one for each open dimension (-1)"
            )


def check_ranges(text: str, inputs: Sequence[TensorSpec]) -> None:
    """Each input has a range with a number for each dimension."""
    ranks = {}
    for part in re.split(r";(?![^\[]*\])", text):
        match = _RANGE.match(part.strip())
        if not match:
            raise InputError(
                f"'{part}' is not a range of shapes: NAME:[LOW~HIGH,N,-1,...] was expected, inputs"
                " joined by ';'"
            )
        ranks[match["name"]] = len(match["dims"].split(","))
    expected = {i.name: len(i.shape) for i in inputs}
    if ranks != expected:
        raise InputError(
            f"--shape-range gives {_spelled(ranks)}, the model has {_spelled(expected)}"
        )


def _spelled(ranks: dict[str, int]) -> str:
    return ", ".join(f"'{name}' {count} dimensions" for name, count in ranks.items())


def shapes_of(
    text: str | None, inputs: Sequence[TensorSpec], batch: int
) -> list[tuple[str, list[int]]]:
    """Name and shape of each input: as ``text`` (``--input-shape``) gives them, else the model's
    with the batch in place of a dynamic first dimension; -1 is dynamic.

    Raises :class:`InputError` if they do not fit the model.
    """
    asked = parse_shapes(text) if text else {}
    unknown = [n for n in asked if n not in {i.name for i in inputs}]
    if unknown:
        raise InputError(
            f"--input-shape names '{unknown[0]}', the model's inputs are"
            f" {', '.join(i.name for i in inputs)}"
        )
    shapes = []
    for spec in inputs:
        shape = asked.get(spec.name) or [
            batch if d is None and k == 0 else -1 if d is None else d
            for k, d in enumerate(spec.shape)
        ]
        _check_shape(spec, shape)
        if not text and batch > 0 and shape and shape[0] != batch:
            raise InputError(
                f"input '{spec.name}' has the fixed batch {shape[0]}, --batch asks for {batch};"
                " export with a dynamic batch"
            )
        shapes.append((spec.name, shape))
    return shapes


def _check_shape(spec: TensorSpec, shape: Sequence[int]) -> None:
    fits = len(shape) == len(spec.shape) and all(
        want in (None, -1, got) or got == -1 for want, got in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"input '{spec.name}' has the shape {spec.shape} in the model (None: dynamic),"
            f" {list(shape)} was asked for"
        )


def parse_shapes(text: str) -> dict[str, list[int]]:
    """``name:1,3,224,224;other:1,10``. Names may hold dots, digits and colons; blanks after commas
    are allowed.

    >>> parse_shapes("input.1:1, 3,8,8;a:0:-1,4")
    {'input.1': [1, 3, 8, 8], 'a:0': [-1, 4]}
    """
    shapes = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        match = _SHAPE.match(part)
        if not match:
            raise InputError(
                f"'{part}' is not an input shape: NAME:D,D,... was expected, inputs joined by ';'"
            )
        shapes[match["name"]] = [int(d) for d in match["dims"].split(",")]
    return shapes


def shape_flag(shapes: Sequence[tuple[str, Sequence[int]]]) -> str:
    """The flag that gives atc the shapes."""
    return "--input_shape=" + ";".join(
        f"{name}:{','.join(map(str, shape))}" for name, shape in shapes
    )
