"""The files that keep layers in fp32, as each vendor's converter takes them.

``keep_dtype.cfg``: atc ``--keep_dtype``, a node name a line. ``ops_info.json``: atc
``--modify_mixlist`` with ``--precision_mode=allow_mix_precision``, operator types of the Ascend IR
that may not lose precision. ``trtexec.txt``: ``--layerPrecisions``, of TensorRT 8.4 to 10, whose
layers bear the ONNX nodes' names. ``keep_fp32.txt``: ``convert/quantize.py --keep-fp32``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.metrics.layerwise.graph import Tensor

#: ONNX's operators -> the types that Ascend's ONNX parser makes of them; others keep their name.
_ASCEND_TYPES = {
    "BatchNormalization": ("BNInference", "BatchNorm"),
    "Clip": ("ClipByValue",),
    "Conv": ("Conv2D",),
    "ConvTranspose": ("Conv2DTranspose",),
    "Div": ("RealDiv", "Div"),
    "Gemm": ("MatMulV2",),
    "InstanceNormalization": ("InstanceNorm",),
    "LayerNormalization": ("LayerNorm",),
    "LogSoftmax": ("LogSoftmaxV2",),
    "MatMul": ("MatMulV2", "BatchMatMulV2"),
    "ReduceMean": ("ReduceMean", "ReduceMeanD"),
    "ReduceSum": ("ReduceSum", "ReduceSumD"),
    "Softmax": ("SoftmaxV2",),
}
#: What separates entries in trtexec's options.
_SEPARATORS = ",:"


def write_lists(folder: Path, nodes: Sequence[Tensor]) -> list[str]:
    """Write the files for these nodes; their names. Nodes without a name stand in the lists of
    operator types and of our own quantisation, by what they compute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = list(dict.fromkeys(n.node for n in nodes if n.node))
    texts = {
        "keep_fp32.txt": "".join(f"{n.node or n.name}\n" for n in nodes),
        "ops_info.json": json.dumps({"black-list": {"to-add": ascend_types(nodes)}}, indent=2)
        + "\n",
    }
    if named:
        texts["keep_dtype.cfg"] = "".join(f"{name}\n" for name in named)
    if flags := trtexec_flags(named):
        texts["trtexec.txt"] = f"{' '.join(flags)}\n"
    texts["README.txt"] = _explained(sorted(texts), len(nodes) - len(named))
    for name, text in texts.items():
        write_text(folder / name, text)
    return sorted(texts)


def ascend_types(nodes: Sequence[Tensor]) -> list[str]:
    """The types of the Ascend IR of these nodes.

    >>> ascend_types([Tensor("y", "MatMul", "", ()), Tensor("z", "Pow", "", ())])
    ['MatMulV2', 'BatchMatMulV2', 'Pow']
    """
    types = [t for node in nodes for t in _ASCEND_TYPES.get(node.op, (node.op,))]
    return list(dict.fromkeys(types))


def trtexec_flags(names: Sequence[str]) -> list[str]:
    """trtexec's flags for layers of these names; those with a separator cannot be written.

    >>> trtexec_flags(["/conv1/Conv"])[1]
    '--layerPrecisions=/conv1/Conv:fp32'
    """
    plain = [name for name in names if not any(s in name for s in _SEPARATORS)]
    if not plain:
        return []
    spec = ",".join(f"{name}:fp32" for name in plain)
    return [
        "--precisionConstraints=obey",
        f"--layerPrecisions={spec}",
        f"--layerOutputTypes={spec}",
    ]


def _explained(files: Sequence[str], unnamed: int) -> str:
    uses = {
        "keep_dtype.cfg": "atc ... --keep_dtype=keep_dtype.cfg",
        "ops_info.json": (
            "atc ... --precision_mode=allow_mix_precision --modify_mixlist=ops_info.json"
            " (by type: every operator of these types keeps fp32; instead of keep_dtype)"
        ),
        "trtexec.txt": "trtexec ... --fp16 $(cat trtexec.txt)   (TensorRT 8.4 to 10)",
        "keep_fp32.txt": "python convert/quantize.py ... --keep-fp32 keep_fp32.txt",
    }
    lines = [f"{name}: {uses[name]}" for name in files]
    if unnamed:
        lines.append(
            f"{unnamed} of the nodes have no name of their own in the ONNX file; only"
            " ops_info.json and keep_fp32.txt reach them."
        )
    return "\n".join(lines) + "\n"
