"""Train the demonstration's model on preprocessed digits and save its weights.

The training images were preprocessed by the same recipe as the validation images, into ``.bin``
files, so nothing here decodes or resizes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(HERE)), "src")

from portproof.core.arguments import Parser, positive, run_stage

SEED = 7


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Train the digits model.",
        example="python examples/digits/train.py prep_train/ train_label.txt weights.pth",
    )
    p.add_argument(
        "prep",
        metavar="PREP_DIR",
        type=Path,
        help="preprocessed training images, one .bin a sample",
    )
    p.add_argument(
        "labels", metavar="LABELS.txt", type=Path, help="one line a sample: file name, class"
    )
    p.add_argument("weights", metavar="WEIGHTS.pth", type=Path, help="the state dict to write")
    p.add_argument(
        "--epochs", type=positive, default=8, help="passes over the training images (default: 8)"
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Train, unless the weights are there. Weights that somebody put in their place are kept: they
    are then what is ported.
    """
    from portproof.core import progress
    from portproof.proof.sidecar import proof_of
    from portproof.proof.work import Work

    progress.configure(options.quiet, options.log_json)
    job = Work(
        "train",
        options.weights,
        packages=("torch",),
        parameters={"epochs": options.epochs, "seed": SEED},
        inputs={
            # The samples themselves: their sidecar also has versions, which differ by host.
            "preprocessed": sorted(options.prep.glob("*.bin")),
            "labels": [options.labels],
            "model": [Path(HERE, "model.py")],
        },
    )
    if options.weights.exists() and (
        proof_of(options.weights) is None or "output" in (job.why() or "")
    ):
        progress.say(
            f"train: {options.weights} is not what was trained here; it is kept and used as it is"
            " (delete it to train again)"
        )
        return 0
    if job.is_done():
        return 0
    job.begin()
    accuracy = train(*read_samples(options.prep, options.labels), options.weights, options.epochs)
    job.finish([options.weights], facts={"training_accuracy": accuracy})
    return 0


def read_samples(prep: Path, labels: Path):  # type: ignore[no-untyped-def]
    """Images (N, 3, 32, 32) float32 and labels (N,), joined by sample id."""
    import numpy as np

    from portproof.core.errors import MissingPackageError
    from portproof.manifest import sample_id

    try:
        import torch
    except ImportError as error:
        raise MissingPackageError("torch", "the demonstration", "demo") from error

    rows = [line.split() for line in labels.read_text().splitlines()]
    images = np.stack(
        [
            np.fromfile(prep / f"{sample_id(name)}.bin", np.float32).reshape(3, 32, 32)
            for name, _ in rows
        ]
    )
    return torch.from_numpy(images), torch.tensor([int(label) for _, label in rows])


def train(images, labels, weights: Path, epochs: int) -> float:  # type: ignore[no-untyped-def]
    """Train with Adam and a cosine schedule, seeded; saves the state dict and returns the accuracy
    on the training images.
    """
    import torch

    from portproof.core import progress
    from portproof.core.files import atomic_writer

    sys.path.insert(1, HERE)
    from model import build

    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(
        1
    )  # the same weights on every host, and no threads to wait for with a network this small
    net = build()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    with progress.meter("train", epochs, "epochs") as meter:
        for _ in range(epochs):
            net.train()
            for batch in torch.randperm(len(labels)).split(32):
                optimiser.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(images[batch]), labels[batch])
                loss.backward()
                optimiser.step()
            schedule.step()
            meter.advance()
    net.eval()
    with torch.inference_mode():
        accuracy = float((net(images).argmax(1) == labels).float().mean())
    with atomic_writer(weights) as file:
        torch.save(net.state_dict(), file)
    return accuracy


if __name__ == "__main__":
    run_stage(parser, work)
