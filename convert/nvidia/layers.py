"""What an engine computes in, read from the list of its layers that trtexec (``--exportLayerInfo``)
and TensorRT's inspector write.
"""

from __future__ import annotations

import json
import re

#: Words of a tensor's "Format/Datatype" -> precision, the narrowest first.
_PRECISIONS = {
    "fp4": r"FP4",
    "int4": r"Int4|INT4",
    "fp8": r"FP8",
    "int8": r"Int8|INT8",
    "bf16": r"BF16|BFloat16",
    "fp16": r"Half|FP16",
    "fp32": r"Float|FP32",
}


def computing_precision(layers: str) -> str | None:
    """The narrowest type among the tensors that the layers give; None where only names are listed
    (another profiling verbosity, 8.0), or nothing that can be read.

    >>> half = '{"Name": "fc", "Outputs": [{"Format/Datatype": "Half"}]}'
    >>> computing_precision(f'{{"Layers": [{half}, {{"Name": "cast", "Outputs": []}}]}}')
    'fp16'
    """
    try:
        listed = json.loads(layers, strict=False)["Layers"]  # names are not escaped
        kinds = {
            tensor["Format/Datatype"]
            for layer in listed
            if isinstance(layer, dict)
            for tensor in layer.get("Outputs", [])
        }
    except (ValueError, KeyError, TypeError):
        return None
    return next(
        (
            p
            for p, words in _PRECISIONS.items()
            if any(re.search(rf"\b(?:{words})\b", kind) for kind in kinds)
        ),
        None,
    )
