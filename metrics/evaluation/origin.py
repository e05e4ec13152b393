"""Where the contributions of one side come from: ready predictions, result files that
post-processing turns into predictions, or outcomes that were written before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from portproof.card import Card
from portproof.core import plugins, progress
from portproof.core.errors import InputError
from portproof.core.files import existing_folder
from portproof.core.text import listed
from portproof.core.yamlfile import as_data
from portproof.metrics.decoding.decoder import Decoder, decoder_of
from portproof.metrics.decoding.result_folder import ResultFolder
from portproof.metrics.evaluation.contributions import About, Contributions, read_outcomes
from portproof.metrics.tasks import load_task
from portproof.metrics.truth import Truth, truth_digest, truth_files
from portproof.packed.results import is_packed
from portproof.proof.freshness import listing_digest
from portproof.proof.sidecar import sidecar_of

OUTCOMES_SUFFIX = ".npz"
_PREDICTIONS = "portproof.metrics.predictions"


@dataclass(frozen=True)
class Decoding:
    """How result files become predictions. ``postprocess``: a YAML file, a name in
    ``catalog/postprocess``, or ``FILE.py:decode``, in the place of what ``card`` says; ``dtype`` of
    ``.bin`` results that no sidecar describes.
    """

    postprocess: str | None = None
    card: Card | None = None
    dtype: str = "float32"
    cache: dict[str, Decoder | None] = field(default_factory=dict, compare=False, repr=False)

    def decoder(self, task: ModuleType) -> Decoder | None:
        """What makes predictions for a task, None when nothing says it."""
        if task.__name__ not in self.cache:
            wanted = (task.PREDICTION, *getattr(task, "ALSO", ()))
            self.cache[task.__name__] = decoder_of(wanted, self.postprocess, self.card)
        return self.cache[task.__name__]

    def files(self, task: ModuleType) -> list[Path]:
        """The files that decide what the decoding gives."""
        decoder = self.decoder(task)
        return [] if decoder is None else list(decoder.files)

    def parameters(self, task: ModuleType) -> dict[str, Any]:
        """What else decides it, for sidecars."""
        decoder = self.decoder(task)
        facts = {} if decoder is None else decoder.facts
        card = None if self.card is None else as_data(self.card)
        inputs = {} if card is None else {k: card[k] for k in ("inputs", "outputs", "recipe")}
        return {"dtype": self.dtype, "postprocess": self.postprocess, "card": inputs} | facts


@dataclass(frozen=True)
class Ground:
    """A task and its ground truth, read when it is needed, once."""

    task: str
    truth: Path
    allow_missing: bool = False
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def module(self) -> ModuleType:
        """The task's module."""
        return load_task(self.task)

    def read(self) -> Truth:
        """The ground truth; :class:`InputError` if it holds no sample."""
        if "truth" not in self.cache:
            truth: Truth = self.module.read_truth(self.truth)
            if not truth.samples:
                raise InputError(f"the truth '{self.truth}' holds no sample; give another one")
            self.cache["truth"] = truth
        found: Truth = self.cache["truth"]
        return found

    def files(self) -> list[Path]:
        """The files of the truth."""
        if not self.truth.exists():
            raise InputError(f"the truth '{self.truth}' does not exist; check the path")
        return truth_files(self.truth)

    def digest(self) -> str:
        """The digest of the truth's files."""
        if "digest" not in self.cache:
            self.cache["digest"] = truth_digest(self.files())
        found: str = self.cache["digest"]
        return found


def contributions_from(
    source: Path, ground: Ground, decoding: Decoding, simulated: bool
) -> tuple[Contributions, About]:
    """The contributions of a side, in the order of the truth.

    :class:`InputError` for samples that the truth does not have, for missing ones (unless
    ``allow_missing``), for no sample at all, and for outcomes of another task or truth.
    """
    if source.suffix == OUTCOMES_SUFFIX:
        return _outcomes(source, ground)
    truth = ground.read()
    predictions = _predictions(source, ground.module, truth, decoding)
    if join := getattr(ground.module, "join", None):
        predictions = join(predictions, truth)
    missing = _check_ids(predictions, truth, source, ground)
    ids = [sample for sample in truth.samples if sample in predictions]
    parts = []
    with progress.meter("judging", len(ids), "samples") as meter:
        for sample in ids:
            parts.append(_contribution(ground.module, predictions, truth, sample))
            meter.advance(1)
    about = About(
        task=ground.task,
        ids=ids,
        truth=ground.digest(),
        truth_samples=len(truth.samples),
        left_out=missing,
        simulated=simulated,
    )
    return Contributions.of(ids, parts), about


