"""The command that trains an example's model on encoded or preprocessed samples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core.arguments import Parser, positive, run_stage

SEED = 7
_BATCH = 32

#: The ids of the samples, and one array a target, from the truth.
Targets = Callable[[Path], tuple[list[str], Sequence[Any]]]
#: The loss of a network, for its inputs and the targets of a batch.
Loss = Callable[[Any, Sequence[Any], Sequence[Any]], Any]


def training_command(
    code: str, targets: Targets, loss: Loss, epochs: int, parts: Sequence[str] = ()
) -> None:
    """Run ``train.py PREP_DIR TRUTH WEIGHTS.pth``. ``code``: the file that calls this, beside the
    model card and ``model.py``. ``parts``: of several models that are trained together, their
    attributes in the network; the weights are then a folder with a file for each.
    """

    def parser() -> Parser:
        p = Parser(
            f"Train the model of the example '{Path(code).parent.name}'.",
            example=f"python {code} prep_train/ data/train_label.txt weights.pth",
        )
        p.add_argument("prep", metavar="PREP_DIR", type=Path, help="samples, .bin files")
        p.add_argument("truth", metavar="TRUTH", type=Path, help="what is true of them")
        p.add_argument("weights", metavar="WEIGHTS.pth", type=Path, help="state dict to write")
        p.add_argument(
            "--epochs",
            type=positive,
            default=epochs,
            help=f"passes over the samples (default: {epochs})",
        )
        p.add_progress_options()
        return p

    def work(options: argparse.Namespace) -> int:
        return _work(options, Path(code), targets, loss, parts)

    run_stage(parser, work)


def _work(
    options: argparse.Namespace, code: Path, targets: Targets, loss: Loss, parts: Sequence[str]
) -> int:
    """Train, unless the weights are there. Weights that somebody put in their place are kept."""
    from portproof.core import progress
    from portproof.proof.sidecar import proof_of
    from portproof.proof.work import Work

    progress.configure(options.quiet, options.log_json)
    truth = options.truth
    job = Work(
        "train",
        options.weights,
        packages=("torch",),
        parameters={"epochs": options.epochs, "seed": SEED},
        inputs={
            "preprocessed": sorted(options.prep.glob("*.bin")),
            "labels": sorted(truth.iterdir()) if truth.is_dir() else [truth],
            "model": [code, code.parent / "model.py", Path(__file__)],
        },
    )
    stranger = options.weights.exists() and proof_of(options.weights) is None
    if stranger or (options.weights.exists() and "output" in (job.why() or "")):
        progress.say(
            f"train: {options.weights} is not what was trained here; it is kept and used as it is"
            " (delete it to train again)"
        )
        return 0
    if job.is_done():
        return 0
    job.begin()
    net, last = _train(options, code, targets, loss)
    files = {options.weights / f"{part}.pth": getattr(net, part) for part in parts}
    _save(files or {options.weights: net})
    job.finish(list(files) or [options.weights], facts={"training_loss": last})
    return 0


def _save(networks: Mapping[Path, Any]) -> None:
    import torch

    from portproof.core.files import atomic_writer

    for path, network in networks.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(path) as file:
            torch.save(network.state_dict(), file)


def _train(
    options: argparse.Namespace, code: Path, targets: Targets, loss: Loss
) -> tuple[Any, float]:
    """Train with Adam and a cosine schedule, seeded; the network, and the loss of the last pass."""
    from portproof.core import progress
    from portproof.core.errors import MissingPackageError

    try:
        import torch
    except ImportError as error:
        raise MissingPackageError("torch", "the demonstration", "demo") from error
    sys.path.insert(1, str(code.parent))
    from model import build

    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the same weights on every host
    ids, wanted = targets(options.truth)
    inputs = [torch.from_numpy(array) for array in _samples(options.prep, ids, code)]
    known = [torch.from_numpy(array) for array in wanted]
    net, mean = build(), 0.0
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    rounds = options.epochs * -(-len(ids) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
    with progress.meter("train", options.epochs, "epochs") as meter:
        for _ in range(options.epochs):
            net.train()
            losses = []
            for batch in torch.randperm(len(ids)).split(_BATCH):
                optimiser.zero_grad()
                value = loss(net, [i[batch] for i in inputs], [t[batch] for t in known])
                value.backward()
                optimiser.step()
                schedule.step()
                losses.append(float(value.detach()))
            mean = float(np.mean(losses))
            meter.advance()
    return net, mean


def card_of(code: str | Path) -> Any:
    """The example's model card, which lies beside its code; of several models, the first part's,
    which is fed with the data.
    """
    from portproof.card import read_card
    from portproof.rundir.parts.part_card import card_of_part

    folder = Path(code).parent
    card = read_card(folder / f"{folder.name}.yaml")
    return card_of_part(card, card.parts[0]) if card.parts else card


def _samples(prep: Path, ids: Sequence[str], code: Path) -> list[Any]:
    """An array (N, ...) for each input of the card."""
    stacked = []
    for number, spec in enumerate(card_of(code).inputs, start=1):
        suffix = ".bin" if number == 1 else f".{number}.bin"
        read = [np.fromfile(prep / f"{i}{suffix}", spec.dtype).reshape(spec.shape) for i in ids]
        stacked.append(np.stack(read))
    return stacked
