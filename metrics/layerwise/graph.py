"""A model as its tensors, whatever holds it: an ONNX file, PyTorch modules or a folder of dumps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from portproof.backend import Array, Feeds, TensorSpec

#: The tensors looked at together may need so many bytes, and one of unknown size is taken to need
#: so many.
TOGETHER_BYTES, UNKNOWN_BYTES = 128 << 20, 4 << 20


@dataclass(frozen=True)
class Origin:
    """The node of the model that an operator of a compiled one is the result of, and which of its
    outputs. ``stated``: its compiler says so; else its name does, which may join several nodes'.
    """

    name: str
    output: int
    stated: bool


@dataclass(frozen=True)
class Tensor:
    """What an operator gives: its name, the operator and the name of its node or module, the names
    of what it reads, and what it was in the model, if a compiler made it.
    """

    name: str
    op: str
    node: str
    reads: tuple[str, ...]
    origin: Origin | None = None


#: From the number of a run and the inputs of it to the values of the tensors that were asked for;
#: None for one that this run has not.
Run = Callable[[int, Feeds], Sequence[Array | None]]


class Layered(Protocol):
    """A model whose tensors can be looked at, some at a time, in the order of computation.
    ``inputs`` is empty for a dump, which cannot be run; ``precision`` is what it computes in,
    ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """

    path: Path
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: list[str]
    tensors: list[Tensor]

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""

    def opened(self, names: Sequence[str]) -> Run:
        """What gives the values of these tensors."""


def in_groups(names: Sequence[str], sizes: Mapping[str, int], together: int) -> Iterator[list[str]]:
    """The names in order, in groups of ``together`` bytes at most, but of one name at least."""
    group: list[str] = []
    total = 0
    for name in names:
        size = sizes.get(name, UNKNOWN_BYTES)
        if group and total + size > together:
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield group


#: Operators of PyTorch, its modules, fused ones of ONNX Runtime, and Ascend's, by ONNX's name, in
#: small letters. What is not here has its own name.
_FAMILIES = {
    "conv": (
        "convolution conv1d conv2d conv3d fusedconv nhwcfusedconv qlinearconv _convolution"
        " mkldnn_convolution thnn_conv2d convinteger conv2dcompress depthwiseconv2d"
        " depthwiseconv2dnative conv3dv2 conv2dv2"
    ),
    "convtranspose": "convtranspose2d conv2dtranspose conv2dtransposed deconvolution",
    "matmul": (
        "gemm addmm mm bmm linear baddbmm fusedmatmul fusedgemm qlinearmatmul matmulinteger"
        " qgemm matmulnbits transposematmul matmulv2 matmulv3 batchmatmul batchmatmulv2"
        " batchmatmulv3 fullyconnection"
    ),
    "batchnormalization": (
        "native_batch_norm _native_batch_norm_legit_no_training batchnorm1d batchnorm2d"
        " batchnorm3d batch_norm _native_batch_norm_legit cudnn_batch_norm batchnorm bninference"
        " bninferenced"
    ),
    "layernormalization": (
        "native_layer_norm layernorm layer_norm simplifiedlayernormalization"
        " skiplayernormalization layernorm2d layernormv3 layernormv4"
    ),
    "instancenormalization": "instance_norm instancenorm2d",
    "relu": "relu_ threshold",
    "clip": "relu6 hardtanh clamp hardtanh_ clamp_ clamp_min clipbyvalue clipbyvaluev2",
    "add": "add_ __add__ __iadd__ iadd biasadd addv2",
    "mul": "mul_ __mul__ __imul__ imul",
    "sub": "sub_ __sub__ rsub",
    "div": "div_ __truediv__ truediv realdiv",
    "maxpool": "max_pool2d max_pool2d_with_indices maxpool2d max_pool1d maxpoolv3",
    "averagepool": "avg_pool2d avgpool2d avgpool avgpoolv2",
    "globalaveragepool": (
        "adaptive_avg_pool2d _adaptive_avg_pool2d adaptiveavgpool2d mean reducemean"
        " selectadaptivepool2d fastadaptiveavgpool reducemeand"
    ),
    "softmax": "_softmax log_softmax _log_softmax softmaxv2 logsoftmaxv2",
    "gelu": "biasgelu fastgelu quickgelu gelu_",
    "sigmoid": "sigmoid_",
    "tanh": "tanh_",
    "silu": "silu_ swish",
    "hardswish": "hardswish_",
    "concat": "cat concatd concatv2 concatv2d",
    "transpose": "transposed",
    "flatten": "reshape view _unsafe_view flattenv2",
    "identity": "dropout dropout2d _to_copy clone cast contiguous transdata memcpyasync",
}
_FAMILY = {word: family for family, words in _FAMILIES.items() for word in words.split()}


def family(op: str) -> str:
    """What an operator is, whatever framework names it.

    >>> family("FusedConv"), family("Conv2d"), family("Conv"), family("LRN")
    ('conv', 'conv', 'conv', 'lrn')
    """
    return _FAMILY.get(op.lower(), op.lower())
