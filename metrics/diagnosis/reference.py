"""The reference model of a diagnosis, run over images with any recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from portproof import backend as backends
from portproof.backend import LoadRequest, check_feeds, complete
from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import existing_file
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.pixels.transform import Preprocessor, Sample

_BATCH = 8


class Reference:
    """A model file on its usual backend. ``recipe`` is the card's, as the input takes it."""

    def __init__(self, model: Path, card: str) -> None:
        existing_file(model, "reference model")
        backend = backends.find(backends.default_for(model))
        self.model, self.card = model, card
        self._session = backend.load(model, LoadRequest(batch=_BATCH, card=card, spinning=False))
        self._inputs = complete(self._session.inputs, sample_shapes(card))
        if len(self._inputs) != 1:
            raise InputError(
                f"'{model}' has {len(self._inputs)} inputs; a diagnosis is made for models with one"
                " image as their input"
            )
        self._fixed = bool(self._inputs[0].shape[0])
        self._batch = self._inputs[0].shape[0] or _BATCH
        self.recipe = resolve_card(card).preprocessing
        preprocess = Preprocessor(self.recipe)
        self._right: Callable[[bytes], Sample] = lambda data: preprocess(data)[0]

    def outputs(
        self,
        images: Sequence[Path],
        mistake: Mistake | None = None,
        said: str | None = None,
        changed: Changed | None = None,
    ) -> Rows:
        """The first output for every image, of shape (images, classes), as the card says or with a
        mistake, by the model or by a ``changed`` one. Samples of another layout are read as if they
        had the model's, as a runtime reads them. ``said``: what to call this in the progress.
        """
        batch, run = (changed.batch, changed.run) if changed else (self._batch, self._run)
        parts = [images[i : i + batch] for i in range(0, len(images), batch)]
        if said is None:
            return np.concatenate([run(self.samples(part, mistake)) for part in parts])
        rows = []
        with progress.meter(said, len(images), "images") as meter:
            for part in parts:
                rows.append(run(self.samples(part, mistake)))
                meter.advance(len(part))
        return np.concatenate(rows)

    def samples(self, images: Sequence[Path], mistake: Mistake | None = None) -> Sample:
        """The samples of images, (images, ...), as the card says or with a mistake."""
        return self._samples(images, mistake.apply if mistake else self._right)

    def _samples(self, images: Sequence[Path], make: Callable[[bytes], Sample]) -> Sample:
        samples = []
        for path in images:
            try:
                samples.append(make(path.read_bytes()))
            except MissingPackageError:
                raise
            except InputError as error:
                raise InputError(f"'{path}': {error}") from error
        return np.stack(samples).reshape(-1, *self.recipe.shape)

    def _run(self, samples: np.ndarray) -> Rows:
        name = self._inputs[0].name
        short = self._batch - len(samples) if self._fixed else 0
        feeds = {
            name: (
                np.concatenate([samples, np.repeat(samples[-1:], short, axis=0)])
                if short
                else samples
            )
        }
        check_feeds(feeds, self._inputs)
        first = next(iter(self._session.run(feeds).values()))
        return first.reshape(len(first), -1)[: len(samples)].astype(np.float64)
