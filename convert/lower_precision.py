"""ONNX files of lower precision: fp16 tensors, or int8 by explicit QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from portproof import progress
from portproof.convert.engines import read_model
from portproof.convert.inherit import normalisation_fact
from portproof.convert.onnx_check import check_form, drop_unused_domains
from portproof.errors import InputError, MissingPackageError, ToolError
from portproof.files import write_bytes
from portproof.manifest import Sample, read_info
from portproof.provenance import Proof, Work, read_proof

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]
#: Scales of a channel each are of opset 13; at 11 ONNX Runtime's quantizer writes a file that ONNX Runtime refuses.
INT8_OPSET = 13
#: What is quantized: where TensorRT and processors have int8 arithmetic. The rest keeps float32 between them.
_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
#: Symmetric, a pair of nodes at weights too, and no quantized bias: the form that TensorRT reads.
_FORM = {"ActivationSymmetric": True, "WeightSymmetric": True, "AddQDQPairToWeight": True, "QuantizeBias": False, "DedicatedQDQPair": True}
_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
_PROBES = 8
#: Largest difference, over the range of the fp32 output, that rounding explains; more is another model (weights cut off, a range not seen).
_MOST = {"fp16": 0.05, "int8": 0.5}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be made. ``info``: the list of samples that int8 is calibrated on, ``samples`` of them by ``method``."""

    model: Path
    out: Path
    precision: str
    info: Path | None = None
    samples: int = 128
    method: str = "minmax"


def reduce(request: Request) -> Proof:
    """Write ``out`` unless it is up to date; its sidecar says how far its outputs are from the fp32 model's.

    Raises :class:`InputError` for a wrong request and :class:`ToolError` when the file does not pass the checks; then there is none.
    """
    if request.precision not in ("int8", "fp16"):
        raise InputError(f"the precision is '{request.precision}', int8 or fp16 was expected")
    if request.out.suffix != ".onnx" or request.out.absolute() == request.model.absolute():
        raise InputError(f"the output '{request.out}' must be another file and end in .onnx")
    facts = read_model(request.model)
    if facts.half or facts.quantized:
        raise InputError(f"'{request.model}' is of lower precision already; give the fp32 file")
    chosen = _chosen(request) if request.precision == "int8" else []
    inputs = {
        "model": list(facts.files),
        "info": [request.info] if request.info else [],
        "samples": [Path(f) for s in chosen for f in s.files],
    }
    calibration = {"method": request.method, "operators": _OPERATORS, "form": _FORM} if chosen else {}
    work = Work(
        "quantize", request.out, inputs=inputs, parameters={"precision": request.precision, **calibration}, packages=("onnx", "onnxruntime")
    )
    if work.is_done():
        return read_proof(work.sidecar)
    work.begin()
    with tempfile.TemporaryDirectory(prefix=".quantize-", suffix=".tmp", dir=request.out.absolute().parent) as folder:
        draft = Path(folder, "draft.onnx")
        opset = _write_int8(request, chosen, draft) if request.precision == "int8" else _write_half(request.model, draft)
        check_form(draft, opset)
        difference = _difference(request.model, draft, _probes(request.model, chosen))
        if difference["relative"] > _MOST[request.precision]:
            raise ToolError(
                f"the {request.precision} file of '{request.model}' answers something else: its outputs differ from fp32 by "
                f"{difference['relative']:.2g} of their range, at most {_MOST[request.precision]:g} was expected; keep fp32, or calibrate on more samples"
            )
        write_bytes(request.out, draft.read_bytes())
    progress.say(f"quantize: {request.out} is made; its outputs differ from fp32 by {difference['relative']:.2g} of their range at most")
    return work.finish(
        [request.out], {"opset": opset, "samples": len(chosen), "difference": difference} | normalisation_fact(request.model)
    )


def _chosen(request: Request) -> list[Sample]:
    """Samples evenly spread over the info list, so that one class does not stand for all."""
    if request.info is None:
        raise InputError("int8 is calibrated on real preprocessed samples: give their info list with --info")
    samples = read_info(request.info)
    step = max(1, len(samples) // request.samples)
    return samples[::step][: request.samples]


def _write_half(model: Path, draft: Path) -> int:
    """float16 weights and arithmetic; inputs and outputs stay float32, so that the same samples and metrics serve. Returns the opset."""
    import onnx

    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "converting to fp16", "convert") from error
    with _quiet():
        converted = convert_float_to_float16(onnx.load(str(model)), keep_io_types=True)
    _sort(converted.graph)
    drop_unused_domains(converted)
    onnx.save(converted, str(draft))
    return _opset(converted)


