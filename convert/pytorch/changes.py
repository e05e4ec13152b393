"""What loading changed: every value of the loaded model must be a value of the weights file.

A filter between the file and the model may rename, reshape, split and join tensors. When it
computes new values (resampled position embeddings, a summed first layer), fills or cuts a
classifier, or when the model's type cannot hold the file's values, the model is no longer the one
that was trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]
Values = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Changes:
    """Names of tensors: ``altered`` hold values that the file does not have, or of another kind
    than the file's; ``cut`` stand in the file and went in only in part; ``left_out`` not at all;
    ``rounded`` lost digits to a smaller floating-point type.
    """

    altered: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)

    @property
    def refused(self) -> str:
        """What makes another model of it, as part of a sentence; empty if nothing does."""
        kinds = ((self.altered, "got other values than"), (self.cut, "went in only in part of"))
        return " and ".join(
            f"{len(names)} tensors ({listed(names)}) {what} the file's"
            for names, what in kinds
            if names
        )


def check_changes(file: Tensors, model: Tensors, source: str, allowed: bool) -> None:
    """Say what loading changed; :class:`InputError` unless the user ``allowed`` the changes that
    make another model of the file.
    """
    changes = changes_between(file, model)
    if changes.rounded:
        progress.warn(
            f"the weights '{source}' were rounded to the model's smaller type:"
            f" {listed(changes.rounded)}"
        )
    if changes.left_out:
        progress.warn(
            f"the model has no place for {len(changes.left_out)} tensors of the weights '{source}':"
            f" {listed(changes.left_out)}"
        )
    if not changes.refused:
        return
    if allowed:
        progress.warn(f"loading '{source}' changed the weights, as allowed: {changes.refused}")
        return
    raise InputError(
        f"loading the weights '{source}' changed them: {changes.refused} (resampled, filled, cut or"
        " of another type); give weights that fit the model, or allow it with"
        " --allow-changed-weights or 'allow_changes: true' under 'weights' of the model card"
    )


def changes_between(file: Tensors, model: Tensors) -> Changes:
    """Compare the tensors of a file with those of the model that they were loaded into.

    First by name; what is left over by its values in any order (renamed, reshaped or transposed);
    what is still left by its values among all of the other side's (split or joined).
    """
    changes = Changes()
    mine, theirs = _without_counters(model), _without_counters(file)
    for name in [n for n in mine if n in theirs and mine[n].shape == theirs[n].shape]:
        state = _same(theirs[name], mine[name])
        if state is not None:
            if state == "rounded":
                changes.rounded.append(name)
            elif state == "altered":
                changes.altered.append(name)
            del mine[name], theirs[name]
    _match_renamed(mine, theirs, changes)
    _match_pieces(mine, theirs, changes)
    return changes


def _without_counters(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Batch normalisation counts its batches in training; files older than PyTorch 0.4.1 do not."""
    return {n: t for n, t in tensors.items() if n.rpartition(".")[2] != "num_batches_tracked"}


def _same(given: torch.Tensor, loaded: torch.Tensor) -> str | None:
    """How a loaded tensor relates to the file's of its name: "" for equal, "rounded" or "altered"
    by the model's type; None if the values themselves are others.
    """
    import torch

    kind = _kind_change(given, loaded)
    if given.dtype == loaded.dtype or kind is None:
        wide = torch.promote_types(given.dtype, loaded.dtype)
        if _equal(given.to(wide), loaded.to(wide)):
            return ""
    parts = given.real if given.is_complex() and not loaded.is_complex() else given
    cast = parts.to(loaded.dtype)
    if not _equal(cast, loaded):
        return None
    both = given.is_floating_point() and loaded.is_floating_point()
    overflown = both and bool((cast.isinf() & ~given.isinf()).any())
    return "rounded" if both and not overflown else "altered"


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN being equal to NaN."""
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def _kind_change(given: torch.Tensor, loaded: torch.Tensor) -> str | None:
    """Why equal numbers would still mean another thing: quantised or complex weights in floats. A
    single number (a counter) may change its type.
    """
    if given.is_complex() != loaded.is_complex():
        return "complex"
    if given.numel() > 1 and given.is_floating_point() != loaded.is_floating_point():
        return "whole numbers"
    return None


def _match_renamed(
    mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], changes: Changes
) -> None:
    """Strike out pairs with the same values in any order."""
    for rounding in (False, True):
        known: dict[tuple[Any, ...], list[str]] = {}
        for name, tensor in mine.items():
            known.setdefault(_content(tensor), []).append(name)
        for name, tensor in list(theirs.items()):
            cast_to = {t.dtype for t in mine.values() if t.numel() == tensor.numel()}
            for dtype in cast_to if rounding else {tensor.dtype}:
                if rounding and not (tensor.is_floating_point() and dtype.is_floating_point):
                    continue
                names = known.get(_content(tensor.to(dtype)))
                if names:
                    found = names.pop()
                    if rounding:
                        changes.rounded.append(found)
                    del mine[found], theirs[name]
                    break


def _content(tensor: torch.Tensor) -> tuple[Any, ...]:
    """A key that tensors with the same values in any order share."""
    digest = hashlib.sha256(np.sort(_values(tensor)).tobytes()).digest()
    return tensor.numel(), tensor.is_floating_point(), tensor.is_complex(), digest


def _values(tensor: torch.Tensor) -> Values:
    """All numbers of a tensor, flat, in a type that holds them exactly."""
    import torch

    wide = torch.complex128 if tensor.is_complex() else torch.float64
    whole = not (tensor.is_floating_point() or tensor.is_complex())
    values: Values = tensor.detach().reshape(-1).to(torch.int64 if whole else wide).numpy()
    return values


def _match_pieces(
    mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], changes: Changes
) -> None:
    """Judge what is left: tensors whose values all come from the file were split or joined."""
    pool = {name: _values(tensor) for name, tensor in theirs.items()}
    everything = np.concatenate(list(pool.values())) if pool else np.zeros(0)
    used = [np.zeros(0)]
    for name, tensor in mine.items():
        values = _values(tensor)
        if values.size and np.isin(values, everything).all():
            used.append(values)
        else:
            changes.altered.append(name)
    taken = np.concatenate(used)
    for name, values in pool.items():
        share = float(np.isin(values, taken).mean()) if values.size else 1.0
        # A few equal numbers (zeros) stand in every network: they make no use of a tensor.
        if share < 0.01:
            changes.left_out.append(name)
        elif share < 1:
            changes.cut.append(name)
