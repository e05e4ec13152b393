"""The plan of a port of several models.

Each part is ported as a model alone is, on the samples that the reference feeds it, and its outputs
are compared with the reference's. Then every side runs the whole chain, each part fed by the same
side's parts before it, and what comes out at the end is judged by the task.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.core.usercode import source_of
from portproof.rundir import plan
from portproof.rundir.layout import REFERENCE, FedDir, PartDir, RunDir, Side, vendor_of
from portproof.rundir.parts.part import Part
from portproof.rundir.parts.part_card import part_card
from portproof.rundir.settings import Settings
from portproof.rundir.step import Step, words


@dataclass(frozen=True)
class Place:
    """Where a part's samples and answers on one side are: an info list and a result folder."""

    info: str
    result: str


def parts_of(run: RunDir) -> list[tuple[Part, PartDir]]:
    """The parts of a port with their files, in the order of the card."""
    card = read_card(find_card(run.settings.model))
    found = []
    for part in card.parts:
        settings = _settings(run, card, part)
        found.append((part, PartDir(run.root, settings, part.name)))
    return found


def check(run: RunDir) -> None:
    """:class:`InputError` for what a part cannot do, before anything runs."""
    looped = [part.name for part, _ in parts_of(run) if part.loop]
    if looped and (run.settings.runner != "om" or len(run.settings.devices) > 1):
        raise InputError(
            f"the part '{looped[0]}' runs in a loop of its own, which calls the model in this"
            " process, on one device: leave --runner out, and give one of --devices"
        )


def _settings(run: RunDir, card: Card, part: Part) -> Settings:
    """The settings of the part as a port of its own, in the same folder."""
    path = part_card(card, part)
    first = part.feeds is None
    settings = msgspec.structs.replace(
        run.settings,
        model=str(path),
        weights=os.path.join(run.settings.weights, part.weights_file),
        encoded=first and read_card(path).sequence is not None,
        parts=(),
        demonstration=False,
        margin_pp=None,
    )
    ready = settings.samples if first else (f"parts/{part.name}",)
    return msgspec.structs.replace(settings, samples=ready)


def steps(run: RunDir, workers: int | None) -> Iterator[Step]:
    """The steps of a port of several models, after the demonstration's own. What needs no device
    comes first, since a host without one begins a port that another one ends.
    """
    parts, reference, eager = parts_of(run), dict[str, Place](), Side(REFERENCE)
    for part, files in parts:
        yield from _named(part, _reference(run, part, files, reference, workers))
    yield from _whole(run, eager, reference)
    for part, files in parts:
        yield from _named(part, _alone(files))
    for side in run.compared:
        fed = dict[str, Place]()
        for part, files in parts:
            yield from _named(part, _fed(run, part, files, side, fed))
        yield from _whole(run, side, fed)
    for target in run.targets:
        yield plan.task_of(run).compare(run, run.sides_of(target)[0])
        for part, files in parts:
            yield from _named(part, vendor_of(target).benches(files, target))
    compared = tuple(map(run.comparison, run.compared))
    yield Step("report", "report", (".",), reads=compared, reports=True)


def _named(part: Part, steps: Iterator[Step]) -> Iterator[Step]:
    """The steps of a part under its name: those of several parts must differ in their logs."""
    for step in steps:
        yield replace(step, name=f"{part.name} {step.name}")


def _reference(
    run: RunDir, part: Part, files: PartDir, reference: dict[str, Place], workers: int | None
) -> Iterator[Step]:
    """The part's ONNX file, its samples, and what the reference answers to them."""
    eager, batch = Side(REFERENCE), files.accuracy_batch
    if part.feeds is None:
        yield from plan.prepared(files, workers)
    else:
        yield plan.export(files)
        if part.loop:
            yield from _fed(run, part, files, eager, reference)
        yield replace(_feed(run, part, files, reference), name="samples", portable=True)
    yield plan.infer(files, eager, files.settings.weights, batch, backend=REFERENCE)
    reference.setdefault(part.name, Place(files.info, files.result(eager, batch)))


def _alone(files: PartDir) -> Iterator[Step]:
    """The part on each target as a model of its own, on the reference's samples."""
    for target in files.targets:
        yield from vendor_of(target).steps(files, target)
        yield plan.task_of(files).compare(files, files.sides_of(target)[0])


def _whole(run: RunDir, side: Side, places: Mapping[str, Place]) -> Iterator[Step]:
    """What the parts of a side make together, and its figures."""
    yield _gather(run, side, places)
    yield from plan.measured(run, side, run.accuracy_batch)


def _fed(
    run: RunDir, part: Part, files: PartDir, side: Side, places: dict[str, Place]
) -> Iterator[Step]:
    """The part fed by the parts before it on this side; the first has its samples from the data,
    and has run on them.
    """
    batch = files.accuracy_batch
    if part.feeds is None:
        places[part.name] = Place(files.info, files.result(side, batch))
        return
    fed = FedDir(run.root, files.settings, part.name, side.label)
    feed = _feed(run, part, fed, places, looped=part.loop is not None)
    yield replace(feed, name=f"feed {side.label}", portable=side.target is None)
    step = _inference(fed, side, batch)
    if part.loop:
        loop, _ = _function(run, part.loop)
        makes = ",".join(part.own_inputs)
        step = replace(step, words=(*step.words, "--loop", loop, "--loop-makes", makes))
    yield replace(step, name=f"infer fed {side.label}")
    places[part.name] = Place(fed.info, fed.result(side, batch))


def _inference(fed: FedDir, side: Side, batch: int) -> Step:
    """The inference of a fed part as its vendor runs it."""
    if side.target is None:
        return plan.infer(fed, side, fed.settings.weights, batch, backend=REFERENCE)
    result = (fed.result(side, batch),)
    planned: Iterator[Step] = vendor_of(side.target).steps(fed, side.target)
    return next(step for step in planned if step.makes == result)


def _feed(
    run: RunDir, part: Part, to: PartDir, places: Mapping[str, Place], looped: bool = False
) -> Step:
    """The samples of a part, from what is known of the parts before it."""
    without = ("--without", *part.own_inputs) if looped else ()
    return Step(
        "feed",
        "feed",
        words(*_sources(run, places), "--to", part.name, *without, "--out", to.prep, to.info),
        reads=_read(places),
        makes=(to.prep, to.info),
    )


def _gather(run: RunDir, side: Side, places: Mapping[str, Place]) -> Step:
    """The outputs of the whole, from those of its parts on one side."""
    result = run.result(side, run.accuracy_batch)
    return Step(
        f"gather {side.label}",
        "feed",
        words(*_sources(run, places), "--out", result),
        reads=_read(places),
        makes=(result,),
        portable=side.target is None,
    )


def _sources(run: RunDir, places: Mapping[str, Place]) -> tuple[str, ...]:
    answers = (f"{name}={place.info}={place.result}" for name, place in places.items())
    images = run.settings.images
    given = ("--images", images) if images and not run.settings.encoded else ()
    return words(run.settings.model, "--parts", *answers, *given)


def _read(places: Mapping[str, Place]) -> tuple[str, ...]:
    return tuple(name for place in places.values() for name in (place.info, place.result))


def _function(run: RunDir, text: str) -> tuple[str, Path]:
    """A function of the card's folder, by its absolute path, and its file."""
    source, name = source_of(text, str(find_card(run.settings.model)))
    return f"{source}:{name}", source