def _contribution(
    task: ModuleType, predictions: Mapping[str, Any], truth: Truth, sample: str
) -> Any:
    try:
        return task.contribution(predictions[sample], truth.samples[sample])
    except InputError as error:
        raise InputError(f"sample '{sample}': {error}") from error


def _outcomes(source: Path, ground: Ground) -> tuple[Contributions, About]:
    found, about = read_outcomes(source)
    if about.task != ground.task:
        raise InputError(
            f"outcomes '{source}' are of the task {about.task}, {ground.task} was expected; give"
            " --task or the card of these"
        )
    if about.truth != ground.digest():
        raise InputError(
            f"outcomes '{source}' were judged by another truth than '{ground.truth}'; judge them"
            " again with 'portproof evaluate', or give the truth that they were judged by"
        )
    if about.left_out and not ground.allow_missing:
        raise InputError(
            f"outcomes '{source}': {len(about.left_out)} of {about.truth_samples} samples had no"
            f" prediction ({listed(about.left_out)}); finish the inference, or go on without them"
            " with --allow-missing"
        )
    _check_columns(found, ground, source)
    return found, about


def _check_columns(found: Contributions, ground: Ground, source: Path) -> None:
    """Refuse outcomes that hold something else than this version's task does."""
    try:
        ground.module.figures(found, np.ones(len(found), np.int64))
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"outcomes '{source}' do not hold what the figures of {ground.task} are made of; make"
            " them again with 'portproof evaluate --outcomes'"
        ) from error


def _predictions(
    source: Path, task: ModuleType, truth: Truth, decoding: Decoding
) -> Mapping[str, Any]:
    """The predictions by sample id: ready ones, else what post-processing gives."""
    if not source.exists():
        raise InputError(
            f"'{source}' does not exist; a result folder, ready predictions or outcomes (.npz) were"
            " expected"
        )
    if decoding.postprocess is None and not is_packed(source):
        kind = plugins.load(_PREDICTIONS, task.PREDICTION, "kind of prediction")
        ready: Mapping[str, Any] | None = kind.read(source, truth)
        if ready is not None:
            return ready
    return _decoded(source, task, truth, decoding)


def _decoded(source: Path, task: ModuleType, truth: Truth, decoding: Decoding) -> Mapping[str, Any]:
    decoder = decoding.decoder(task)
    if decoder is None or not source.is_dir():
        raise InputError(
            f"'{source}' holds no ready predictions ({task.PREDICTION}); results of a model need"
            " post-processing: give their folder, and name it with --postprocess or in the model"
            " card"
        )
    return ResultFolder(source, decoder, truth, decoding.card, decoding.dtype)


def _check_ids(predictions: Iterable[str], truth: Truth, source: Path, ground: Ground) -> list[str]:
    """The ids without a prediction, which are allowed."""
    known = set(predictions)
    extra = sorted(known.difference(truth.samples))
    if extra:
        raise InputError(
            f"'{source}': {len(extra)} of {len(known)} samples are not in the truth"
            f" '{ground.truth}' ({listed(extra)}); give the truth of these samples, or remove what"
            " an earlier run left there"
        )
    missing = [sample for sample in truth.samples if sample not in known]
    if missing and not (ground.allow_missing and known):
        raise InputError(
            f"'{source}': {len(missing)} of {len(truth.samples)} samples of '{ground.truth}' have"
            f" no prediction ({listed(missing)}); finish the inference"
            + (", or go on without them with --allow-missing" if known else "")
        )
    return missing


def source_inputs(role: str, source: Path) -> tuple[dict[str, list[Path]], dict[str, Any]]:
    """What a sidecar says of a side: files to hash, and parameters. A folder is known by its own
    sidecar and the listing of its files.
    """
    if not source.is_dir():
        return {role: [source]}, {}
    folder = existing_folder(source, "result folder")
    sidecar = sidecar_of(folder)
    names = [p.relative_to(folder).as_posix() for p in truth_files(folder)]
    return (
        {role: [sidecar]} if sidecar.is_file() else {},
        {f"{role} files": listing_digest(folder, names, "")},
    )
