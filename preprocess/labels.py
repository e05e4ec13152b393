"""Write the label list (name and zero-based class) of ImageNet's validation images."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Write '<file name> <class>' lines, classes from 0: from a tree of class folders, or from"
        " the ILSVRC2012 devkit.",
        example="python preprocess/labels.py imagenet/val val_label.txt",
    )
    p.add_argument(
        "source",
        metavar="IMAGENET_VAL_TREE|DEVKIT_FILE",
        help=(
            "folder of class folders, or ILSVRC2012_validation_ground_truth.txt with the devkit's"
            " meta.mat beside it"
        ),
    )
    p.add_argument("labels", metavar="LABELS.txt", help="list to write")
    p.add_argument(
        "--synsets",
        metavar="FILE",
        help=(
            "the model's classes in order, one wnid first on each line, for a tree with some of"
            " them"
        ),
    )
    p.add_argument(
        "--order",
        choices=("text", "natural"),
        help=(
            "order of class folders: text, as torchvision sorts (default), or natural, numbers by"
            " value, as timm does"
        ),
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the list."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.preprocess.dataset.val_labels import devkit_labels, tree_labels, write_labels

    progress.configure(options.quiet, options.log_json)
    source = Path(options.source)
    if source.is_dir():
        labels, inputs = tree_labels(source, options.synsets, options.order)
    else:
        labels, inputs = devkit_labels(source, options.synsets, options.order)
    write_labels(Path(options.labels), labels, inputs)
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
