"""The shapes that an engine is built for: TensorRT's optimisation profile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from portproof.convert.nvidia.trtexec import Profile, Shape
from portproof.convert.onnxfile.read import OnnxHead
from portproof.core.errors import InputError

_THREE_SHAPES = re.compile(r"[0-9]+(?:x[0-9]+)*(?:,[0-9]+(?:x[0-9]+)*){2}")


def profile_of(model: OnnxHead, words: Sequence[str], batch: int | None) -> Profile:
    """The profile for one batch, or the one that ``words`` (``name:min,opt,max``) give if ``batch``
    is None; empty for a model without dynamic dimensions.

    Raises :class:`InputError` if batch or words do not fit the model.
    """
    inputs = {spec.name: spec.shape for spec in model.inputs}
    if batch is None:
        return _written(words, inputs)
    dynamic = {name: shape for name, shape in inputs.items() if None in shape}
    any_batch = any(shape[0] is None for shape in dynamic.values())
    for name, shape in inputs.items():
        # With a dynamic batch elsewhere, a fixed first dimension is a table that all samples share.
        if shape and shape[0] not in (None, batch) and not any_batch:
            raise InputError(
                f"'{model.path}' has the fixed batch {shape[0]} in '{name}', --batch asks for"
                f" {batch}; export it with a dynamic batch"
            )
        if None in shape[1:]:
            raise InputError(
                f"input '{name}' has other dynamic dimensions beside the batch: give --shapes"
                f" {name}:MIN,OPT,MAX"
            )
    return {
        name: (tuple(batch if d is None else d for d in shape),) * 3
        for name, shape in dynamic.items()
    }


def _written(words: Sequence[str], inputs: Mapping[str, tuple[int | None, ...]]) -> Profile:
    profile: dict[str, tuple[Shape, Shape, Shape]] = {}
    for word in words:
        name, _, text = word.rpartition(":")
        shapes = _shapes(text)
        if name not in inputs or shapes is None:
            raise InputError(
                f"'{word}' is not a profile: NAME:MIN,OPT,MAX was expected, as in"
                f" image:1x3x224x224,8x3x224x224,32x3x224x224; the inputs are {', '.join(inputs)}"
            )
        if not all(_fits(inputs[name], s) for s in shapes) or not _is_ascending(*shapes):
            raise InputError(
                f"the profile '{word}' does not fit the input '{name}' of shape {inputs[name]}"
                " (None: any), smallest first"
            )
        profile[name] = shapes
    missing = [name for name, shape in inputs.items() if None in shape and name not in profile]
    if missing:
        raise InputError(f"the input '{missing[0]}' has dynamic dimensions too: give its --shapes")
    return {name: shapes for name, shapes in profile.items() if None in inputs[name]}


def _shapes(text: str) -> tuple[Shape, Shape, Shape] | None:
    if not _THREE_SHAPES.fullmatch(text):
        return None
    low, best, high = (tuple(int(d) for d in part.split("x")) for part in text.split(","))
    return low, best, high


def _fits(known: tuple[int | None, ...], shape: Shape) -> bool:
    return len(shape) == len(known) and all(
        k in (None, d) for k, d in zip(known, shape, strict=True)
    )


def _is_ascending(low: Shape, best: Shape, high: Shape) -> bool:
    return all(a <= b <= c for a, b, c in zip(low, best, high, strict=True))
