"""Check that NPU devices are of the target's kind, healthy and idle."""

from __future__ import annotations

import argparse
import os
import sys

# Run from a clone: make `portproof` importable, and nothing else of the checkout.
if not __package__:
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, not_negative, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Check by npu-smi that devices are there, of the target's kind, healthy and idle.",
        example="python infer/npu_check.py --target 310p",
    )
    p.add_argument(
        "--target",
        default="310p",
        metavar="T",
        help="310 or 310p, a name in catalog/targets (default 310p)",
    )
    p.add_values(
        "--device",
        type=not_negative,
        default=[0],
        metavar="N",
        help="device numbers, as npu-smi's Device column has them (default 0)",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Do the work; return the exit code."""
    from portproof.core import progress
    from portproof.core.errors import InputError
    from portproof.host import npusmi
    from portproof.target import find_target

    progress.configure(options.quiet, options.log_json)
    target = find_target(options.target)
    if target.soc_version is None:
        raise InputError(
            f"the target '{target.name}' is not an Ascend device; 310 or 310p was expected"
        )
    for chip in npusmi.check_devices(npusmi.query(), [target.soc_version], options.device):
        memory = f"{chip.memory_used_mb} of {chip.memory_total_mb} MB in use"
        print(
            f"device {chip.device}: {chip.soc_version} (NPU {chip.npu}, chip {chip.chip}),"
            f" {chip.health}, idle, {memory}"
        )
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
