"""What must be true of a PyTorch model before its export can be judged: finite weights, the same
answer twice, a free batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from portproof.card import Card
from portproof.convert.export import parity
from portproof.convert.export.engines import BatchLost, ModelFailed, run_torch
from portproof.convert.export.samples import Feeds, sample_inputs
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed

if TYPE_CHECKING:
    import torch
    from torch import nn

Array = npt.NDArray[Any]

#: Batches that are tried when a model does not run at the one that was asked for.
TRIED = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64)
TRIED_SEEDS = (6, 7, 8)
#: What weights and inputs are moved by, as a fraction, to see what rounding does.
ROUNDING = {"single": 4e-7, "half": 1e-3}
NOISE_RUNS = 4
BOUNDED = {"sigmoid", "tanh", "softmax", "erf", "gelu", "silu", "hardsigmoid"}


def names_of(card: Card) -> list[str]:
    """The names of a card's outputs."""
    return [spec.name for spec in card.outputs]


def check_weights_finite(network: nn.Module) -> None:
    """Refuse NaN in any tensor of a model, and infinity in what was trained; a constant mask may
    be infinite.
    """
    import torch

    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    wrong = []
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_meta or not tensor.is_floating_point() or torch.isfinite(tensor).all():
            continue
        kind = "NaN" if torch.isnan(tensor).any() else "infinity"
        if kind == "NaN" or name in trained or "running_" in name:
            wrong.append(f"{name} ({kind})")
    if wrong:
        raise InputError(
            f"{len(wrong)} of the model's weights hold NaN or infinity: {listed(wrong)}; such a"
            " checkpoint has diverged or is damaged, use another"
        )


def is_half(network: nn.Module) -> bool:
    """Whether a model holds float16; :class:`InputError` for bfloat16, which ONNX Runtime and ATC
    do not compute in.
    """
    import torch

    kinds = {t.dtype for t in (*network.parameters(), *network.buffers())}
    if torch.bfloat16 in kinds:
        raise InputError(
            "the model computes in bfloat16, which ONNX Runtime cannot check and ATC does not take:"
            " call model.float() in its builder"
        )
    return torch.float16 in kinds


def leave_training(network: nn.Module, card: Card, feeds: Feeds) -> None:
    """Refuse a model that stays in training mode after ``eval()`` where that changes its
    answers.
    """
    stuck = [name or "the model" for name, m in network.named_modules() if m.training]
    if not stuck:
        return
    names, count = names_of(card), len(next(iter(feeds.values())))
    before = run_torch(network, feeds, [count], names)
    for module in network.modules():
        module.training = False
    after = run_torch(network, feeds, [count], names)
    if not all(p.passed for p in parity.compare(after, before, names)):
        raise InputError(
            f"the model stays in training mode after eval() ({listed(stuck)}): dropout and batch"
            " statistics stay on; its train() must pass the mode on to every module"
        )


def check_repeats(
    network: nn.Module, card: Card, feeds: Feeds, first: Sequence[Array], half: bool
) -> None:
    """Refuse a model that answers the same batch in two ways."""
    names, count = names_of(card), len(next(iter(feeds.values())))
    again = run_torch(network, feeds, [count], names)
    tolerance = parity.HALF if half else parity.SINGLE
    results = parity.compare(again, first, names, tolerance=tolerance)
    worst = max(results, key=lambda p: p.badness)
    if not worst.passed:
        raise InputError(
            f"the model is random: two runs on the same batch differ ({worst}); functional dropout"
            " without training=self.training, randn in forward, or a state kept between calls;"
            " make it answer the same twice"
        )


def reference_outputs(
    network: nn.Module, card: Card, feeds: Feeds, batches: Sequence[int], traced: int
) -> list[Array]:
    """PyTorch's answers in batches of these sizes; :class:`InputError` names the batch that is
    built into the model, when only some sizes work.
    """
    try:
        return run_torch(network, feeds, batches, names_of(card))
    except (ModelFailed, BatchLost) as error:
        tried = TRIED if error.count == traced else (traced,)
        fits = next((n for n in tried if n != error.count and _takes(network, card, n)), None)
        if fits is None or (
            isinstance(error, BatchLost) and _lost_dimension(network, card, fits, error)
        ):
            raise
        reason = error.reason if isinstance(error, ModelFailed) else error.fact
        raise InputError(
            f"the batch {fits} is built into the model: use --batch {fits} (at batch"
            f" {error.count}: {reason})"
        ) from error


