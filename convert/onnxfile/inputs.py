"""What a converter must know of an ONNX file before it is called: inputs, opset, and operators that
the vendor's parser is known to lack.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.backend import TensorSpec
from portproof.convert.onnxfile.load import load_without_weights
from portproof.core.errors import InputError
from portproof.core.text import listed

#: Operators of control flow, sequences, strings and sizes that depend on data: atc for 310 and 310P
#: compiles static graphs of tensors.
_DOUBTFUL = frozenset(
    {
        "If",
        "Loop",
        "Scan",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceInsert",
        "SplitToSequence",
        "ConcatFromSequence",
        "StringNormalizer",
        "TfIdfVectorizer",
        "Unique",
        "NonZero",
    }
)
#: What every release of atc parses; later opsets need later releases.
_SAFE_OPSET = 11


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """Inputs and outputs in order (outputs None where the file does not say their shapes), opset of
    the default domain, whether it holds Q/DQ nodes, and warnings for a converter.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] | None
    opset: int
    quantized: bool
    warnings: tuple[str, ...]


def read_facts(path: Path) -> OnnxFacts:
    """Read an ONNX file; :class:`InputError` when it is none or has no inputs."""
    model = load_without_weights(path, "checking a model before its conversion", "ascend")
    weights = {i.name for i in model.graph.initializer}
    inputs = tuple(_spec(v) for v in model.graph.input if v.name not in weights)
    if not inputs:
        raise InputError(f"'{path}' has no inputs; export it again")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    domains = sorted({n.domain for n in model.graph.node} - {"", "ai.onnx"})
    doubtful = Counter(n.op_type for n in model.graph.node if n.op_type in _DOUBTFUL)
    warnings = []
    if opset > _SAFE_OPSET:
        warnings.append(
            f"the model has opset {opset}; every atc parses {_SAFE_OPSET}, later ones only newer"
            " releases (failure: E19010)"
        )
    if domains:
        warnings.append(
            f"the model uses operators of {listed(domains)}, which atc does not know; export"
            " without them"
        )
    if doubtful:
        warnings.append(
            f"the model uses {listed(sorted(doubtful))}, which atc for 310 and 310P may not support"
            " (failure: EZ3003)"
        )
    quantized = any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in model.graph.node)
    told = all(v.type.tensor_type.HasField("shape") for v in model.graph.output)
    return OnnxFacts(
        inputs,
        tuple(_spec(v) for v in model.graph.output) if told else None,
        opset,
        quantized,
        tuple(warnings),
    )


def _spec(value: Any) -> TensorSpec:
    """A graph's input or output."""
    from onnx.helper import tensor_dtype_to_np_dtype

    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return TensorSpec(value.name, tensor_dtype_to_np_dtype(tensor.elem_type).name, shape)
