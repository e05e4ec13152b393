"""Files of 8 bits for planted faults: made by ONNX Runtime's own quantizer."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

#: Of so many pictures that the network was trained with.
_SAMPLES = 128


def quantised_file(reference: Path, out: Path, method: str, sample: Callable[[bytes], Any]) -> None:
    """Pairs of QuantizeLinear and DequantizeLinear, calibrated on pictures beside the reference."""
    from onnxruntime import quantization

    paths = sorted((reference.parent / "train").iterdir())[:_SAMPLES]
    samples = iter([{"image": sample(p.read_bytes())[None]} for p in paths])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def get_next(self) -> Any:
            return next(samples, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        raised = onnx.version_converter.convert_version(onnx.load(reference), 13)
        onnx.save(raised, prepared)
        logging.getLogger().setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):  # it says how far it is
            quantization.quantize_static(
                str(prepared),
                str(out),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm"],
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod[method],
                extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
            )


def rescale(path: Path, factor: float, only: int | None) -> None:
    """Scales of activations times a factor: all, or that of one in the order of the graph."""
    model = onnx.load(path)
    weights = {t.name for t in model.graph.initializer}
    scales = [
        n.input[1]
        for n in model.graph.node
        if n.op_type == "QuantizeLinear" and n.input[0] not in weights
    ]
    wanted = {s for i, s in enumerate(dict.fromkeys(scales)) if only is None or i == only}
    for tensor in model.graph.initializer:
        if tensor.name in wanted:
            step = np.float32(numpy_helper.to_array(tensor) * factor)
            tensor.CopyFrom(numpy_helper.from_array(step, tensor.name))
    onnx.save(model, path)
