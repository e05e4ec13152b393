"""ONNX files with free dimensions beside the batch, for a loader whose configuration has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from portproof.card import Card
from portproof.convert.export import interface, parity, samples, soundness, tracing
from portproof.convert.export.engines import load_onnx, run_onnx, run_torch
from portproof.convert.pytorch.models import build_model
from portproof.core.drafts import draft_folder
from portproof.core.errors import ToolError
from portproof.infer.runtimes.model_files import card_files
from portproof.preprocess.cards.engine_cards import card_of, parts_of, read_configuration
from portproof.proof.work import Work

#: TensorRT takes every opset; from 17 on PyTorch writes layer normalisation as one operator.
OPSET = 17
#: Batches of the check where the batch is free; else as many samples one batch after another.
_BATCHES, _SAMPLES = (1, 3), 4


def export_free(model: str, weights: Path, folder: Path) -> Path:
    """Write one ONNX file for all sizes of ``engine:FOLDER@SIZE`` beside their folders, and compare
    it with PyTorch at the least, usual and largest size; its path.

    Raises :class:`ToolError` when it differs; there is no file then.
    """
    source = parts_of(model)[0]
    named = str(source)
    config = read_configuration(source)
    path = path_of(model, folder)
    work = Work(
        "export",
        path,
        inputs={"weights": [weights], **card_files(f"engine:{named}")},
        parameters={"opset": OPSET, "configuration": msgspec.to_builtins(config)},
        packages=("torch", "onnx"),
    )
    if work.is_done():
        return path
    work.begin()
    path.unlink(missing_ok=True)
    card = card_of(named)
    network = build_model(card, weights)
    first = config.inputs[0].shapes.runtime[0]
    feeds = samples.sample_inputs(card, first if first > 0 else 2, seed=1)
    interface.fit(network, card, feeds)
    soundness.leave_training(network, card, feeds)
    with draft_folder(path) as drafts:
        draft = drafts / path.name
        tracing.trace(
            network,
            feeds,
            soundness.names_of(card),
            draft,
            opset=OPSET,
            dynamic=False,
            free=config.free_axes,
        )
        facts = _checked(network, draft, named)
        draft.replace(path)
    work.finish([path], facts)
    return path


def path_of(model: str, folder: Path) -> Path:
    """The one ONNX file of ``engine:FOLDER@SIZE`` for all sizes, beside the sizes' folders."""
    return folder.parent / f"{read_configuration(parts_of(model)[0]).name}.onnx"


def _checked(network: Any, draft: Path, named: str) -> dict[str, Any]:
    """Compare at every size; :class:`ToolError` names the first where the file differs."""
    config = read_configuration(Path(named))
    batch = config.inputs[0].shapes.runtime[0]
    batches = _BATCHES if batch < 1 else (batch,) * max(2, -(-_SAMPLES // batch))
    session, worst, sizes, proves = load_onnx(draft), None, [], True
    for card in _cards(named):
        feeds = samples.sample_inputs(card, sum(batches), seed=2)
        names = soundness.names_of(card)
        theirs = run_torch(network, feeds, batches, names)
        ours = run_onnx(session, feeds, batches, names)
        size = "x".join(map(str, card.inputs[0].shape))
        for found in parity.compare(ours, theirs, names):
            if not found.passed:
                raise ToolError(f"the ONNX file differs from PyTorch at the size {size}: {found}")
            proves &= found.proves
            if worst is None or found.badness > worst.badness:
                worst = found
        sizes.append(size)
    assert worst is not None  # there is at least one size and one output
    return {
        "max_difference": worst.max_difference,
        "allowed_difference": worst.allowed,
        "proves": proves,
        "batches_checked": list(dict.fromkeys(batches)),
        "sizes_checked": sizes,
    }


def _cards(named: str) -> list[Card]:
    """The card at the least, usual and largest shapes."""
    config, card = read_configuration(Path(named)), card_of(named)
    found = []
    for which in ("min", "opt", "max"):
        shapes = [
            getattr(i.shapes.optimization, which) if i.shapes.optimization else i.shapes.runtime
            for i in config.inputs
        ]
        inputs = tuple(
            msgspec.structs.replace(i, shape=tuple(s[1:]))
            for i, s in zip(card.inputs, shapes, strict=True)
        )
        recipe = card.preprocessing if card.recipe else None
        if recipe is not None:
            recipe = msgspec.structs.replace(recipe, crop=inputs[0].shape[1:])
        found.append(msgspec.structs.replace(card, inputs=inputs, recipe=recipe))
    return found
