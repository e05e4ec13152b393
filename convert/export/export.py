"""Export a model card's PyTorch model to ONNX, and prove that the file computes the same."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from portproof.card import Card
from portproof.convert.export import fold as normalise_fold
from portproof.convert.export import parity, tracing
from portproof.convert.onnxfile import form, save
from portproof.convert.pytorch.models import build_model, builder_of
from portproof.convert.pytorch.weights import check_weights
from portproof.core import progress
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.pixels.normalisation import FACT, METADATA_KEY, normalisation_by
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
        simplified, result = write_checked(network, card, request, draft)
        outputs = save.publish(draft, target)
    code = [record_of(p, job.root) for p in builder_of(card).files(card)]
    return job.finish(outputs, _facts(card, request, result, simplified), {"code": code})


def write_checked(
    network: nn.Module, card: Card, request: ExportRequest, path: Path
) -> tuple[bool, parity.Parity]:
    """Write a model to an ONNX file in a folder of its own, and check its form and its numbers.

    Returns whether the graph was simplified, and the result of the numerical check; raises as
    :func:`export` does.
    """
    simplified = _write_draft(network, card, request, path)
    form.check_form(path, request.opset)
    return simplified, _check_numbers(network, card, request, path)


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
    parameters["recipe"] = msgspec.to_builtins(card.preprocessing)
    return Work(
        "export",
        target,
        inputs={"weights": [weights], "card": [Path(card.path)] if card.path else [], "code": code},
        parameters=parameters,
        packages=("torch", "onnx", *(["onnxslim"] if request.simplify else []), *builder.PACKAGES),
    )


def _write_draft(network: nn.Module, card: Card, request: ExportRequest, draft: Path) -> bool:
    """Export into ``draft``; returns whether the graph was simplified."""
    import onnx

    _trace(network, card, request, draft)
    model = onnx.load(draft)
    large = save.is_large(model)
    if request.simplify and large:
        progress.say(
            "export: the model is larger than 2 GB, which onnxslim cannot hold: it is not"
            " simplified"
        )
    if request.simplify and not large:
        model = form.simplified(model)
    form.drop_unused_domains(model)
    _describe(model, card, request)
    for leftover in draft.parent.iterdir():
        leftover.unlink()
    save.save(model, draft)
    return request.simplify and not large


def _trace(network: nn.Module, card: Card, request: ExportRequest, draft: Path) -> None:
    count = request.batch or 2
    feeds = parity.sample_inputs(card, count, seed=1)
    if request.fold:
        network, feeds = (
            normalise_fold.with_normalisation(network, card),
            parity.sample_pixels(card, count, seed=1),
        )
    tracing.check_outputs(parity.run_torch(network, feeds, [count]), card)
    tracing.trace(
        network,
        feeds,
        [o.name for o in card.outputs],
        draft,
        opset=request.opset,
        dynamic=request.batch is None,
    )


def _describe(model: onnx.ModelProto, card: Card, request: ExportRequest) -> None:
    """Say in the file where its input is normalised."""
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = msgspec.json.encode(normalisation_by(card.preprocessing, request.fold)).decode()


def _check_numbers(
    network: nn.Module, card: Card, request: ExportRequest, draft: Path
) -> parity.Parity:
    batches = request.check_batches
    feeds = parity.sample_inputs(card, sum(batches))
    given = parity.sample_pixels(card, sum(batches)) if request.fold else feeds
    result = parity.compare(
        parity.run_onnx(draft, given, batches), parity.run_torch(network, feeds, batches), batches
    )
    numbers = (
        f"largest difference {result.max_difference:.3g}, outputs spread by {result.spread:.3g}"
        f" over {sum(batches)} samples"
    )
    if not result.passed:
        raise ToolError(
            f"the exported model does not compute what PyTorch computes: {numbers},"
            f" {result.allowed:.3g} was allowed"
        )
    if result.proves:
        progress.say(
            f"export: equal to PyTorch at batches {', '.join(map(str, batches))}: {numbers}"
        )
    else:
        progress.warn(
            f"the numerical check proves nothing: the outputs hardly vary ({numbers}); were these"
            " weights trained?"
        )
    return result


def _facts(
    card: Card, request: ExportRequest, result: parity.Parity, simplified: bool
) -> dict[str, Any]:
    return {
        "max_difference": result.max_difference,
        "allowed_difference": result.allowed,
        "spread": result.spread,
        "proves": result.proves,
        "batches_checked": list(result.batches),
        "samples_checked": sum(result.batches),
        "simplified": simplified,
        FACT: msgspec.to_builtins(normalisation_by(card.preprocessing, request.fold)),
    }
