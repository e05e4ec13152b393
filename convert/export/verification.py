"""Does the file answer as PyTorch does: on samples, and on probes that leave the traced sample far
behind; and if not, why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from portproof.card import Card
from portproof.convert.export import parity, samples, soundness
from portproof.convert.export.engines import ModelFailed, load_onnx, run_onnx, run_torch
from portproof.convert.export.samples import Feeds
from portproof.convert.export.tracing import Remark
from portproof.core.errors import InputError, PortProofError, ToolError
from portproof.core.text import listed

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]

#: A batch beyond those of the samples: a size may be compared with another in the model's code.
LARGER_BATCH = 5
#: Operators whose answer on equal values is any of several.
SORTING = {"TopK", "NonMaxSuppression", "ArgMax", "ArgMin"}


@dataclass(frozen=True, slots=True)
class Traced:
    """What was exported, and from what.

    ``feeds`` is the batch that was traced; ``dynamic``: whether the batch is a free dimension;
    ``fold``: whether the file takes raw pixels where the network takes normalised ones; ``half``:
    whether it computes in float16; ``remarks``: what the tracer could not record;
    ``operators``: the operators of the file.
    """

    network: nn.Module
    card: Card
    path: Path
    feeds: Feeds
    batches: tuple[int, ...]
    reference: Sequence[Array]
    dynamic: bool
    fold: bool
    half: bool
    remarks: tuple[Remark, ...]
    operators: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The names of the outputs."""
        return soundness.names_of(self.card)

    @property
    def count(self) -> int:
        """The batch that was traced."""
        return len(next(iter(self.feeds.values())))


@dataclass(frozen=True, slots=True)
class _Case:
    """One set of inputs: what PyTorch and what the file is fed, and in which batches."""

    label: str
    feeds: Feeds
    given: Feeds
    batches: tuple[int, ...]
    constant: bool = False


def check_numbers(traced: Traced) -> tuple[list[parity.Parity], list[str]]:
    """Compare a file with PyTorch on seeded samples and on every probe; returns how far each output
    is on the samples, and which probes ran. :class:`ToolError` says where the answers part, and
    what is built into the graph.
    """
    session = load_onnx(traced.path)
    case = _samples(traced)
    try:
        exported = run_onnx(session, case.given, case.batches, traced.names)
        results = _compared(traced, case, exported, traced.reference, None)
    except ToolError as error:
        raise ToolError(f"{error}{_blame(traced, session)}", error.log_tail) from error
    worst = max(results, key=lambda p: p.badness)
    if not worst.passed:
        raise ToolError(
            "the exported model does not compute what PyTorch computes:"
            f" {worst}{_blame(traced, session)}"
        )
    return results, [
        probe.label for probe in _probes(traced) if _check_probe(traced, session, probe)
    ]


def _samples(traced: Traced) -> _Case:
    total = sum(traced.batches)
    feeds = samples.sample_inputs(traced.card, total)
    given = samples.sample_pixels(traced.card, total) if traced.fold else feeds
    return _Case("samples", feeds, given, traced.batches)


def _check_probe(traced: Traced, session: Any, probe: _Case) -> bool:
    """Whether PyTorch takes the probe; :class:`ToolError` if the file answers otherwise."""
    try:
        reference = run_torch(traced.network, probe.feeds, probe.batches, traced.names)
    except InputError:
        return False
    built_in = _built_in(traced)
    try:
        exported = run_onnx(session, probe.given, probe.batches, traced.names)
        worst = max(
            _compared(traced, probe, exported, reference, traced.reference),
            key=lambda p: p.badness,
        )
    except ToolError as error:
        raise ToolError(f"on inputs {probe.label}: {error}; {built_in}", error.log_tail) from error
    if not worst.passed:
        raise ToolError(
            f"the exported model answers otherwise than PyTorch on inputs {probe.label}: {worst};"
            f" {built_in}"
        )
    return True


