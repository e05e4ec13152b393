"""What a model with dynamic dimensions is to run with: a batch, dimensions or an image size that it
was converted for, or any shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from portproof.backend import LoadRequest, TensorSpec
from portproof.core.errors import InputError


def choose(native: Any, model: Path, request: LoadRequest) -> list[int] | None:
    """Set what the request asks for; returns the outputs' bytes when they were given."""
    given = request.options
    inputs = native.get_inputs()
    if sum(name in given for name in ("dims", "hw", "shape")) > 1:
        raise InputError("of the options dims, hw and shape only one can be given")
    outsizes = _numbers(given["outsize"], "outsize") if "outsize" in given else None
    if outsizes and not given.get("shape") and all(d.size for d in inputs):
        native.set_custom_outsize(outsizes)
    if "dims" in given:
        # The library holds the numbers against its gears in the order in which they are written,
        # whatever their names.
        order = [d.name for d in inputs]
        parts = sorted(
            _parts(given["dims"]),
            key=lambda part: order.index(part[0]) if part[0] in order else len(order),
        )
        native.set_dynamic_dims(";".join(f"{name}:{dims}" for name, dims in parts))
    elif "hw" in given:
        height, width = _numbers(given["hw"], "hw", 2)
        native.set_dynamic_hw(height, width)
    elif "shape" in given and any(d.size for d in inputs):
        raise InputError(
            f"'{model}' has no dynamic shape; the option 'shape' is for models converted with"
            " --input_shape_range"
        )
    elif not given.get("shape") and any(not d.size for d in inputs):
        raise InputError(
            f"'{model}' takes any shape of its range; choose one with --option shape=NAME:D,D,..."
        )
    elif any(-1 in d.shape for d in inputs) and all(d.size for d in inputs):
        _choose_batch(native, inputs, request.batch)
    return outsizes


def check_outputs(native: Any, model: Path) -> None:
    """:class:`InputError` for an output whose size depends on the data: the library gives back a
    buffer of the largest size, in which nothing says where the result ends.
    """
    if any(-1 in d.shape for d in native.get_inputs()):
        return
    for desc in native.get_outputs():
        if -1 in desc.shape:
            raise InputError(
                f"output '{desc.name}' of '{model}' has the shape {tuple(desc.shape)} though every"
                " input's is fixed: its size depends on the data; export the model up to where"
                " sizes are fixed"
            )


def _choose_batch(native: Any, inputs: Sequence[Any], batch: int) -> None:
    """Choose the batch of a model with gears. What kind of gears they are cannot be asked: batches
    are tried first, then dimensions.
    """
    if any(-1 in d.shape[1:] for d in inputs):
        raise InputError(
            "this model has several dynamic dimensions; choose them with --option dims=NAME:D,D,..."
            " or hw=HEIGHT,WIDTH"
        )
    try:
        native.set_dynamic_batchsize(batch)
    except RuntimeError as error:
        dims = ";".join(
            f"{d.name}:{','.join(str(batch if n == -1 else n) for n in d.shape)}" for d in inputs
        )
        try:
            native.set_dynamic_dims(dims)
        except RuntimeError:
            raise error from None


def _numbers(text: str, option: str, count: int | None = None) -> list[int]:
    words = text.split(",")
    if not all(w.strip().isdigit() for w in words) or count not in (None, len(words)):
        raise InputError(
            f"the option {option} is '{text}', {count or 'some'} whole numbers with commas were"
            " expected"
        )
    return [int(w) for w in words]


def chosen(
    inputs: tuple[TensorSpec, ...], request: LoadRequest, native: Any
) -> tuple[TensorSpec, ...]:
    """The inputs with the gear's dimensions, or the shape's, in place of the dynamic ones; the
    bytes that the library wants at a gear must agree.
    """
    option = "shape" if "shape" in request.options else "dims"
    given = {name: _numbers(dims, option) for name, dims in _parts(request.options.get(option, ""))}
    unknown = sorted(set(given) - {s.name for s in inputs})
    if unknown:
        raise InputError(
            f"the option {option} names '{unknown[0]}', the model's inputs are"
            f" {', '.join(s.name for s in inputs)}"
        )
    sizes = (
        itertools.cycle(_numbers(request.options["hw"], "hw", 2))
        if "hw" in request.options
        else None
    )
    done = []
    for spec, desc in zip(inputs, native.get_inputs(), strict=True):
        shape = tuple(
            given.get(spec.name)
            or (d if d is not None else next(sizes) if sizes else request.batch for d in spec.shape)
        )
        if len(shape) != len(spec.shape) or any(
            want not in (None, got) for want, got in zip(spec.shape, shape, strict=True)
        ):
            raise InputError(
                f"input '{spec.name}' has the shape {spec.shape} (None: dynamic), {shape} was"
                " asked for"
            )
        found = TensorSpec(spec.name, spec.dtype, shape)
        size = found.nbytes(shape[0] if shape else 1)
        if desc.size and size != desc.realsize:
            raise InputError(
                f"input '{spec.name}' wants {desc.realsize} bytes at the chosen gear, {shape} are"
                f" {size}"
            )
        done.append(found)
    return tuple(done)


def _parts(text: str) -> list[tuple[str, str]]:
    """``name:d,d;name:d,d`` cut into names and dimensions; a name may hold colons.

    >>> _parts("image:1,3;a:0:2,2")
    [('image', '1,3'), ('a:0', '2,2')]
    """
    return [
        (name, dims)
        for name, _, dims in (
            part.strip().rpartition(":") for part in text.split(";") if part.strip()
        )
    ]


def bytes_of(outputs: Sequence[TensorSpec], batch: int, model: Path) -> list[int]:
    """Bytes of each output for a batch, which the library needs for a model of dynamic shape;
    :class:`InputError` if a shape does not give them.
    """
    sizes = [spec.nbytes(batch) for spec in outputs]
    unknown = [s.name for s, size in zip(outputs, sizes, strict=True) if size is None]
    if unknown:
        raise InputError(
            f"'{model}': the size of output '{unknown[0]}' does not follow from its shape; give"
            " the bytes of each output with --option outsize=N,N"
        )
    return [size or 0 for size in sizes]
