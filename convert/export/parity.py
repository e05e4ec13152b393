"""The numbers of an ONNX file against PyTorch's, on samples that differ from each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from portproof.card import Card, Input
from portproof.core.errors import InputError, ToolError
from portproof.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]

#: A difference of this fraction of the outputs' spread over samples is too much. Faithful float32
#: exports stay under a tenth of it.
TOLERANCE = 1e-3
#: Float32 rounding of a deep network, as a fraction of its largest output: no difference below it
#: is blamed on the export.
ROUNDING = 1e-5
#: Outputs that spread less than this over samples (absolutely, or as a fraction of the largest
#: output) prove nothing.
LEAST_SPREAD = 1e-4
LEAST_RELATIVE_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class Parity:
    """How far ONNX Runtime's outputs are from PyTorch's, worst output first.

    ``max_difference``: largest absolute difference. ``spread``: standard deviation over samples,
    root mean square over an output's elements. ``largest``: largest absolute value of the
    reference.
    """

    max_difference: float
    spread: float
    largest: float
    batches: tuple[int, ...]

    @property
    def allowed(self) -> float:
        """The largest difference that passes."""
        return max(TOLERANCE * self.spread, ROUNDING * self.largest)

    @property
    def proves(self) -> bool:
        """Whether the outputs vary enough over samples for an equal result to mean anything."""
        return self.spread >= max(LEAST_SPREAD, LEAST_RELATIVE_SPREAD * self.largest)

    @property
    def passed(self) -> bool:
        """Whether the difference is within what is allowed (false for NaN)."""
        return self.max_difference <= self.allowed


def sample_inputs(card: Card, count: int, seed: int = 0) -> dict[str, Array]:
    """Seeded samples for every input, all different: smooth random pictures normalised by the
    recipe for an image, zeros and ones for whole numbers (valid as token ids, masks and segments
    alike), normal random values for anything else.
    """
    rng = np.random.default_rng(seed)
    recipe = card.preprocessing
    return {
        spec.name: _samples(spec, recipe if _is_image(spec, recipe) else None, count, rng)
        for spec in card.inputs
    }


def sample_pixels(card: Card, count: int, seed: int = 0) -> dict[str, Array]:
    """The same pictures as :func:`sample_inputs` makes, as raw uint8 pixels in the recipe's layout,
    for a model that normalises.
    """
    rng = np.random.default_rng(seed)
    recipe, spec = card.preprocessing, card.inputs[0]
    pictures = _pictures((count, *recipe.size), rng)
    return {
        spec.name: np.ascontiguousarray(
            pictures if recipe.layout == "NHWC" else pictures.transpose(0, 3, 1, 2)
        )
    }


def _is_image(spec: Input, recipe: Recipe) -> bool:
    return tuple(spec.shape) == recipe.shape and np.dtype(spec.dtype).kind == "f"


def _samples(spec: Input, recipe: Recipe | None, count: int, rng: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if recipe is not None:
        mean, std = (
            np.asarray(recipe.mean, dtype=np.float32),
            np.asarray(recipe.std, dtype=np.float32),
        )
        values = (_pictures((count, *recipe.size), rng) / np.float32(recipe.divide) - mean) / std
        return np.ascontiguousarray(
            values if recipe.layout == "NHWC" else values.transpose(0, 3, 1, 2)
        ).astype(dtype)
    shape = (count, *spec.shape)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)


def _pictures(shape: tuple[int, int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """(N, H, W, 3) uint8: a few waves of random direction, phase and colour over a random ground,
    with noise, as photographs have large shapes and fine texture; white noise alone drives many
    networks to one answer.
    """
    count, height, width = shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(-6, 6, (count, 4, 2))
    phase = (
        2
        * np.pi
        * (
            waves[..., 0, None, None] * y
            + waves[..., 1, None, None] * x
            + rng.random((count, 4, 1, 1))
        )
    )
    colours = rng.uniform(-50, 50, (count, 4, 3))
    value = np.einsum("nkhw,nkc->nhwc", np.sin(phase), colours) + rng.uniform(
        60, 195, (count, 1, 1, 3)
    )
    pictures: npt.NDArray[np.uint8] = np.clip(
        value + rng.normal(0, 12, value.shape), 0, 255
    ).astype(np.uint8)
    return pictures


def run_onnx(path: Path, feeds: dict[str, Array], batches: Sequence[int]) -> list[Array]:
    """The outputs of an ONNX file on the CPU, the samples fed in batches of these sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Spinning threads would slow whatever runs next in this process several times.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        parts = [session.run(None, part) for part in _parts(feeds, batches)]
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ToolError(
            f"ONNX Runtime cannot run the exported model: {str(error).splitlines()[0]}",
            log_tail=str(error),
        ) from error
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def run_torch(model: nn.Module, feeds: dict[str, Array], batches: Sequence[int]) -> list[Array]:
    """The outputs of a PyTorch model, fed like :func:`run_onnx`: inputs by position, outputs in the
    order that an export gives them.
    """
    import torch

    with torch.inference_mode():
        parts = [
            flat_outputs(model(*(torch.from_numpy(v) for v in part.values())))
            for part in _parts(feeds, batches)
        ]
    return [
        np.concatenate([tensor.numpy() for tensor in tensors])
        for tensors in zip(*parts, strict=True)
    ]


def flat_outputs(result: Any) -> list[Any]:
    """The tensors of what a model returns: one, or those of tuples, lists and dicts."""
    import torch

    if isinstance(result, torch.Tensor):
        return [result]
    if result is None:
        return []
    if isinstance(result, dict):
        result = list(result.values())
    if not isinstance(result, (tuple, list)):
        raise InputError(
            f"the model returned {type(result).__name__}, tensors were expected; wrap the model in"
            " a callable that returns tensors"
        )
    return [tensor for item in result for tensor in flat_outputs(item)]


def compare(
    exported: Sequence[Array], reference: Sequence[Array], batches: Sequence[int]
) -> Parity:
    """How far exported outputs are from the reference's: the worst for its spread."""
    return max(
        (_compare_one(a, b, tuple(batches)) for a, b in zip(exported, reference, strict=True)),
        key=_badness,
    )


def _compare_one(exported: Array, reference: Array, batches: tuple[int, ...]) -> Parity:
    if exported.shape != reference.shape:
        raise ToolError(
            f"the exported model gives outputs of shape {exported.shape}, PyTorch gives"
            f" {reference.shape}"
        )
    a, b = (np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in (exported, reference))
    return Parity(
        max_difference=float(np.max(np.abs(a - b))),
        spread=float(np.sqrt(np.mean(np.var(b, axis=0)))),
        largest=float(np.max(np.abs(b))),
        batches=batches,
    )


def _badness(parity: Parity) -> tuple[bool, bool, float]:
    return not parity.passed, not parity.proves, parity.max_difference / (parity.allowed or 1.0)


def _parts(feeds: dict[str, Array], batches: Sequence[int]) -> list[dict[str, Array]]:
    edges = np.cumsum([0, *batches])
    return [
        {name: values[a:b] for name, values in feeds.items()} for a, b in itertools.pairwise(edges)
    ]
