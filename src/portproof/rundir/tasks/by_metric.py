"""Every task that has a metric of its own (``metrics/tasks``): its figures for each side, and the
paired comparison of what every sample adds to them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import msgspec

from portproof.core.errors import InputError
from portproof.rundir.gates import Gate
from portproof.rundir.layout import PartDir, RunDir, Side
from portproof.rundir.parts import several
from portproof.rundir.parts.part_outputs import verdict_text
from portproof.rundir.plan import paired
from portproof.rundir.step import Step, words
from portproof.rundir.tasks.classification import card_of
from portproof.verdict import Verdict


def begin(run: RunDir) -> Iterator[str]:
    """Refuse what has no meaning for these tasks; say whose margin decides."""
    if run.settings.output is not None:
        raise InputError(
            f"--output has no meaning for the task {run.settings.task}: name the outputs in the"
            " card's 'postprocess'"
        )
    if run.settings.parts:
        several.check(run)
    _check_margin(run)
    if run.settings.margin_pp is None:
        yield f"{run.settings.task} is judged by the card's margin, or by 1 point of a share"


def _check_margin(run: RunDir) -> None:
    """Refuse a margin that the judged figure cannot have, and none where no loss is usual."""
    card = card_of(run)
    if card is None:
        return
    tasks = importlib.import_module("portproof.metrics.tasks")
    figure = tasks.figure_of(tasks.load_task(run.settings.task), card.metric)
    if figure.is_share:
        return
    if run.settings.margin_pp is not None:
        raise InputError(
            f"--margin-pp is in points of a share, and {figure.name} is in {figure.unit}: leave it"
            f" out, and say the loss that is allowed in the card ('margin', in {figure.unit})"
        )
    if card.margin is None:
        raise InputError(
            f"{figure.name} is in {figure.unit} and no loss of it is usually allowed: say it in the"
            f" card '{card.name}' ('margin')"
        )


def measure(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    """The figures of the results, and what every sample adds to them."""
    result, truth = run.result(side, batch), run.settings.labels
    figures, outcomes = run.accuracy(side, batch), run.outcomes(side, batch)
    card = run.settings.model
    yield Step(
        f"evaluate {side.step_name(batch)}",
        "evaluate",
        words(result, truth, "--model", card, "--out", figures, "--outcomes", outcomes),
        reads=(result, truth),
        makes=(figures,),
    )


def compare(run: RunDir, side: Side) -> Step:
    """What the samples of the side add, with what those of the reference add."""
    margin = run.settings.margin_pp
    asked = () if margin is None else words("--margin-pp", margin)
    return paired(run, side, "--model", run.settings.model, *asked)


def gate(run: RunDir, side: Side) -> Gate:
    """Whether the port may have lost more than the margin, from the comparison."""
    path = run.root / run.comparison(side)
    if not path.is_file():
        return Gate(side.label, "accuracy", None, "there is no comparison")
    compared: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    reason = (
        f"{compared['metric']} {_text(compared, 'port_value')} against"
        f" {_text(compared, 'reference_value')} over {compared['samples']} samples"
    )
    if compared["doubt"]:
        return Gate(side.label, "accuracy", Verdict.UNDECIDED, f"{compared['doubt']} ({reason})")
    allowed = f"{_amount(compared, 'margin')} is allowed"
    if compared["gate_bound"] is not None:
        reason += (
            f", difference {_amount(compared, 'difference', '+')}; the loss is under"
            f" {_amount(compared, 'gate_bound')} (95 %), {allowed}"
        )
    verdict = Verdict(compared["verdict"])
    if verdict is Verdict.UNDECIDED and compared.get("samples_needed"):
        reason += f"; about {compared['samples_needed']} samples would decide"
    return Gate(side.label, "accuracy", verdict, f"{reason}{_of_parts(run, side)}")


def _of_parts(run: RunDir, side: Side) -> str:
    """What the outputs of each part say, of a port of several models: which part is at fault."""
    said = [
        f"{name} {text}"
        for name in run.settings.parts
        if (text := verdict_text(PartDir(run.root, run.settings, name), side))
    ]
    return f"; the outputs of each part alone: {'; '.join(said)}" if said else ""


def _text(compared: dict[str, Any], name: str) -> str:
    """A value: a share in percent, another in its unit."""
    value = compared[name]
    if value is None:
        return "not defined"
    return f"{value:.2%}" if compared["unit"] == "1" else f"{value:.4g} {compared['unit']}"


def _amount(compared: dict[str, Any], name: str, sign: str = "") -> str:
    """A difference: of shares in points, of others in their unit."""
    value = compared[name] + 0.0  # no minus in front of zero
    if compared["unit"] == "1":
        return f"{100 * value:{sign}.2f} pp"
    return f"{value:{sign}.4g} {compared['unit']}"
