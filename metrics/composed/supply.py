"""Write the samples of a part, or the outputs of the whole, from what the parts before made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.card import Card, Input, Output
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import flush_to_disk, write_bytes
from portproof.infer.offline.write import encoded, result_name
from portproof.manifest import Sample, sample_id
from portproof.metrics.composed.answers import PartAnswers, check_ids, split_id
from portproof.metrics.composed.glue import Given, Glue, arrays_of, glue_of
from portproof.metrics.decoding.arrays import Array
from portproof.metrics.evaluation.origin import source_inputs
from portproof.preprocess.dataset.given_samples import refuse_blank_ids, sample_files
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.dataset.info_list import write_listing
from portproof.proof.sidecar import sidecar_of
from portproof.proof.work import Work
from portproof.rundir.parts.part import Links, Part, part_of


@dataclass(frozen=True)
class Known:
    """What is known on one side: the answers of the parts by name, in their order, with the folder
    of each one's results, and the images by sample id.
    """

    parts: Mapping[str, PartAnswers]
    results: Mapping[str, Path]
    images: Mapping[str, Path]

    @property
    def ids(self) -> list[str]:
        """The samples of the data: those of the first part."""
        return list(next(iter(self.parts.values())).samples)

    def given(self, sample: str) -> Given:
        """One of them, for a user's function."""
        return Given(sample, self.images.get(sample), self.parts)


def images_in(folder: str | None) -> dict[str, Path]:
    """The images of a folder by sample id; empty without a folder."""
    return {sample_id(path): path for path in find_images(folder)} if folder else {}


@dataclass(frozen=True)
class Fed:
    """The part that is fed, with the inputs of its card; those of ``without`` are left to its
    loop.
    """

    part: Part
    inputs: Sequence[Input]
    without: Sequence[str] = ()

    @property
    def specs(self) -> list[Input]:
        """The inputs that are written."""
        return [spec for spec in self.inputs if spec.name not in self.without]

    @property
    def what(self) -> str:
        """What makes them, for sentences."""
        return f"the feeds of the part '{self.part.name}'"

    def links(self) -> Links:
        """Where each comes from; :class:`InputError` if that is not said of exactly these."""
        feeds = self.part.feeds
        known = feeds.items() if isinstance(feeds, dict) else ()
        links = {k: v for k, v in known if k not in self.without}
        names = [spec.name for spec in self.specs]
        if set(links) != set(names):
            raise InputError(
                f"{self.what} are {', '.join(links)}, and its inputs {', '.join(names)}: correct"
                " the card"
            )
        return links


def feed_part(card: Card, fed: Fed, known: Known, out: Path, info: Path) -> None:
    """Write the samples of a part to ``out`` and list them in ``info``, with a sidecar each, unless
    that is done; :class:`InputError` when what feeds it does not make these inputs.
    """
    feeds, specs = fed.part.feeds, fed.specs
    glue = glue_of(feeds, card.path) if isinstance(feeds, str) else None
    made = _by_glue(glue, known) if glue else _linked(fed.links(), known)
    asked = {"to": fed.part.name, "without": list(fed.without)}
    work = _work("feed", out, card, known, glue, asked | _shapes(specs))
    if not work.is_done():
        work.begin()
        samples = list(_write_samples(made, known, specs, out, fed.what))
        flush_to_disk()
        facts = {"samples": len(samples), "of": len(known.ids)}
        work.finish([Path(file) for sample in samples for file in sample.files], facts)
        progress.say(f"feed: {len(samples)} samples of the part '{fed.part.name}' in {out}")
    ids = dict.fromkeys(sample_id(path) for path in sorted(out.glob("*.bin")))
    write_listing(info, str(out), [Sample(i, sample_files(out, i, len(specs))) for i in ids])


def gather(card: Card, known: Known, out: Path) -> None:
    """Write the outputs of the whole to ``out`` as an inference does, with its sidecar, unless that
    is done; :class:`InputError` when ``gather`` of the card does not make them.
    """
    assert card.gather is not None  # a card with parts has it
    glue = None if isinstance(card.gather, dict) else glue_of(card.gather, card.path)
    work = _work("gather", out, card, known, glue, _shapes(card.outputs))
    if work.is_done():
        return
    work.begin()
    out.mkdir(parents=True, exist_ok=True)
    written, shapes = list[Path](), list[dict[str, Any]]()
    make = glue.make if glue else _one_by_one(card.gather, known)
    for sample in known.ids:
        arrays = arrays_of(make(known.given(sample)), card.outputs, "'gather' of the card")
        for number, array in enumerate(arrays, start=1):
            path = out / result_name(sample, number, "bin")
            write_bytes(path, encoded(array, "bin"))
            written.append(path)
        shapes = [_fact(spec, array) for spec, array in zip(card.outputs, arrays, strict=True)]
    flush_to_disk()
    work.finish(written, {"samples": len(known.ids), "outputs": shapes})
    progress.say(f"gather: {len(known.ids)} results in {out}")


