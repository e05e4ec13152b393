"""The drawing of the flow in docs/flow.md, made from the plan of a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from portproof.rundir.layout import RunDir, open_run
from portproof.rundir.plan import steps
from portproof.rundir.step import Step

GIVEN = {"weights.pth": "weights.pth", "images/": "images", "labels.txt": "labels"}


def plan(ported: Path) -> list[Step]:
    """The steps of a port to all three kinds of target, at one batch."""
    settings = msgspec.structs.replace(
        open_run(ported).settings,
        targets=("cpu", "310p", "t4"),
        demonstration=False,
        model="CARD",
        weights="weights.pth",
        images="images/",
        labels="labels.txt",
        batches=(16,),
    )
    return list(steps(RunDir(ported, settings)))


def drawing(plan: list[Step]) -> Iterator[str]:
    """The plan as a Mermaid flow chart: a box a step, an arrow a file."""
    yield "flowchart LR"
    makers = {artefact: at for at, step in enumerate(plan) for artefact in step.makes}
    # Outcomes are written beside the figures whose sidecar names both.
    makers |= {a.replace("result.json", "outcomes.csv"): at for a, at in makers.items()}
    for name, title in GIVEN.items():
        yield f'  {title.partition(".")[0]}(["{name}"])'
    for at, step in enumerate(plan):
        yield f'  s{at}["{step.command}<br>{step.name}"]'
        for name in dict.fromkeys(step.reads):
            source = f"s{makers[name]}" if name in makers else GIVEN[name].partition(".")[0]
            yield f'  {source} -->|"{name}"| s{at}'


def test_the_drawing_of_the_flow_is_that_of_the_plan(root: Path, ported: Path) -> None:
    page = (root / "docs/flow.md").read_text()
    shown = page.partition("```mermaid\n")[2].partition("\n```")[0]
    assert shown == "\n".join(drawing(plan(ported)))


def test_every_step_is_a_command(ported: Path) -> None:
    from portproof.cli import commands
    from portproof.core import VERBS

    assert {VERBS.get(step.command, step.command) for step in plan(ported)} <= set(commands())
