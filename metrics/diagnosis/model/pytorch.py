"""Faults of batch normalisation in a model that PyTorch can build: made exactly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array

#: Answers of one network in two runtimes are this near, as a part of the largest.
_SAME = 1e-3
_PARTS = {
    "bn-mean": ("running_mean", 0.0, "means"),
    "bn-var": ("running_var", 1.0, "variances"),
    "bn-weight": ("weight", 1.0, "weights"),
    "bn-bias": ("bias", 0.0, "biases"),
}


def normalisations_of(
    card: str, weights: Path, batches: list[int], samples: Array, right: Rows
) -> Iterator[Changed]:
    """Batch normalisation by the batch, or without a part of what it learnt; nothing if the network
    does not give the ``right`` answers to these ``samples``: the weights are of another then.
    """
    from portproof.convert.pytorch.models import build_model
    from portproof.preprocess.cards.resolve import resolve_card

    net = build_model(resolve_card(card), weights).eval()
    plain = _run(net, lambda norm: None)(samples) if _norms(net) else None
    if plain is None or plain.shape != right.shape or not _same(plain, right):
        return
    for batch in batches:
        words = f"batch normalisation by the statistics of batches of {batch}"
        yield Changed("bn-batch", words, _run(net, lambda norm: norm.train()), batch)
    for fault, (name, value, said) in _PARTS.items():
        run = _run(net, partial(_filled, name=name, value=value))
        yield Changed(fault, f"batch normalisation without its {said}", run)
    run = _run(net, lambda norm: norm.reset_running_stats())
    yield Changed("bn-mean", "batch normalisation without its means and variances", run)


def _norms(net: Any) -> list[Any]:
    return [m for m in net.modules() if getattr(m, "running_mean", None) is not None]


def _same(a: Rows, b: Rows) -> bool:
    return bool(np.abs(a - b).max() <= _SAME * max(np.abs(b).max(), 1e-30))


def _filled(norm: Any, name: str, value: float) -> None:
    part = getattr(norm, name)
    if part is not None:  # one that is not affine has no weight
        part.data.fill_(value)


def _run(net: Any, change: Callable[[Any], object]) -> Callable[[Array], Rows]:
    def run(samples: Array) -> Rows:
        import torch

        changed = copy.deepcopy(net)
        for norm in _norms(changed):
            change(norm)
        with torch.no_grad():
            made = changed(torch.from_numpy(np.ascontiguousarray(samples)))
        made = made[0] if isinstance(made, tuple | list) else made
        return np.asarray(made.numpy().reshape(len(samples), -1), np.float64)

    return run
