"""fp32 ONNX to int8: QuantizeLinear and DequantizeLinear nodes, ranges from samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.convert.onnxfile import save
from portproof.convert.onnxfile.form import drop_unused_domains, names_read, quiet
from portproof.convert.onnxfile.read import load_onnx, opset_of
from portproof.convert.precision.kept import kept_nodes
from portproof.convert.precision.trial import Array, feeds_of, session_of
from portproof.core.errors import InputError, MissingPackageError
from portproof.manifest import Sample

if TYPE_CHECKING:
    import onnx

#: Scales of a channel each are of opset 13; at 11 ONNX Runtime's quantizer writes a file that ONNX
#: Runtime refuses.
OPSET = 13
#: What is quantized: where TensorRT and processors have int8 arithmetic. The rest keeps float32
#: between them.
OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
#: Symmetric, a pair of nodes at weights too, and no quantized bias: the form that TensorRT reads.
FORM = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
    "DedicatedQDQPair": True,
}
METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
#: Bins of the histogram that the entropy method cuts (Migacz, "8-bit Inference with TensorRT", GTC
#: 2017, takes 2048; in few samples these are too sparse), for the 255 values of symmetric int8.
#: ONNX Runtime's own 128 bins for 128 values leave nothing to cut: its ranges are minmax's.
ENTROPY = {"num_bins": 1024, "num_quantized_bins": 255, "symmetric": True}


def write_int8(
    model: Path,
    samples: list[Sample],
    method: str,
    draft: Path,
    scratch: Path,
    *,
    kept: Collection[str] = (),
) -> int:
    """Write the quantized model, with drafts of its own in the folder ``scratch``; the opset.
    ``kept``: nodes that stay float32, by name or by an output. :class:`InputError` where nothing
    can be quantized.
    """
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "quantizing", "convert") from error
    loaded = load_onnx(model)
    large, excluded = save.is_large(loaded), kept_nodes(loaded, kept, model)
    raised, prepared, quantized = (
        scratch / f"{name}.onnx" for name in ("raised", "prepared", "quantized")
    )
    save.save(_raised(loaded, model, large), raised)
    with quiet():
        form: dict[str, Any] = dict(FORM)
        # Its optimiser would write operators of ONNX Runtime's own.
        quantization.quant_pre_process(
            str(raised),
            str(prepared),
            skip_optimization=True,
            skip_symbolic_shape=True,
            save_as_external_data=large,
            all_tensors_to_one_file=large,
        )
        if method == "entropy":
            # The ranges are all known then; the calibration that remains needs one sample.
            form["TensorQuantOverrides"] = _entropy_ranges(
                prepared, _reader(model, samples), scratch, large
            )
            samples, method = samples[:1], "minmax"
        quantization.quantize_static(
            str(prepared),
            str(quantized),
            _reader(model, samples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=excluded,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            use_external_data_format=large,
            calibrate_method=getattr(quantization.CalibrationMethod, METHODS[method]),
            extra_options=form,
        )
    return _finished(quantized, model, excluded, draft)


def _finished(quantized: Path, model: Path, kept: Collection[str], draft: Path) -> int:
    """Write what was quantized in the form that is asked for; the opset."""
    import onnx

    made = onnx.load(str(quantized))
    if not any(n.op_type == "QuantizeLinear" for n in made.graph.node):
        raise InputError(
            f"nothing in '{model}' can be quantized: it has none of {', '.join(OPERATORS)}"
        )
    read_float(made.graph, kept)
    keep_float_outputs(made.graph)
    drop_unused_domains(made)
    save.save(made, draft)
    return opset_of(made)


def _entropy_ranges(
    model: Path, reader: Any, scratch: Path, large: bool
) -> dict[str, list[dict[str, float]]]:
    """The range of each activation that loses least information, as ONNX Runtime takes ranges."""
    from onnxruntime import quantization

    calibrator = quantization.create_calibrator(
        str(model),
        OPERATORS,
        augmented_model_path=str(scratch / "augmented.onnx"),
        calibrate_method=quantization.CalibrationMethod.Entropy,
        use_external_data_format=large,
        extra_options=ENTROPY,
    )
    calibrator.collect_data(reader)
    ranges = calibrator.compute_data()
    return {
        name: [dict(zip(("rmin", "rmax"), found.range_value, strict=True))]
        for name, found in ranges.items()
    }


def _raised(loaded: onnx.ModelProto, model: Path, large: bool) -> onnx.ModelProto:
    """The model at the opset that scales of a channel each need, or at its own, newer one."""
    import onnx

    if opset_of(loaded) >= OPSET:
        return loaded
    why = "it is larger than 2 GB"
    if not large:
        try:
            return onnx.version_converter.convert_version(loaded, OPSET)
        except Exception as error:  # the converter raises what its C++ raises
            why = " ".join(str(error).split())[:200]
    raise InputError(
        f"'{model}' cannot be raised from opset {opset_of(loaded)} to {OPSET} ({why}): export it"
        f" again with --opset {OPSET}"
    )


def read_float(graph: onnx.GraphProto, kept: Collection[str]) -> None:
    """Let the nodes that are kept read what was not quantized: ONNX Runtime rounds the result of a
    quantized node for every reader.
    """
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.name not in kept:
            continue
        for at, name in enumerate(node.input):
            last = makers.get(name)
            first = makers.get(last.input[0]) if last is not None else None
            if first is not None and last is not None and last.op_type == "DequantizeLinear":
                node.input[at] = first.input[0] if first.op_type == "QuantizeLinear" else name
    finals = {v.name for v in graph.output}
    for kind in ("DequantizeLinear", "QuantizeLinear"):
        read = {name for node in graph.node for name in names_read(node)} | finals
        for node in [n for n in graph.node if n.op_type == kind and n.output[0] not in read]:
            graph.node.remove(node)


def keep_float_outputs(graph: onnx.GraphProto) -> None:
    """Take away the pair of nodes before an output of the model: rounded to 255 values, close
    classes would become equal.
    """
    makers = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in names_read(node))
    renamed, gone = {}, []
    for last in [makers[v.name] for v in graph.output if v.name in makers]:
        first = makers.get(last.input[0]) if last.op_type == "DequantizeLinear" else None
        if first is None or first.op_type != "QuantizeLinear" or first.input[0] not in makers:
            continue
        renamed[first.input[0]] = last.output[0]
        gone += [last, *([first] if readers[first.output[0]] == 1 else [])]
    for node in gone:
        graph.node.remove(node)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(n, n) for n in names]
    read = {name for node in graph.node for name in names_read(node)} | {
        v.name for v in graph.output
    }
    for weight in [w for w in graph.initializer if w.name not in read]:
        graph.initializer.remove(weight)


def _reader(model: Path, samples: list[Sample]) -> Any:
    """The samples one by one, as ONNX Runtime's calibration asks for them."""
    from onnxruntime import quantization

    inputs = session_of(model).get_inputs()
    feeds = (feeds_of(model, inputs, s) for s in samples)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def get_next(self) -> dict[str, Array] | None:
            return next(feeds, None)

    return Reader()
