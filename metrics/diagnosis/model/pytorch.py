"""Faults of a model that PyTorch can build, made exactly: those of batch normalisation, and of
layers whose batch normalisation an ONNX file has folded away.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model import changes
from portproof.metrics.diagnosis.model.batch_normalisation import Epsilon, parts_missing
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.kernels import Held
from portproof.metrics.diagnosis.model.loading import Holder
from portproof.metrics.diagnosis.model.network import Array, Network
from portproof.metrics.diagnosis.model.origin import weights_of

#: Answers of one network in two runtimes are this near, as a part of the largest.
_SAME = 1e-3
#: A network of fewer numbers waits longer for a second thread than it gains by it.
_SMALL = 1_000_000
#: Batches whose statistics may have been taken.
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_PARTS = {
    "bn-mean": ("running_mean", 0.0, "means"),
    "bn-var": ("running_var", 1.0, "variances"),
    "bn-weight": ("weight", 1.0, "weights"),
    "bn-bias": ("bias", 0.0, "biases"),
}


def net_of(card: str, reference: Path, network: Network, samples: Array) -> Any | None:
    """The network of a reference with its batch normalisation, built from the weights that it is or
    was exported from. None where these are not known, the network has none, or it does not answer
    these ``samples`` as the reference does: the weights are of another then.
    """
    from portproof.convert.pytorch.models import build_model
    from portproof.preprocess.cards.resolve import resolve_card

    folded = reference.suffix == ".onnx"
    weights = weights_of(reference) if folded else reference
    if weights is None:
        return None
    right = network.rows(network.model, samples)
    try:
        net = build_model(resolve_card(card), weights).eval()
    except InputError:
        if not folded:
            raise
        return None
    plain = _answers(net, samples) if _norms(net) else None
    if plain is None or plain.shape != right.shape or not _same(plain, right):
        return None
    return net


def normalisations(
    net: Any | None, network: Network, samples: Array, exact: bool
) -> Iterator[Changed]:
    """Faults of batch normalisation: made exactly where it stands in the file or the ``net`` is
    known from which it comes, else (if not only ``exact``) of what its layers give for these
    samples.
    """
    if net is not None:
        yield from _normalisations_of(net)
    elif not exact:
        yield from parts_missing(network)
        yield from changes.normalisations(network, samples, list(_BATCHES))


def _normalisations_of(net: Any) -> Iterator[Changed]:
    yield from _parts_missing(net, None)
    run = _run(net, lambda norm: norm.reset_running_stats())
    yield Changed("bn-mean", "batch normalisation without its means and variances", run)
    for batch in reversed(_BATCHES):  # the smaller, the longer it takes
        words = f"batch normalisation by the statistics of batches of {batch}"
        yield Changed("bn-batch", words, _run(net, lambda norm: norm.train()), batch)


def parts_of_each(net: Any | None, network: Network) -> Iterator[Changed]:
    """Each batch normalisation without a part of what it learnt, where that is known."""
    if net is None:
        yield from parts_missing(network, each=True)
    else:
        for at in range(len(_norms(net))):
            yield from _parts_missing(net, at)


def _parts_missing(net: Any, at: int | None) -> Iterator[Changed]:
    for fault, (name, value, said) in _PARTS.items():
        words = "batch normalisation" if at is None else f"batch normalisation {at + 1}"
        run = _run(net, partial(_filled, name=name, value=value), at)
        yield Changed(fault, f"{words} without its {said}", run)


def epsilons_of(net: Any) -> Iterator[Epsilon]:
    """The epsilon of all batch normalisation, and of each one."""
    norms = _norms(net)
    for at in [None, *range(len(norms))] if len(norms) > 1 else [None]:
        words = "batch normalisation" if at is None else f"batch normalisation {at + 1}"
        yield Epsilon(words, norms[at or 0].eps, partial(_run_with_epsilon, net, at))


def _run_with_epsilon(net: Any, at: int | None, epsilon: float) -> Callable[[Array], Rows]:
    def run(samples: Array) -> Rows:
        norms = _norms(net) if at is None else [_norms(net)[at]]
        return _answers_with(net, samples, [(n, "eps", epsilon) for n in norms])

    return run


def layers_of(net: Any) -> Holder:
    """Convolutions and linear layers, in front of the batch normalisation that an ONNX file has
    folded into them: what changes the order of output channels differs there.
    """
    from torch import nn

    held = [
        Held(f"layer '{name}'", name, m.weight.detach().numpy(), "OI" + "DHW"[5 - m.weight.dim() :])
        for name, m in net.named_modules()
        if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)
    ]
    return Holder(tuple(held), partial(_reweighted, net), {}, mixing=True)


def _reweighted(net: Any, samples: Array, given: Mapping[str, Array]) -> Rows:
    import torch

    weights = [net.get_submodule(name).weight for name in given]
    values = [torch.from_numpy(np.array(v)) for v in given.values()]
    changed = [(w, "data", v) for w, v in zip(weights, values, strict=True)]
    return _answers_with(net, samples, changed)


def _answers_with(net: Any, samples: Array, given: list[tuple[Any, str, Any]]) -> Rows:
    """The answers while attributes are others: a copy of the network for each would cost more."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in given]
    try:
        for owner, name, value in given:
            setattr(owner, name, value)
        return _answers(net, samples)
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _norms(net: Any) -> list[Any]:
    return [m for m in net.modules() if getattr(m, "running_mean", None) is not None]


def _same(a: Rows, b: Rows) -> bool:
    return bool(np.abs(a - b).max() <= _SAME * max(np.abs(b).max(), 1e-30))


def _filled(norm: Any, name: str, value: float) -> None:
    part = getattr(norm, name)
    if part is not None:  # one that is not affine has no weight
        part.data.fill_(value)


def _run(
    net: Any, change: Callable[[Any], object], at: int | None = None
) -> Callable[[Array], Rows]:
    """The network with all its batch normalisation changed, or that one ``at`` a place: for as long
    as it runs, since a copy of the whole for each part of the samples would cost more.
    """

    def run(samples: Array) -> Rows:
        norms = _norms(net) if at is None else [_norms(net)[at]]
        before = [copy.deepcopy(norm.state_dict()) for norm in norms]
        try:
            for norm in norms:
                change(norm)
            return _answers(net, samples)
        finally:
            for norm, state in zip(norms, before, strict=True):
                norm.load_state_dict(state)
                norm.eval()

    return run


def _answers(net: Any, samples: Array) -> Rows:
    import torch

    threads = torch.get_num_threads()
    if sum(p.numel() for p in net.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            made = net(torch.from_numpy(np.ascontiguousarray(samples)))
    finally:
        torch.set_num_threads(threads)
    made = made[0] if isinstance(made, tuple | list) else made
    return np.asarray(made.numpy().reshape(len(samples), -1), np.float64)
