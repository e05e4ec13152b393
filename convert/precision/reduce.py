"""ONNX files of lower precision: fp16 tensors, or int8 by explicit QuantizeLinear and
DequantizeLinear nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.convert.onnxfile import save
from portproof.convert.onnxfile.form import check_form
from portproof.convert.onnxfile.inherit import normalisation_fact
from portproof.convert.onnxfile.read import read_onnx
from portproof.convert.precision import half, int8
from portproof.convert.precision.trial import difference, feeds_of, random_feeds, session_of
from portproof.core import progress
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError, ToolError
from portproof.manifest import Sample, read_info
from portproof.proof.sidecar import Proof, read_proof
from portproof.proof.work import Work

_PROBES = 8
#: Largest difference, over the range of the fp32 output, that rounding explains; more is another
#: model (weights cut off, a range not seen).
_MOST = {"int8": 0.5, "fp16": 0.05}
#: Raised when the bytes that are written change: int8's 2 leaves the model's outputs unquantized,
#: fp16's 2 keeps float32 what moves the axes of a matrix product's input.
_REVISION = {"fp16": 2, "int8": 2}


@dataclass(frozen=True, slots=True)
class ReduceRequest:
    """What is to be made. ``info``: the list of samples that int8 is calibrated on, ``samples`` of
    them by ``method``; fp16 is checked on them. ``kept``: the nodes that stay float32.
    """

    model: Path
    out: Path
    precision: str
    info: Path | None = None
    samples: int = 128
    method: str = "minmax"
    kept: tuple[str, ...] = ()


def reduce(request: ReduceRequest) -> Proof:
    """Write ``out`` unless it is up to date; its sidecar says how far its outputs are from the fp32
    model's, as ONNX Runtime computes both on the processor: of fp16 that is the rounding of the
    weights, since its arithmetic is float32 there.

    Raises :class:`InputError` for a wrong request and :class:`ToolError` when the file does not
    pass the checks; the file is not written then.
    """
    if request.precision not in _MOST:
        raise InputError(
            f"the precision is '{request.precision}', {' or '.join(_MOST)} was expected"
        )
    if request.out.suffix != ".onnx" or request.out.absolute() == request.model.absolute():
        raise InputError(f"the output '{request.out}' must be another file and end in .onnx")
    model = read_onnx(request.model)
    if model.half or model.quantized:
        raise InputError(f"'{request.model}' is of lower precision already; give the fp32 file")
    chosen = _chosen(request)
    work = _work(request, model.files, chosen)
    if work.is_done():
        return read_proof(work.sidecar)
    work.begin()
    target = request.out.absolute()
    with draft_folder(target) as folder:
        made, scratch = folder / "made", folder / "scratch"
        made.mkdir()
        scratch.mkdir()
        draft = made / target.name
        opset, gap = _write_checked(request, chosen, draft, scratch)
        outputs = save.publish(draft, target)
    progress.say(
        f"quantize: {request.out} is made; its outputs differ from fp32 by {gap['relative']:.2g} of"
        " their range at most"
    )
    return work.finish(
        outputs,
        {"opset": opset, "samples": len(chosen), "difference": gap}
        | normalisation_fact(request.model),
    )


def _chosen(request: ReduceRequest) -> list[Sample]:
    """Samples evenly spread over the info list, so that they are not all of one class."""
    if request.info is None:
        if request.precision == "int8":
            raise InputError(
                "int8 is calibrated on real preprocessed samples: give their info list with --info"
            )
        return []
    samples = read_info(request.info)
    count = min(request.samples if request.precision == "int8" else _PROBES, len(samples))
    return [samples[i * len(samples) // count] for i in range(count)]


def _work(request: ReduceRequest, files: Sequence[Path], chosen: Sequence[Sample]) -> Work:
    inputs = {
        "model": list(files),
        "info": [request.info] if request.info else [],
        "samples": [Path(f) for s in chosen for f in s.files],
    }
    calibration: dict[str, Any] = {
        "method": request.method,
        "operators": int8.OPERATORS,
        "form": int8.FORM,
    } | ({"histogram": int8.ENTROPY} if request.method == "entropy" else {})
    parameters = {"precision": request.precision} | (
        calibration if request.precision == "int8" else {}
    )
    parameters |= {"kept": sorted(request.kept)} if request.kept else {}
    packages, revision = ("onnx", "onnxruntime"), _REVISION[request.precision]
    return Work(
        "quantize",
        request.out,
        inputs=inputs,
        parameters=parameters,
        packages=packages,
        revision=revision,
    )


def _write_checked(
    request: ReduceRequest, chosen: list[Sample], draft: Path, scratch: Path
) -> tuple[int, dict[str, float]]:
    """Write the file, check its form and its numbers; its opset and difference from fp32."""
    before = session_of(request.model)
    inputs = before.get_inputs()
    probes = [feeds_of(request.model, inputs, s) for s in chosen[:_PROBES]] or [
        random_feeds(inputs)
    ]
    if request.precision == "int8":
        opset = int8.write_int8(
            request.model, chosen, request.method, draft, scratch, kept=request.kept
        )
    else:
        opset = half.write_half(request.model, draft, request.kept)
        half.refuse_overflow(request.model, draft, scratch, probes)
    check_form(draft, opset)
    gap = difference(before, session_of(draft), probes)
    if gap["relative"] > _MOST[request.precision]:
        raise ToolError(
            f"the {request.precision} file of '{request.model}' answers something else: its outputs"
            f" differ from fp32 by {gap['relative']:.2g} of their range, at most"
            f" {_MOST[request.precision]:g} was expected; keep fp32, or calibrate on more samples"
        )
    return opset, gap