def _compared(
    traced: Traced,
    case: _Case,
    exported: Sequence[Array],
    reference: Sequence[Array],
    base: Sequence[Array] | None,
) -> list[parity.Parity]:
    """The comparison; what fails is compared again with the model's own noise granted."""
    tolerance = parity.HALF if traced.half else parity.SINGLE
    results = parity.compare(exported, reference, traced.names, tolerance=tolerance, base=base)
    if all(result.passed for result in results):
        return results
    # Beside a constant input lies another branch, where a model has branches on its values; where
    # it sorts, equal values lie in any order.
    branches = any(remark.of_values for remark in traced.remarks)
    inputs_too = not (case.constant and branches and not traced.operators & SORTING)
    noise = soundness.rounding_noise(
        traced.network,
        traced.card,
        case.feeds,
        case.batches,
        half=traced.half,
        inputs_too=inputs_too,
    )
    return parity.compare(
        exported, reference, traced.names, tolerance=tolerance, base=base, noise=noise
    )


def _probes(traced: Traced) -> Iterator[_Case]:
    """Batches that are unlike the traced one. With a dynamic batch, single samples serve."""
    count = 1 if traced.dynamic else traced.count
    feeds = samples.sample_inputs(traced.card, count, seed=2)
    if traced.fold:
        pixels = samples.sample_pixels(traced.card, count, seed=2)
        for label, given in samples.pixel_probes(pixels):
            yield _Case(
                label, samples.normalised(given, traced.card), given, (count,), _is_constant(given)
            )
    else:
        for label, probe in samples.float_probes(feeds):
            yield _Case(label, probe, probe, (count,), _is_constant(probe))
        yield from _whole_numbers(traced, feeds, count)
    if traced.dynamic:
        more = samples.sample_inputs(traced.card, LARGER_BATCH, seed=3)
        pixels = samples.sample_pixels(traced.card, LARGER_BATCH, seed=3) if traced.fold else more
        yield _Case(f"at batch {LARGER_BATCH}", more, pixels, (LARGER_BATCH,))


def _whole_numbers(traced: Traced, feeds: Feeds, count: int) -> Iterator[_Case]:
    """All whole-number inputs together, and each alone, as large as the model takes them."""
    kinds = [name for name, values in feeds.items() if values.dtype.kind in "iu"]
    groups = [kinds, *([name] for name in kinds if len(kinds) > 1)]
    for group in groups if kinds else ():
        for upper in samples.RANGES:
            drawn = samples.whole_number_probes(feeds, upper)
            probe = {name: drawn[name] if name in group else feeds[name] for name in feeds}
            if _runs(traced, probe, count):
                yield _Case(f"with {listed(group)} of 0 to {upper - 1}", probe, probe, (count,))
                break
    for value in (0, 1) if kinds else ():
        probe = {k: v * 0 + value if k in kinds else v for k, v in feeds.items()}
        yield _Case(f"with whole numbers all {value}", probe, probe, (count,), constant=True)


def _runs(traced: Traced, feeds: Feeds, count: int) -> bool:
    try:
        run_torch(traced.network, feeds, [count], traced.names)
    except ModelFailed:
        return False
    return True


def _is_constant(feeds: Feeds) -> bool:
    return any(values.size and values.min() == values.max() for values in feeds.values())


def _blame(traced: Traced, session: Any) -> str:
    """Why a file's answers part from PyTorch's, as far as it can be told: by trying the traced
    sample, then other samples at the traced batch.
    """
    if not _agrees(traced, session, seed=1):
        return ""
    if traced.dynamic and _agrees(traced, session, seed=4):
        return (
            f"; the file is right at the traced batch only: the batch {traced.count} is built into"
            " the graph, use --batch N for one fixed batch"
        )
    return f"; {_built_in(traced)}"


def _built_in(traced: Traced) -> str:
    places = [remark.place for remark in traced.remarks if remark.of_values]
    where = f" ({listed(places)})" if places else ""
    return (
        f"the graph holds a value of the traced sample, or a branch taken for it{where}: keep such"
        " values tensors, and choose by torch.where"
    )


def _agrees(traced: Traced, session: Any, seed: int) -> bool:
    """Whether file and PyTorch agree on a batch of the traced size; seed 1 is the traced sample."""
    fed = samples.sample_inputs(traced.card, traced.count, seed)
    given = samples.sample_pixels(traced.card, traced.count, seed) if traced.fold else fed
    case = _Case("", fed, given, (traced.count,))
    try:
        reference = run_torch(traced.network, fed, case.batches, traced.names)
        exported = run_onnx(session, given, case.batches, traced.names)
        results = _compared(traced, case, exported, reference, traced.reference)
    except PortProofError:
        return False
    return all(result.passed for result in results)