def _fact(spec: Output, array: Array) -> dict[str, Any]:
    """An output as the sidecars of inferences describe it; of a shape that varies, none."""
    shape = list(array.shape) if spec.shape else None
    return {"name": spec.name, "dtype": array.dtype.name, "shape": shape}


def _linked(links: Links, known: Known) -> Iterator[tuple[str, Any]]:
    """Samples whose arrays are those of other parts: one for each of the data, or as many as the
    part has that split them.
    """
    sources = [known.parts[name] for name in dict.fromkeys(map(part_of, links.values()))]
    splitting = next((source for source in sources if source.several), None)
    for sample in known.ids:
        for own in splitting.ids_of(sample) if splitting else [sample]:
            yield own, _values(links, known, sample, own)


def _values(links: Links, known: Known, sample: str, own: str) -> dict[str, Array]:
    found = {}
    for name, source in links.items():
        part, _, key = source.partition(".")
        answers = known.parts[part]
        found[name] = answers.value(own if own in answers.samples else sample, key)
    return found


def _one_by_one(links: Any, known: Known) -> Callable[[Given], Any]:
    """Outputs of the whole that are outputs of parts; these must not have split the samples."""

    def make(given: Given) -> Any:
        for name in map(part_of, links.values()):
            if known.parts[name].several:
                raise InputError(
                    f"the part '{name}' has several samples for one: 'gather' must be a function"
                )
        return _values(links, known, given.id, given.id)

    return make


def _by_glue(glue: Glue, known: Known) -> Iterator[tuple[str, Any]]:
    """What a user's function makes: a dict for one sample, a list of dicts for several."""
    for sample in known.ids:
        made = glue.make(known.given(sample))
        if isinstance(made, list | tuple):
            yield from ((split_id(sample, at), one) for at, one in enumerate(made))
        else:
            yield sample, made


def _write_samples(
    made: Iterator[tuple[str, Any]], known: Known, specs: Sequence[Input], out: Path, what: str
) -> Iterator[Sample]:
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.bin"):  # another number of pieces of a sample, from an earlier run
        old.unlink()
    ids = list[str]()
    for own, values in made:
        refuse_blank_ids([own])
        files = sample_files(out, own, len(specs))
        for file, array in zip(files, arrays_of(values, specs, what), strict=True):
            write_bytes(Path(file), array.tobytes())
        ids.append(own)
        yield Sample(own, files)
    check_ids(known.ids, ids)
    if not ids:
        raise InputError(f"{what} made no sample of {len(known.ids)}: the next model cannot run")


def _shapes(specs: Sequence[Input] | Sequence[Output]) -> dict[str, Any]:
    return {"arrays": [msgspec.to_builtins(spec) for spec in specs]}


def _work(  # noqa: PLR0917 - what decides the bytes, from the whole to the detail
    stage: str, out: Path, card: Card, known: Known, glue: Glue | None, asked: dict[str, Any]
) -> Work:
    """What decides the bytes: the card, the user's code, and the answers of the parts. What code
    reads of the images is not known, so all of them count for it.
    """
    inputs: dict[str, list[Path]] = {"card": [Path(str(card.path))]}
    inputs["code"] = list(glue.files) if glue else []
    listings: dict[str, Any] = {}
    for name, folder in known.results.items():
        files, digests = source_inputs(f"{name} result", folder)
        inputs |= files
        listings |= digests
        own = Path(next(iter(known.parts[name].samples.values())).files[0]).parent
        inputs[f"{name} samples"] = [p for p in [sidecar_of(own)] if p.is_file()]
    if glue:
        inputs["images"] = list(known.images.values())
    facts = {"feeds": [[p.name, p.feeds] for p in card.parts], "gather": card.gather}
    return Work(
        stage,
        out,
        inputs=inputs,
        parameters={**asked, **facts, **listings},
        packages=("numpy", *(["Pillow"] if glue and known.images else [])),
    )
