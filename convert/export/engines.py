"""One batch, or several, through PyTorch and through ONNX Runtime."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from portproof.convert.export.samples import Feeds
from portproof.core.errors import InputError, PortProofError, ToolError

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]


class ModelFailed(InputError):
    """The PyTorch model raised an error on a batch. ``reason``: the error's first line."""

    def __init__(self, feeds: Mapping[str, Array], error: Exception) -> None:
        lines = str(error).strip().split("\n", 1)
        self.reason = f"{type(error).__name__}: {lines[0]}"
        self.count = len(next(iter(feeds.values())))
        given = ", ".join(f"{k} {v.dtype.name} {v.shape}" for k, v in feeds.items())
        super().__init__(
            f"the PyTorch model does not take the card's inputs ({given}): {self.reason}; correct"
            " the shape, layout or dtype in the model card, or the model"
        )


class BatchLost(InputError):
    """An output of the PyTorch model has no batch, or another one than the inputs."""

    def __init__(self, name: str, shape: tuple[int, ...], count: int) -> None:
        self.name, self.shape, self.count = name, shape, count
        self.fact = f"output '{name}' has the shape {shape}"
        lost = (
            ", without a batch: squeeze()? Give squeeze a dimension, or use --batch 2 or more"
            if count == 1
            else ", whose first dimension is not the batch: a parameter, a constant or a size that"
            " depends on the data cannot be an output of a batch; leave it out, or expand it"
        )
        super().__init__(f"at batch {count} the model gives output '{name}' of shape {shape}{lost}")


def run_torch(
    model: nn.Module, feeds: Feeds, batches: Sequence[int], names: Sequence[str]
) -> list[Array]:
    """The outputs of a PyTorch model that was made to take a card's inputs and to give its outputs
    (:func:`portproof.convert.export.interface.fit`), the samples fed in batches of these sizes.

    Raises :class:`ModelFailed` and :class:`BatchLost`.
    """
    parts = [_torch_batch(model, part, names) for part in _parts(feeds, batches)]
    for name, arrays in zip(names, zip(*parts, strict=True), strict=True):
        shapes = {array.shape[1:] for array in arrays}
        if len(shapes) > 1:
            raise InputError(
                f"the model gives output '{name}' in several shapes ({sorted(shapes)}): its size"
                " depends on the data, which an accelerator's model cannot have; give it one size"
            )
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _torch_batch(model: nn.Module, part: Feeds, names: Sequence[str]) -> list[Array]:
    import torch

    count = len(next(iter(part.values())))
    try:
        with torch.inference_mode():
            tensors = model(*(torch.from_numpy(values.copy()) for values in part.values()))
    except PortProofError:
        raise
    except Exception as error:  # the user's own code
        raise ModelFailed(part, error) from error
    arrays = [_array(tensor) for tensor in tensors]
    for name, array in zip(names, arrays, strict=True):
        if array.ndim == 0 or len(array) != count:
            raise BatchLost(name, array.shape, count)
    return arrays


def _array(tensor: Any) -> Array:
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.dtype == torch.bfloat16:
        plain = plain.float()
    array: Array = plain.numpy()
    return array


def load_onnx(path: Path) -> Any:
    """A session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Spinning threads would slow whatever runs next in this process several times.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise _onnx_failed(error) from error


def run_onnx(
    session: Any, feeds: Feeds, batches: Sequence[int], names: Sequence[str]
) -> list[Array]:
    """The named outputs of an ONNX file, fed by name, in batches of these sizes."""
    known = {entry.name for entry in session.get_inputs()}
    parts = []
    for part in _parts(feeds, batches):
        given = {name: values for name, values in part.items() if name in known}
        try:
            parts.append(session.run(list(names), given))
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise _onnx_failed(error) from error
    try:
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    except ValueError as error:
        raise ToolError(f"the exported model gives outputs of several shapes: {error}") from error


def _onnx_failed(error: Exception) -> ToolError:
    return ToolError(
        f"ONNX Runtime cannot run the exported model: {str(error).splitlines()[0]}",
        log_tail=str(error),
    )


def _parts(feeds: Feeds, batches: Sequence[int]) -> list[Feeds]:
    edges = np.cumsum([0, *batches])
    return [
        {name: values[a:b] for name, values in feeds.items()} for a, b in itertools.pairwise(edges)
    ]
