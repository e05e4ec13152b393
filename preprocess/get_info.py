"""Write the info list that the benchmark tool and infer/run.py read."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, positive, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Write an info list, sorted by name, with indices from 0: 'get_info.py bin' for .bin files,"
        " 'get_info.py jpg' for JPEG files.",
        example="python preprocess/get_info.py bin prep prep.info 224 224",
    )
    p.add_argument("kind", choices=("bin", "jpg"), help="what the folder holds")
    p.add_argument(
        "folder",
        metavar="DIR",
        help="folder of .bin or of JPEG files; the list holds its name as it is given here",
    )
    p.add_argument("info", metavar="OUT.info", help="list to write")
    p.add_argument(
        "width",
        nargs="?",
        type=positive,
        metavar="WIDTH",
        help="width of the samples in pixels (bin)",
    )
    p.add_argument(
        "height",
        nargs="?",
        type=positive,
        metavar="HEIGHT",
        help="height of the samples in pixels (bin)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the list."""
    from pathlib import Path

    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.preprocess.dataset.info_list import bin_samples, jpeg_samples, write_listing

    progress.configure(options.quiet, options.log_json)
    sized = options.width is not None and options.height is not None
    if options.kind == "bin" and not sized:
        raise InputError("get_info.py bin needs WIDTH and HEIGHT, in pixels, after OUT.info")
    if options.kind == "jpg" and options.width is not None:
        raise InputError("get_info.py jpg takes no WIDTH and HEIGHT: it reads them from each image")
    samples = (
        bin_samples(options.folder, options.width, options.height)
        if sized
        else jpeg_samples(options.folder)
    )
    write_listing(Path(options.info), options.folder, samples)
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
