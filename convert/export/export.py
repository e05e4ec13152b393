"""Export a model card's PyTorch model to ONNX, and prove that the file computes the same."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from portproof.card import Card
from portproof.convert.export import fold as normalise_fold
from portproof.convert.export import interface, parity, samples, soundness, tracing
from portproof.convert.export.tracing import Remark
from portproof.convert.export.verification import Traced, check_numbers
from portproof.convert.onnxfile import form, save
from portproof.convert.onnxfile.read import read_onnx
from portproof.convert.pytorch.models import build_model, builder_of
from portproof.convert.pytorch.weights import check_weights
from portproof.core import progress
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.text import listed
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.pixels.normalisation import METADATA_KEY, facts_by, normalisation_by
from portproof.proof.sidecar import Proof, proof_of, read_proof, record_of, root_of
from portproof.proof.work import Work

if TYPE_CHECKING:
    import onnx
    from torch import nn

#: What PyTorch's TorchScript exporter can write.
OPSETS = range(9, 21)

#: Batches of the numerical check of a file with a dynamic batch. Two sizes, because a size may be
#: built in unseen.
BATCHES = (1, 3)
#: The batch that is traced when it is dynamic; another than those of the check.
TRACED_BATCH = 2


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What decides an export. ``batch`` None is dynamic; ``fold``: normalisation inside."""

    opset: int = 11
    batch: int | None = None
    simplify: bool = True
    fold: bool = False

    @property
    def check_batches(self) -> tuple[int, ...]:
        """The batches of the numerical check: at least four samples, so that they have a spread."""
        return (
            BATCHES
            if self.batch is None
            else (self.batch,) * max(2 if self.batch < 4 else 1, -(-4 // self.batch))
        )


def export(
    weights: str | os.PathLike[str],
    out: str | os.PathLike[str],
    model: str | Card,
    *,
    opset: int = 11,
    batch: int | None = None,
    simplify: bool = True,
    fold_normalize: bool = False,
    allow_changed_weights: bool = False,
) -> Proof:
    """Write ``out`` (ONNX) from a weights file and a model card, unless it is up to date; returns
    its sidecar's content.

    ``model`` is a card or what :func:`portproof.preprocess.cards.resolve.resolve_card` understands.
    ``batch`` None makes the batch a dynamic dimension named ``batch``. ``fold_normalize`` makes the
    input raw uint8 pixels. ``allow_changed_weights`` takes weights that loading changes. Raises
    :class:`InputError` for a wrong weights file, card or opset, and :class:`ToolError` when the
    exporter fails or the file does not compute what PyTorch computes; the file ``out`` does not
    exist then.
    """
    card = resolve_card(model) if isinstance(model, str) else model
    if allow_changed_weights:
        allowed = msgspec.structs.replace(card.weights, allow_changes=True)
        card = msgspec.structs.replace(card, weights=allowed)
    target, source = Path(out), Path(weights)
    request = ExportRequest(opset, batch, simplify, fold_normalize)
    _check_request(request, card, target)
    check_weights(card, source)
    job = _job(card, source, target, request)
    if job.is_done():
        return read_proof(job.sidecar)
    _check_packages(request)
    job.begin()
    target.unlink(missing_ok=True)
    network = build_model(card, source)
    with draft_folder(target) as folder:
        draft = folder / target.name
        checked = write_checked(network, card, request, draft)
        made = [[spec.name, list(spec.shape[1:])] for spec in read_onnx(draft).outputs or ()]
        outputs = save.publish(draft, target)
    code = [record_of(p, job.root) for p in builder_of(card).files(card)]
    return job.finish(outputs, _facts(card, request, *checked) | {"outputs": made}, {"code": code})


def write_checked(
    network: nn.Module, card: Card, request: ExportRequest, path: Path
) -> tuple[bool, list[parity.Parity], list[str]]:
    """Write a model to an ONNX file in a folder of its own, and check its form and its numbers.

    Returns whether the graph was simplified, the result of the numerical check for each output, and
    the probes that it passed; raises as :func:`export` does.
    """
    traced = _reference(network, card, request, path)
    simplified, remarks = _write_draft(traced, request)
    form.check_form(path, request.opset)
    head = read_onnx(path)
    traced = replace(
        traced, half=traced.half or head.half, remarks=remarks, operators=head.operators
    )
    results, probes = check_numbers(traced)
    _tell(results, traced, probes)
    return simplified, results, probes


def _reference(network: nn.Module, card: Card, request: ExportRequest, path: Path) -> Traced:
    """The network made ready to be traced, with PyTorch's answers; what cannot be judged is refused
    before the exporter begins.
    """
    soundness.check_weights_finite(network)
    half = soundness.is_half(network)
    count, names = request.batch or TRACED_BATCH, soundness.names_of(card)
    feeds = samples.sample_inputs(card, count, seed=1)
    interface.fit(network, card, feeds)
    first = soundness.reference_outputs(network, card, feeds, [count], count)
    tracing.check_outputs(first, card)
    soundness.leave_training(network, card, feeds)
    soundness.check_repeats(network, card, feeds, first, half)
    soundness.fold_parametrizations(network, card, feeds)
    batches = request.check_batches
    reference = soundness.reference_outputs(
        network, card, samples.sample_inputs(card, sum(batches)), batches, count
    )
    parity.check_finite(reference, names)
    return Traced(
        network,
        card,
        path,
        feeds,
        batches,
        reference,
        dynamic=request.batch is None,
        fold=request.fold,
        half=half,
        remarks=(),
    )


def _check_request(request: ExportRequest, card: Card, target: Path) -> None:
    if request.opset not in OPSETS:
        raise InputError(
            f"opset {request.opset} cannot be written: {OPSETS[0]} to {OPSETS[-1]} was expected (11"
            " is what ATC takes)"
        )
    if target.suffix != ".onnx":
        raise InputError(f"the output '{target}' must end in .onnx")
    if request.fold:
        normalise_fold.check_foldable(card)


def _check_packages(request: ExportRequest) -> None:
    for package in ("torch", "onnx", "onnxruntime", *(["onnxslim"] if request.simplify else [])):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package, "exporting to ONNX", "convert")


def _job(card: Card, weights: Path, target: Path, request: ExportRequest) -> Work:
    """The stage's inputs and parameters. The code that a user's model file imports is known from
    the last time that it was built.
    """
    builder = builder_of(card)
    code = builder.files(card)
    with contextlib.suppress(InputError):
        before = proof_of(target)
        recorded = (
            [root_of(target) / r.path for r in before.inputs.get("code", [])] if before else []
        )
        code += [p for p in recorded if p not in code]
    facts = msgspec.to_builtins(card)
    parameters = {
        key: facts[key] for key in ("builder", "options", "inputs", "outputs")
    } | msgspec.to_builtins(request)
    if card.recipe:
        parameters["recipe"] = msgspec.to_builtins(card.preprocessing)
    return Work(
        "export",
        target,
        inputs={"weights": [weights], "card": [Path(card.path)] if card.path else [], "code": code},
        parameters=parameters,
        packages=("torch", "onnx", *(["onnxslim"] if request.simplify else []), *builder.PACKAGES),
    )


def _write_draft(traced: Traced, request: ExportRequest) -> tuple[bool, tuple[Remark, ...]]:
    """Export into the draft; returns whether the graph was simplified, and the tracer's remarks."""
    import onnx

    draft = traced.path
    remarks = _trace(traced, request)
    tracing.tell(remarks)
    model = onnx.load(draft)
    large = save.is_large(model)
    simplified = None
    if request.simplify and large:
        progress.say(
            "export: the model is larger than 2 GB, which onnxslim cannot hold: it is not"
            " simplified"
        )
    elif request.simplify:
        simplified = form.simplified(model)
    model = simplified or model
    form.drop_unused_domains(model)
    _describe(model, traced.card, request)
    for leftover in draft.parent.iterdir():
        leftover.unlink()
    save.save(model, draft)
    return simplified is not None, remarks


def _trace(traced: Traced, request: ExportRequest) -> tuple[Remark, ...]:
    network, feeds = traced.network, traced.feeds
    if request.fold:
        network, feeds = (
            normalise_fold.with_normalisation(network, traced.card),
            samples.sample_pixels(traced.card, traced.count, seed=1),
        )
    return tracing.trace_or_advise(
        network, feeds, traced.names, traced.path, opset=request.opset, dynamic=traced.dynamic
    )


def _describe(model: onnx.ModelProto, card: Card, request: ExportRequest) -> None:
    """Say in the file where its input is normalised, as far as the card knows."""
    if not card.recipe:
        return
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = msgspec.json.encode(normalisation_by(card.preprocessing, request.fold)).decode()


def _tell(results: list[parity.Parity], traced: Traced, probes: list[str]) -> None:
    worst = max(results, key=lambda p: p.badness)
    batches = ", ".join(map(str, traced.batches))
    still = [result.output for result in results if not result.proves]
    if traced.half:
        progress.say("export: the model computes in half precision, and is judged by its rounding")
    if still:
        progress.warn(
            "the numerical check proves nothing: the outputs hardly vary over"
            f" {sum(traced.batches)} samples ({listed(still)}; {worst}); were these weights"
            " trained?"
        )
    else:
        progress.say(
            f"export: equal to PyTorch at batches {batches}, and on {len(probes)} probes: {worst}"
        )


def _facts(
    card: Card,
    request: ExportRequest,
    simplified: bool,
    results: list[parity.Parity],
    probes: list[str],
) -> dict[str, Any]:
    worst = max(results, key=lambda p: p.badness)
    batches = request.check_batches
    return {
        "max_difference": worst.max_difference,
        "allowed_difference": worst.allowed,
        "spread": worst.spread,
        "judged": f"{worst.output}{worst.slice}",
        "proves": all(result.proves for result in results),
        "batches_checked": list(batches),
        "samples_checked": sum(batches),
        "probes": probes,
        "simplified": simplified,
        **facts_by(card.preprocessing if card.recipe else None, request.fold),
    }
