"""From a result folder and a label file to the outcome of every sample."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.accuracy.contents import MANY, Logits
from portproof.metrics.accuracy.label_file import Labels, label_columns
from portproof.metrics.accuracy.one_output import Results, Where, check_one_axis
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.row_counts import Counting, count_by_numpy
from portproof.outcome import Outcomes
from portproof.packed.ids import SampleIds
from portproof.proof.lineage import maker_of
from portproof.proof.sidecar import proof_of, sidecar_of

#: Models with a background class at index 0 (TF-slim, NASNet) have one output more than ImageNet
#: has classes.
BACKGROUND_CLASSES = 1001


@dataclass(frozen=True)
class Reading:
    """How to read a result folder.

    ``dtype``: of ``.bin`` results, ``float32`` or ``float16``. ``classes``: what every result must
    hold (default: what one of them holds). ``output``: which output number (default: the only one).
    ``allow_missing``: leave out samples without a result instead of refusing.
    """

    dtype: str = "float32"
    classes: int | None = None
    output: int | None = None
    allow_missing: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "float16"):
            raise InputError(
                f"the dtype of results is '{self.dtype}', float32 or float16 was expected"
            )

    def inputs(
        self, role: str, results: Results, is_listed: bool = True
    ) -> tuple[dict[str, list[Path]], dict[str, Any]]:
        """What a sidecar says of results that were read so: files to hash, and parameters.

        The folder's own sidecar vouches for each of its files; vendor tools leave none, hence the
        digest of the listing, under ``<role> files``. ``is_listed=False`` leaves it to the caller.
        """
        sidecar = sidecar_of(results.folder)
        files = {role: [sidecar]} if sidecar.is_file() else {}
        listing = {f"{role} files": results.listing_digest()} if is_listed else {}
        return files, {**listing, f"{role} reading": asdict(self)}


def is_simulated(source: Path) -> bool:
    """Whether the sidecar of a result folder, or of the run that wrote a table of outcomes, names a
    rehearsal.
    """
    proof = proof_of(source) or maker_of(source)
    return proof is not None and proof.simulated


@dataclass(frozen=True)
class Scored:
    """The outcomes of one result folder, in the order of the label file.

    ``ties``: samples in which another class has exactly the label's logit. ``missing``: ids that
    have a label and no result. ``sha256``: over the bytes of all results in the order of the
    outcomes, or of the file of packed results; None when it was not asked for.
    """

    outcomes: Outcomes
    classes: int
    ties: int
    missing: tuple[str, ...]
    sha256: str | None


def score(
    result: str | os.PathLike[str] | Results,
    labels: str | os.PathLike[str] | Labels,
    reading: Reading | None = None,
    digest: bool = False,
) -> Scored:
    """Read results and work out the outcome of every sample of the label file; folder and file, or
    what was opened of them.

    :class:`InputError`, with counts and names, when a sample is missing (unless that is allowed),
    extra, there twice, of another size, or without a largest number (NaN, infinite), when a label
    is outside the classes, or when the output is not one number a class.
    """
    reading = reading or Reading()
    truth = labels if isinstance(labels, Labels) else label_columns(labels)
    results = result if isinstance(result, Results) else list_results(result, reading.output)
    has_result = _labelled(results, truth)
    missing = _missing(results, truth, has_result, reading.allow_missing)
    _check_output(results)
    classes = results.class_count(reading.dtype, reading.classes)
    ids = truth.ids.take(np.flatnonzero(has_result)) if missing else truth.ids
    label = truth.classes[has_result].astype(np.int64)
    label += 1 if classes == BACKGROUND_CLASSES else 0
    _check_range(ids, label, classes, results)
    sha256 = hashlib.sha256() if digest else None
    outcomes, ties = _outcomes(
        ids, label, results, results.read(ids, classes, reading.dtype, sha256)
    )
    return Scored(outcomes, classes, ties, missing, sha256.hexdigest() if sha256 else None)


def _check_output(results: Results) -> None:
    """Refuse an output that the inference's sidecar knows to have several axes."""
    proof = proof_of(results.folder)
    outputs = proof.facts.get("outputs") if proof else None
    if isinstance(outputs, list) and 1 <= results.output <= len(outputs):
        facts = outputs[results.output - 1]
        shape = facts.get("shape") if isinstance(facts, dict) else None
        if isinstance(shape, list) and all(isinstance(size, int) for size in shape):
            check_one_axis(shape, f"output {results.output} in '{results.folder}'")


