"""Cards of an engine loader's folder: ``engine:FOLDER``, or ``engine:FOLDER@HEIGHTxWIDTH`` for one
of the sizes that its configuration allows.

``config.yaml`` names inputs and outputs with their dimensions, of which -1 is free, and for each
input the least, usual and largest shape.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from portproof.card import Card, Input, Output
from portproof.core.errors import InputError
from portproof.core.yamlfile import load_yaml
from portproof.recipe import Recipe


class _Range(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class _Shapes(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    dims_names: tuple[str, ...]
    runtime: tuple[int, ...]
    example: tuple[int, ...] | None = None
    optimization: _Range | None = None


class _In(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    name: str
    shapes: _Shapes
    dtype_str: str = "float32"


class _OutShape(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    runtime: tuple[int, ...]
    dims_names: tuple[str, ...]


class _Out(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    name: str
    shape: _OutShape


class Configuration(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The content of ``config.yaml``."""

    name: str
    inputs: tuple[_In, ...]
    outputs: tuple[_Out, ...]

    def __post_init__(self) -> None:
        for entry in self.inputs:
            known = entry.shapes.optimization
            shapes = [known.min, known.opt, known.max] if known else []
            free = -1 in entry.shapes.runtime
            if free and known is None:
                raise ValueError(
                    f"`inputs`: '{entry.name}' has free dimensions and no optimization"
                )
            if any(len(s) != len(entry.shapes.runtime) for s in (*shapes, entry.shapes.dims_names)):
                raise ValueError(f"`inputs`: the shapes of '{entry.name}' differ in length")
            fixed = zip(entry.shapes.runtime, *shapes, strict=True)
            if any(d != -1 and {*rest} != {d} for d, *rest in fixed if rest):
                raise ValueError(f"`inputs`: a fixed dimension of '{entry.name}' is not everywhere")
            if any(not a <= b <= c for a, b, c in zip(*shapes, strict=True)):
                raise ValueError(f"`inputs`: min, opt and max of '{entry.name}' do not ascend")

    @property
    def free_axes(self) -> dict[str, dict[int, str]]:
        """Of each input and output, the free dimensions and their names, for the exporter."""
        every = [(i.name, i.shapes.runtime, i.shapes.dims_names) for i in self.inputs]
        every += [(o.name, o.shape.runtime, o.shape.dims_names) for o in self.outputs]
        return {
            name: {at: names[at] for at, d in enumerate(dims) if d == -1}
            for name, dims, names in every
        }


def read_configuration(folder: Path) -> Configuration:
    """Read a folder's ``config.yaml``; :class:`InputError` names the line that is wrong."""
    return load_yaml(folder / "config.yaml", Configuration, "engine configuration")


def parts_of(text: str) -> tuple[Path, str]:
    """The folder and the size (or nothing) of ``engine:FOLDER@HEIGHTxWIDTH``.

    >>> parts_of("engine:a@b/net@64x32"), parts_of("net")
    ((PosixPath('a@b/net'), '64x32'), (PosixPath('net'), ''))
    """
    found = re.fullmatch(r"(?:engine:)?(?P<folder>.+?)(?:@(?P<size>\d+(?:x\d+)*))?", text)
    if found is None:
        raise InputError(f"'{text}' names no folder of an engine loader; give engine:FOLDER")
    return Path(found["folder"]), found["size"] or ""


def card_of(name: str) -> Card:
    """The card of ``FOLDER`` (its usual shapes) or ``FOLDER@HEIGHTxWIDTH``."""
    folder, size = parts_of(name)
    config = read_configuration(folder)
    inputs = tuple(_input(entry, size, folder) for entry in config.inputs)
    first = inputs[0].shape
    image = len(inputs) == 1 and len(first) == 3
    return Card(
        name=config.name,
        builder=f"engine:{name}",
        inputs=inputs,
        outputs=tuple(Output(name=o.name, shape=_known(o.shape.runtime)) for o in config.outputs),
        recipe=Recipe(name=config.name, crop=(first[1], first[2])) if image else None,
    )


def profile_of(text: str) -> tuple[str, ...]:
    """TensorRT's profile of ``engine:FOLDER@SIZE``, ``name:min,opt,max`` for each free input."""
    config = read_configuration(parts_of(text)[0])
    words = []
    for entry in config.inputs:
        known = entry.shapes.optimization
        if known is not None and -1 in entry.shapes.runtime:
            shapes = ["x".join(map(str, s)) for s in (known.min, known.opt, known.max)]
            words.append(f"{entry.name}:{','.join(shapes)}")
    return tuple(words)


def _input(entry: _In, size: str, folder: Path) -> Input:
    known = entry.shapes.optimization
    shape = list(known.opt if known is not None else entry.shapes.runtime)
    free = [at for at, d in enumerate(entry.shapes.runtime) if d == -1 and at > 0]
    if size and free:
        wanted = dict(zip(free, map(int, size.split("x")), strict=False))
        for at, d in wanted.items():
            low, high = (known.min[at], known.max[at]) if known else (d, d)
            if not low <= d <= high:
                raise InputError(
                    f"the size {size} lies outside of what '{folder}/config.yaml' allows for"
                    f" '{entry.name}': {low} to {high} in dimension {at}"
                )
            shape[at] = d
    return Input(name=entry.name, shape=tuple(shape[1:]), dtype=entry.dtype_str, layout="NCHW")


def _known(runtime: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of one sample; None where a dimension of it is free."""
    return None if -1 in runtime[1:] else runtime[1:]
