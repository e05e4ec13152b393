"""PyTorch modules as sessions: what the backends share that run them, whatever the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.card import Card
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.measurement import Boundary

if TYPE_CHECKING:
    import torch

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TorchSession:
    """A module in one precision on one device. Inputs arrive in the card's dtype; the cast and the
    copies are inside ``run``.

    On CUDA and on an NPU the boundary ``device`` is the forward pass between two of the device's
    events. bf16 outputs come back as float32 (numpy has no bfloat16), fp16 as float16. On CUDA TF32
    is off, so fp32 means fp32; ``provider`` names its state, as PyTorch gives it.
    """

    def __init__(self, module: Callable[..., Any], card: Card, device: str, precision: str) -> None:
        import torch

        self._torch: Any = torch
        self._module = module
        self._dtype: torch.dtype = getattr(torch, _DTYPES[precision])
        self.device, self.precision = device, precision
        self.inputs = tuple(TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in card.inputs)
        kind = device.partition(":")[0]
        on_cuda = kind == "cuda"
        #: ``torch.cuda``, ``torch.npu``, or None on the processor, which has no events.
        self._runtime: Any = None if kind == "cpu" else getattr(self._torch, kind)
        self.boundaries: tuple[Boundary, ...] = ("device",) if self._runtime else ()
        self._events = (
            [self._runtime.Event(enable_timing=True) for _ in range(2)] if self._runtime else []
        )
        self.provider: str | None = (
            f"CUDA {torch.version.cuda}, TF32 {'on' if _tf32_allowed(torch) else 'off'}"
            if on_cuda
            else None
        )
        self._names = [o.name for o in card.outputs]
        self.outputs = self._outputs(card)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """One batch; PyTorch's own complaint becomes one sentence."""
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = [self._to_device(feeds[s.name]) for s in self.inputs]
                if self._events:
                    self._events[0].record()
                answer = self._module(*tensors)
                if self._events:
                    self._events[1].record()
                return {
                    name: self._to_host(t)
                    for name, t in zip(self._names, _in_order(answer, self._names), strict=True)
                }
        except RuntimeError as error:
            raise ToolError(
                f"PyTorch failed while it ran the model: {' '.join(str(error).split())[:400]}"
            ) from error

    def sync(self) -> None:
        """Wait for the device; on the CPU nothing runs."""
        if self._runtime:
            self._runtime.synchronize(self.device)

    def reported_s(self, boundary: Boundary) -> float:
        """The forward pass of the last run, between two events that ``run`` waited for."""
        return float(self._events[0].elapsed_time(self._events[1])) / 1e3

    def close(self) -> None:
        """Free the module and the device's cache."""
        self._module = lambda *_: None
        if self._runtime:
            self._runtime.empty_cache()

    def _to_device(self, array: Array) -> torch.Tensor:
        tensor = self._torch.from_numpy(array)
        moved: torch.Tensor = tensor.to(
            self.device, self._dtype if tensor.is_floating_point() else None
        )
        return moved

    def _to_host(self, tensor: torch.Tensor) -> Array:
        array: Array = (
            (tensor.float() if tensor.dtype == self._torch.bfloat16 else tensor).cpu().numpy()
        )
        return array

    def _outputs(self, card: Card) -> tuple[TensorSpec, ...]:
        kinds = {"fp32": "float32", "fp16": "float16", "bf16": "float32"}
        return tuple(
            TensorSpec(
                o.name,
                kinds[self.precision] if o.dtype.startswith("float") else o.dtype,
                (None, *(o.shape or (None,))),
            )
            for o in card.outputs
        )


def load_module(
    model: Path, request: LoadRequest, check_device: Callable[[Any, str], str] | None = None
) -> tuple[torch.nn.Module, Card, str, str]:
    """The card's module with the weights loaded, in evaluation mode on the device, and the card,
    device and precision that were asked for. ``check_device``: of a device that is neither the
    processor nor CUDA; it refuses others, and gives the device with its number.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            "torch", "the backends 'eager' and 'inductor'", "models"
        ) from error
    from portproof.convert.pytorch.models import build_model
    from portproof.preprocess.cards.resolve import resolve_card

    if request.card is None:
        raise InputError(
            f"'{model}' holds weights only: say which model they belong to with --model CARD"
        )
    precision = request.precision or "fp32"
    if precision not in _DTYPES:
        raise InputError(f"PyTorch runs {', '.join(_DTYPES)}, --precision asks for {precision}")
    device = (check_device or _checked)(torch, request.device or "cpu")
    if request.threads:
        torch.set_num_threads(request.threads)
    card = resolve_card(request.card)
    module = (
        build_model(card, model).eval().to(device=device, dtype=getattr(torch, _DTYPES[precision]))
    )
    return module, card, device, precision


def _checked(torch: Any, device: str) -> str:
    """The device with its number, made the current one."""
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda"):
        raise InputError(f"PyTorch runs on cpu or cuda:N here, --device asks for {device}")
    if kind == "cpu":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not (index or "0").isdigit() or int(index or 0) >= count:
        raise InputError(
            f"PyTorch sees {count} CUDA devices, --device asks for {device}; nothing falls back to"
            " the CPU"
        )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    # Events are recorded on the stream of the current device.
    torch.cuda.set_device(int(index or 0))
    return f"cuda:{int(index or 0)}"


def _tf32_allowed(torch: Any) -> bool:
    return bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)


def _in_order(answer: Any, names: Sequence[str]) -> list[Any]:
    """The answer's tensors in the card's order: a tensor, a sequence, or a mapping by name."""
    if isinstance(answer, Mapping):
        missing = [n for n in names if n not in answer]
        if missing:
            raise InputError(
                f"the model answers {sorted(map(str, answer))}, the card expects an output"
                f" '{missing[0]}'"
            )
        return [answer[n] for n in names]
    tensors = list(answer) if isinstance(answer, (tuple, list)) else [answer]
    if len(tensors) != len(names):
        raise InputError(
            f"the model answers {len(tensors)} tensors, the card names {len(names)} outputs"
            f" ({', '.join(names)})"
        )
    return tensors