def _labelled(results: Results, truth: Labels) -> NDArray[np.bool_]:
    """Which samples of the label file have a result; every result has a label."""
    places = results.ids.places_in(truth.ids)
    extra = sorted(results.ids[i] for i in np.flatnonzero(places < 0).tolist())
    if extra:
        raise InputError(
            f"'{results.folder}': {len(extra)} of {len(results.ids)} results have no label in"
            f" '{truth.path}' ({listed(extra)}); give the label file of these samples, or remove"
            " what an earlier run left there"
        )
    has_result = np.zeros(len(truth.ids), np.bool_)
    has_result[places] = True
    return has_result


def _missing(
    results: Results, truth: Labels, has_result: NDArray[np.bool_], allow_missing: bool
) -> tuple[str, ...]:
    missing = tuple(truth.ids[i] for i in np.flatnonzero(~has_result).tolist())
    if missing and not allow_missing:
        raise InputError(
            f"'{results.folder}': {len(missing)} of {len(truth.ids)} samples of '{truth.path}' have"
            f" no result ({listed(list(missing))}); finish the inference, or go on without them"
            " with --allow-missing"
        )
    return missing


def _check_range(ids: SampleIds, label: NDArray[np.int64], classes: int, results: Results) -> None:
    outside = np.flatnonzero(label >= classes).tolist()
    if outside:
        names = listed([f"{ids[i]}: {label[i]}" for i in outside])
        raise InputError(
            f"{len(outside)} of {len(ids)} labels are outside the classes 0 to {classes - 1} that"
            f" '{results.folder}' holds ({names}); are the label file (it counts from 0), --dtype"
            " and --output right?"
        )


def _outcomes(
    ids: SampleIds,
    label: NDArray[np.int64],
    results: Results,
    parts: Iterable[tuple[Where, Logits]],
) -> tuple[Outcomes, int]:
    predicted, rank = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    margin, tied = np.empty(len(ids), np.float64), np.empty(len(ids), np.bool_)
    peak = np.empty(len(ids), np.float64)
    count = _counting(len(ids))
    with progress.meter("reading", len(ids), "results") as meter:
        for where, logits in parts:
            outcome = judge(logits, label[where], count)
            predicted[where], rank[where], margin[where], tied[where], peak[where] = outcome
            meter.advance(len(logits))
    _check_peaks(ids, peak, results)
    return Outcomes(ids, label, predicted, rank, margin), int(np.count_nonzero(tied))


def _counting(samples: int) -> Counting:
    if samples < MANY:
        return count_by_numpy
    from portproof.metrics.accuracy.native import counting

    return counting()


def _check_peaks(ids: SampleIds, peak: NDArray[np.float64], results: Results) -> None:
    """Refuse results whose largest number is not a number. A masked class may be -inf."""
    broken = np.flatnonzero(~np.isfinite(peak)).tolist()
    if broken:
        kinds = {"NaN": np.isnan(peak), "+inf": peak == np.inf, "only -inf": peak == -np.inf}
        held = " or ".join(kind for kind, where in kinds.items() if where.any())
        raise InputError(
            f"'{results.folder}': {len(broken)} of {len(ids)} results hold {held}"
            f" ({listed([results.name(ids[i]) for i in broken])}); the model overflowed or its"
            " precision is broken, or --dtype is wrong"
        )


def judge(
    logits: Logits, label: NDArray[np.int64], count: Counting = count_by_numpy
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.bool_],
    NDArray[np.floating[Any]],
]:
    """Predicted class, rank of the label, margin, whether another class ties with the label, and
    the largest logit, for logits of shape (samples, classes).

    The rank is 1 plus the number of other classes whose logit is not below the label's. The margin
    is 0 on a tie for the first place. It and the largest logit are NaN where a logit is NaN.
    ``logits`` is scratch space: it is changed.
    """
    rows = np.arange(len(logits))
    own = logits[rows, label]
    rank, equal = count(logits, own)
    logits[rows, label] = -np.inf
    rival = logits.argmax(axis=1)  # the first NaN where there is one
    best = logits[rows, rival]
    predicted = np.where(own > best, label, np.where(own == best, np.minimum(label, rival), rival))
    with np.errstate(invalid="ignore"):
        margin = np.where(own == best, 0.0, own.astype(np.float64) - best)
    return predicted, rank, margin, equal > 1, np.maximum(own, best)