def _lost_dimension(network: nn.Module, card: Card, fits: int, error: BatchLost) -> bool:
    """Whether the output lost a dimension where it lost its batch, as by squeeze at batch 1."""
    whole = run_torch(network, sample_inputs(card, fits), [fits], names_of(card))
    return len(error.shape) < whole[names_of(card).index(error.name)].ndim


def _takes(network: nn.Module, card: Card, count: int) -> bool:
    """Whether a model takes a batch of this size, whatever is in it, and answers each sample: a
    constant of that length is no batch.
    """
    answers = []
    for seed in TRIED_SEEDS:
        try:
            feeds = sample_inputs(card, count, seed)
            answers.append(run_torch(network, feeds, [count], names_of(card)))
        except (ModelFailed, BatchLost):
            return False
    return any(not np.array_equal(a, b) for a, b in zip(answers[0], answers[1], strict=True))


def fold_parametrizations(network: nn.Module, card: Card, feeds: Feeds) -> None:
    """Put the weights that ``torch.nn.utils.parametrize`` computes (spectral and weight norm) in
    the place of what they are computed from. The answers must stay.
    """
    from torch.nn.utils import parametrize

    found = [
        (module, name)
        for module in network.modules()
        if parametrize.is_parametrized(module)
        for name in list(module.parametrizations)  # type: ignore[arg-type]
    ]
    if not found:
        return
    names, count = names_of(card), len(next(iter(feeds.values())))
    before = run_torch(network, feeds, [count], names)
    for module, name in found:
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    after = run_torch(network, feeds, [count], names)
    if not all(p.passed for p in parity.compare(after, before, names)):
        raise InputError(
            f"the model computes {len(found)} weights by torch.nn.utils.parametrize, and answers"
            " otherwise once they are folded: call remove_parametrizations in its builder"
        )
    progress.say(f"export: {len(found)} parametrized weights are folded into plain ones")


def rounding_noise(
    network: nn.Module,
    card: Card,
    feeds: Feeds,
    batches: Sequence[int],
    *,
    half: bool,
    inputs_too: bool,
) -> list[list[Array]]:
    """How far PyTorch's answers move, element by element, when weights (and float inputs) move by
    a few units of their last place: for each of several runs, an array for each output.

    A file may differ as much without being wrong: cancellation, a value at the edge of a threshold
    and the order of equal scores are noise of the model, not of the export.
    """
    size = ROUNDING["half" if half else "single"]
    names, rng = names_of(card), np.random.default_rng(5)
    first = run_torch(network, feeds, batches, names)
    runs = []
    for seed in range(NOISE_RUNS):
        moved = _moved_inputs(feeds, size, rng) if inputs_too else feeds
        with _moved_weights(network, size, seed), _rough_functions(size, seed):
            runs.append(run_torch(network, moved, batches, names))
    with np.errstate(invalid="ignore", over="ignore"):
        return [
            [np.abs(np.asarray(b, np.float64) - a) for a, b in zip(first, run, strict=True)]
            for run in runs
        ]


def _moved_inputs(feeds: Feeds, size: float, rng: np.random.Generator) -> Feeds:
    return {
        name: (values + size * (np.abs(values) + 1) * rng.uniform(-1, 1, values.shape)).astype(
            values.dtype
        )
        if values.dtype.kind == "f"
        else values
        for name, values in feeds.items()
    }


def _rough_functions(size: float, seed: int) -> Any:
    """Inside the block bounded functions are as far off as their approximations in a runtime are:
    by rounding of 1, however small the answer (a score of 0.001 has four digits in ONNX Runtime).
    """
    import torch
    from torch.overrides import TorchFunctionMode

    generator = torch.Generator().manual_seed(seed)

    class Rough(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            answer = func(*args, **(kwargs or {}))
            if getattr(func, "__name__", "") in BOUNDED and answer.is_floating_point():
                random = torch.rand(answer.shape, generator=generator).mul_(2).sub_(1)
                answer = answer + random.mul_(size / 2).to(answer.dtype)
            return answer

    return Rough()


@contextlib.contextmanager
def _moved_weights(network: nn.Module, size: float, seed: int) -> Iterator[None]:
    """Inside the block every float weight differs a little; afterwards each is as before."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        with torch.inference_mode():
            for tensor in (*network.parameters(), *network.buffers()):
                if tensor.is_floating_point() and tensor.is_contiguous():
                    kept.append((tensor, tensor.clone()))
                    random = torch.rand(tensor.shape, generator=generator).mul_(2).sub_(1)
                    tensor.mul_(random.mul_(size).add_(1).to(tensor.dtype))
        yield
    finally:
        with torch.inference_mode():
            for tensor, before in kept:
                tensor.copy_(before)
