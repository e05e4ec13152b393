"""PyTorch modules whose operators can be looked at, as PyTorch dispatches them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from portproof.backend import Array, Feeds, LoadRequest, TensorSpec
from portproof.core.errors import ToolError
from portproof.infer.runtimes.torch_session import load_module
from portproof.metrics.layerwise import graph
from portproof.metrics.layerwise.graph import Run, Tensor

#: Operators that give other views of the same numbers; what reads them reads their source.
_VIEWS = frozenset(
    {
        "detach",
        "alias",
        "t",
        "transpose",
        "permute",
        "view",
        "expand",
        "unsqueeze",
        "squeeze",
        "slice",
        "select",
        "split",
        "chunk",
        "unbind",
        "as_strided",
        "_to_copy",
        "clone",
        "contiguous",
        "_unsafe_view",
        "lift_fresh",
        "unfold",
        "split_with_sizes",
    }
)
#: 2 of 24 bits, as the noise ruler takes them from fp32.
_SPLIT = 2.0**2 + 1


class Modules:
    """The modules of a card with weights, on the processor. A tensor bears the name of its module
    where the module runs one operator (``layer1.0.conv1``), else the operator's behind it
    (``layer1.0/add``). ``precision`` rounds the result of every operator to it.
    """

    def __init__(self, path: Path, card: str | None, precision: str | None = None) -> None:
        self.path, self.precision, self._rounds = path, precision or "fp32", precision
        self._module, found, *_ = load_module(path, LoadRequest(card=card))
        self.inputs = tuple(TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in found.inputs)
        listed = self._trace(self._zeros(), ())
        self.tensors, self._sizes = listed.tensors, listed.sizes
        self.outputs = [name for name in listed.outputs if name]

    def _zeros(self) -> Feeds:
        import numpy as np

        return {s.name: np.zeros((1, *s.sample_shape), s.dtype) for s in self.inputs}

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""
        return graph.in_groups(names, self._sizes, graph.TOGETHER_BYTES)

    def opened(self, names: Sequence[str]) -> Run:
        """The modules, run again with these tensors kept."""

        def run(_: int, feeds: Feeds) -> list[Array | None]:
            values = self._trace(feeds, frozenset(names)).values
            return [values.get(name) for name in names]

        return run

    def _trace(self, feeds: Feeds, wanted: Collection[str]) -> _Listing:
        import torch

        record = _Record(torch, self._module, wanted, self._rounds)
        given = [torch.from_numpy(feeds[s.name].copy()) for s in self.inputs]
        for tensor, spec in zip(given, self.inputs, strict=True):
            record.names[tensor] = spec.name
        try:
            with torch.no_grad(), _watching(record):
                answer = self._module(*given)
        except RuntimeError as error:
            raise ToolError(
                f"PyTorch failed while it ran '{self.path}': {' '.join(str(error).split())[:300]}"
            ) from error
        finally:
            record.close()
        return _Listing(record, answer)


class _Listing:
    """What one forward pass showed."""

    def __init__(self, record: _Record, answer: Any) -> None:
        alone = Counter(t.node for t in record.tensors)
        short = {
            t.name: t.node for t in record.tensors if t.node in record.leaves and alone[t.node] == 1
        }
        self.tensors = [
            Tensor(short.get(t.name, t.name), t.op, t.node, tuple(short.get(r, r) for r in t.reads))
            for t in record.tensors
        ]
        self.sizes = {short.get(n, n): size for n, size in record.sizes.items()}
        self.values = {short.get(n, n): v for n, v in record.values.items()}
        outputs = [record.names.get(t) for t in _flat(answer)]
        self.outputs = [short.get(n, n) if n else None for n in outputs]


def _flat(answer: Any) -> list[Any]:
    """The tensors of an answer, in order."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, (list, tuple)):
        return [t for part in answer for t in _flat(part)]
    return [answer] if hasattr(answer, "dtype") else []


class _Record:
    """What operators give during one forward pass: names, sizes, and the values that are wanted.
    ``leaves``: modules without others in them, but for the model itself.
    """

    def __init__(
        self, torch: Any, module: Any, wanted: Collection[str], precision: str | None
    ) -> None:
        from torch.utils.weak import WeakIdKeyDictionary

        self._torch, self._wanted, self._precision = torch, wanted, precision
        self.tensors: list[Tensor] = []
        self.sizes: dict[str, int] = {}
        self.values: dict[str, Array] = {}
        self.names: Any = WeakIdKeyDictionary()
        self._counts: Counter[str] = Counter()
        self._stack: list[str] = []
        self.leaves = {n for n, part in module.named_modules() if n and not [*part.children()]}
        self._hooks = list(self._watched(module))

    def _watched(self, module: Any) -> Iterator[Any]:
        for name, part in module.named_modules():
            yield part.register_forward_pre_hook(lambda *_, name=name: self._stack.append(name))
            yield part.register_forward_hook(self._left)

    def _left(self, *_: Any) -> None:
        self._stack.pop()

    def close(self) -> None:
        """Take the hooks off the modules."""
        for hook in self._hooks:
            hook.remove()

    def note(self, op: str, given: Sequence[Any], out: Any) -> None:
        """One operator: what it was given and gave."""
        first = out[0] if isinstance(out, (tuple, list)) and out else out
        reads = [self.names[t] for t in _flat(given) if t in self.names]
        if not isinstance(first, self._torch.Tensor) or not reads:
            return
        if op in _VIEWS:
            for view in _flat(out):
                self.names[view] = reads[0]
            return
        node = self._stack[-1] if self._stack else ""
        base = f"{node}/{op.strip('_')}".lstrip("/")
        self._counts[base] += 1
        name = base if self._counts[base] == 1 else f"{base}_{self._counts[base]}"
        if self._precision and first.is_floating_point():
            first.copy_(rounded(self._torch, first, self._precision))
        self.names[first] = name
        self.tensors.append(Tensor(name, op, node, tuple(dict.fromkeys(reads))))
        self.sizes[name] = 8 * first.numel()
        if name in self._wanted or node in self._wanted:
            kept = first.detach()
            self.values[name] = (kept.float() if kept.is_floating_point() else kept).numpy().copy()


def _watching(record: _Record) -> Any:
    """A dispatch mode that notes every operator in the record."""
    from torch.utils import _python_dispatch

    kind: Any = _python_dispatch.TorchDispatchMode

    class Watching(kind):  # type: ignore[misc, unused-ignore]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            record.note(func.overloadpacket.__name__, [*args, *(kwargs or {}).values()], out)
            return out

    return Watching()


def rounded(torch: Any, values: Any, precision: str) -> Any:
    """The values as the noise ruler rounds them (``metrics/outputs/ruler.py``)."""
    if precision == "fp32":
        wide = values * _SPLIT
        return wide - (wide - values)
    return values.to({"fp16": torch.float16, "bf16": torch.bfloat16}[precision]).to(values.dtype)