def _write_int8(request: Request, samples: list[Sample], draft: Path) -> int:
    """QuantizeLinear and DequantizeLinear nodes around what is quantized. Returns the opset."""
    import onnx

    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "quantizing", "convert") from error
    model = onnx.load(str(request.model))
    if _opset(model) < INT8_OPSET:
        model = onnx.version_converter.convert_version(model, INT8_OPSET)
    raised, prepared = draft.with_name("raised.onnx"), draft.with_name("prepared.onnx")
    onnx.save(model, str(raised))
    with _quiet():
        # Its optimiser would write operators of ONNX Runtime's own.
        quantization.quant_pre_process(str(raised), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(draft),
            _reader(request.model, samples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=getattr(quantization.CalibrationMethod, _METHODS[request.method]),
            extra_options=_FORM,
        )
    made = onnx.load(str(draft))
    if not any(n.op_type == "QuantizeLinear" for n in made.graph.node):
        raise ToolError(f"nothing in '{request.model}' was quantized: it has none of {', '.join(_OPERATORS)}")
    drop_unused_domains(made)
    onnx.save(made, str(draft))
    return _opset(made)


def _reader(model: Path, samples: list[Sample]) -> Any:
    """The samples one by one, as ONNX Runtime's calibration asks for them."""
    from onnxruntime import quantization

    inputs = _session(model).get_inputs()
    feeds = (_feeds(model, inputs, s) for s in samples)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def get_next(self) -> dict[str, Array] | None:
            return next(feeds, None)

    return Reader()


def _feeds(model: Path, inputs: Sequence[Any], sample: Sample) -> dict[str, Array]:
    """One sample as a batch of one, its size checked against the model's inputs."""
    if len(inputs) != len(sample.files):
        raise InputError(f"sample '{sample.id}' has {len(sample.files)} files, '{model}' has {len(inputs)} inputs")
    feeds = {}
    for node, file in zip(inputs, sample.files, strict=True):
        shape = [1, *node.shape[1:]]
        if not all(isinstance(d, int) for d in shape):
            raise InputError(f"input '{node.name}' of '{model}' has dynamic dimensions beside the batch, which calibration cannot fill")
        dtype = np.dtype("float32") if node.type == "tensor(float)" else np.dtype(node.type.removeprefix("tensor(").removesuffix(")"))
        array = np.fromfile(file, dtype)
        if array.size != int(np.prod(shape)):
            raise InputError(f"'{file}' holds {array.size} values of {dtype}, input '{node.name}' takes {int(np.prod(shape))}")
        feeds[node.name] = array.reshape(shape)
    return feeds


def _probes(model: Path, samples: list[Sample]) -> list[dict[str, Array]]:
    """What both models are run on: samples where there are some, else random values."""
    inputs = _session(model).get_inputs()
    if samples:
        return [_feeds(model, inputs, s) for s in samples[:_PROBES]]
    rng = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for node in inputs:
        shape = [d if isinstance(d, int) else 1 for d in node.shape]
        whole = node.type != "tensor(float)"
        found[node.name] = rng.integers(0, 2, shape).astype(node.type[7:-1]) if whole else rng.normal(size=shape).astype(np.float32)
    return [found]


def _difference(model: Path, draft: Path, probes: list[dict[str, Array]]) -> dict[str, float]:
    """The largest difference of any output, absolute and relative to the range of the fp32 output; :class:`ToolError` for values that are none."""
    before, after = _session(model), _session(draft)
    largest = relative = 0.0
    for feeds in probes:
        for a, b in zip(before.run(None, feeds), after.run(None, feeds), strict=True):
            if not np.isfinite(b).all():
                raise ToolError(f"'{model}' in lower precision gives values that are not finite: its range is too large for it")
            gap = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
            spread = float(np.ptp(a.astype(np.float64))) if a.size else 0.0
            largest, relative = max(largest, gap), max(relative, gap / spread if spread else gap)
    return {"absolute": largest, "relative": relative}


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        raise ToolError(f"ONNX Runtime does not load '{model.name}': {' '.join(str(error).split())[:300]}") from error


def _sort(graph: onnx.GraphProto) -> None:
    """Put nodes after what they read, which the converter does not see to when it adds casts."""
    known = {i.name for i in graph.input} | {w.name for w in graph.initializer} | {""}
    made = {name for node in graph.node for name in node.output}
    waiting, done = list(graph.node), []
    while waiting:
        ready = [n for n in waiting if all(name in known or name not in made for name in _reads(n))]
        if not ready:
            raise ToolError("the converted graph is a circle; report this model")
        done += ready
        known |= {name for n in ready for name in n.output}
        waiting = [n for n in waiting if not any(n is r for r in ready)]
    del graph.node[:]
    graph.node.extend(done)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, in its subgraphs too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)


def _opset(model: onnx.ModelProto) -> int:
    return int(next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that the quantizer prints for people who call it by hand."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
