"""The files that a step needs on a host, the words with which it is started there, and how it is
cut into parts.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from portproof.core.files import sha256_of
from portproof.fleet.node import OUTSIDE
from portproof.manifest import Sample, read_info, write_info
from portproof.proof.sidecar import FileRecord, proof_of, sidecar_of
from portproof.rundir.layout import RunDir
from portproof.rundir.step import Step

#: What a card may name and no step reads through it.
_WEIGHTS = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True)
class Part:
    """A step, or a part of one, for a host. ``argv``: of the Python interpreter there. ``files``:
    name there -> file here. ``samples``: how many it works on, None if it was not cut.
    """

    argv: tuple[str, ...]
    files: dict[str, Path]
    samples: int | None = None


class Hashes:
    """Hashes of files here, each taken once while the file stays as it is."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}

    def believe(self, records: Iterable[FileRecord], root: Path) -> None:
        """Take over the hashes of a sidecar, which hold while size, time and inode are the same."""
        for record in records:
            state = (record.size, record.mtime_ns, record.inode)
            self._known[str(root / record.path)] = (state, record.sha256)

    def of(self, path: Path) -> str:
        """The SHA-256 of a file."""
        status, name = path.stat(), str(path)
        state = (status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._known.get(name)
        if known is None or known[0] != state:
            known = (state, sha256_of(path))
            self._known[name] = known
        return known[1]


def name_there(path: str) -> str:
    """The name on a host of a file of the run directory (relative) or from outside (absolute)."""
    return f"{OUTSIDE}{path}" if os.path.isabs(path) else path


def part_of(run: RunDir, step: Step, scratch: Path) -> Part:
    """The whole step. ``scratch``: for an info list with other paths."""
    files = _common(run, step)
    for read in step.reads:
        files |= dict(_artefact(run.root, read))
    part = Part(_argv(run, step), files)
    if run.info in step.words:
        part = _with_samples(run, part, read_info(run.root / run.info), scratch, samples=None)
    return part


def cut(run: RunDir, step: Step, count: int, scratch: Path) -> list[Part]:
    """The step in at most ``count`` parts that make together what it makes alone, in the order of
    the samples. Parts of an inference hold whole batches, the same as in one run, since a batch of
    another size may have other last bits.
    """
    if not is_cut(run, step) or count == 1:
        return [part_of(run, step, scratch)]
    if step.command == "preprocess":
        return _cut_images(run, step, count)
    samples = read_info(run.root / run.info)
    batch = int(step.words[step.words.index("--batch") + 1])
    common = _common(run, step)
    for read in step.reads:
        if read != run.info:
            common |= dict(_artefact(run.root, read))
    whole = Part(_argv(run, step), common)
    return [
        _with_samples(run, whole, samples[span.start : span.stop], scratch / str(k), len(span))
        for k, span in enumerate(spans(len(samples), count, batch))
    ]


def is_cut(run: RunDir, step: Step) -> bool:
    """Whether a step may be cut. A vendor's tool has figures of its own of all samples, a step over
    several devices of a host is cut already, and packed results are one file.
    """
    if step.command == "preprocess":
        return True
    whole = {"--devices", "--runner", "--loop", "--images", "--format"} & set(step.words)
    return step.command == "infer" and run.info in step.words and not whole


def spans(total: int, count: int, each: int) -> list[range]:
    """``total`` items in at most ``count`` spans of whole groups of ``each``, as even as can be.

    >>> spans(40, 3, 16)
    [range(0, 16), range(16, 32), range(32, 40)]
    """
    groups = -(-total // each)
    count = min(count, groups)
    edges = [each * (groups * k // count) for k in range(count)] + [total]
    return [range(a, b) for a, b in itertools.pairwise(edges)]


def key_of(part: Part, hashes: Hashes, more: Sequence[Any]) -> str:
    """What names a part: its words, its files and ``more`` (what else decides its bytes)."""
    digest = hashlib.sha256(repr((part.argv, *more)).encode())
    for name, path in sorted(part.files.items()):
        digest.update(f"{name}\0{hashes.of(path)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def images_of(run: RunDir) -> list[Path]:
    """The images that preprocessing reads, in its order."""
    module = importlib.import_module("portproof.preprocess.dataset.images")
    found: list[Path] = module.find_images(run.root / run.settings.images)
    return found


def _cut_images(run: RunDir, step: Step, count: int) -> list[Part]:
    images, common, argv = images_of(run), _common(run, step), _argv(run, step)
    parts = []
    for span in spans(len(images), count, 1):
        own = dict(_named(run.root, path) for path in images[span.start : span.stop])
        parts.append(Part(argv, common | own, len(span)))
    return parts


def _with_samples(
    run: RunDir, part: Part, chosen: Sequence[Sample], scratch: Path, samples: int | None
) -> Part:
    """The part with these samples of the info list, and the list of them alone."""
    there = [replace(s, files=tuple(map(name_there, s.files))) for s in chosen]
    files = dict(part.files)
    for sample in chosen:
        files |= {name_there(file): run.root / file for file in sample.files}
    folders = {os.path.dirname(sample.files[0]) for sample in chosen}
    for folder in folders - {""}:
        sidecar = sidecar_of(run.root / folder)
        if sidecar.is_file():  # it says how the samples were prepared
            files[name_there(str(sidecar_of(folder)))] = sidecar
    if samples is not None or there != list(chosen):
        scratch.mkdir(parents=True, exist_ok=True)
        info = scratch / Path(run.info).name
        write_info(info, there)
        files[run.info] = info
        files.pop(str(sidecar_of(run.info)), None)
    return Part(part.argv, files, samples)


def _common(run: RunDir, step: Step) -> dict[str, Path]:
    """The settings, which make the folder a run directory, and the card with what is beside it."""
    files = {run.settings_file: run.root / run.settings_file}
    if run.settings.model in step.words:
        files |= dict(_named(run.root, path) for path in _card_files(run.settings.model))
    return files


def _argv(run: RunDir, step: Step) -> tuple[str, ...]:
    card = run.settings.model
    card = card.rpartition(":")[0] if ".py:" in card else card
    outside = [p for p in (*step.reads, card) if os.path.isabs(p)]
    return tuple(_word_there(word, outside) for word in step.argv)


def _word_there(word: str, outside: Iterable[str]) -> str:
    for path in outside:
        if word == path or word.endswith(f":{path}") or word.startswith(f"{path}:"):
            return word.replace(path, name_there(path))
    return word


def _named(root: Path, path: Path) -> tuple[str, Path]:
    inside = path.is_relative_to(root)
    return name_there(path.relative_to(root).as_posix() if inside else str(path)), path


def _artefact(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """A file or a folder that a step reads, its sidecar, and what the sidecar names beside it, such
    as the weights of an ONNX file.
    """
    path = root / name
    if path.is_dir():
        inside = (p for p in sorted(path.rglob("*")) if not p.name.startswith("."))
        yield from (_named(root, p) for p in inside if p.is_file())
    else:
        yield _named(root, path)
    proof = proof_of(path)
    if proof is None:
        return
    yield _named(root, sidecar_of(path))
    beside = (root / record.path for record in proof.outputs)
    yield from (_named(root, p) for p in beside if p.parent == path.parent and p.is_file())


def _card_files(card: str) -> Iterator[Path]:
    """A card of one's own, the files that it names, and the Python files beside it, which its
    builder may import. Nothing of a card of the catalog, which every host has.
    """
    path = Path(card.rpartition(":")[0] if ".py:" in card else card)
    if not path.is_absolute() or not path.is_file():
        return
    folder = path.parent
    yield path
    yield from (p for p in sorted(folder.glob("*.py")) if p.is_file())
    for package in sorted(p.parent for p in folder.glob("*/__init__.py")):
        yield from sorted(package.rglob("*.py"))
    if path.suffix == ".py":
        return
    for text in _texts(yaml.safe_load(path.read_text(encoding="utf-8-sig"))):
        named = folder / (text.rpartition(":")[0] or text)
        is_own = len(text) < 256 and "\n" not in text and named.resolve().is_relative_to(folder)
        if is_own and named.suffix not in _WEIGHTS and named.is_file():
            yield named


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)
