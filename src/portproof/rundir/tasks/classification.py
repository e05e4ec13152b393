"""Classification: Top-N of each side, and the paired comparison of their outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.proof.sidecar import proof_of
from portproof.rundir.gates import Gate
from portproof.rundir.layout import RunDir, Side
from portproof.rundir.plan import paired
from portproof.rundir.step import Step, words
from portproof.verdict import Verdict

#: The square of the normal distribution's 95 % quantile.
_Z2 = 1.6448536269514722**2
#: A reference that is surely so many points below the published accuracy was not set up as
#: published; resizing and rounding cost less than one.
_FAR_PP = 5.0


def begin(run: RunDir) -> Iterator[str]:
    """Refuse a model without one output of classes; say what the number of samples can decide."""
    card = card_of(run)
    if card:
        _check_output(card, run.settings.output)
    labels = run.root / run.settings.labels
    if labels.is_file():
        with labels.open("rb") as file:
            count = sum(1 for line in file if line.strip())
        yield from _outlook(count, (run.settings.margin_pp or 1.0) / 100)


def exported(run: RunDir) -> None:
    """The same of the outputs that the export found, where the card does not give their shapes."""
    proof = proof_of(run.root / run.onnx)
    outputs = proof.facts.get("outputs") if proof else None
    if outputs:
        shapes = [(name, None if None in shape else tuple(shape)) for name, shape in outputs]
        _check_shapes(f"the model file '{run.onnx}'", shapes, run.settings.output)


def _check_output(card: Card, output: int | None) -> None:
    shapes = [(o.name, o.shape) for o in card.outputs]
    _check_shapes(f"the model card '{card.name}'", shapes, output)


def _check_shapes(
    what: str, outputs: Sequence[tuple[str, tuple[int, ...] | None]], output: int | None
) -> None:
    names = [name for name, _ in outputs]
    count = f"{len(names)} output{'s' * (len(names) != 1)} ({', '.join(names)})"
    if output is None and len(names) > 1:
        raise InputError(
            f"{what} has {count}: say which holds the classes with --output 1 to {len(names)}"
        )
    if output is not None and output > len(names):
        raise InputError(
            f"--output {output} was given, and {what} has {count}: give one of them, or leave it"
            " out"
        )
    name, shape = outputs[(output or 1) - 1]
    if shape is not None and sum(size != 1 for size in shape) > 1:
        raise InputError(
            f"output '{name}' of {what} has the shape"
            f" {tuple(shape)} for one sample, and classification needs one number for every class:"
            " name the card's 'task', or compare results of any shape with 'portproof compare"
            " --outputs'"
        )


def _outlook(samples: int, margin: float) -> Iterator[str]:
    """What no flip at all would prove: Tango's bound is then z^2 / (n + z^2)."""
    bound = _Z2 / (samples + _Z2) if samples else 1.0
    if bound >= margin:
        needed = math.ceil(_Z2 * (1 - margin) / margin)
        yield (
            f"{samples} samples cannot prove a loss under {100 * margin:g} points: even without a"
            f" single flip it could be {100 * bound:.2f}; {needed} are needed at least"
        )


def card_of(run: RunDir) -> Card | None:
    """The card: the run directory's copy, else the file that the settings name, if it is here."""
    copy = run.root / run.card_copy
    if copy.is_file():
        return read_card(copy)
    if ":" in run.settings.model:
        return None
    try:
        path = find_card(run.settings.model)
    except InputError:  # a run directory from another host, whose card this one does not have
        return None
    return read_card(path) if path.is_file() else None


def measure(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    """Top-N, and the table of outcomes."""
    result, labels = run.result(side, batch), run.settings.labels
    figures, outcomes = run.accuracy(side, batch), run.outcomes(side, batch)
    yield Step(
        f"topn {side.step_name(batch)}",
        "topn",
        words(result, labels, "--out", figures, "--outcomes", outcomes, *_output(run)),
        reads=(result, labels),
        makes=(figures,),
    )


def _output(run: RunDir) -> tuple[str, ...]:
    return () if run.settings.output is None else words("--output", run.settings.output)


def compare(run: RunDir, side: Side) -> Step:
    """The outcomes of the side with the reference's."""
    return paired(run, side, *words("--margin-pp", run.settings.margin_pp))


def gate(run: RunDir, side: Side) -> Gate:
    """Whether the port may have lost accuracy, from the comparison."""
    path = run.root / run.comparison(side)
    if not path.is_file():
        return Gate(side.label, "accuracy", None, "there is no comparison")
    compared: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    reason = (
        f"{compared['port_accuracy']:.2%} against {compared['reference_accuracy']:.2%}, difference"
        f" {compared['difference_pp']:+.2f} pp over {compared['samples']} samples; the loss is"
        f" under {compared['gate_bound_pp']:.2f} pp (95 %), {compared['margin_pp']:g} pp is allowed"
    )
    doubt = compared.get("doubt") or _doubt(run, compared)
    if doubt:
        return Gate(side.label, "accuracy", Verdict.UNDECIDED, f"{doubt} ({reason})")
    return Gate(side.label, "accuracy", Verdict(compared["verdict"]), reason)


def _doubt(run: RunDir, compared: dict[str, Any]) -> str:
    """Why the reference is no ground for a verdict: it is surely far below the published accuracy
    (the upper end of its one-sided 95 % interval is).
    """
    card = card_of(run)
    published = card.published.top1 if card and card.published else None
    if published is None:
        return ""
    share, samples = compared["reference_accuracy"], compared["samples"]
    high = share + math.sqrt(_Z2 * share * (1 - share) / samples) + _Z2 / (2 * samples)
    if 100 * high >= published - _FAR_PP:
        return ""
    return (
        f"the reference's {share:.2%} is far below the published {published:g} %, so it is no"
        " ground for a verdict: are the labels of these samples, is the preprocessing the model's"
        " own, are these the published weights?"
    )
