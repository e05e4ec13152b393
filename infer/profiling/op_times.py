"""What a profiler tells: the time of each operator, and what kind of work that is."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

#: Kinds of work by what operators are called, the first that fits. ONNX says ``Conv``, PyTorch
#: ``aten::mkldnn_convolution``, TensorRT names a layer after all that it fused, Ascend ``Conv2D``.
_KINDS = (
    ("memory", r"^aten::(empty|resize_|set_|zero|fill)|memset"),
    ("copies and layout", r"reformat|reorder|transdata|memcpy|copy|cast|convert|^aten::_?to\b"),
    ("quantization", r"quantize|quant(?!ized)|ascendquant|dequant"),
    ("convolution", r"conv|depthwise"),
    ("recurrent", r"lstm|gru|\brnn|dynamicrnn"),
    ("attention", r"attention|flash|sdpa|fmha"),
    ("matrix product", r"matmul|gemm|\baddmm|\bb?mm\b|linear|fullyconnected|einsum|inner_?product"),
    ("normalization", r"norm|\bbn\b|bnt"),
    ("softmax", r"softmax"),
    ("pooling", r"pool"),
    ("resize", r"resize|upsample|interpol"),
    (
        "activation",
        r"relu|sigmoid|tanh|gelu|erf|silu|swish|mish|elu|clip|clamp|softplus|activation|pwn",
    ),
    ("lookup", r"gather|embedding|index|onehot|scatter|topk|argmax|sort"),
    ("reduction", r"reduce|mean|\bsum|max\b|min\b"),
    (
        "reshaping",
        r"reshape|transpose|permute|concat|\bcat\b|slice|split|squeeze|flatten|expand|pad|view|stack"
        r"|strided|shuffle|shape|tile|unfold|contiguous|clone",
    ),
    ("elementwise", r"add|sub|mul|div|pow|sqrt|exp|where|eltwise|elementwise|foreign|pointwise"),
)
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS)
OTHER, OUTSIDE = "other", "outside of operators"


class Operator(msgspec.Struct, kw_only=True, frozen=True):
    """One operator or layer: its type as the profiler says (or its name, where there is no type),
    how often it ran, and the seconds of all that.
    """

    name: str
    type: str
    count: int
    seconds: float

    @property
    def kind(self) -> str:
        """What work it is, in words that are the same for every runtime."""
        return kind_of(self.type)


class Profile(msgspec.Struct, kw_only=True, frozen=True):
    """One subject. ``source``: the profiler, and where the time was counted. ``calls``: how many
    inferences the seconds are of, None where the file does not say. ``wall_s``: of all calls, where
    it is known, and larger than the sum of what happens in them.
    """

    label: str
    source: str
    operators: list[Operator]
    calls: int | None = None
    wall_s: float | None = None

    @property
    def total_s(self) -> float:
        """Seconds in operators."""
        return sum(o.seconds for o in self.operators)

    @property
    def whole_s(self) -> float:
        """The wall time where it is known, else the sum."""
        return max(self.wall_s or 0.0, self.total_s)

    def by_kind(self) -> dict[str, float]:
        """Seconds of each kind of work, and of what lies between operators; the most first."""
        found: dict[str, float] = {}
        for operator in self.operators:
            found[operator.kind] = found.get(operator.kind, 0.0) + operator.seconds
        if self.whole_s > self.total_s:
            found[OUTSIDE] = self.whole_s - self.total_s
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def kind_of(name: str) -> str:
    """The kind of work that an operator's type or a layer's name tells.

    >>> [kind_of(n) for n in ("Conv", "aten::addmm", "TransData", "node_conv2d + node_relu")]
    ['convolution', 'matrix product', 'copies and layout', 'convolution']
    """
    plain = name.replace("_", " ").replace("aten::", "")
    return next(
        (kind for kind, form in _COMPILED if form.search(plain) or form.search(name)), OTHER
    )


def merged(operators: Iterable[Operator]) -> list[Operator]:
    """Operators of one name and type as one, the slowest first."""
    found: dict[tuple[str, str], Operator] = {}
    for o in operators:
        before = found.get((o.name, o.type))
        if before is not None:
            o = Operator(
                name=o.name,
                type=o.type,
                count=before.count + o.count,
                seconds=before.seconds + o.seconds,
            )
        found[o.name, o.type] = o
    return sorted(found.values(), key=lambda o: -o.seconds)
