"""What the parser of ``atc`` is known to lack, looked for in an ONNX file before atc is called."""

from __future__ import annotations

from portproof.convert.onnxfile.read import OnnxHead
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


def doubts(model: OnnxHead) -> list[str]:
    """Warnings about what atc may not parse; :class:`InputError` for a model that it cannot take:
    quantized, or without inputs.
    """
    if model.quantized:
        raise InputError(
            f"'{model.path}' holds QuantizeLinear or DequantizeLinear nodes, which atc does not"
            " take: convert the file it was quantized from"
        )
    if not model.inputs:
        raise InputError(f"'{model.path}' has no inputs; export it again")
    warnings = []
    if (model.opset or 0) > _SAFE_OPSET:
        warnings.append(
            f"the model has opset {model.opset}; every atc parses {_SAFE_OPSET}, later ones only"
            " newer releases (failure: E19010)"
        )
    if model.domains:
        warnings.append(
            f"the model uses operators of {listed(sorted(model.domains))}, which atc does not know;"
            " export without them"
        )
    if doubtful := sorted(model.operators & _DOUBTFUL):
        warnings.append(
            f"the model uses {listed(doubtful)}, which atc for 310 and 310P may not support"
            " (failure: EZ3003)"
        )
    return warnings
